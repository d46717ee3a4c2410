"""Reads applications with their rehearsals: all in a few paged reads, one with what its scratch host said."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import tags
from watchkeeper.aws import agents, groups, hosts, launches, scratch, snapshots, starts, volumes
from watchkeeper.rehearsal.scene import NOWHERE, YOUNG, Details, Scene, may_be_copy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.aws.groups import Group
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Failure, Launch
    from watchkeeper.aws.scratch import Network
    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.rehearsal.settings import Settings

logger = logging.getLogger(__name__)

Thing = TypeVar("Thing", "Volume", "Host", "Launch", "Group", "SnapshotSet")


@dataclass(frozen=True, slots=True)
class Readers:
    """The clients that an observation asks."""

    ec2: EC2Client
    ssm: SSMClient


@dataclass(slots=True)
class Seen:
    """What one look has read and need not read again, and what its own writes were answered."""

    forced_at: datetime | None = None
    network: Network | None = None
    failure: Failure | None = None
    launched: dict[str, Host] = field(default_factory=dict)
    copied: dict[str, datetime] = field(default_factory=dict)


def observe_all(read: Readers, settings: Settings, names: Sequence[str], now: datetime) -> tuple[Scene, ...]:
    """The applications with these names (`*` matches any text), without details; for the calls of their pages."""
    there = volumes.find_of(read.ec2, names, [tags.DATABASE, tags.REHEARSAL])
    found = _by_application(there)
    known = _by_application(hosts.find_of(read.ec2, names, [tags.DATABASE_HOST, tags.REHEARSAL]))
    behind = _by_application(groups.find(read.ec2, names, tags.REHEARSAL))
    templates = _by_application(launches.find(read.ec2, names))
    ours = snapshots.find(read.ec2, names)
    gone = _find_gone(read, there, ours)
    taken = _by_application(snapshots.sort_out(ours)[0])
    return tuple(
        Scene(
            name,
            now,
            tuple(found.get(name, ())),
            tuple(known.get(name, ())),
            tuple(behind.get(name, ())),
            tuple(templates.get(name, ())),
            tuple(taken.get(name, ())),
            name in settings.retired,
            gone=gone,
        )
        for name in sorted({*found, *known, *behind, *templates})
    )


def _find_gone(read: Readers, found: Iterable[Volume], ours: Iterable[Snapshot]) -> frozenset[str]:
    """The snapshots of copies that are there no more: pruned, or deleted by a person, while they were rehearsed."""
    known = {one.id for one in ours}
    lost = sorted({one.snapshot for one in found if may_be_copy(one) and one.snapshot not in known})
    return snapshots.find_gone(read.ec2, lost) if lost else frozenset()


def observe(read: Readers, settings: Settings, name: str, now: datetime, seen: Seen) -> Scene:
    """One application with its details; what does not change within a look is read once."""
    scene = next(iter(observe_all(read, settings, [name], now)), Scene(name, now))
    launched = [one for one in seen.launched.values() if one.id not in {known.id for known in scene.hosts}]
    scene = replace(scene, hosts=(*scene.hosts, *launched), forced_at=seen.forced_at)
    if seen.network is None and len(scene.launches) == 1:
        seen.network = scratch.find_network(read.ec2, scene.launches[0])
    made = {one.snapshot for one in scene.volumes}
    vanished = [one for one, at in seen.copied.items() if one not in made and now - at >= YOUNG]
    details = Details(seen.network or NOWHERE, failure=seen.failure, vanished=tuple(sorted(vanished)))
    return replace(scene, details=_ask(read, settings, scene, details))


def _ask(read: Readers, settings: Settings, scene: Scene, details: Details) -> Details:
    """Asks SSM about the scratch host. Its silence is an answer: not reached, and nothing heard."""
    live = scene.live
    running = [one for one in scene.scratch_hosts(live) if one.state == "running"] if live else []
    if live is None or not running:
        return details
    host, ids = running[0].id, [one.id for one in scene.copies(live)]
    try:
        details = replace(details, is_reached=host in agents.find(read.ssm, [host]))
        if not ids:
            return details
        started = starts.find(read.ssm, host, settings.start_document, ids, scene.now)
        checked = starts.find(read.ssm, host, settings.check_document, ids, scene.now)
    except (ClientError, BotoCoreError):
        logger.warning("ssm not read", extra={"instance_id": host}, exc_info=True)
        return details
    begun = tuple(one for one in started if one.command == "start")
    return replace(details, starts=begun, checks=tuple(one for one in checked if one.command == "check"))


def _by_application(things: Iterable[Thing]) -> dict[str, list[Thing]]:
    sorted_out: dict[str, list[Thing]] = defaultdict(list)
    for one in things:
        sorted_out[one.application].append(one)
    return sorted_out
