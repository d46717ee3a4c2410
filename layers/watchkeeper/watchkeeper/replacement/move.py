"""The move: the old host is fenced, and once it is seen stopped its volumes go to the new one; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws import volumes
from watchkeeper.aws.addresses import Interface
from watchkeeper.aws.hosts import BY_PEOPLE
from watchkeeper.look import stamp
from watchkeeper.replacement import obstacles, refusals
from watchkeeper.replacement.actions import Detach, MoveInterface, Protect, Stop, Terminate
from watchkeeper.replacement.arrival import arrive
from watchkeeper.replacement.scene import GONE, STOPPED, retired_at
from watchkeeper.replacement.verdict import Plan
from watchkeeper.restore.actions import Attach, Tag

if TYPE_CHECKING:
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.replacement.actions import Action
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

# "Most attach operations finish within 1-4 seconds" (aws-ebs-csi-driver); one that does not, does not at all.
STUCK = timedelta(minutes=5)
HOPELESS = timedelta(minutes=12)


def move(scene: Scene, settings: Settings, target: Host) -> Plan:
    """What makes sense now on the way of the database to the target."""
    leaving = [scene.hosts[name] for name in _leaving(scene, target) if name in scene.hosts]
    strange = [one for one in leaving if one.id != scene.home and scene.number(one) is None]
    if strange and any(one.state not in GONE for one in strange):
        return Plan(refusals.moved_by_hand(scene))
    fences = [action for one in leaving for action in fence(scene, settings, one, cause(scene, one))]
    free = [action for one in leaving for action in _free(scene, settings, one)]
    if target.state != "running":
        return Plan(actions=(*fences, *free, *_give_up(scene, target)), waits=(f"{target.id} is running",))
    if not scene.has_all(target.id):
        busy = tuple(one for one in scene.volumes if is_busy(one, target))
        refusal = refusals.hanging(busy) if busy else None
        return Plan(refusal, (*fences, *free, *_attach(scene, target)), tuple(_lacking(scene, target)))
    return arrive(scene, settings, target)


def cause(scene: Scene, host: Host) -> str:
    """What a host is replaced for, in words that stay on it."""
    check = scene.checks.get(host.id)
    if host.state == "running" and check and check.is_host:
        since = f" since {stamp(check.since)}" if check.since else ""
        return f"its status checks failed{since}, and its database did not answer"
    if host.state in STOPPED and host.reason not in BY_PEOPLE:
        return f"AWS stopped it ({host.reason or 'without a reason'})"
    return "its database moved to another host"


def fence(scene: Scene, settings: Settings, host: Host, reason: str) -> tuple[Action, ...]:
    """What stops a host for good: its volumes are kept, it is written down, then the stop, by force, and its end."""
    if host.state in GONE:
        return ()
    steps: list[Action] = list(protect(scene, host))
    since = retired_at(host) if scene.is_retired(host) else None
    if since is None or (host.state == "running" and not scene.is_fenced(host)):
        steps.append(
            Tag((host.id,), {tags.RETIRED: f"{stamp(scene.now)} {reason}"}, "what stopped it is told from a person")
        )
    if host.state == "running":
        steps.append(Stop(host.id, reason))
    elif host.state == "stopping" and since is not None:
        if scene.now - since >= settings.terminate_after:
            whole = tuple(sorted(host.devices.values()))
            steps += [
                Protect(host.id, whole, "nothing of it is deleted"),
                Terminate(host.id, "it does not stop, even by force"),
            ]
        elif scene.now - since >= settings.force_after:
            steps.append(Stop(host.id, "it hangs in stopping", force=True))
    return tuple(steps)


def protect(scene: Scene, host: Host) -> tuple[Action, ...]:
    """Keeps the database's volumes should their host be terminated, by whomever."""
    dying = tuple(sorted(host.devices[name] for name in host.dying if name in scene.ids))
    return (Protect(host.id, dying, "a terminated host would take the database along"),) if dying else ()


