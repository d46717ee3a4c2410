"""The state of a region as a value: two of the same seed are equal when nothing that matters differs.

Two runs of one history that were disturbed in other ways, as those of a kill matrix are, end with other ids, addresses
and times: such worlds are compared by `World.plain`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime


Tags = tuple[tuple[str, str], ...]

ID = re.compile(r"\b(i|vol|snap|sg)-[0-9a-f]+\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
GONE = {
    "i": "a host that is gone",
    "vol": "a volume that is gone",
    "snap": "a snapshot that is gone",
    "sg": "a group that is gone",
}


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
    state: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A security group that is no VPC's own."""

    id: str
    name: str
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
    groups: tuple[Group, ...] = ()

    def tagged(self, key: str, value: str) -> set[str]:
        """The ids of hosts that are not terminated, of volumes and groups that have this tag."""
        alive = [one for one in self.hosts if one.state != "terminated"]
        things: list[Host | Volume | Group] = [*alive, *self.volumes, *self.groups]
        return {one.id for one in things if (key, value) in one.tags}

    def without(self, key: str, value: str) -> World:
        """The same without all hosts, volumes and groups that have this tag."""

        def others(some: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(one for one in some if (key, value) not in one.tags)

        return replace(self, hosts=others(self.hosts), volumes=others(self.volumes), groups=others(self.groups))

    def plain(self) -> World:
        """The same without what differs between two runs of one history.

        An id becomes the place of the thing among those that there are (`host 2` was launched second), in tags, names
        and subjects too; so do the first addresses of hosts. Terminated hosts are left out, and what speaks of one says
        only that it is gone: a run may need more of them than another. Times become `a time`.
        Of several ids in a tag the order is that of the places; devices have no names.
        Targets that drain and those of hosts that are gone are left out too: they leave their pool by themselves.
        """
        names = self._names()

        def say(text: str) -> str:
            known = TIME.sub("a time", ID.sub(lambda found: names.get(found[0], GONE[found[1]]), text))
            if " " in text and all(map(ID.fullmatch, text.split())):  # several, in the order of their ids
                known = " ".join(sorted(map(say, text.split())))
            return names.get(known, known)

        return World(
            hosts=tuple(_said_of_host(one, say) for one in self.hosts if one.state != "terminated"),
            volumes=tuple(_said_of_volume(one, say) for one in self.volumes),
            snapshots=in_order(
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
            groups=tuple(Group(say(one.id), say(one.name), _said(one.tags, say)) for one in self.groups),
        )

    def _names(self) -> Mapping[str, str]:
        alive = [one for one in self.hosts if one.state != "terminated"]
        hosts = {one.id: f"host {place}" for place, one in enumerate(alive, 1)}
        addresses = {one.addresses[0]: f"address of {hosts[one.id]}" for one in alive if one.addresses}
        volumes = {one.id: f"volume {place}" for place, one in enumerate(self.volumes, 1)}
        groups = {one.id: f"group {place}" for place, one in enumerate(self.groups, 1)}
        return hosts | addresses | volumes | groups | {one.id: "a snapshot" for one in self.snapshots}


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
        # Devices are given out in the order of ids.
        attachments=tuple(Attachment(say(attachment.host), "", attachment.state) for attachment in one.attachments),
        state=one.state,
    )


def _said_of_pool(one: Pool, say: Callable[[str], str]) -> Pool:
    stay = [(say(target), state) for target, state in one.targets if state != "draining"]
    return replace(one, targets=tuple(sorted(pair for pair in stay if not pair[0].startswith(GONE["i"]))))


def in_order(snapshots: Iterable[Snapshot]) -> tuple[Snapshot, ...]:
    """Snapshots in an order that does not depend on their ids."""
    return tuple(sorted(snapshots, key=lambda one: (one.volume, one.tags, one.state, one.was_frozen)))
