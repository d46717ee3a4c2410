"""Reads what retention is decided from: the sets of the applications, and the volumes that say how they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchkeeper import applications
from watchkeeper.aws import snapshots, volumes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_ec2 import EC2Client

    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.look import Look


@dataclass(frozen=True, slots=True)
class State:
    """The applications looked at: their sets, oldest first, their volumes, and what only claims to be theirs."""

    sets: Mapping[str, Sequence[SnapshotSet]]
    volumes: Mapping[str, Sequence[Volume]]
    strangers: Sequence[Snapshot]


def observe(ec2: EC2Client, look: Look, watched: Sequence[str]) -> State:
    """Reads what a look is about, in pages. Raises Refused when it names an application that does not exist."""
    names = applications.asked_for(look, watched)
    found = volumes.find(ec2, names)
    taken, strangers = snapshots.sort_out(_read(ec2, names))
    sets: dict[str, list[SnapshotSet]] = {one.application: [] for one in found}
    for one in taken:
        sets.setdefault(one.application, []).append(one)
    if look.application and not sets:
        applications.refuse_unknown(look, sets, [volume.application for volume in volumes.find(ec2, watched)])
    tagged: dict[str, list[Volume]] = {name: [] for name in sets}
    for volume in found:
        tagged[volume.application].append(volume)
    return State(sets, tagged, strangers)


def _read(ec2: EC2Client, names: Sequence[str]) -> list[Snapshot]:
    """The snapshots; read twice if a set looks broken, for what is left of one is deleted, and a read may miss one."""
    found = snapshots.find(ec2, names)
    if all(one.is_whole for one in snapshots.sort_out(found)[0]):
        return found
    return list({one.id: one for one in [*found, *snapshots.find(ec2, names)]}.values())
