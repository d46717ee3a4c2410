"""Time in the region: a queue of events, and processes of which only one runs at a moment.

Simulated, time jumps from event to event, and every reading of the wall clock in this process follows it. Real, the
same queue waits.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
import time
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, NoReturn, SupportsIndex

from region.process import Died, Event, Process, taken
from region.wall import Wall, hours, really_sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Clock:
    """The queue of events and the baton. One is open at a time in a process of the operating system."""

    def __init__(self, start: datetime, real: bool = False) -> None:
        self.real = real
        self._wall = Wall()
        self._now = start.timestamp()
        self._queue: list[tuple[float, int, Event]] = []
        self._numbers = count()
        self._changed = threading.Condition()
        self._kernel_turn = taken()
        self._kernel: int | None = None
        self._limit = float("inf")
        self._watched = False
        self._mine = threading.local()
        self._running: Process | None = None
        self.processes: list[Process] = []

    def open(self) -> None:
        """Take over the wall clock, if it is not to run on, and `time.sleep`."""
        self._wall.take(None if self.real else self.now, self.sleep)

    def close(self) -> None:
        """Kill what still runs and give the wall clock and `time.sleep` back."""
        try:
            self.kill_all()
        finally:
            self._wall.give_back()

    def kill_all(self) -> None:
        """Kill what still runs, and see it end."""
        for process in list(self.processes):
            self.kill(process)
            while not process.done:
                self._hand_over(process)

    def now(self) -> float:
        """Seconds since 1970, as the calling thread sees them."""
        if self.real:
            return time.time()
        process: Process | None = getattr(self._mine, "process", None)
        own: float = getattr(self._mine, "now", 0.0)
        return max(self._now, own, process.pool.until if process and not own else 0.0)

    def moment(self) -> datetime:
        """Now, as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def at(self, when: float, happen: Callable[[], object], background: bool = False) -> Event:
        """Let `happen` run in the kernel at `when`. Background events keep none from quiet."""
        event = Event(happen, background)
        with self._changed:
            heapq.heappush(self._queue, (when, next(self._numbers), event))
            self._changed.notify_all()
        return event

    def after(self, seconds: float, happen: Callable[[], object], background: bool = False) -> Event:
        """Let `happen` run in the kernel so many seconds from now."""
        return self.at(self.now() + seconds, happen, background)

    def post(self, happen: Callable[[], object]) -> Event:
        """Hand work from a thread of the machines to the kernel."""
        return self.after(0, happen)

    def spawn(
        self,
        work: Callable[[], object],
        name: str,
        *,
        seconds: float | None = None,
        enter: Callable[[], None] | None = None,
        leave: Callable[[], None] | None = None,
    ) -> Process:
        """Start a process, which dies after `seconds`; `enter` and `leave` run when it gets and gives the baton."""
        process = Process(name, enter, leave)
        self.processes.append(process)
        thread = threading.Thread(target=self._live, args=(process, work), name=name, daemon=True)
        if seconds is not None:
            process.deadline = self.now() + seconds
            self.at(process.deadline, lambda: self._time_out(process), background=True)
        thread.start()
        self.after(0, lambda: self._hand_over(process))
        return process

    def kill(self, process: Process) -> None:
        """End a process: from now on all it does in the region raises `Died`."""
        if not process.done:
            process.killed = True
            process.wakes += 1
            self.after(0, lambda: self._hand_over(process))

    def current(self) -> Process | None:
        """The process that the calling thread is, or works for."""
        process: Process | None = getattr(self._mine, "process", None) or getattr(self._mine, "owner", None)
        if process is None and threading.get_ident() != self._kernel:
            process = self._running
        return process

    def die(self) -> NoReturn:
        """End the process that calls, here and now."""
        if process := self.current():
            process.killed = True
        raise Died(process.name if process else "nobody")

    def check(self) -> None:
        """Raise `Died` in a thread of a process that was killed."""
        process = self.current()
        if process and process.killed:
            raise Died(process.name)

    def sleep(self, seconds: float | SupportsIndex, /) -> None:
        """What `time.sleep` does while the clock is open: let `seconds` pass for the thread that calls."""
        seconds = float(seconds)
        if getattr(self._mine, "busy", False) or threading.get_ident() == self._kernel:
            if not self.real:
                raise RuntimeError("AWS itself does not sleep: it plans an event")
            really_sleep(seconds)
        elif process := getattr(self._mine, "process", None):
            self._sleep_in(process, seconds)
        elif threading.current_thread() is threading.main_thread():
            self.run(at_most=seconds)
        else:
            self._sleep_in_pool(seconds)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Inside, the calling thread acts for AWS itself: the baton stays, and waiting is waiting."""
        self._mine.busy = True
        try:
            yield
        finally:
            self._mine.busy = False

    def run(self, until: Callable[[], bool] | Process | None = None, at_most: float | None = None) -> bool:
        """Let time pass until the process is done or the claim holds (True), or so many seconds have gone by."""
        if self._kernel is not None:
            raise RuntimeError("time is already running: an event cannot let time pass")
        holds: Callable[[], bool] = (lambda: until.done) if isinstance(until, Process) else until or (lambda: False)
        self._limit = float("inf") if at_most is None else self.now() + at_most
        self._watched = until is not None and not isinstance(until, Process)
        self._kernel = threading.get_ident()
        try:
            while not (held := holds()) and (event := self._next()):
                event.happen()
            return held
        finally:
            self._kernel = None

    def is_quiet(self) -> bool:
        """Whether nothing runs and nothing but background events is to come."""
        pending = any(not event.background and not event.cancelled for _, _, event in self._queue)
        return not pending and not self.processes

    def _next(self) -> Event | None:
        with self._changed:
            while True:
                while self._queue and self._queue[0][2].cancelled:
                    heapq.heappop(self._queue)
                when = self._queue[0][0] if self._queue else float("inf")
                if when <= self._limit and (not self.real or when <= time.time()):
                    self._now = max(self._now, when)
                    return heapq.heappop(self._queue)[2]
                if not self.real or time.time() >= self._limit:
                    self._now = self._now if self._limit == float("inf") else self._limit
                    return None
                # There may be nothing to come, and no wait is endless.
                self._changed.wait(min(when, self._limit, time.time() + hours(1)) - time.time())

    def _live(self, process: Process, work: Callable[[], object]) -> None:
        self._mine.process = process
        process.turn.acquire()
        try:
            self.check()
            process.result = work()
            self._sleep_in(process, 0)
        except BaseException as error:
            process.error = error
        finally:
            # One that dies cannot wait for its threads' time to come.
            self._now = max(self._now, process.pool.until)
            process.done = True
            self.processes.remove(process)
            self._kernel_turn.release()

    def _hand_over(self, process: Process) -> None:
        if process.done:
            return
        self._running = process
        process.enter()
        try:
            process.turn.release()
            self._kernel_turn.acquire()
        finally:
            self._running = None
            process.leave()

    def _time_out(self, process: Process) -> None:
        if not process.done:
            process.timed_out = True
            self.kill(process)

    def _sleep_in(self, process: Process, seconds: float) -> None:
        self.check()
        wake = self.now() + max(0.0, seconds)
        is_next = not self._queue or self._queue[0][0] > wake
        if is_next and wake <= self._limit and not self.real and not self._watched:
            self._now = wake  # nobody else has anything to do until then
            return
        process.wakes += 1
        ticket = process.wakes
        self.at(wake, lambda: self._hand_over(process) if process.wakes == ticket else None)
        self._kernel_turn.release()
        process.turn.acquire()
        self.check()

    def _sleep_in_pool(self, seconds: float) -> None:
        process = self.current()
        self.check()
        if self.real or process is None:
            really_sleep(seconds if self.real else 0)
            return
        self._mine.owner = process
        self._mine.now = max(getattr(self._mine, "now", 0.0), self._now) + seconds
        process.pool.reach(self._mine.now)
        if process.deadline is not None and self._mine.now > process.deadline:
            process.timed_out = process.killed = True
            self.check()
