"""What load balancers send requests to: targets that come, are found well or not, and leave, each in its time.

A pool is a target group or a classic load balancer; region/targets.py and region/classic.py speak for them on the wire.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from region.machines import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from region.machines import Check
    from region.region import Region

# What a target is; one that the check found unwell is what it found, and one that it found well "".
REGISTERING = "registering"
CHECKING = "checking"
DRAINING = "draining"
UNUSED = "unused"
ELSEWHERE = "elsewhere"
STOPPED = "stopped"
TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as it is configured now. `key` is the ARN of a target group, or a classic load balancer's name.

    `zones` are those that its load balancer serves, None if none uses it; `port` is where targets listen.
    """

    key: str
    name: str
    check: Check
    port: int
    zones: frozenset[str] | None
    drain_seconds: float


@dataclass(frozen=True, slots=True)
class Member:
    """A target: an instance's id or an address. It is asked from `ready` on, and gone at `until`."""

    id: str
    port: int
    ready: float
    until: float | None = None

    @property
    def name(self) -> str:
        """By which its balancer knows it."""
        return f"{self.id}:{self.port}"


Members = dict[str, Member]


class Kind(Protocol):
    """A generation of load balancers."""

    def read(self) -> Iterable[Pool]:
        """All its pools."""

    def state(self, key: str, found: str) -> str:
        """How the service calls what was found of a target of this pool."""


class Pools:
    """The members of all pools, by the pool's key, with what they were for readers that lag."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._members: dict[str, Members] = {}
        self._kept: dict[str, list[tuple[float, Members]]] = defaultdict(list)
        self.kinds: list[Kind] = []

    def all(self) -> Mapping[str, Pool]:
        """Every pool by its key."""
        return {one.key: one for kind in self.kinds for one in kind.read()}

    def states(self) -> Mapping[str, Mapping[str, str]]:
        """What each target is as its service calls it, by the pool's name and the target's.

        A target is called by its id, and with its port if that is not the pool's own.
        """
        return {
            pool.name: {
                one.id if one.port == pool.port else name: kind.state(pool.key, self.find(pool, one))
                for name, one in self.members(pool.key).items()
            }
            for kind in self.kinds
            for pool in kind.read()
        }

    def members(self, key: str, lag: float = 0) -> Mapping[str, Member]:
        """The members by name, as a reader sees them who is so many seconds behind."""
        if lag:
            horizon = self._region.clock.now() - lag
            for changed, before in self._kept[key]:
                if changed > horizon:
                    return before
        return self._members.get(key, {})

    def add(self, pool: Pool, targets: Iterable[tuple[str, int]]) -> None:
        """Register targets. One that is there stays as it is, one that drains begins anew."""
        ready = self._region.clock.now() + self._region.takes(self._region.delays.register_target)
        members = dict(self.members(pool.key))
        for new in (Member(target, port, ready) for target, port in targets):
            if new.name not in members or members[new.name].until is not None:
                members[new.name] = new
        if self._change(pool.key, members):
            self._region.clock.at(ready, partial(self.sync, pool.key))

    def drop(self, pool: Pool, targets: Iterable[tuple[str, int]]) -> None:
        """Deregister targets: they drain, and are gone. What is not there is no error."""
        until, members = self._region.clock.now() + pool.drain_seconds, dict(self.members(pool.key))
        for name in {f"{target}:{port}" for target, port in targets}:
            if name in members and members[name].until is None:
                members[name] = replace(members[name], until=until)
        if self._change(pool.key, members) and pool.drain_seconds:
            self._region.clock.at(until, partial(self._end, pool.key))
        self._end(pool.key)

    def remove(self, pool: Pool) -> None:
        """The pool is no more."""
        self._change(pool.key, {})
        self._region.machines.balance(pool.name, pool.check, {})

    def moved(self, instance_id: str) -> None:
        """An instance changed its state, and with it who has an address."""
        is_gone = self._state_of(instance_id, 0) == TERMINATED
        for key, members in self._members.items():
            ids = {one.id for one in members.values()}
            if instance_id in ids or not all(map(_is_instance, ids)):
                self.sync(key)
            if instance_id in ids and is_gone:
                seconds = self._region.takes(self._region.delays.forget_target)
                self._region.clock.after(seconds, partial(self._forget, key, instance_id), background=True)

    def sync(self, key: str) -> None:
        """Tell the balancer what it has to do."""
        if pool := self.all().get(key):
            self._region.machines.balance(pool.name, pool.check, self._targets(pool) if pool.zones else {})

    def sync_all(self) -> None:
        """A load balancer was changed."""
        for key, members in self._members.items():
            if members:
                self.sync(key)

    def _targets(self, pool: Pool) -> Mapping[str, Target]:
        """Those that a balancer knows of and has a place for."""
        ec2, now, members = self._region.ec2, self._region.clock.now(), self.members(pool.key)
        holders = {one.id: one.id for one in members.values() if _is_instance(one.id)}
        if len(holders) < len(members):
            holders |= {address: host for host in ec2.known for address in ec2.reached_at(host)}
        targets = {}
        for name, one in members.items():
            host = holders.get(one.id)
            address = (*ec2.reached_at(host), "")[0] if host and _is_instance(one.id) else one.id
            is_off = _is_instance(one.id) and self._state_of(one.id, 0) in (STOPPED, TERMINATED)
            if one.ready <= now and not is_off:
                targets[name] = Target(address, one.port, host, draining=one.until is not None)
        return targets

    def find(self, pool: Pool, member: Member, lag: float = 0) -> str:
        """What a target is: one of the words above, "" if it is well, else what the check found."""
        now = self._region.clock.now() - lag
        if member.until is not None:
            return DRAINING
        if pool.zones is None:
            return UNUSED
        if _is_instance(member.id):
            if (state := self._state_of(member.id, lag)) in (STOPPED, TERMINATED):
                return state
            if self._region.ec2.known[member.id].availability_zone not in pool.zones:
                return ELSEWHERE
        if now < member.ready:
            return REGISTERING
        found = self._region.machines.health(pool.name, lag).get(member.name)
        return CHECKING if found is None else found

    def _change(self, key: str, members: Members) -> bool:
        before = self._members.get(key, {})
        if members == before:
            return False
        self._kept[key].append((self._region.clock.now(), before))
        self._members[key] = members
        self.sync(key)
        return True

    def _end(self, key: str) -> None:
        now = self._region.clock.now()
        left = {name: one for name, one in self.members(key).items() if one.until is None or one.until > now}
        self._change(key, left)

    def _forget(self, key: str, instance_id: str) -> None:
        """A load balancer finds out by itself that an instance is terminated."""
        if pool := self.all().get(key):
            self.drop(pool, [(one.id, one.port) for one in self.members(key).values() if one.id == instance_id])

    def _state_of(self, instance_id: str, lag: float) -> str:
        seen = self._region.ec2.seen(instance_id, lag)
        return str(seen["State"]["Name"]) if seen else TERMINATED


def _is_instance(target: str) -> bool:
    return target.startswith("i-")
