"""A web node's absence, written down while it lasts: what its pool and visitors see until another is in."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from region import Region, Simulated

FUNCTION = "register_web_nodes"
HEALTHY = "healthy"
REQUESTS = 8
"""A second."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A request, so many seconds after the death, and how the nodes stand: in the words of EC2, and of the balancer."""

    after: float
    is_answered: bool
    nodes: Mapping[str, str]
    pool: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What Watchkeeper changed in the pool, when, and why as it answered."""

    after: float
    operation: str
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Absence:
    """What came of a death. Seconds count from it; `launched` is when another node was, by a person."""

    old: str
    new: str
    launched: float
    moments: tuple[Moment, ...]
    changes: tuple[Change, ...]
    mails: int

    @property
    def out(self) -> float:
        """When the balancer sent the old node nothing more."""
        return self._first(lambda one: one.after > 0 and one.pool.get(self.old) != HEALTHY)

    @property
    def word(self) -> str:
        """What the balancer called it then."""
        return next((one.pool.get(self.old, "gone") for one in self.moments if one.after == self.out), "")

    @property
    def gone(self) -> float:
        """When the old node was not in the pool any more."""
        return self._first(lambda one: one.after > 0 and self.old not in one.pool)

    @property
    def back(self) -> float:
        """When the new node got requests."""
        return self._first(lambda one: one.pool.get(self.new) == HEALTHY)

    @property
    def failed(self) -> tuple[float, ...]:
        """When requests were not answered."""
        return tuple(one.after for one in self.moments if not one.is_answered)

    def changed(self, operation: str, node: str) -> float:
        """When Watchkeeper did so."""
        return min((one.after for one in self.changes if (one.operation, one.node) == (operation, node)), default=inf)

    def _first(self, holds: Callable[[Moment], bool]) -> float:
        return min((one.after for one in self.moments if holds(one)), default=inf)


@dataclass(slots=True)
class Recorder:
    """Who writes it down, and who visits. `died` is when the node is going to die."""

    region: Region
    machines: Simulated
    pool: str
    old: str
    died: float
    moments: list[Moment] = field(default_factory=list)
    mails: int = 0
    is_over: bool = False
    turns: Iterator[int] = field(default_factory=lambda: cycle(range(60)))  # of every number of nodes up to six

    def begin(self) -> None:
        """Let visitors come from now on."""
        self.mails = len(self.region.bus.mail())
        self._visit()

    def _visit(self) -> None:
        """One request, which the balancer sends to one after the other of those that it calls healthy."""
        pool = dict(self.region.pool(self.pool))
        ready = [node for node, state in pool.items() if state == HEALTHY]
        is_answered = bool(ready) and self._answers(ready[next(self.turns) % len(ready)])
        nodes = {one.id: str(one.state) for one in self.region.ec2.all_instances()}
        self.moments.append(Moment(self.region.clock.now() - self.died, is_answered, nodes, pool))
        if not self.is_over:
            self.region.clock.after(1 / REQUESTS, self._visit, background=True)

    def _answers(self, node: str) -> bool:
        host = self.machines.hosts.get(node)
        return bool(host and host.is_alive and host.online and host.web)

    def end(self, new: str, launched: float) -> Absence:
        """What came of it."""
        self.is_over = True
        mails = len(self.region.bus.mail()) - self.mails
        return Absence(self.old, new, launched - self.died, tuple(self.moments), tuple(self._changes()), mails)

    def _changes(self) -> Iterator[Change]:
        reasons = self._reasons()
        for call in self.region.calls:
            if call.caller == FUNCTION and call.operation in reasons and call.time > self.died:
                for target in call.parameters["Targets"]:
                    reason = reasons[call.operation].get(target["Id"], "")
                    yield Change(call.time - self.died, call.operation, target["Id"], reason)

    def _reasons(self) -> Mapping[str, Mapping[str, str]]:
        """By the write and the node."""
        looks = [one.process for one in self.region.functions.invocations if one.name == FUNCTION]
        answers: list[Any] = [one.result for one in looks if one and one.result]
        pools = [pool for answer in answers for one in answer["applications"] for pool in one["pools"].values()]
        return {
            operation: {node: reason for pool in pools for node, reason in pool.get(word, {}).items()}
            for operation, word in {"RegisterTargets": "registered", "DeregisterTargets": "deregistered"}.items()
        }
