"""The state of a region as a value: two of the same seed are equal when nothing that matters differs.

Two runs of one history that were disturbed in other ways, as those of a kill matrix are, end with other ids, addresses
and times: such worlds are compared by `World.plain`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from region.region import Region

Tags = tuple[tuple[str, str], ...]

ID = re.compile(r"\b(i|vol|snap)-[0-9a-f]+\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
GONE = {"i": "a host that is gone", "vol": "a volume that is gone", "snap": "a snapshot that is gone"}


@dataclass(frozen=True, slots=True)
class Host:
    """An instance, with the private addresses at which it is reached; hosts are in the order of their launch."""

    id: str
    state: str
    reason: str
    tags: Tags
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """That a volume is at an instance, or on its way: attaching, attached, detaching or busy."""

    host: str
    device: str
    state: str


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume; `host` is the instance that it is attached to, `frozen` the freeze that holds it now."""

    id: str
    host: str | None
    frozen: str | None
    tags: Tags
    attachments: tuple[Attachment, ...] = ()


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
class Record:
    """A record set of Route 53, as it is listed now."""

    zone: str
    name: str
    type: str
    ttl: int | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm by its name; its state follows the minute and does not compare."""

    name: str
    state: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a function told people; of its text, with its times and durations, nothing compares."""

    subject: str
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Writer:
    """A host on which a database takes writes now, and the volumes that they go to: none, if it is none of ours."""

    host: str
    volumes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """A target group or classic load balancer, with the state of each target by its id, as its service calls it."""

    name: str
    targets: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class World:
    """Everything that matters."""

    hosts: tuple[Host, ...]
    volumes: tuple[Volume, ...]
    snapshots: tuple[Snapshot, ...]
    records: tuple[Record, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    notices: tuple[Notice, ...] = ()
    writers: tuple[Writer, ...] = ()
    pools: tuple[Pool, ...] = ()

    def plain(self) -> World:
        """The same without what differs between two runs of one history.

        An id becomes the place of the thing among those that there are (`host 2` was launched second), in tags, names
        and subjects too; so do the first addresses of hosts. Terminated hosts are left out, and what speaks of one says
        only that it is gone: a run may need more of them than another. Times become `a time`.
        Targets that drain and those of hosts that are gone are left out too: they leave their pool by themselves.
        """
        names = self._names()

        def say(text: str) -> str:
            known = TIME.sub("a time", ID.sub(lambda found: names.get(found[0], GONE[found[1]]), text))
            return names.get(known, known)

        return World(
            hosts=tuple(_said_of_host(one, say) for one in self.hosts if one.state != "terminated"),
            volumes=tuple(_said_of_volume(one, say) for one in self.volumes),
            snapshots=_in_order(
                replace(one, volume=say(one.volume), tags=_said(one.tags, say)) for one in self.snapshots
            ),
            records=tuple(replace(one, values=tuple(map(say, one.values))) for one in self.records),
            alarms=tuple(sorted((replace(one, name=say(one.name)) for one in self.alarms), key=lambda one: one.name)),
            notices=tuple(replace(one, subject=say(one.subject)) for one in self.notices),
            writers=tuple(
                sorted(
                    (Writer(say(one.host), tuple(sorted(map(say, one.volumes)))) for one in self.writers),
                    key=lambda one: (one.host, one.volumes),
                )
            ),
            pools=tuple(_said_of_pool(one, say) for one in self.pools),
        )

    def _names(self) -> Mapping[str, str]:
        alive = [one for one in self.hosts if one.state != "terminated"]
        hosts = {one.id: f"host {place}" for place, one in enumerate(alive, 1)}
        addresses = {one.addresses[0]: f"address of {hosts[one.id]}" for one in alive if one.addresses}
        volumes = {one.id: f"volume {place}" for place, one in enumerate(self.volumes, 1)}
        return hosts | addresses | volumes | {one.id: "a snapshot" for one in self.snapshots}


def _said(tags: Tags, say: Callable[[str], str]) -> Tags:
    return tuple((key, say(value)) for key, value in tags)


def _said_of_host(one: Host, say: Callable[[str], str]) -> Host:
    return replace(one, id=say(one.id), tags=_said(one.tags, say), addresses=tuple(map(say, one.addresses)))


def _said_of_volume(one: Volume, say: Callable[[str], str]) -> Volume:
    return Volume(
        id=say(one.id),
        host=one.host and say(one.host),
        frozen=one.frozen and "a freeze",
        tags=_said(one.tags, say),
        attachments=tuple(replace(attachment, host=say(attachment.host)) for attachment in one.attachments),
    )


def _said_of_pool(one: Pool, say: Callable[[str], str]) -> Pool:
    stay = [(say(target), state) for target, state in one.targets if state != "draining"]
    return replace(one, targets=tuple(sorted(pair for pair in stay if not pair[0].startswith(GONE["i"]))))


def _in_order(snapshots: Iterable[Snapshot]) -> tuple[Snapshot, ...]:
    return tuple(sorted(snapshots, key=lambda one: (one.volume, one.tags, one.state, one.was_frozen)))


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
        hosts=tuple(
            Host(one.id, one.state, one.state_reason.code, tags(one.id), ec2.reached_at(one.id))
            for one in ec2.all_instances()
        ),
        volumes=tuple(_volume(one, frozen.get(one.id), tags(one.id)) for one in ec2.volumes.values()),
        snapshots=_in_order(snapshots),
        records=tuple(_records(region)),
        alarms=tuple(Alarm(name, state) for name, state in sorted(region.watch.alarms.items())),
        notices=tuple(Notice(*one) for one in region.bus.notices(of_functions=True)),
        writers=tuple(Writer(host, tuple(sorted(on))) for host, on in sorted(_serving(region).items())),
        pools=tuple(Pool(name, tuple(sorted(of.items()))) for name, of in sorted(region.pools.states().items())),
    )


def _volume(one: Any, frozen: str | None, tags: Tags) -> Volume:
    attachments = tuple(Attachment(held.instance_id, held.device, held.status) for held in one.attachments)
    return Volume(one.id, attachments[0].host if attachments else None, frozen, tags, attachments)


def _records(region: Region) -> Iterable[Record]:
    """Without those that each zone has from the beginning."""
    for zone, records in region.addresses.records().items():
        for (name, kind, _), one in sorted(records.items()):
            if kind not in ("NS", "SOA"):
                values = tuple(value["Value"] for value in one.get("ResourceRecords", []))
                yield Record(zone, name, kind, one.get("TTL"), values)


def _serving(region: Region) -> Mapping[str, Collection[str]]:
    """On real disks nobody is asked: the question is a write."""
    return {} if region.machines.real else region.machines.serving()
