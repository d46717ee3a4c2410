"""A volume that is missing: untagged, or lost for good; and what then takes its place; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws import volumes
from watchkeeper.look import read_time, stamp
from watchkeeper.replacement.actions import Restore
from watchkeeper.replacement.refusals import Refusal
from watchkeeper.replacement.scene import GONE
from watchkeeper.replacement.verdict import Plan
from watchkeeper.restore import copies
from watchkeeper.restore.actions import Tag

if TYPE_CHECKING:
    from datetime import datetime

    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

# One look can be wrong: three of them, over five minutes, at most one a minute.
LOOKS, OVER, APART = 3, timedelta(minutes=5), timedelta(seconds=50)

# Looks that are further apart are not of one loss; a host that EC2 does not know must be unknown for so long.
STALE, UNKNOWN = timedelta(minutes=10), timedelta(hours=1)

# What DescribeVolumes says of a volume that will not come back; "" where it says nothing.
LOST = ("", "deleted", "deleting", "error")


def plan(scene: Scene, settings: Settings) -> Plan:
    """What to do when a volume that is recorded is not found by its tags."""
    details = scene.details
    if details is None:
        return Plan(waits=("a volume of it is not found by its tags",))
    there = sorted(name for name, state in details.missing.items() if state not in LOST)
    if there:
        return Plan(_untagged(scene, there))
    if details.made:
        return _made(scene, details.made)
    lost = sorted(details.missing)
    if not lost:
        return Plan()
    host = scene.hosts.get(scene.home) if scene.volumes else details.last_host
    others = () if scene.volumes else tuple(one for one in scene.hosts.values() if set(one.volumes) - {one.root})
    running = [one.id for one in (host, *others) if one and one.state not in (*GONE, "stopped")]
    if running:
        return Plan(_running(scene, lost, running[0]))
    newest = _newest(scene)
    if newest is None:
        sentence = f"{', '.join(lost)} is lost, and there is no finished application-consistent set of it."
        return Plan(Refusal("volume-lost", sentence))
    restores = settings.is_lost_volume_restored and not scene.volumes
    unsure = _look_again(scene, lost, newest, OVER if host else UNKNOWN, restores=restores)
    if unsure:
        return unsure
    if restores:
        return Plan(actions=(Restore(newest, _zone(scene, newest), f"{', '.join(lost)} is lost"),))
    return Plan(_lost(scene, lost, newest))


def _look_again(scene: Scene, lost: list[str], newest: SnapshotSet, over: timedelta, *, restores: bool) -> Plan | None:
    """What to do until enough looks have found nothing: the set remembers when they were; None once they have."""
    times = _times(newest)
    is_lost = len(times) >= LOOKS and times[-1] - times[0] >= over
    if times and scene.now - times[-1] > STALE and (restores or not is_lost):
        times, is_lost = [], False
    if is_lost:
        return None
    if times and scene.now - times[-1] < APART:
        return Plan()  # this look has counted
    kept = [*times[:1], *times[1:][-(LOOKS - 2) :], scene.now] if times else [scene.now]
    ids = tuple(member.id for member in newest.members)
    return Plan(actions=(Tag(ids, {tags.LOST: " ".join(map(stamp, kept))}, f"{', '.join(lost)} is not there"),))


def finish(scene: Scene, settings: Settings) -> Plan | None:
    """What to do while a set is restored in part only, since its database would start on none; None otherwise."""
    made = {one.tags.get(tags.RESTORED_FROM, "") for one in scene.volumes if tags.VOLUMES not in one.tags} - {""}
    sets = scene.details.sets if made and scene.details else ()
    of = next((one for one in sets if any(member.id in made for member in one.members)), None)
    rest = tuple(member for member in of.members if member.id not in made) if of else ()
    if of is None or not rest:
        return None
    missing = replace(of, members=rest)
    if settings.is_lost_volume_restored:
        return Plan(actions=(Restore(missing, scene.anchor.zone, "the others of its set are restored"),))
    sentence = f"Of the set of {stamp(of.started)} some volumes are restored, and not all: {_commands(scene, missing)}."
    return Plan(Refusal("volume-missing", sentence))


def returned(scene: Scene) -> Refusal | None:
    """Volumes of another time are there beside those that were restored in their place: which ones are meant?"""
    restored = [one for one in scene.volumes if tags.RESTORED_FROM in one.tags]
    if not restored:
        return None
    newest = max(restored, key=lambda one: one.created)
    records = {one.id: one.tags.get(tags.VOLUMES, "").split() for one in scene.volumes}
    back = [name for name, members in records.items() if members and newest.id not in members]
    if not back:
        return None
    return Refusal(
        "volumes-came-back",
        f"{', '.join(back)} of it is there beside {newest.id}, which was restored from a snapshot in its place. "
        f"Two databases claim to be one, so neither is touched: set those aside that you do not mean, all that are of "
        f"one time: aws ec2 create-tags --resources {' '.join(back)} --tags Key={tags.ROLE},Value=retired.",
    )


def is_aside(volume: Volume) -> bool:
    """It never was the database's, or was taken out of its place on purpose, as we wrote on it."""
    role = volume.tags.get(tags.ROLE)
    is_copy = role in (tags.RESTORED, tags.REHEARSAL) and tags.VOLUMES not in volume.tags
    return is_copy or (role == tags.PUT_ASIDE and tags.RETIRED in volume.tags)


