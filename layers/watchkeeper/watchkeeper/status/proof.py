"""Decides what is said of restores: what is proven, what is tried or restored now, and what earlier ones left; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.look import read_time
from watchkeeper.rehearsal import proofs
from watchkeeper.status import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.status.observe import State
    from watchkeeper.status.settings import Settings

GONE = ("shutting-down", "terminated")

# Of volumes that are no database's, or not yet.
ROLES = (tags.PUT_ASIDE, tags.RESTORED)

# A restore takes minutes; one that is not over after this was killed, or cannot go on.
ENDS_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Proof:
    """What restores have shown and left: `lacks`, `waits_for` and `next` are sentences.

    `at` is when the newest proof was, of a set that was `taken` then, and `recovery_ms` how long PostgreSQL recovered.
    `retired` are volumes that were put aside, and `copies` those that are no database's, with what they say of it.
    """

    at: datetime | None = None
    taken: datetime | None = None
    recovery_ms: int = 0
    retired: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    gib_aside: int = 0
    lacks: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


def describe(name: str, state: State, settings: Settings, paused: str | None, now: datetime) -> Proof:
    """What is told of the restores of an application at the time `now`."""
    sets = state.databases.sets[name]
    proven = [(at, one) for one in sets if (at := proofs.proven_at(one, now))]
    at, newest = max(proven, key=lambda pair: pair[0], default=(None, None))
    mine = [one for one in state.volumes if one.application == name]
    retired, copies = ([one for one in mine if one.tags.get(tags.ROLE) == role] for role in ROLES)
    unended, ending = _of_restore(paused, now)
    rehearsed = tuple(_rehearsed(name, state, now))
    return Proof(
        at,
        newest.started if newest else None,
        _number(newest.members[0].tags.get(tags.RECOVERY_MS, "")) if newest else 0,
        {one.id: one.tags.get(tags.RETIRED, "") for one in retired},
        {one.id: f"into {said}" if (said := one.tags.get(tags.RESTORED_FOR)) else "" for one in copies},
        sum(one.size_gib for one in (*retired, *copies)),
        (*_failed(sets, at, now), *unended),
        (*rehearsed, *ending),
        () if rehearsed else _next(name, state, settings, paused, at, now),
    )


def _failed(sets: Sequence[SnapshotSet], proven: datetime | None, now: datetime) -> tuple[str, ...]:
    """The last rehearsal that failed, unless another has proven a set since."""
    failed = [(at, one) for one in sets if (at := proofs.failed_at(one))]
    if not failed:
        return ()
    at, one = max(failed, key=lambda pair: pair[0])
    if proven and proven >= at:
        return ()
    taken, tried, reason = words.ago(now - one.started), words.ago(now - at), proofs.failure(one).rstrip(".")
    return (f"The set from {taken} failed its rehearsal {tried}: {reason}.",)


def _rehearsed(name: str, state: State, now: datetime) -> Iterator[str]:
    for one in state.hosts:
        if one.application == name and one.tags.get(tags.ROLE) == tags.REHEARSAL and one.state not in GONE:
            since = f", begun {words.ago(now - one.launched)}" if one.launched else ""
            yield f"rehearse_restore, which tries a set on {one.id}{since}."


def _of_restore(paused: str | None, now: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is lacking and what is waited for while a restore has it paused."""
    if paused is None or not tags.is_restoring(paused):
        return (), ()
    what, _, since = paused.partition(" since ")
    begun = _time(since)
    ago = words.ago(now - begun) if begun else "at some time"
    if begun and now - begun < ENDS_WITHIN:
        return (), (f"restore_database to end what it began {ago}: {what}.",)
    again = 'send it the same event again, with which it goes on, or one with "undo": true'
    return (f"restore_database began {ago} ({what}), and has not ended: {again}.",), ()


def _next(
    name: str, state: State, settings: Settings, paused: str | None, at: datetime | None, now: datetime
) -> tuple[str, ...]:
    """When a set is tried next, where that is soon."""
    sets = state.databases.sets[name]
    is_launched = any(
        one.application == name and one.tags.get(tags.ROLE) == tags.DATABASE_LAUNCH for one in state.launches
    )
    is_asked = is_launched and settings.is_rehearsing and paused is None and name not in settings.backup.retired
    chosen = proofs.choose(sets, now, is_forced=False)
    if not is_asked or chosen is None or not proofs.is_due(sets, settings.rehearse_every, now, None):
        return ()
    why = f"its newest proof is {words.span(now - at)} old" if at else "none is proven yet"
    return (f"Within the hour the set from {words.ago(now - chosen.started)} is rehearsed, since {why}.",)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _time(text: str) -> datetime | None:
    try:
        return read_time(text)
    except ValueError:
        return None
