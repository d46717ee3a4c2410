"""The state of a region as a value: two of the same seed are equal when nothing that matters differs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from region.region import Region

Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Host:
    """An instance."""

    id: str
    state: str
    reason: str
    tags: Tags


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume; `host` is the instance that it is attached to, `frozen` the freeze that holds it now."""

    id: str
    host: str | None
    frozen: str | None
    tags: Tags


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot. `was_frozen` is the truth that its tags claim; which freeze it was, and when, does not compare."""

    volume: str
    state: str
    tags: Tags
    was_frozen: bool
    id: str = field(compare=False)
    freeze: str | None = field(compare=False)
    started: datetime = field(compare=False)


@dataclass(frozen=True, slots=True)
class World:
    """Everything that matters."""

    hosts: tuple[Host, ...]
    volumes: tuple[Volume, ...]
    snapshots: tuple[Snapshot, ...]


def look(region: Region, ignoring: Collection[str] = ()) -> World:
    """The world now, without tags of the keys to ignore, such as measured times."""
    ec2, taken, frozen = region.ec2, region.machines.taken, region.machines.frozen()

    def tags(resource_id: str) -> Tags:
        return tuple(sorted((key, value) for key, value in ec2.tags_of(resource_id).items() if key not in ignoring))

    snapshots = [
        Snapshot(one.volume.id, one.status, tags(one.id), one.id in taken, one.id, taken.get(one.id), one.start_time)
        for one in ec2.snapshots.values()
        if one.owner_id == ec2.account_id
    ]
    return World(
        hosts=tuple(Host(one.id, one.state, one.state_reason.code, tags(one.id)) for one in ec2.all_instances()),
        volumes=tuple(
            Volume(one.id, one.attachment.instance_id if one.attachment else None, frozen.get(one.id), tags(one.id))
            for one in ec2.volumes.values()
        ),
        snapshots=tuple(sorted(snapshots, key=lambda one: (one.volume, one.tags, one.state, one.was_frozen))),
    )
