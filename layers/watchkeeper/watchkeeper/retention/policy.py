"""How much is kept: so many hours, days, weeks, months and years, by the calendar of a time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never, cast

from watchkeeper.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime

Unit = Literal["h", "d", "w", "m", "y"]

UNITS: tuple[Unit, ...] = ("h", "d", "w", "m", "y")
NOUNS: dict[Unit, str] = {"h": "hour", "d": "day", "w": "week", "m": "month", "y": "year"}
ADVERBS: dict[Unit, str] = {"h": "hourly", "d": "daily", "w": "weekly", "m": "monthly", "y": "yearly"}

WORD = re.compile(r"([1-9][0-9]{0,3})([hdwmy])")
EXAMPLE = "24h 7d 4w 12m 3y"


@dataclass(frozen=True, slots=True)
class Policy:
    """How many periods of each unit keep a set, the finest unit first."""

    counts: tuple[tuple[Unit, int], ...]

    @classmethod
    def read(cls, text: str, where: str) -> Policy:
        """The policy in a text like `7d 4w 12m`. Raises Refused: where it stood, what is wrong, and how one looks."""
        counts: dict[Unit, int] = {}
        for word in text.split():
            match = WORD.fullmatch(word)
            if not match:
                raise _refusal(text, where, f"{word!r} is no number from 1 to 9999 followed by h, d, w, m or y")
            unit = cast("Unit", match[2])
            if unit in counts:
                raise _refusal(text, where, f"it counts {NOUNS[unit]}s twice")
            counts[unit] = int(match[1])
        if not counts:
            raise _refusal(text, where, "it keeps nothing")
        return cls(tuple((unit, counts[unit]) for unit in UNITS if unit in counts))

    def __str__(self) -> str:
        return " ".join(f"{count}{unit}" for unit, count in self.counts)


def period(unit: Unit, local: datetime) -> Hashable:
    """The hour, day, ISO week, month or year of the calendar that a local time lies in."""
    match unit:
        case "h":
            # Twice a year an hour of the clock is two hours or none: its offset tells the two apart.
            return local.date(), local.hour, local.utcoffset()
        case "d":
            return local.date()
        case "w":
            return local.isocalendar()[:2]
        case "m":
            return local.year, local.month
        case "y":
            return local.year
        case _:
            assert_never(unit)


def _refusal(text: str, where: str, fault: str) -> Refused:
    return Refused(f"{where} is {text!r}, and {fault}; write it like {EXAMPLE}, or a part of that.")
