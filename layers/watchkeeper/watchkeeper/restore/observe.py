"""Reads one application closely, with all that bears on restoring it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from watchkeeper import applications, tags
from watchkeeper.aws import agents, hosts, launches, snapshots, starts, volumes
from watchkeeper.restore import beside, choice
from watchkeeper.restore.scene import Scene, current

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Launch
    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.look import Look
    from watchkeeper.restore.scene import Operation
    from watchkeeper.restore.settings import Settings
    from watchkeeper.restore.wish import Wish

ROLES = (tags.DATABASE, tags.RESTORED, tags.PUT_ASIDE)

# A volume in one of these states is not there any more.
NOT_THERE = ("deleting", "deleted")


@dataclass(frozen=True, slots=True)
class Readers:
    """The clients that an observation asks."""

    ec2: EC2Client
    ssm: SSMClient


@dataclass(slots=True)
class Seen:
    """What one look has read and need not read again, and what it has done."""

    began: datetime
    launches: tuple[Launch, ...] | None = None
    launch_zone: str = ""
    worked: Operation | None = None
    chosen: SnapshotSet | None = None
    made: datetime | None = None
    turned: datetime | None = None
    reached: frozenset[str] = frozenset()
    protected: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)


def observe(read: Readers, settings: Settings, look: Look, wish: Wish, now: datetime, seen: Seen) -> Scene:
    """One application as it is; what does not change within a look is read once.

    Raises Refused for one that does not exist, and for a set that there is not.
    """
    name = str(look.application)
    found = tuple(one for one in volumes.find_of(read.ec2, [name], ROLES) if one.state not in NOT_THERE)
    known = _read_hosts(read, name, found, wish)
    taken = _read_snapshots(read, settings, name, wish)
    if not found and not known and not taken:
        there = volumes.find(read.ec2, settings.watched)
        applications.refuse_unknown(look, (), [one.application for one in there])
    _read_once(read, name, seen)
    sets = tuple(one for one in snapshots.sort_out(taken)[0] if one.application == name)
    labelled = [one.tags for one in found] + [one.tags for one in known.values()]
    operation = current(words.get(tags.PAUSED, "") for words in labelled)
    of = next((one for one in sets if operation and one.id == operation.set), None)
    if wish.into != "database" or (operation is None and not wish.is_undo):
        of = seen.chosen = seen.chosen or choice.choose(taken, wish, name, now)
    scene = Scene(name, now, found, known, seen.launches or (), sets, operation, of, seen.launch_zone)
    scene = replace(scene, began=seen.began, worked=seen.worked, made=seen.made, turned=seen.turned)
    return (
        _ask(read, settings, scene, seen) if wish.into == "database" else _ask_beside(read, settings, scene, wish, seen)
    )


def _read_hosts(read: Readers, name: str, found: Sequence[Volume], wish: Wish) -> dict[str, Host]:
    known = {one.id: one for one in hosts.find_of(read.ec2, [name], [tags.DATABASE_HOST])}
    wanted = {one.attachment.host for one in found if one.attachment} | {one.tags.get(tags.HOST, "") for one in found}
    return known | hosts.find(read.ec2, sorted((wanted | {wish.instance}) - set(known) - {""}))


def _read_snapshots(read: Readers, settings: Settings, name: str, wish: Wish) -> list[Snapshot]:
    taken = snapshots.find(read.ec2, [name])
    if wish.set.startswith("snap-") and all(one.id != wish.set for one in taken):
        return snapshots.find(read.ec2, settings.watched)  # to say whose it is
    return taken


def _read_once(read: Readers, name: str, seen: Seen) -> None:
    if seen.launches is None:
        seen.launches = tuple(launches.find(read.ec2, [name]))
        if seen.launches:
            seen.launch_zone, _ = launches.find_zone_and_role(read.ec2, seen.launches[0])


def _ask_beside(read: Readers, settings: Settings, scene: Scene, wish: Wish, seen: Seen) -> Scene:
    host = scene.hosts.get(wish.instance)
    if host is None or host.state != "running":
        return scene
    ids = [one.id for one in beside.copies(scene, wish)]
    sent = starts.find(read.ssm, host.id, settings.mount_document, ids, scene.now) if ids else []
    return replace(scene, reached=_reached(read, host.id, seen), sent_in=tuple(sent))


def _ask(read: Readers, settings: Settings, scene: Scene, seen: Seen) -> Scene:
    """Asks SSM of what runs; a host that does not is not asked for, so that what needs none goes on without SSM."""
    host = scene.host
    if host is None or host.state != "running":
        return scene
    scene = replace(scene, reached=_reached(read, host.id, seen))
    if scene.operation is None:
        return scene
    documents = (settings.start_document, settings.stop_document)
    about = scene.outgoing if scene.leaving else scene.incoming
    ids = [one.id for one in about]
    sent = tuple(one for document in documents for one in starts.find(read.ssm, host.id, document, ids, scene.now))
    return replace(scene, sent_out=sent) if scene.leaving else replace(scene, sent_in=sent)


def _reached(read: Readers, instance: str, seen: Seen) -> frozenset[str]:
    """Asked again only where it was not reached, or a command was not taken."""
    if instance not in seen.reached:
        seen.reached = agents.find(read.ssm, [instance])
    return seen.reached
