"""What is left of rehearsals that are over: ended in an order in which each step finds the next; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.rehearsal.actions import DeleteGroup, DeleteVolume, LetGo, Terminate
from watchkeeper.rehearsal.scene import GONE, YOUNG, Rehearsal
from watchkeeper.rehearsal.verdict import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from watchkeeper.aws.groups import Group
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.rehearsal.actions import Action
    from watchkeeper.rehearsal.scene import Scene

# A volume in one of these states can be deleted.
FREE = ("available", "error")


def clean(scene: Scene, live: Rehearsal | None, *, is_ended: bool = False, with_group: bool = False) -> Plan:
    """What removes all but the live rehearsal's; of this one all but its group if it `is_ended` before its time.

    Not ours are things whose tags and AWS's own facts disagree, and what somebody paused: they are left.
    """
    things = [
        *(_host(scene, one, live, is_ended) for one in scene.hosts if _is_claimed(one.tags)),
        *(_volume(scene, one, live, is_ended) for one in scene.volumes if _is_claimed(one.tags)),
    ]
    spared = None if with_group else live
    return merge([*things, *(_group(scene, one, spared, merge(things), is_ended) for one in scene.groups)])


def merge(plans: Sequence[Plan]) -> Plan:
    """Several plans as one, in their order."""
    return Plan(
        tuple(action for one in plans for action in one.actions),
        tuple(wait for one in plans for wait in one.waits),
        next((one.trouble for one in plans if one.trouble), None),
        left=tuple(left for one in plans for left in one.left),
        strange=tuple(strange for one in plans for strange in one.strange),
    )


def retire(scene: Scene, host: Host) -> Plan:
    """What ends a scratch host, and with it the disks that it was launched with."""
    if host.state in GONE:
        return Plan(waits=(f"{host.id} is terminated",) if host.state == "shutting-down" else ())
    own = [one.id for one in scene.disks(host)]
    if strange := sorted(set(host.dying) - set(own)):
        return Plan(strange=(f"{host.id}: {', '.join(strange)} would be deleted with it, and no rehearsal made it",))
    end = Terminate(host.id, "its rehearsal is over")
    return Plan((*let_go(scene, host), end), (f"{host.id} is terminated",))


def let_go(scene: Scene, host: Host) -> tuple[Action, ...]:
    """Has the disks that a scratch host was launched with deleted with it, should they not be."""
    kept = sorted(host.devices[one.id] for one in scene.disks(host) if one.id not in host.dying)
    return (LetGo(host.id, tuple(kept), "it was launched with them, so they end with it"),) if kept else ()


def _host(scene: Scene, host: Host, live: Rehearsal | None, is_ended: bool) -> Plan:
    if host.state == "terminated" or not _is_over(scene, host.tags, live, is_ended, host.launched):
        return Plan()
    if left := _left(host.id, host.tags):
        return left
    if not scene.is_ours(host):
        return Plan(strange=(f"{host.id}: no rehearsal launched it",))
    return retire(scene, host)


def _volume(scene: Scene, volume: Volume, live: Rehearsal | None, is_ended: bool) -> Plan:
    if not _is_over(scene, volume.tags, live, is_ended, volume.created):
        return Plan()
    if left := _left(volume.id, volume.tags):
        return left
    if volume.attachment:
        return _held(scene, volume.id, volume.attachment.host, live, is_ended)
    if not scene.is_copy(volume):
        return Plan(strange=(f"{volume.id}: it was not made of one of our snapshots, or was a database's",))
    if volume.state not in FREE:
        return Plan(waits=(f"{volume.id} can be deleted",))
    return Plan((DeleteVolume(volume.id, "its rehearsal is over"),), (f"{volume.id} is deleted",))


def _held(scene: Scene, volume: str, holder: str, live: Rehearsal | None, is_ended: bool) -> Plan:
    """A volume is never taken from anybody: the end of a scratch host sets it free."""
    host = next((one for one in scene.hosts if one.id == holder and scene.is_ours(one)), None)
    if host and (host.state in GONE or _host(scene, host, live, is_ended).waits):
        return Plan(waits=(f"{volume} leaves {holder}",))
    kept = f"{volume}: {holder} holds it, which is not to be ended"
    return Plan(left=(kept,)) if host else Plan(strange=(kept,))


def _group(scene: Scene, group: Group, live: Rehearsal | None, others: Plan, is_ended: bool) -> Plan:
    """The group is the last: what is there still of its rehearsal is found by it."""
    of = Rehearsal.of(group.tags)
    if of is None or group.name != scene.name:
        return Plan(strange=(f"{group.id}: no rehearsal made it",))
    if of == live or not (is_ended or scene.is_past(of) or scene.has_outcome(of)):
        return Plan()
    if left := _left(group.id, group.tags):
        return left
    hosts = [one.id for one in scene.hosts if Rehearsal.of(one.tags) == of and one.state != "terminated"]
    if hosts or scene.copies(of):
        used = f"{group.id} is used by nothing"
        return Plan(left=(f"{group.id}: it is used",)) if others.is_empty else Plan(waits=(used,))
    return Plan((DeleteGroup(group.id, "its rehearsal is over"),), (f"{group.id} is deleted",))


def _is_over(
    scene: Scene, words: Mapping[str, str], live: Rehearsal | None, is_ended: bool, made: datetime | None
) -> bool:
    """Nothing of it is wanted any more; what was made a moment ago may belong to a group that is not seen yet."""
    of = Rehearsal.of(words)
    if of is None:
        return True
    if of == live:
        return is_ended
    if scene.is_past(of) or scene.has_outcome(of):
        return True
    return made is not None and scene.now - made >= YOUNG


def _is_claimed(words: Mapping[str, str]) -> bool:
    return words.get(tags.ROLE) == tags.REHEARSAL


def _left(name: str, words: Mapping[str, str]) -> Plan | None:
    return Plan(left=(f"{name}: paused: {words[tags.PAUSED]}",)) if tags.PAUSED in words else None
