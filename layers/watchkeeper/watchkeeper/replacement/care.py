"""What a look does for the whole fleet: its alarms, and every few minutes the question whether all is writable."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import loop, tags
from watchkeeper.aws import agents, alarms, starts
from watchkeeper.replacement.scene import GONE, retired_at
from watchkeeper.runtime import Metric, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from watchkeeper.aws.commands import Outcome
    from watchkeeper.look import Look
    from watchkeeper.replacement.apply import Writers
    from watchkeeper.replacement.observe import Readers
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

logger = logging.getLogger(__name__)

# The same question to the whole fleet: each few minutes is soon enough to tell, and cheap.
EVERY_MINUTES = 5
ANSWER_SECONDS = 12.0

# Each time begins this part of the fleet further on, whatever its size. By the golden ratio the beginnings lie evenly
# after any number of times: no two of thirteen neighbours are farther apart than a tenth, of eight than 15 %.
TURN = (5**0.5 - 1) / 2

# CloudWatch takes some three alarms a second: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
MOST_ALARMS = 50


def keep_alarms(read: Readers, settings: Settings, fleet: Sequence[Scene]) -> dict[str, list[str]]:
    """One alarm for each settled host that exists, none for any other instance; the instances of both changes.

    A host that a restore is at keeps its own, though it has no database for a moment.
    So many new ones at most; the next look makes the rest. Raises what CloudWatch answers.
    """
    hosting = {one.home: one.hosts.get(one.home) for one in fleet if one.volumes}
    every = (host for one in fleet for host in one.hosts.values())
    hosting |= {one.id: one for one in every if tags.is_restoring(one.tags.get(tags.PAUSED, ""))}
    wanted = {name for name, host in hosting.items() if host and host.state not in GONE}
    known = alarms.find(read.cloudwatch, settings.alarm_prefix)
    made, gone = sorted(wanted - set(known))[:MOST_ALARMS], sorted(set(known) - wanted)
    for instance in made:
        alarms.put(read.cloudwatch, settings.alarm_prefix, instance)
    alarms.delete(read.cloudwatch, [known[one] for one in gone])
    return {"made": made, "deleted": gone}


def ask(
    read: Readers, write: Writers, settings: Settings, fleet: Sequence[Scene], look: Look, seconds: float
) -> tuple[Metric, ...]:
    """Whether each database takes writes and how full it is: figures for alarms, and nothing follows from them.

    After so many seconds those that were not asked yet stay unasked, this time; the order turns with each time. Where
    no time is left for one answer, nobody is asked, and there are no figures.
    """
    if look.time.minute % EVERY_MINUTES or seconds < ANSWER_SECONDS:
        return ()
    running = {
        one.home: one.application
        for one in fleet
        if one.volumes and one.has_all(one.home) and (host := one.hosts.get(one.home)) and host.state == "running"
    }
    try:
        reached = sorted(agents.find(read.ssm, sorted(running)))
        answered: dict[str, Outcome | None] = {}
        turned = in_turn(reached, look.time)
        until = now() + timedelta(seconds=seconds - ANSWER_SECONDS)
        for start in range(0, len(turned), starts.MOST_HOSTS):
            if now() > until:
                logger.warning("databases left unasked", extra={"count": len(turned) - start})
                break
            answered |= _ask(read, write, settings, turned[start : start + starts.MOST_HOSTS])
    except (ClientError, BotoCoreError):
        logger.warning("databases not asked", exc_info=True)
        return ()
    return _judge(answered, running)


def in_turn(hosts: Sequence[str], time: datetime) -> list[str]:
    """The hosts in the order in which this time asks them."""
    first = int(time.timestamp() // (60 * EVERY_MINUTES) * TURN % 1 * len(hosts))
    return [*hosts[first:], *hosts[:first]]


def _ask(read: Readers, write: Writers, settings: Settings, some: list[str]) -> dict[str, Outcome | None]:
    command = starts.send(write.ssm_once, some, settings.document, "probe", {})
    found: dict[str, Outcome | None] = {}

    def answers() -> bool | None:
        found.update(starts.answers(read.ssm, command, now()))
        return True if found and all(found.values()) else None

    loop.wait(answers, seconds=ANSWER_SECONDS, pause=1)
    return found


def _judge(answered: Mapping[str, Outcome | None], running: Mapping[str, str]) -> tuple[Metric, ...]:
    silent, full = 0, 0
    for host, outcome in answered.items():
        words = outcome.words if outcome else {}
        full = max(full, int(words.get("fullPercent") or 0))
        if not words.get("writable") and not words.get("standby"):
            silent += 1
            said = words.get("error") or (outcome.error if outcome else "no answer")
            logger.warning(
                "database not writable", extra={"application": running[host], "instance_id": host, "reason": said}
            )
    return (Metric("DatabasesNotWritable", silent), Metric("DatabaseFullPercent", full, MetricUnit.Percent))


def count(fleet: Sequence[Scene]) -> tuple[Metric, ...]:
    """Figures of the fleet: hosts that were retired and stay stopped, which cost their root volumes."""
    retired = sum(1 for scene in fleet for one in scene.hosts.values() if one.state == "stopped" and retired_at(one))
    return (Metric("RetiredHosts", retired),)
