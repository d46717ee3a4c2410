"""The calendar of the nights: a sign for each, by what became of its sets."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from region.demo.drawing import Mark, Night
from region.demo.nights import KILLED, REFUSED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from region.demo.nights import Month, Set

# By the first word of the reason for which a set is kept.
KEPT = {
    "daily": Mark("d", "green", "kept as one of the last 7 days"),
    "weekly": Mark("w", "cyan", "kept as the best of its week, one of the last 4"),
    "monthly": Mark("m", "magenta", "kept as the best of its month, one of the last 12"),
    "yearly": Mark("y", "blue", "kept as the best of its year, one of the last 3"),
}
OTHERWISE = Mark("k", "green", "kept for another reason")
PRUNED = Mark("·", "grey", "pruned: a newer set stands for its week and its month")

NOTES = {REFUSED: "*", KILLED: "+"}


def nights_of(month: Month) -> list[Night]:
    """The nights of a month, each with its sign."""
    return [
        Night(month.first + timedelta(days=number), _mark(sets, month.kept), NOTES.get(number, " "))
        for number, sets in enumerate(month.nights)
    ]


def legend_of(nights: Sequence[Night]) -> list[tuple[Mark, int]]:
    """The signs that occur, the best first, each with the number of its nights."""
    counts = Counter(night.mark for night in nights)
    return [(mark, counts[mark]) for mark in (*KEPT.values(), OTHERWISE, PRUNED) if counts[mark]]


def _mark(sets: Sequence[Set], kept: Mapping[str, str]) -> Mark:
    """The sign of the best reason for which a set of the night is kept."""
    words = {word for one in sets for word in kept.get(one.id, "").replace(",", "").split()}
    found = [mark for word, mark in KEPT.items() if word in words]
    if found:
        return found[0]
    return OTHERWISE if any(one.id in kept for one in sets) else PRUNED


def notes_of(month: Month) -> list[tuple[str, str]]:
    """What is told below the calendar of the two nights that went wrong, each with its sign."""
    refused, killed = month.nights[REFUSED], month.nights[KILLED]
    return [
        (
            NOTES[REFUSED],
            f"PostgreSQL refused the backup. The set of {_day(refused[0])} is crash-consistent only. It says so, and "
            f"so does a mail ({', '.join(month.mails[REFUSED])}). At {refused[-1].run:%H:%M}, when a set was overdue, "
            f"a frozen one was made.",
        ),
        (
            NOTES[KILLED],
            f"The function was killed in the run of {_day(killed[0])}, after the thaw and before it could say what it "
            f"had made ({', '.join(month.mails[KILLED])}). Lambda tried again a minute later. The host remembered the "
            f"freeze: the set was completed, and no second one made.",
        ),
    ]


def _day(one: Set) -> str:
    return f"{one.run.day} {one.run:%B, %H:%M}"
