"""The state of a region as it is now, read for region.world()."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from region.world import (
    Alarm,
    Attachment,
    Group,
    Host,
    Notice,
    Pool,
    Record,
    Snapshot,
    Tags,
    Volume,
    World,
    Writer,
    in_order,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from region.ec2 import EC2
    from region.region import Region


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
        volumes=tuple(_volume(ec2, one, frozen.get(one.id), tags(one.id)) for one in ec2.volumes.values()),
        snapshots=in_order(snapshots),
        records=tuple(_records(region)),
        alarms=tuple(Alarm(name, state) for name, state in sorted(region.watch.alarms.items())),
        notices=tuple(Notice(*one) for one in region.bus.notices(of_functions=True)),
        writers=tuple(Writer(host, tuple(sorted(on))) for host, on in sorted(_serving(region).items())),
        pools=tuple(Pool(name, tuple(sorted(of.items()))) for name, of in sorted(region.pools.states().items())),
        groups=tuple(Group(one.id, one.name, tags(one.id)) for one in ec2.all_groups().values() if not one.is_default),
    )


def _volume(ec2: EC2, one: Any, frozen: str | None, tags: Tags) -> Volume:
    attachments = tuple(Attachment(held.instance_id, held.device, held.status) for held in one.attachments)
    state = ec2.odd_states.get(one.id) or one.status
    return Volume(one.id, attachments[0].host if attachments else None, frozen, tags, attachments, state)


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
