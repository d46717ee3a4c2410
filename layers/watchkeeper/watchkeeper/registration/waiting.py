"""What is remembered of nodes that no balancer calls healthy yet, and what is told of those that stay so; pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws.pools import HEALTHY
from watchkeeper.look import read_time, stamp
from watchkeeper.registration.verdict import Tag, Tell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from watchkeeper.aws.pools import Member
    from watchkeeper.registration.observe import Node, Scene
    from watchkeeper.registration.refusals import Refusal
    from watchkeeper.registration.settings import Settings
    from watchkeeper.registration.verdict import Care


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a node that can serve stands: in which pools, with what their balancers say, and which it joins now."""

    node: Node
    joins: tuple[Care, ...]
    members: tuple[tuple[Care, Member], ...]

    @property
    def waited(self) -> tuple[tuple[Care, Member], ...]:
        """Where it is a member, and its balancer does not say healthy."""
        return tuple((care, one) for care, one in self.members if one.state != HEALTHY)

    @property
    def since(self) -> datetime | None:
        """Since when it is waited for, as it remembers."""
        try:
            return read_time(self.node.tags.get(tags.REGISTERED, ""))
        except ValueError:  # there is none, or a person wrote it
            return None


def find(scene: Scene, cares: Sequence[Care]) -> list[Stand]:
    """Where each node stands that belongs into its pools; in one that is paused nobody waits for it."""
    joins: dict[str, list[Care]] = defaultdict(list)
    members: dict[str, list[tuple[Care, Member]]] = defaultdict(list)
    for care in (one for one in cares if tags.PAUSED not in one.pool.tags):
        for name in {one.node for one in care.register}:
            joins[name].append(care)
        for node, member in care.known():
            members[node.id].append((care, member))
    wanted = [one for one in scene.nodes if one.state == "ok" and not {tags.PAUSED, tags.RETIRED} & set(one.tags)]
    return [Stand(one, tuple(joins[one.id]), tuple(members[one.id])) for one in wanted]


def remember(scene: Scene, stands: Sequence[Stand]) -> tuple[Tag, ...]:
    """When nodes were registered, by which address of which VPC: written before, since a terminated node has neither.

    The same words are written by one call.
    """
    nodes: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for one in stands:
        words = _words(one, scene.now)
        if words:
            nodes[tuple(words.items())].append(one.node.id)
    return tuple(Tag(tuple(some), dict(words)) for words, some in nodes.items())


def _words(stand: Stand, now: datetime) -> dict[str, str]:
    words: dict[str, str] = {}
    begins = stand.joins and not stand.members
    if begins or (stand.since is None and (stand.joins or stand.waited)):
        words[tags.REGISTERED] = stamp(now)
    pools = [care.pool for care in (*stand.joins, *(care for care, _ in stand.members))]
    address = f"{stand.node.address} {stand.node.vpc}"
    if any(one.kind == "ip" for one in pools) and stand.node.tags.get(tags.REGISTERED_IP) != address:
        words[tags.REGISTERED_IP] = address
    return words


def forget(scene: Scene, stands: Sequence[Stand]) -> tuple[str, ...]:
    """The nodes that nobody waits for any more: so the next time that one is unhealthy it is waited for anew."""
    if scene.unread:
        return ()
    there = [one for one in stands if one.members and not one.joins and not one.waited]
    return tuple(one.node.id for one in there if tags.REGISTERED in one.node.tags)


def tell_late(scene: Scene, stands: Sequence[Stand], settings: Settings) -> tuple[Tell, ...]:
    """Of each pool the nodes that were registered at one time and are not healthy by now, in one notice."""
    late: dict[tuple[str, str], list[tuple[Node, Member]]] = defaultdict(list)
    for one in stands:
        for care, member in one.waited:
            if one.since and scene.now - one.since >= settings.patience:
                late[care.pool.id, stamp(one.since)].append((one.node, member))
    return tuple(_late(scene, pool, since, some) for (pool, since), some in late.items())


def _late(scene: Scene, pool: str, since: str, some: Sequence[tuple[Node, Member]]) -> Tell:
    lines = [f"  {node.id} ({member.target.id}): {member.state}, {member.reason}" for node, member in some]
    name = pool.split("/")[1]
    return Tell(
        f"{scene.application}.not-healthy.{pool}.{since}",
        f"Watchkeeper: {len(lines)} of the nodes of {scene.application} not healthy in {name}",
        f"Since {since} these nodes of {scene.application} run, their checks by EC2 pass"
        f", and {pool} does not call them healthy. They stay registered, and get no requests for as long:\n\n"
        + "\n".join(lines)
        + f"\n\nAsked of you: see what the health check of {name} asks for, and whether the node answers it to the "
        f"balancer's security group. Pause a node ({tags.PAUSED}) while you work on it.",
    )


def tell_refusal(scene: Scene, of: str, refusal: Refusal) -> tuple[Tell, ...]:
    """What lasts is told too, once; tried seldom."""
    if not scene.is_due:
        return ()
    subject = f"Watchkeeper: a pool of {scene.application} is left alone ({refusal.name})"
    return (Tell(f"{scene.application}.{refusal.name}.{of}", subject, refusal.sentence),)
