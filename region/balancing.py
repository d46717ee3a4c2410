"""Balancers of simulated machines: each asks all its targets at once, when an interval is over."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from region.machines import REFUSED, TIMEOUT, Check, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from region.clock import Clock
    from region.host import Host
    from region.process import Event


@dataclass(slots=True)
class Found:
    """What was found of a target: how often in a row the last answer came, and what was said of it since when."""

    target: Target
    last: str = ""
    times: int = 0
    said: list[tuple[float, str | None]] = field(default_factory=list)

    def hear(self, answer: str, check: Check, now: float) -> None:
        """Count one answer; a failure is one like any other."""
        same = self.times and (answer == "") == (self.last == "")
        self.last, self.times = answer, self.times + 1 if same else 1
        now_said = self.said[-1][1]
        is_first = now_said is None and check.first_decides
        needed = check.unwell_after if answer else 1 if is_first else check.well_after
        if self.times >= needed and (now_said is None or (now_said == "") != (answer == "")):
            self.said.append((now, answer))


@dataclass(slots=True)
class Balancer:
    """A pool's balancer: its targets by name, and those that it had."""

    check: Check
    targets: dict[str, Found] = field(default_factory=dict)
    event: Event | None = None


class Balancers:
    """All balancers by name. What they ask is whether a host answers as HTTP or TCP wants it."""

    clock: Clock

    def __init__(self, hosts: Mapping[str, Host]) -> None:
        self._hosts = hosts
        self._balancers: dict[str, Balancer] = {}

    def balance(self, pool: str, check: Check, targets: Mapping[str, Target]) -> None:
        """Take and drop targets; those that stay keep what was found of them, those that drain are asked no more."""
        one = self._balancers.setdefault(pool, Balancer(check))
        known = one.targets if one.check == check else {}
        one.targets = {name: self._found(known.get(name), target) for name, target in targets.items()}
        if one.event and (not targets or one.check != check):
            one.event.cancel()
            one.event = None
        one.check = check
        if targets and one.event is None:
            self._plan(one)

    def health(self, pool: str, ago: float = 0) -> Mapping[str, str | None]:
        """What is said of each target."""
        if pool not in self._balancers:
            return {}
        moment = self.clock.now() - ago
        return {name: _said(found, moment) for name, found in self._balancers[pool].targets.items()}

    def _found(self, known: Found | None, target: Target) -> Found:
        if known is None or (known.target.draining and not target.draining):
            return Found(target, said=[(self.clock.now(), None)])
        known.target = target
        return known

    def _plan(self, one: Balancer) -> None:
        one.event = self.clock.after(one.check.interval_seconds, lambda: self._ask(one), background=True)

    def _ask(self, one: Balancer) -> None:
        now = self.clock.now()
        for found in one.targets.values():
            if not found.target.draining:
                found.hear(self._answer(one.check, found.target), one.check, now)
        self._plan(one)

    def _answer(self, check: Check, target: Target) -> str:
        host = self._hosts.get(target.host or "")
        if host is None or not host.is_alive:
            return TIMEOUT
        if not host.online or host.web is False:
            return REFUSED
        status = 200 if host.web is True else host.web
        return "" if check.protocol == "TCP" or _is_among(status, check.codes) else str(status)


def _said(found: Found, moment: float) -> str | None:
    place = bisect_right([when for when, _ in found.said], moment)
    return found.said[place - 1][1] if place else None


def _is_among(status: int, codes: str) -> bool:
    """Codes such as `200,301-399`."""
    ends = [part.partition("-") for part in codes.split(",")]
    return any(int(first) <= status <= int(last or first) for first, _, last in ends)
