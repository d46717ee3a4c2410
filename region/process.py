"""What the clock runs: events, processes, and the threads that processes start themselves."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from region.wall import really_sleep

if TYPE_CHECKING:
    from collections.abc import Callable

# A request costs some milliseconds of CPU; a thread that has not moved for so long has nothing to do.
IDLE_SECONDS = 0.05
# Real waiting is what makes an executor start its next thread and hand it work.
PAUSE_SECONDS = 0.0005


class Died(BaseException):
    """A process was killed. No `Exception`, so that no handler of errors survives its own death."""


class Event:
    """Something that will happen. Cancelled, it does not."""

    def __init__(self, happen: Callable[[], object], background: bool) -> None:
        self.happen = happen
        self.background = background
        self.cancelled = False

    def cancel(self) -> None:
        """Never happen."""
        self.cancelled = True


class Process:
    """A thread that runs only while it holds the baton. `result` or `error` is set when it is `done`."""

    def __init__(self, name: str, enter: Callable[[], None] | None, leave: Callable[[], None] | None) -> None:
        self.name = name
        self.enter = enter or (lambda: None)
        self.leave = leave or (lambda: None)
        self.turn = taken()
        self.wakes = 0
        self.caller: object = None
        self.pool = Pool()
        self.deadline: float | None = None
        self.done = self.killed = self.timed_out = False
        self.result: object = None
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        state = "timed out" if self.timed_out else "killed" if self.killed else "done" if self.done else "running"
        return f"<{self.name}, {state}>"


class Pool:
    """The threads that a process started itself: each has its own time, and work goes to the one that is behind."""

    def __init__(self) -> None:
        self.until = 0.0
        self._moved = threading.Condition()
        self._times: dict[int, float] = {}

    def reach(self, now: float) -> None:
        """The calling thread is at this time. Waits for those that are behind, so that they take the next work."""
        time_to_go = time.perf_counter() + IDLE_SECONDS
        with self._moved:
            self._times[threading.get_ident()] = now
            self.until = max(self.until, now)
            self._moved.notify_all()
        really_sleep(PAUSE_SECONDS)
        with self._moved:
            while min(self._times.values()) < now:
                if not self._moved.wait(max(0.0, time_to_go - time.perf_counter())):
                    self._times = {one: at for one, at in self._times.items() if at >= now}


def taken() -> threading.Lock:
    """A lock that somebody else will release."""
    lock = threading.Lock()
    lock.acquire()
    return lock