def _leaving(scene: Scene, target: Host) -> list[str]:
    """The hosts to fence: who still holds a volume, and the old one unless somebody runs it again without any."""
    holding = {one.attachment.host for one in scene.volumes if one.attachment}
    home = scene.hosts.get(scene.home)
    if home and scene.condition(home) in ("impaired", "dead"):
        holding.add(home.id)
    return sorted(holding - {target.id})


def _free(scene: Scene, settings: Settings, host: Host) -> list[Action]:
    """What leaves a host that is seen stopped: first the address, then the volumes, the anchor last."""
    if host.state == "terminated":
        return _wrest(scene, settings, host)
    if host.state != "stopped":
        return []
    steps: list[Action] = []
    record = scene.record if isinstance(scene.record, Interface) else None
    is_there = record is not None and (record.instance, record.status) == (host.id, "attached")
    if record and is_there and not obstacles.address(scene, record.id, settings):
        steps.append(MoveInterface(record, None, f"{host.id} is stopped"))
    for volume in reversed(scene.volumes):
        attachment = volume.attachment
        if attachment is None or attachment.host != host.id:
            continue
        since = retired_at(host)
        is_late = since is not None and scene.now - since >= settings.terminate_after
        if attachment.state in ("attached", "attaching"):
            steps.append(Detach(volume.id, host.id, f"{host.id} is stopped"))
        elif attachment.state == "busy" or is_late:
            steps.append(Detach(volume.id, host.id, f"{host.id} is stopped, and the volume hangs", force=True))
    return steps


def _wrest(scene: Scene, settings: Settings, host: Host) -> list[Action]:
    """What a terminated host should have let go of long ago; EC2 takes a volume from it by itself."""
    since = refusals.last_step(scene)
    if since is None or scene.now - since < settings.terminate_after:
        return []
    return [
        Detach(one.id, host.id, f"{host.id} is terminated, and the volume hangs", force=True)
        for one in reversed(scene.volumes)
        if one.attachment and one.attachment.host == host.id and one.attachment.state in ("busy", "detaching")
    ]


def _give_up(scene: Scene, target: Host) -> list[Action]:
    """A host that does not come up, or to which nothing can be attached, makes room for the next number."""
    if scene.age(target) < HOPELESS:
        return []
    return [Tag((target.id,), {tags.RETIRED: f"{stamp(scene.now)} was of no use"}, "the next one is tried")]


def _attach(scene: Scene, target: Host) -> list[Action]:
    stuck = [one for one in scene.volumes if is_stuck(scene, one, target)]
    if stuck:
        return _give_up(scene, target) or [
            Detach(one.id, target.id, "attaching does not end; then under another name")
            for one in reversed(stuck)
            if one.attachment and one.attachment.state == "attaching"
        ]
    if scene.anchor.attachment and scene.anchor.host != target.id:
        return []
    free = [one for one in scene.volumes if one.attachment is None and one.state == "available"]
    if scene.anchor.attachment is None and scene.anchor not in free:
        return []
    names = [name for name in volumes.DEVICES if name not in target.devices.values()]
    turn = int(scene.age(target) / STUCK) % len(names)
    return [
        Attach(one.id, target.id, name, "the anchor first, the others to who has it")
        for one, name in zip(free, names[turn:] + names[:turn], strict=False)
    ]


def is_stuck(scene: Scene, volume: Volume, host: Host) -> bool:
    """Attaching it to this host does not end, or the detaching that was to end that."""
    attachment = volume.attachment
    if attachment is None or attachment.host != host.id or attachment.state not in ("attaching", "detaching"):
        return False
    return attachment.since is not None and scene.now - attachment.since >= STUCK


def is_busy(volume: Volume, host: Host) -> bool:
    """It was to be detached from this host, and is mounted there."""
    return volume.attachment is not None and (volume.attachment.host, volume.attachment.state) == (host.id, "busy")


def _lacking(scene: Scene, target: Host) -> list[str]:
    waits = []
    for one in scene.volumes:
        if one.attachment is None:
            waits.append(f"{one.id} is attached to {target.id}")
        elif one.attachment.host != target.id:
            waits.append(f"{one.id} leaves {one.attachment.host}")
        elif one.attachment.state != "attached":
            waits.append(f"{one.id} is attached to {target.id}: {one.attachment.state}")
    return waits
