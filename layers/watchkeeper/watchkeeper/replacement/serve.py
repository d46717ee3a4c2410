"""Serves a look at database hosts: one application with work in place, several each in an invocation of its own."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import applications, loop, tags
from watchkeeper.aws import hosts, launches, volumes
from watchkeeper.errors import Refused, Skipped
from watchkeeper.replacement import care, telling
from watchkeeper.replacement.actions import Protect, StartAgain, Stop, Terminate, describe
from watchkeeper.replacement.apply import apply
from watchkeeper.replacement.observe import Seen, observe
from watchkeeper.replacement.plan import plan
from watchkeeper.replacement.scene import Details
from watchkeeper.replacement.survey import observe_all
from watchkeeper.restore.actions import Tell
from watchkeeper.runtime import Metric, Report, now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mypy_boto3_lambda import LambdaClient

    from watchkeeper.look import Look
    from watchkeeper.replacement.actions import Action
    from watchkeeper.replacement.apply import Writers
    from watchkeeper.replacement.observe import Readers
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings
    from watchkeeper.replacement.verdict import Plan

logger = logging.getLogger(__name__)

# Between two observations that found nothing to do. Attaching takes 1 to 4 s, and EC2 lets 20 reads a second through.
PAUSE_SECONDS = 1.0

# They ask for a state that takes its time, and asking once more in the same look changes nothing.
ONCE = (Protect, Stop, Terminate, StartAgain)

MINUTES_OF_A_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Clients:
    """Whom a look asks, through whom it acts, and who invokes it for others."""

    read: Readers
    write: Writers
    functions: LambdaClient


@dataclass(slots=True)
class Attended:
    """What one application's look came to."""

    application: str
    did: list[dict[str, Any]] = field(default_factory=list)
    waits: tuple[str, ...] = ()
    refused: dict[str, str] | None = None
    is_advice: bool = False
    replaced: float | None = None
    error: Exception | None = None
    seen: Seen = field(default_factory=Seen)
    asked: set[Action] = field(default_factory=set)

    @property
    def errors(self) -> tuple[Exception, ...]:
        """What failed and was not made up for: what the look ended with, and volumes that would go with their host."""
        return (*((self.error,) if self.error else ()), *self.seen.unprotected.values())

    def answer(self) -> dict[str, Any]:
        """As it is answered."""
        return {
            "application": self.application,
            "did": self.did,
            "waits_for": list(self.waits),
            **({"refused": self.refused} if self.refused else {}),
        }


def serve(clients: Clients, settings: Settings, look: Look, seconds: float) -> Report:
    """Looks, and acts for so many seconds at most: what is not done then, the next look goes on with.

    Raises Skipped for an event of an instance that is no database's host, Refused for an application there is not.
    """
    if look.instance:
        return _report(_attend(clients, settings, look, _of_instance(clients, settings, look.instance), seconds))
    if look.application:
        _refuse_unknown(clients, settings, look)
        return _report(_attend(clients, settings, look, look.application, seconds))
    return _sweep(clients, settings, look, seconds)


def _of_instance(clients: Clients, settings: Settings, instance: str) -> str:
    host = hosts.find(clients.read.ec2, [instance]).get(instance)
    if host is None or host.tags.get(tags.ROLE) != tags.DATABASE_HOST:
        raise Skipped(f"{instance} is no database's host")
    if not applications.is_watched(host.application, settings.watched) or host.application in settings.retired:
        raise Skipped(f"{instance} is of {host.application!r}, which this stack does not watch")
    return host.application


def _refuse_unknown(clients: Clients, settings: Settings, look: Look) -> None:
    names = applications.asked_for(look, settings.watched)
    ec2 = clients.read.ec2
    if launches.find(ec2, names):
        return
    found = volumes.find(ec2, names)
    if not found:
        applications.refuse_unknown(look, (), [one.application for one in volumes.find(ec2, settings.watched)])
    if not any(tags.REPLACED in one.tags for one in found):  # else its move may have begun, and that is told
        raise Refused(
            f"{look.application!r} has no launch template, so its host is not replaced: tag one "
            f"{tags.APPLICATION}={look.application} and {tags.ROLE}={tags.DATABASE_LAUNCH}."
        )


