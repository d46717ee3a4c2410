"""Reads the web nodes and the pools of all applications in bulk, and who is in each pool by one call."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import tags
from watchkeeper.applications import is_watched
from watchkeeper.aws import checks, hosts, pools, targets
from watchkeeper.errors import Refused
from watchkeeper.registration import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.pools import Balancers, Pool
    from watchkeeper.look import Look


@dataclass(frozen=True, slots=True)
class Node:
    """A web node: whether it can serve, as EC2 says in its own word; `unsure` while EC2 does not know."""

    id: str
    state: Literal["ok", "unsure", "impaired", "gone"]
    word: str
    vpc: str = ""
    address: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_host(cls, host: Host, unwell: Mapping[str, str]) -> Node:
        """A node as EC2 describes the instance, and what its checks say if that is not ok."""
        if host.state == "running":
            word = unwell.get(host.id, "ok")
            state: Literal["ok", "unsure", "impaired"] = (
                "ok" if word == "ok" else "impaired" if word == "impaired" else "unsure"
            )
            return cls(host.id, state, word, host.vpc, host.address, host.tags)
        address, vpc = host.address, host.vpc
        if host.state == "terminated":  # it has lost both, whatever is still shown
            address, _, vpc = host.tags.get(tags.REGISTERED_IP, "").partition(" ")
        state_then: Literal["unsure", "gone"] = "unsure" if host.state == "pending" else "gone"
        return cls(host.id, state_then, host.state, vpc, address, host.tags)


@dataclass(frozen=True, slots=True)
class Scene:
    """An application's nodes and pools. `taken` are addresses, with their VPCs, that a terminated node had and that
    something has now; `unread` pools whose members AWS did not tell; `is_due` whether what lasts is told again.
    """

    application: str
    now: datetime
    nodes: tuple[Node, ...]
    pools: tuple[Pool, ...]
    taken: frozenset[tuple[str, str]] = frozenset()
    unread: tuple[str, ...] = ()
    is_due: bool = True

    def who(self, pool: Pool) -> Mapping[str, Node]:
        """The nodes of this application by what they are called in a pool. An address is who has it, not who had it,
        and another network may have the same.
        """
        if pool.kind != "ip":
            return {one.id: one for one in self.nodes}
        here = [one for one in self.nodes if one.address and one.vpc == pool.vpc]
        had = {one.address: one for one in here if one.word == "terminated"}
        have = {one.address: one for one in here if one.word != "terminated"}
        free = {address: one for address, one in had.items() if (pool.vpc, address) not in self.taken}
        return free | have


@dataclass(frozen=True, slots=True)
class Fleet:
    """The applications that have pools, and what was not read of them."""

    scenes: tuple[Scene, ...]
    errors: tuple[Exception, ...] = ()


def observe(ec2: EC2Client, balancers: Balancers, names: Sequence[str], look: Look, now: datetime) -> Fleet:
    """Reads the applications with these names (or patterns): nothing more where no pool is tagged."""
    found = pools.find(balancers, names)
    if not found:
        return Fleet(())
    claiming = [one for one in hosts.find_of(ec2, names, [tags.WEB_NODE]) if is_watched(one.application, names)]
    unwell = checks.find_unwell(ec2) if claiming else {}
    read, errors = _read_members(balancers, found)
    nodes = {one.id: Node.from_host(one, unwell) for one in claiming}
    taken = frozenset(hosts.find_taken(ec2, _of_the_dead(read, nodes.values())))
    scenes = (
        Scene(
            name,
            now,
            tuple(nodes[one.id] for one in sorted(claiming, key=lambda one: one.id) if one.application == name),
            tuple(one for one in read if one.application == name),
            taken,
            tuple(one.id for one in found if one.application == name and one.arn not in {own.arn for own in read}),
            _is_due(name, look),
        )
        for name in sorted({one.application for one in found})
    )
    return Fleet(tuple(scenes), tuple(errors))


def _read_members(balancers: Balancers, found: Sequence[Pool]) -> tuple[list[Pool], list[Exception]]:
    """Each pool with its members; one that cannot be read is left out, and is an error."""
    read: list[Pool] = []
    errors: list[Exception] = []
    for pool in found:
        try:
            read.append(pool if refusals.refuse(pool) else targets.read(balancers, pool))
        except (ClientError, BotoCoreError) as error:
            errors.append(Refused(f"{pool.id} of {pool.application} was not read: {error}"))
    return read, errors


def _of_the_dead(read: Iterable[Pool], nodes: Iterable[Node]) -> list[str]:
    """The addresses in pools that a terminated node had: only of these it matters who has them now."""
    dead = {one.address for one in nodes if one.word == "terminated"}
    return sorted({one.target.id for pool in read if pool.kind == "ip" for one in pool.members} & dead)


def _is_due(name: str, look: Look) -> bool:
    """What lasts is told once, but each try is a call: so one minute of each hour tries, and a look at it alone."""
    return bool(look.application or look.instance) or zlib.crc32(name.encode()) % 60 == look.time.minute
