"""The region: moto's API with our corrections, machines behind it, and the project's own functions deployed on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from moto import mock_aws

from region.bus import Bus
from region.calls import Wire
from region.clock import Clock, Process
from region.cloudwatch import Watch
from region.faults import Faults
from region.lambdas import Functions
from region.place import place
from region.stacks import Stacks

if TYPE_CHECKING:
    from region.calls import Call
    from region.machines import Machines
    from region.world import World

START = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
NAME = "eu-central-1"


class StillWaiting(AssertionError):
    """What was waited for did not happen in the time given."""


class Region:
    """An AWS region in this process, between `with` and its end. Its parts are attributes; nothing outlives it."""

    def __init__(
        self, machines: Machines, *, seed: int = 0, start: datetime = START, real_time: bool | None = None
    ) -> None:
        self.machines = machines
        self.seed = seed
        self.clock = Clock(start, machines.real if real_time is None else real_time)
        self.calls: list[Call] = []
        self.faults = Faults()
        self.wire = Wire(self, NAME)
        self.place = place(NAME)
        self.bus = Bus(self)
        self.functions = Functions(self)
        self.stacks = Stacks(self)
        self.watch = Watch(self)

    def __enter__(self) -> Region:
        self._closing = contextlib.ExitStack()
        try:
            self._open()
        except BaseException:
            self._closing.close()
            raise
        return self

    def _open(self) -> None:
        moto = mock_aws()
        moto.start()
        self._closing.callback(moto.stop)
        self.clock.open()
        self._closing.callback(self.clock.close)
        self.machines.open(self.clock)
        self._closing.callback(self.machines.close)
        self.wire.answers["lambda", "Invoke"] = self.functions.answer_invoke

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def client(self, service: str) -> Any:
        """A boto3 client of the test itself: no latency, no faults, no permissions."""
        return self.wire.client(service)

    def run(self, until: Callable[[], bool] | Process | None = None, at_most: float | None = None) -> None:
        """Let time pass; raise StillWaiting if what was waited for did not happen."""
        if not self.clock.run(until, at_most) and until is not None:
            raise StillWaiting(f"not within {at_most} s: {until!r}")

    def quiet(self) -> bool:
        """Whether nothing is under way: no invocation, no state that moves, no retry."""
        return self.clock.is_quiet()

    # What follows is given to the parts that know it.

    def deploy(self, path: str | Path, **parameters: str) -> Mapping[str, str]:
        """Create the resources of a template; answer its outputs."""
        return self.stacks.deploy(Path(path), parameters)

    def put(self, event: str | Path | Mapping[str, Any]) -> None:
        """Put an event (or a file of events/) on the bus."""
        self.bus.put(event)

    def invoke(self, name: str, event: Mapping[str, Any], asynchronous: bool = False) -> Any:
        """Invoke a function and wait for its answer; raise Failed if it raised. Asynchronous: answer nothing, at once."""
        return self.functions.invoke(name, event, asynchronous)

    def start(self, name: str, event: Mapping[str, Any]) -> Process:
        """Start an invocation and do not wait for it."""
        return self.functions.start(name, event)

    def world(self) -> World:
        """Everything that matters about the region now, as a value that can be compared."""
        raise NotImplementedError

    @property
    def metrics(self) -> Mapping[str, Sequence[float]]:
        """What the functions emitted."""
        return self.watch.metrics

    @property
    def alarms(self) -> Mapping[str, str]:
        """The alarms by name, with their state now."""
        return self.watch.alarms

    def queue(self, name: str) -> list[dict[str, Any]]:
        """The messages that wait in a queue, oldest first."""
        return self.bus.queue(name)