def _sweep(clients: Clients, settings: Settings, look: Look, seconds: float) -> Report:
    began = now()
    fleet = observe_all(clients.read, settings, settings.watched, began)
    plans = {scene.application: plan(scene, settings) for scene in fleet}
    work = [name for name, found in plans.items() if not found.is_empty or _is_due(name, look.time)]
    if look.dry_run:
        return Report({"plan": [_planned(name, found) for name, found in plans.items()]})
    handed = applications.hand_on(clients.functions, settings.function, look, work) if len(work) > 1 else []
    left = seconds - (now() - began).total_seconds()
    attended = [_attend(clients, settings, look, name, left) for name in work if not handed]
    changed, failed = _keep_alarms(clients, settings, fleet)
    left = seconds - (now() - began).total_seconds()
    figures = care.ask(clients.read, clients.write, settings, fleet, look, left) if not attended else ()
    rest = [found.refusal for name, found in plans.items() if name not in work]
    refused = [one for one in rest if one and not one.is_advice]
    report = _report(*attended)
    answer = {"looked_at": len(fleet), "handed_on": handed, "alarms": changed, **_answer(report)}
    metrics = (*report.metrics, *figures, *care.count(fleet), Metric("Refusals", len(refused)), Metric("Looks"))
    return Report(answer, metrics, (*report.errors, *failed))


def _keep_alarms(
    clients: Clients, settings: Settings, fleet: Sequence[Scene]
) -> tuple[dict[str, list[str]], list[Exception]]:
    """The alarms only wake us, so whatever becomes of them comes after what they are for, and prevents none of it."""
    try:
        return care.keep_alarms(clients.read, settings, fleet), []
    except (ClientError, BotoCoreError) as error:
        return {}, [error]


def _is_due(name: str, time: datetime) -> bool:
    """Each application has a minute of the day of its own, in which it is looked at closely though it is well."""
    return zlib.crc32(name.encode()) % MINUTES_OF_A_DAY == time.hour * 60 + time.minute


def _planned(name: str, found: Plan) -> dict[str, Any]:
    return {
        "application": name,
        "would": [describe(action) for action in found.actions],
        "waits_for": list(found.waits),
        **({"refused": {found.refusal.name: found.refusal.sentence}} if found.refusal else {}),
    }


def _attend(clients: Clients, settings: Settings, look: Look, name: str, seconds: float) -> Attended:
    """Looks and acts until nothing is left to do or wait for, or the time is over."""
    began = now()
    details = Details(is_due=_is_due(name, look.time), forced_at=began if look.force else None)
    attended = Attended(name, seen=Seen(details))
    while True:
        try:
            acted = _try(clients, settings, look, attended)
            if acted is None:
                return attended
        except Exception as error:  # one call that failed does not end a look; the last one's failure is raised
            acted, attended.error = False, error
        if (now() - began).total_seconds() + PAUSE_SECONDS > seconds:
            return attended
        if attended.error:
            logger.warning("look interrupted", extra={"application": name}, exc_info=attended.error)
        loop.pause(0 if acted else PAUSE_SECONDS)


def _try(clients: Clients, settings: Settings, look: Look, attended: Attended) -> bool | None:
    """Observes, plans and acts once: whether anything was done anew; None if nothing is left to do or wait for."""
    scene = observe(clients.read, settings, attended.application, now(), attended.seen)
    found = plan(scene, settings)
    attended.waits, attended.error = found.waits, None
    attended.refused = {found.refusal.name: found.refusal.sentence} if found.refusal else None
    attended.is_advice = bool(found.refusal and found.refusal.is_advice)
    if look.dry_run:
        attended.did = [{"would": describe(action)} for action in found.actions]
        return None
    acted = _act(clients, settings, scene, found, attended)
    # Where no volume is left, nothing but the notice remembers that it was told.
    is_over = not found.waits and all(isinstance(one, Tell) for one in found.actions)
    return None if is_over else acted


def _act(clients: Clients, settings: Settings, scene: Scene, found: Plan, attended: Attended) -> bool:
    """Does what makes sense now, in order, until something has to be looked at again; whether anything is done anew.

    What was done before in this look makes sense again while reads lag, and then once a second is enough.
    """
    acted = False
    for action in found.actions:
        if isinstance(action, ONCE) and action in attended.asked:
            continue
        if not apply(clients.read, clients.write, settings, scene, action, attended.seen):
            if isinstance(action, Protect | StartAgain):
                continue  # the stop comes all the same; and that there is no room for it either is to be told
            break
        done = describe(action)
        acted = acted or done not in attended.did
        if isinstance(action, ONCE):
            attended.asked.add(action)
        attended.did.append(done)
        if isinstance(action, Tell) and action.key in attended.seen.told and action.reason == telling.SETTLED:
            attended.replaced = (scene.now - (telling.began(scene) or scene.now)).total_seconds()
    return acted


def _report(*attended: Attended) -> Report:
    metrics: list[Metric] = []
    for one in attended:
        if one.refused and not one.is_advice:
            metrics.append(Metric("Refusals"))
        if one.replaced is not None:
            metrics += [Metric("DatabaseReplaced"), Metric("SecondsToReplace", one.replaced, MetricUnit.Seconds)]
    answer = {"applications": [one.answer() for one in attended]}
    return Report(answer, tuple(metrics), tuple(error for one in attended for error in one.errors))


def _answer(report: Report) -> dict[str, Any]:
    return report.answer if isinstance(report.answer, dict) else {}