def _untagged(scene: Scene, there: list[str]) -> Refusal:
    return Refusal(
        "volume-untagged",
        f"{', '.join(there)} exists and is not tagged as a volume of its database any more: tag it "
        f"{tags.APPLICATION}={scene.application} and {tags.ROLE}={tags.DATABASE}; or, if it no longer belongs to it, "
        f"remove {tags.VOLUMES} from the others.",
    )


def _made(scene: Scene, made: tuple[Volume, ...]) -> Plan:
    """A restore made volumes before: what was written there since is on no set, so no other is made beside them."""
    is_database = {tags.APPLICATION: scene.application, tags.ROLE: tags.DATABASE}.items()
    strange = ", ".join(one.id for one in made if not is_database <= one.tags.items())
    if not strange:  # this look began before they were made
        return Plan(waits=(f"{', '.join(one.id for one in made)} is found by its tags",))
    sentence = (
        f"{strange} exists, was made of a snapshot of this database, and is not tagged as a volume of it, so that none "
        f"is restored: what was written there since may be nowhere else. Tag what it is to run on "
        f"{tags.APPLICATION}={scene.application} and {tags.ROLE}={tags.DATABASE}, all volumes of one time; or, if it "
        f"is none of them, delete it."
    )
    return Plan(Refusal("volume-untagged", sentence))


def _running(scene: Scene, lost: list[str], host: str) -> Refusal:
    return Refusal(
        "volume-missing",
        f"EC2 does not find {', '.join(lost)}, and {host} still runs: that is no loss. See whether "
        f"{scene.application} works, and the health of the zone.",
    )


def _commands(scene: Scene, newest: SnapshotSet) -> str:
    return "; ".join(
        f"aws ec2 create-volume --snapshot-id {member.id} --availability-zone {_zone(scene, newest) or 'ZONE'} "
        f"--volume-type {kind} --tag-specifications 'ResourceType=volume,Tags=["
        + "".join(f"{{Key={key},Value={value}}}," for key, value in words(scene, newest, member.id).items()).rstrip(",")
        + "]'"
        for member, (kind, _, _) in zip(newest.members, copies.types(newest), strict=True)
    )


def _lost(scene: Scene, lost: list[str], newest: SnapshotSet) -> Refusal:
    commands = _commands(scene, newest)
    others = (
        f"; then set aside what is left, since one set restores all: aws ec2 create-tags --resources "
        f"{' '.join(scene.ids)} --tags Key={tags.ROLE},Value=retired"
        if scene.volumes
        else ""
    )
    return Refusal(
        "volume-lost",
        f"{', '.join(lost)} is lost for good. The newest set is of {stamp(newest.started)}; what was written since is "
        f"gone with it. To restore it: {commands}{others}; the host then follows by itself. With "
        f"RestoreWhenVolumeLost=true that is done without you.",
    )


def words(scene: Scene, restored: SnapshotSet, snapshot: str) -> dict[str, str]:
    """The tags of a volume that is restored: of its database, on the host that is gone, from this snapshot."""
    member = next(one for one in restored.members if one.id == snapshot)
    kept = {key: member.tags[key] for key in (tags.ADDRESS, tags.KEEP) if key in member.tags}
    return kept | {
        tags.APPLICATION: scene.application,
        tags.ROLE: tags.DATABASE,
        tags.HOST: member.tags.get(tags.HOST, "unknown"),
        tags.RESTORED_FROM: member.id,
    }


def token(member: Snapshot, zone: str) -> str:
    """The client token of a lost volume's copy: each loss has its own, which is named by its first look."""
    return volumes.token(member.id, zone, member.tags.get(tags.LOST, "").split(" ")[0])


def _newest(scene: Scene) -> SnapshotSet | None:
    sets = scene.details.sets if scene.details else ()
    good = [one for one in sets if one.is_finished and one.consistency == "application"]
    return good[-1] if good else None


def _zone(scene: Scene, newest: SnapshotSet) -> str:
    if scene.volumes:
        return scene.anchor.zone
    return newest.members[0].tags.get(tags.ZONE) or (scene.details.launch_zone if scene.details else "")


def _times(newest: SnapshotSet) -> list[datetime]:
    try:
        return [read_time(one) for one in newest.members[0].tags.get(tags.LOST, "").split()]
    except ValueError:
        return []
