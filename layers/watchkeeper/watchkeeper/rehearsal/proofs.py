"""Proofs: how old the newest is, whether another is due, and which set it is to be of; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.look import read_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from watchkeeper.aws.snapshots import SnapshotSet

# A set that failed is left for so long, and so are all when that many did: then it is hardly the sets.
AGAIN_AFTER, MOST_FAILED = timedelta(days=1), 3

# A clock that wrote a proof may be ahead of ours by this; a proof of another future is none.
AHEAD = timedelta(hours=1)


def proven_at(of: SnapshotSet, now: datetime) -> datetime | None:
    """When a set was proven; None if it was not, or if that cannot be read, or is still to come."""
    times = [_read(one.tags.get(tags.PROVEN_AT, "")) for one in of.members]
    known = [one for one in times if one is not None]
    if len(known) < len(times) or not known or max(known) > now + AHEAD:
        return None
    return min(known)


def failed_at(of: SnapshotSet) -> datetime | None:
    """When a set failed its last rehearsal; None if it did not, or if that cannot be read."""
    times = [_read(one.tags.get(tags.FAILED, "").partition(" ")[0]) for one in of.members]
    return max(filter(None, times), default=None)


def failure(of: SnapshotSet) -> str:
    """Why it failed."""
    return next((one.tags[tags.FAILED].partition(" ")[2] for one in of.members if tags.FAILED in one.tags), "")


def newest(sets: Iterable[SnapshotSet], now: datetime) -> datetime | None:
    """When the last of all was proven; None if none was."""
    return max(filter(None, (proven_at(one, now) for one in sets)), default=None)


def choose(sets: Sequence[SnapshotSet], now: datetime, *, is_forced: bool) -> SnapshotSet | None:
    """The set to rehearse: the newest that can be, and has not failed of late; by force the newest, whatever it did."""
    good = [one for one in sets if one.is_finished and one.consistency == "application" and not one.is_paused]
    failed = [one for one in good if (at := failed_at(one)) and abs(now - at) < AGAIN_AFTER]
    if is_forced:
        return good[-1] if good else None
    if len(failed) >= MOST_FAILED:
        return None
    rest = [one for one in good if one not in failed]
    return rest[-1] if rest else None


def is_due(sets: Sequence[SnapshotSet], every: timedelta, now: datetime, forced_at: datetime | None) -> bool:
    """The newest proof is too old; by force, nothing came of a rehearsal since then."""
    if forced_at is not None:
        told = [at for one in sets for at in (proven_at(one, now), failed_at(one)) if at is not None]
        return max(told, default=None) is None or max(told) < forced_at
    last = newest(sets, now)
    return last is None or now - last >= every


def age(sets: Sequence[SnapshotSet], oldest_volume: datetime | None, now: datetime) -> timedelta:
    """The age of the newest proof; without one, of what could have been proven all the while."""
    finished = [one.started for one in sets if one.is_finished]
    since = newest(sets, now) or min(finished, default=oldest_volume)
    return now - since if since else timedelta()


def _read(text: str) -> datetime | None:
    try:
        return read_time(text)
    except ValueError:
        return None
