"""The arrival: where all volumes are, the database starts, its address follows, and it is settled there; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws import starts
from watchkeeper.aws.addresses import UNREAD, Interface, Record
from watchkeeper.look import stamp
from watchkeeper.replacement import obstacles, telling
from watchkeeper.replacement.actions import MoveInterface, Point
from watchkeeper.replacement.refusals import Refusal
from watchkeeper.replacement.verdict import Plan
from watchkeeper.restore.actions import Send, Tag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.starts import Start
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

# From running to an agent that answers it takes some ten to thirty seconds.
NO_AGENT = timedelta(minutes=5)

BACKOFF = (timedelta(0), timedelta(seconds=20), timedelta(seconds=60))


def arrive(scene: Scene, settings: Settings, target: Host) -> Plan:
    """All volumes are there: the database starts, its address follows if it may, and it is settled."""
    sent = starts_since(scene, target, scene.began(target))
    proof = proven(sent)
    if proof is None:
        return _start(scene, settings, target, sent)
    pointed = point(scene, settings, target)
    if not pointed.is_empty:
        return pointed
    remembered = {tags.HOST: target.id, tags.VOLUMES: " ".join(scene.ids)}
    settle = Tag(scene.ids, remembered, "its database takes writes there, and is found there")
    told = telling.replaced(scene, target, proof, is_found=pointed.refusal is None)
    return Plan(pointed.refusal, telling.before(scene, proof, told, settle))


def starts_since(scene: Scene, host: Host, moment: datetime | None) -> Sequence[Start]:
    """The starts that a host was asked for since a moment, oldest first."""
    sent = scene.details.starts.get(host.id, ()) if scene.details else ()
    return [one for one in sent if one.command == "start" and (moment is None or one.asked >= moment)]


def proven(sent: Sequence[Start]) -> Start | None:
    """The start after which the database took a write: one that failed beside it, or after it, takes nothing back."""
    return next((one for one in sent if one.is_success), None)


def _start(scene: Scene, settings: Settings, target: Host, sent: Sequence[Start]) -> Plan:
    send = Send(target.id, "start", start_words(scene, settings), "all volumes are attached")
    if not scene.details or not scene.details.is_reached.get(target.id):
        if scene.age(target) < NO_AGENT:
            return Plan(waits=(f"the SSM agent of {target.id} answers",))
        sentence = (
            f"{target.id} has the volumes, and its SSM agent does not answer: the image of {scene.launches[0].id} must "
            f"run one, with a way out to SSM and a role that has AmazonSSMManagedInstanceCore."
        )
        return Plan(Refusal("no-agent", sentence), waits=("its agent answers",))
    if not sent:
        return Plan(actions=(send,))
    last = sent[-1]
    if last.outcome is None:
        return Plan(waits=(f"PostgreSQL starts on {target.id}",))
    if last.is_recovering:
        sentence = (
            f"PostgreSQL on {target.id} replays its log since {stamp(sent[0].asked)}; it goes on, and nothing is asked."
        )
        return Plan(Refusal("recovering", sentence), (send,))
    return _start_again(scene, target, sent, send)


def _start_again(scene: Scene, target: Host, sent: Sequence[Start], send: Send) -> Plan:
    """A start that failed is tried three times, then told; asked to by force, once more."""
    last = sent[-1]
    if scene.details and scene.details.forced_at and last.asked < scene.details.forced_at:
        return Plan(actions=(send,))
    code, said = (last.outcome.code, last.outcome.error) if last.outcome else (0, "")
    sentence = (
        f"PostgreSQL does not start on {target.id}, which has the volumes: {said} Mend it there "
        f"(aws ssm start-session --target {target.id}), then send "
        f'{{"application": "{scene.application}", "force": true}} to replace_database_host.'
    )
    if code in starts.REFUSALS:
        return Plan(Refusal("start-refused", sentence))
    failed = len([one for one in sent if not one.is_recovering])
    if failed >= len(BACKOFF):
        return Plan(Refusal("start-failed", sentence))
    if scene.now - last.asked < BACKOFF[failed]:
        return Plan(waits=("a while before PostgreSQL is started again",))
    return Plan(actions=(send,))


def start_words(scene: Scene, settings: Settings) -> dict[str, str]:
    """The parameters of a start: exactly the volumes of the set, and a new timeline where they were restored.

    It is beyond all that were known when they were put in, for the database may have been restored before.
    """
    return {
        "volumeIds": " ".join(scene.ids),
        "newTimeline": (restored := scene.anchor.tags.get(tags.RESTORED_FROM, "")),
        "timelineAfter": scene.anchor.tags.get(tags.TIMELINE, "") if restored else "",
        "allowCollationChange": "true" if settings.is_collation_change_allowed else "",
        "startCommand": settings.start_command,
    }


def point(scene: Scene, settings: Settings, host: Host) -> Plan:
    """What lets the address lead to a host; empty when it does, or when the database has none."""
    name = next((one.tags[tags.ADDRESS] for one in scene.volumes if tags.ADDRESS in one.tags), "")
    if not name or scene.record is UNREAD:
        return Plan()
    if refusal := obstacles.address(scene, name, settings):
        return Plan(refusal)
    if isinstance(scene.record, Interface):
        return _point_interface(scene, scene.record, host)
    observed = scene.record if isinstance(scene.record, Record) else None
    if observed and observed.value == host.address:
        return Plan()
    return Plan(actions=(Point(observed, name, host.address, f"the database is on {host.id}"),))


def _point_interface(scene: Scene, interface: Interface, host: Host) -> Plan:
    if interface.instance and interface.instance not in scene.hosts:
        sentence = (
            f"{interface.id} is attached to {interface.instance}, which is no host of {scene.application}: detach it."
        )
        return Plan(Refusal("odd-address", sentence))
    if interface.instance == host.id and interface.status == "attached":
        return Plan()
    if interface.status == "available":
        return Plan(actions=(MoveInterface(interface, host.id, f"the database is on {host.id}"),))
    if interface.instance != host.id and interface.status == "attached":
        return Plan(actions=(MoveInterface(interface, None, f"the database is on {host.id}"),))
    return Plan(waits=(f"{interface.id} is attached to {host.id}: {interface.status}",))
