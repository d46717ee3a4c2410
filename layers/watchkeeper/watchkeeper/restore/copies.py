"""Copies of a set's volumes: what each was, and the tags that its copy has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.aws.volumes import Volume


def types(of: SnapshotSet) -> list[tuple[str, int, int]]:
    """What each volume of a set was, in the order of its members: type, IOPS and MiB/s; 0 where none was recorded."""
    found = dict(zip(of.volumes, of.members[0].tags.get(tags.TYPES, "").split(), strict=False))
    return [_type(found.get(member.volume, "gp3")) for member in of.members]


def originals(member: Snapshot) -> dict[str, str]:
    """What people had tagged the volume of this snapshot with: their own words, its address, and how it is kept."""
    kept = (tags.ADDRESS, tags.KEEP)
    return {
        key: value for key, value in member.tags.items() if key in kept or not key.startswith(("aws:", tags.PREFIX))
    }


def words(application: str, member: Snapshot, role: str) -> dict[str, str]:
    """The tags of the copy that is made of a snapshot: its original's, what it is, and what it was made of."""
    ours = {tags.APPLICATION: application, tags.ROLE: role, tags.RESTORED_FROM: member.id}
    return originals(member) | ours


def place(of: Iterable[Volume]) -> dict[str, str]:
    """What stays of these volumes where others take their place: where clients look for them, and how they are kept."""
    return {key: one.tags[key] for one in of for key in (tags.ADDRESS, tags.KEEP) if key in one.tags}


def _type(text: str) -> tuple[str, int, int]:
    kind, *figures = text.split("/")
    numbers = [int(one) if one.isdigit() else 0 for one in (*figures, "", "")]
    return kind or "gp3", numbers[0], numbers[1]
