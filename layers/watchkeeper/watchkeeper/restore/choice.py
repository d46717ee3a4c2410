"""Chooses the set that a wish means, or says why there is none; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watchkeeper import tags
from watchkeeper.aws.snapshots import sort_out
from watchkeeper.errors import Refused
from watchkeeper.look import stamp
from watchkeeper.restore.wish import LATEST, PROVEN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.restore.wish import Wish

SHOWN = 5


def choose(found: Sequence[Snapshot], wish: Wish, application: str, now: datetime) -> SnapshotSet:
    """The set that is meant, among all snapshots that were read. Raises Refused: what was wrong, and what there is."""
    every, strangers = sort_out(found)
    sets = [one for one in every if one.application == application]
    if wish.set.startswith("snap-"):
        return _of_snapshot(wish.set, every, strangers, application, now)
    meant = [one for one in sets if fits(wish, one) and (wish.set != PROVEN or one.is_proven)]
    good = [one for one in meant if one.consistency == "application"]
    # Of a run that was tried twice the better one; elsewhere the newest, which is what `latest` and `before` say.
    tried = good or meant if wish.set not in ("", LATEST, PROVEN) else meant if wish.accepts_crash else good
    finished = [one for one in tried if one.is_finished]
    if finished and (wish.accepts_crash or finished[-1].consistency == "application"):
        return finished[-1]
    raise Refused(f"{_why(wish, meant, application)} {newest(sets, application, now)}")


def fits(wish: Wish, one: SnapshotSet) -> bool:
    """Whether a set may be what was meant by a wish, at whatever time that was said."""
    if wish.before:
        return one.started < wish.before
    if wish.set.startswith("snap-"):
        return any(member.id == wish.set for member in one.members)
    return wish.set in (LATEST, PROVEN) or wish.set == stamp(one.run)


def describe(one: SnapshotSet, now: datetime) -> dict[str, Any]:
    """A set as an answer shows it."""
    return {
        "id": one.id,
        "run": stamp(one.run),
        "consistency": one.consistency,
        "proven": one.is_proven,
        **({"rehearsal_failed": failed} if (failed := _failed(one)) else {}),
        "taken": stamp(one.started),
        "age": age(now - one.started),
        "snapshots": [member.id for member in one.members],
    }


def newest(sets: Sequence[SnapshotSet], application: str, now: datetime) -> str:
    """A sentence with the five newest sets."""
    if not sets:
        return f"{application!r} has no set at all."
    return f"Its newest sets are: {'; '.join(_line(one, now) for one in reversed(sets[-SHOWN:]))}."


def age(of: timedelta) -> str:
    """A span of time in words: `3 days 4 h`, `2 h 5 min`, `7 min`."""
    minutes = int(of.total_seconds()) // 60
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} days {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _of_snapshot(
    name: str, every: Sequence[SnapshotSet], strangers: Sequence[Snapshot], application: str, now: datetime
) -> SnapshotSet:
    """Named by an id, a crash-consistent set is meant as it is."""
    one = next((one for one in every if any(member.id == name for member in one.members)), None)
    told = newest([one for one in every if one.application == application], application, now)
    if one is None:
        is_strange = any(stranger.id == name for stranger in strangers)
        what = "is a copy, or its tags were edited: it is of no set" if is_strange else "is none of Watchkeeper's"
        raise Refused(f"{name} {what}. {told}")
    if one.application != application:
        raise Refused(f"{name} is of the application {one.application!r}, not of {application!r}. {told}")
    if not one.is_finished:
        raise Refused(f"{_unfinished(one)} {told}")
    return one


def _why(wish: Wish, meant: Sequence[SnapshotSet], application: str) -> str:
    crash = [one for one in meant if one.is_finished]
    if crash:
        return f'The set of {stamp(crash[-1].run)} is only crash-consistent: say "accept": "crash", or name it by id.'
    if meant:
        return _unfinished(meant[-1])
    which = f"from before {stamp(wish.before)}" if wish.before else f"of the run {wish.set}"
    if wish.set in (LATEST, PROVEN):
        which = "that is finished" if wish.set == LATEST else "that is finished and proven"
    return f"There is no set of {application!r} {which}."


def _unfinished(one: SnapshotSet) -> str:
    if one.has_failed:
        failed = ", ".join(member.id for member in one.members if member.state == "error")
        return f"The set of {stamp(one.run)} cannot be restored: EBS gave up on {failed}."
    if not one.is_whole:
        missing = ", ".join(sorted(set(one.volumes) - {member.volume for member in one.members}))
        return f"The set of {stamp(one.run)} cannot be restored: it has no one snapshot of {missing or 'each volume'}."
    pending = ", ".join(f"{one.id} {one.progress or '0%'}" for one in one.members if one.state != "completed")
    return f"EBS is still copying the set of {stamp(one.run)} ({pending}): send the event again when it is done."


def _failed(one: SnapshotSet) -> str:
    """When and why its rehearsal failed, as it is written; empty if one proved it since."""
    failed = max(member.tags.get(tags.FAILED, "") for member in one.members)
    proven = min(member.tags.get(tags.PROVEN_AT, "") for member in one.members)
    return failed if failed.partition(" ")[0] > proven else ""


def _line(one: SnapshotSet, now: datetime) -> str:
    state = "finished" if one.is_finished else "failed" if one.has_failed else "not finished"
    proof = "proven" if one.is_proven else "not proven"
    word = f"its rehearsal failed ({_failed(one)})" if _failed(one) else proof
    return f"{stamp(one.run)} ({age(now - one.started)} old, {one.consistency}, {state}, {word}, {one.members[0].id})"
