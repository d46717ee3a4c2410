"""The wall clock and `time.sleep` of this process, while a region has them: the one substitution in the project."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, SupportsIndex

import time_machine

if TYPE_CHECKING:
    from collections.abc import Callable

really_sleep = time.sleep
"""For code of the region that waits on the machine itself, whatever the clock."""


def minutes(number: float) -> float:
    """So many minutes, in seconds."""
    return number * 60


def hours(number: float) -> float:
    """So many hours, in seconds."""
    return number * 3600


class Wall:
    """What a clock takes over when it opens, and gives back."""

    def __init__(self) -> None:
        self._travel: time_machine.travel | None = None

    def take(self, now: Callable[[], float] | None, sleep: Callable[[float | SupportsIndex], None]) -> None:
        """Let `time.sleep` be another and, if `now` is given, every reading of the time. One at a time may do so."""
        if time.sleep is not really_sleep:
            raise RuntimeError("only one region is open at a time")
        if now:
            self._travel = time_machine.travel(0, tick=False)
            self._travel.start()
            # A pool thread has a time of its own, which `move_to` cannot express; the stack is read at every call.
            time_machine.traveller_stack[-1] = _Traveller(now)
        time.sleep = sleep

    def give_back(self) -> None:
        """Let time be as it was."""
        time.sleep = really_sleep
        if self._travel:
            self._travel.stop()


class _Traveller(time_machine.Traveller):
    """What `time.time()` and `datetime.now()` read."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(0, None, False)
        self._now = now

    def time_ns(self) -> int:
        return round(self._now() * 1_000_000) * 1000
