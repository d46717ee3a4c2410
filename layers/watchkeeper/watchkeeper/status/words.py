"""Times, counts and sizes as people say them."""

from __future__ import annotations

from datetime import timedelta

# The coarsest unit of which there are at least two, so that nothing is off by more than half.
UNITS = (("day", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


def span(long: timedelta) -> str:
    """How long something is: `3 days`, `47 h`, `20 min`, `a moment`."""
    for name, unit in UNITS:
        if long >= 2 * unit:
            return f"{long // unit} {name}{'s' if name == 'day' else ''}"
    return "1 min" if long >= timedelta(minutes=1) else "a moment"


def ago(since: timedelta) -> str:
    """How long something is past: `3 h ago`."""
    return f"{span(since)} ago"


def count(number: int, noun: str) -> str:
    """A number of things: `1 set`, `21 sets`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
