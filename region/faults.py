"""What goes wrong, by name: added by a test, met by the requests of functions, never by those of the test itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from region.calls import Call

LATENCY_SECONDS = 0.05  # a request to EC2 or SSM from a function in the same Region takes about so long


@dataclass(slots=True)
class Throttle:
    """The next requests of an operation are refused: too many."""

    operation: str
    times: int = 1
    happened: int = field(default=0, init=False)


@dataclass(slots=True)
class ServerError:
    """The next requests of an operation end in AWS's own error; nothing was done."""

    operation: str
    times: int = 1
    happened: int = field(default=0, init=False)


@dataclass(slots=True)
class LostAnswer:
    """The next requests of an operation are done, but the client sees its read time-out, or at `at_once` a reset."""

    operation: str
    times: int = 1
    at_once: bool = False
    happened: int = field(default=0, init=False)


@dataclass(slots=True)
class Death:
    """The next invocation dies before or after its n-th write, or before its n-th call of any kind."""

    before: int | None = None
    after: int | None = None
    at_call: int | None = None
    happened: bool = field(default=False, init=False)
    writes: int = field(default=0, init=False)
    calls: int = field(default=0, init=False)
    victim: object = field(default=None, init=False)


@dataclass(slots=True)
class Stuck:
    """What an operation begins meanwhile never ends: a set stays pending, a host stops for ever."""

    operation: str


@dataclass(slots=True)
class NoCapacity:
    """EC2 has no room for instances of these types, or of any; met by everybody who launches or starts one."""

    types: tuple[str, ...] | None = None
    code: str = "InsufficientInstanceCapacity"


@dataclass(slots=True)
class LaunchFails:
    """The next instances never run: they go from pending to terminated, and say this reason."""

    times: int = 1
    reason: str = "Server.InternalError"
    happened: int = field(default=0, init=False)


@dataclass(slots=True)
class VolumeFails:
    """The next volumes that are made of snapshots are gone when they should be there: EC2 looks at keys later."""

    times: int = 1
    happened: int = field(default=0, init=False)


@dataclass(slots=True)
class Lag:
    """Reads see nothing that is younger than so many seconds, neither things nor tags nor states; with a seed each
    read is behind by its own share of them, and what one has seen the next may not see yet."""

    seconds: float
    seed: int | None = None
    draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def behind(self) -> float:
        """How far the next read is behind."""
        return self.seconds if self.seed is None else self.draw.uniform(0, self.seconds)


@dataclass(slots=True)
class Interleave:
    """Requests take from a moment to a second, drawn from the seed: several invocations overlap in ever other ways."""

    seed: int
    draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)


Fault = Throttle | ServerError | LostAnswer | Death | Stuck | NoCapacity | LaunchFails | VolumeFails | Lag | Interleave


class Faults:
    """The faults of a region, in the order in which they were added."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.met = False

    def add(self, *faults: Fault) -> None:
        """Let these go wrong from now on."""
        self.active += faults

    def remove(self, *faults: Fault) -> None:
        """Let these be well again."""
        self.active = [fault for fault in self.active if not any(fault is other for other in faults)]

    def latency(self) -> float:
        """How long the next request takes."""
        for fault in self.active:
            if isinstance(fault, Interleave):
                return fault.draw.uniform(0.01, 1)
        return LATENCY_SECONDS

    def lag(self) -> float:
        """How far reads are behind."""
        return max((fault.behind() for fault in self.active if isinstance(fault, Lag)), default=0)

    def stuck(self, operation: str) -> bool:
        """Whether what this operation began stays as it is."""
        return any(isinstance(fault, Stuck) and fault.operation == operation for fault in self.active)

    def without_room(self, instance_type: str) -> str | None:
        """The code with which EC2 refuses to run an instance of this type, if it does."""
        for fault in self.active:
            if isinstance(fault, NoCapacity) and (fault.types is None or instance_type in fault.types):
                return fault.code
        return None

    def failing_launch(self) -> str | None:
        """The reason why the instance that comes next will not run, if it will not; counted."""
        for fault in self.active:
            if isinstance(fault, LaunchFails) and fault.happened < fault.times:
                fault.happened += 1
                return fault.reason
        return None

    def failing_volume(self) -> bool:
        """Whether the volume that comes next will not be there; counted."""
        for fault in self.active:
            if isinstance(fault, VolumeFails) and fault.happened < fault.times:
                fault.happened += 1
                return True
        return False

    def meet(self, call: Call) -> Throttle | ServerError | LostAnswer | None:
        """The fault that this request runs into, counted."""
        for fault in self.active:
            if (
                isinstance(fault, Throttle | ServerError | LostAnswer)
                and fault.operation == call.operation
                and fault.happened < fault.times
            ):
                fault.happened += 1
                self.met = True
                return fault
        return None

    def deadly(self, call: Call, process: object) -> str | None:
        """Whether the process dies "before" or "after" this request of it."""
        for fault in self.active:
            if isinstance(fault, Death) and not fault.happened and fault.victim in (None, process):
                fault.victim = process
                fault.calls += 1
                fault.writes += call.write
                if fault.calls == fault.at_call or (call.write and fault.writes == fault.before):
                    fault.happened = True
                    return "before"
                if call.write and fault.writes == fault.after:
                    fault.happened = True
                    return "after"
        return None
