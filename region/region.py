"""The region: moto's API with our corrections, machines behind it, and the project's own functions deployed on it."""

from __future__ import annotations

import contextlib
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from moto.ec2.models import ec2_backends

from region.addresses import Addresses
from region.backends import take_over
from region.bus import ACCOUNT, Bus
from region.calls import Wire
from region.classic import Classic
from region.clock import Clock
from region.cloudwatch import Watch
from region.delays import Delay, Delays, drawn
from region.faults import Faults
from region.lambdas import Functions
from region.mishaps import Mishaps
from region.observed import look
from region.place import place
from region.pools import Pools
from region.scaling import Groups
from region.ssm import Commands
from region.stacks import Stacks
from region.tagging import Marks
from region.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import TracebackType

    from region.calls import Call
    from region.ec2 import EC2
    from region.machines import Machines
    from region.process import Process
    from region.world import World

START = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
NAME = "eu-central-1"


class StillWaiting(AssertionError):
    """What was waited for did not happen in the time given."""


class Region(Mishaps):
    """An AWS region in this process, between `with` and its end. Its parts are attributes; nothing outlives it."""

    def __init__(
        self,
        machines: Machines,
        *,
        seed: int = 0,
        start: datetime = START,
        real_time: bool | None = None,
        delays: Delays | None = None,
    ) -> None:
        self.machines = machines
        self.delays = delays or Delays()
        self.seed = seed
        self.clock = Clock(start, machines.real if real_time is None else real_time)
        self.calls: list[Call] = []
        self.faults = Faults()
        self.name = NAME
        self.random = random.Random(seed)
        self.seconds = 0.0
        self.wire = Wire(self, NAME)
        self.commands = Commands(self)
        self.addresses = Addresses(self)
        self.place = place(NAME)
        self.bus = Bus(self)
        self.functions = Functions(self)
        self.stacks = Stacks(self)
        self.watch = Watch(self)
        self.marks = Marks(self)
        self.pools = Pools(self)
        self.targets = Targets(self)
        self.classic = Classic(self)
        self.groups = Groups(self)

    def __enter__(self) -> Region:
        self._closing = contextlib.ExitStack()
        try:
            self._open()
        except BaseException:
            self._closing.close()
            raise
        return self

    def _open(self) -> None:
        self.clock.open()
        self._closing.callback(self.clock.close)
        self._closing.callback(self.wire.close)
        take_over(self, self._closing)
        self._closing.callback(self.clock.kill_all)  # which still counts in moto's metrics
        self.machines.open(self.clock)
        self._closing.callback(self.machines.close)
        answered: Mapping[str, Mapping[str, Callable[[Call], Mapping[str, Any]]]] = {
            "autoscaling": self.groups.answers(),
            "cloudwatch": {"DescribeAlarms": self.watch.describe},
            "ec2": self.ec2.answers(),
            "elb": self.classic.answers(),
            "elbv2": self.targets.answers(),
            "resourcegroupstaggingapi": self.marks.answers(),
            "route53": self.addresses.answers(),
            "ssm": self.commands.answers(),
        }
        for service, answers in answered.items():
            for name, own in answers.items():
                self.wire.answers[service, name] = self.wire.alone(own)
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
        began = self.clock.now()
        held = self.clock.run(until, at_most)
        self.seconds = self.clock.now() - began
        if not held and until is not None:
            raise StillWaiting(f"not within {at_most} s: {until!r}")

    def quiet(self) -> bool:
        """Whether nothing is under way: no invocation, no state that moves, no retry."""
        return self.clock.is_quiet()

    @property
    def ec2(self) -> EC2:
        """EC2 as the region keeps it."""
        return cast("EC2", ec2_backends[ACCOUNT][self.name])

    def draw(self, low: float, high: float) -> float:
        """How long something takes, in seconds. Where time is real, AWS's own share of it is small."""
        return low / 100 if self.clock.real else self.random.uniform(low, high)

    def later(self, low: float, high: float, happen: Callable[[], object]) -> None:
        """Let something happen that takes so long."""
        self.clock.after(self.draw(low, high), happen)

    def takes(self, delay: Delay) -> float:
        """How long something takes this time, in seconds; where time is real, as `draw`."""
        if self.clock.real:
            return (delay(self.random) if callable(delay) else delay[0]) / 100
        return drawn(delay, self.random)

    def lag(self, call: Call) -> float:
        """How far this caller's reads are behind; the test itself sees the truth."""
        return 0 if call.caller == "test" else self.faults.lag()

    # What follows is given to the parts that know it.

    def deploy(self, path: str | Path, **parameters: str) -> Mapping[str, str]:
        """Create the resources of a template; answer its outputs."""
        return self.stacks.deploy(Path(path), parameters)

    def put(self, event: str | Path | Mapping[str, Any]) -> None:
        """Put an event (or a file of events/) on the bus."""
        self.bus.put(event)

    def invoke(self, name: str, event: Mapping[str, Any], asynchronous: bool = False) -> Any:
        """Invoke a function and wait for its answer; raise Failed if it raised. Asynchronous: do not wait."""
        began = self.clock.now()
        try:
            return self.functions.invoke(name, event, asynchronous)
        finally:
            self.seconds = self.clock.now() - began

    def start(self, name: str, event: Mapping[str, Any]) -> Process:
        """Start an invocation and do not wait for it."""
        return self.functions.start(name, event)

    def world(self, ignoring: Collection[str] = ()) -> World:
        """Everything that matters about the region now, as a value that can be compared; tags to ignore by key."""
        return look(self, ignoring)

    @property
    def metrics(self) -> Mapping[str, Sequence[float]]:
        """What the functions emitted."""
        return self.watch.metrics

    @property
    def alarms(self) -> Mapping[str, str]:
        """The alarms by name, with their state now."""
        return self.watch.alarms

    def resolve(self, name: str) -> str | None:
        """The address that clients find under a name now; see region/addresses.py."""
        return self.addresses.resolve(name)

    def pool(self, name: str) -> Mapping[str, str]:
        """The state of each target of a pool: a target group's name or ARN, or a classic load balancer's name."""
        named = {key: one.name for key, one in self.pools.all().items()}
        return self.pools.states()[named.get(name, name)]

    @property
    def notices(self) -> Sequence[tuple[str, str]]:
        """What was published to topics: subject and text, oldest first."""
        return self.bus.notices()

    def queue(self, name: str) -> list[dict[str, Any]]:
        """The messages that wait in a queue, oldest first."""
        return self.bus.queue(name)
