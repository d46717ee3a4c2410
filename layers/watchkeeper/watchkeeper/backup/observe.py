"""Reads the databases that a look is about: volumes, hosts and sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from watchkeeper import applications, tags
from watchkeeper.aws import hosts, snapshots, volumes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypy_boto3_ec2 import EC2Client

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.look import Look


@dataclass(frozen=True, slots=True)
class State:
    """The applications that were looked at: their database volumes, the hosts of these, and sets, oldest first.

    They are named by volumes, by hosts and by sets, so that one whose volumes lost their tags is missed. `pauses` are
    the reasons by which one is paused that has no volume at the moment, as a restore leaves it where it was killed.
    """

    volumes: Mapping[str, Sequence[Volume]]
    hosts: Mapping[str, Host]
    sets: Mapping[str, Sequence[SnapshotSet]]
    pauses: Mapping[str, str] = field(default_factory=dict)


def observe(ec2: EC2Client, look: Look, watched: Sequence[str]) -> State:
    """Reads the databases that a look is about, in pages. Raises Refused when it names one that does not exist."""
    names = applications.asked_for(look, watched)
    all_roles = volumes.find_of(ec2, names, [tags.DATABASE, tags.RESTORED, tags.PUT_ASIDE])
    found = [one for one in all_roles if one.tags.get(tags.ROLE) == tags.DATABASE]
    known = hosts.find_databases(ec2, names)
    taken, _ = snapshots.sort_out(snapshots.find(ec2, names))
    existing = {one.application for one in found} | {one.application for one in taken}
    existing |= {one.application for one in known.values()}
    if look.application and not existing:
        applications.refuse_unknown(look, existing, [volume.application for volume in volumes.find(ec2, watched)])
    unnamed = sorted({volume.host for volume in found if volume.host} - set(known))
    return State(
        {name: [volume for volume in found if volume.application == name] for name in sorted(existing)},
        known | hosts.find(ec2, unnamed),
        {name: [one for one in taken if one.application == name] for name in sorted(existing)},
        pauses(all_roles, known.values()),
    )


def pauses(volumes: Iterable[Volume], hosts: Iterable[Host]) -> dict[str, str]:
    """Why applications are paused, as their hosts say, and of their volumes those that a restore is at."""
    of_hosts = {one.application: one.tags[tags.PAUSED] for one in hosts if tags.PAUSED in one.tags}
    of_volumes = [(one.application, one.tags.get(tags.PAUSED, "")) for one in volumes]
    return of_hosts | {name: paused for name, paused in of_volumes if tags.is_restoring(paused)}
