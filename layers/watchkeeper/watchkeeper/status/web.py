"""Decides what is said of web nodes: who is in each pool, who joins and leaves, and what is not as wanted; pure.

Not judged anew either: it is what a look of register_web_nodes would come to now.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from watchkeeper import tags
from watchkeeper.aws.pools import HEALTHY
from watchkeeper.registration import refusals, waiting
from watchkeeper.registration.plan import plan
from watchkeeper.registration.verdict import Care
from watchkeeper.status import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from watchkeeper.aws import pools
    from watchkeeper.registration.observe import Node, Scene
    from watchkeeper.registration.refusals import Refusal
    from watchkeeper.registration.verdict import Plan
    from watchkeeper.status.observe import State
    from watchkeeper.status.settings import Settings

Heading = Literal["stays", "lacks", "waits_for", "next"]


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as people shall know it: where the nodes of the application stand in it, and why.

    `healthy` are those that its balancer says so of, and that stay; `left` those that are not as wanted, in or out.
    `unknown` are members that are no such node. `why_not` is why the pool is not kept, empty if it is.
    """

    id: str
    name: str
    why_not: str
    healthy: tuple[str, ...]
    joining: Mapping[str, str]
    leaving: Mapping[str, str]
    left: Mapping[str, str]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Web:
    """The web nodes of an application and their pools; `stays`, `lacks`, `waits_for` and `next` are sentences."""

    nodes: tuple[str, ...] = ()
    pools: tuple[Pool, ...] = ()
    stays: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Saying:
    """A sentence about one node, which others may share."""

    under: Heading
    before: str
    node: str
    after: str


def describe(name: str, state: State, settings: Settings) -> Web:
    """What is told of the web nodes of an application."""
    nodes = tuple(one.id for one in state.nodes if one.application == name)
    scene = next((one for one in state.fleet.scenes if one.application == name), None)
    if scene is None:
        return Web(nodes, lacks=_without_pool(name, nodes))
    found = plan(scene, settings.registration)
    cares = found.cares or tuple(Care(one) for one in scene.pools)
    seen = tuple(_pool(scene, care) for care in cares)
    names = {one.id: one.name for one in seen}
    sayings = [
        *_of_changes(cares, names, is_registering=settings.is_registering),
        *_of_waited(scene, cares, names, settings.registration.patience),
        *_of_leaving(cares, names),
        *(saying for pool in seen for saying in _of_left(scene, pool)),
    ]
    lacks = (*_faults(scene, found), *_join(sayings, "lacks"))
    return Web(nodes, seen, _join(sayings, "stays"), lacks, _join(sayings, "waits_for"), _join(sayings, "next"))


def _pool(scene: Scene, care: Care) -> Pool:
    """Of a pool that is not kept the plan names nobody, and its members are told all the same."""
    who = scene.who(care.pool)
    seen, why_not = replace(care, nodes=who), _why_not(care.pool)
    joins, leaves = ({one.node: one.reason for one in some} for some in (care.register, care.deregister))
    here = [(node.id, one) for node, one in seen.known() if node.id not in leaves]
    draining = [(node.id, one) for node, one in seen.known(draining=True) if node.id not in joins]
    return Pool(
        care.pool.id,
        _name(scene, care.pool),
        why_not,
        tuple(sorted({name for name, one in here if one.state == HEALTHY})),
        joins | {name: _says(one) for name, one in here if one.state != HEALTHY},
        {name: _says(one) for name, one in draining} | leaves,
        {} if why_not else dict(care.left),
        tuple(sorted({one.target.id for one in care.pool.members} - set(who))),
    )


def _name(scene: Scene, pool: pools.Pool) -> str:
    """As people call it, if no other of the application is called so."""
    return pool.name if Counter(one.name for one in scene.pools)[pool.name] == 1 else pool.id


def _why_not(pool: pools.Pool) -> str:
    if pool.keeper:
        return f"left to the Auto Scaling group {pool.keeper}, which keeps it"
    if refusal := refusals.refuse(pool):
        return f"refused ({refusal.name})"
    return f"paused, and left exactly as it is ({pool.tags[tags.PAUSED]})" if tags.PAUSED in pool.tags else ""


def _without_pool(name: str, nodes: Sequence[str]) -> tuple[str, ...]:
    if not nodes:
        return ()
    return (
        f"No pool is tagged {tags.APPLICATION}={name} and {tags.ROLE}={tags.WEB_POOL}, so nothing registers "
        f"{', '.join(nodes)}: tag the target group.",
    )


def _faults(scene: Scene, found: Plan) -> Iterator[str]:
    """What is refused, and what was not read; a pool that Auto Scaling keeps, or that is paused, is no fault."""
    kept = [one for one in scene.pools if not _why_not(one)]
    some: list[Refusal | None] = [refusals.refuse(one) for one in scene.pools if not one.keeper]
    some += [found.refusal, refusals.no_nodes(scene.application, kept) if kept and not scene.nodes else None]
    yield from (f"Refused ({one.name}): {one.sentence}" for one in some if one)
    yield from (f"{one} was not read, so nothing is known of who is in it." for one in scene.unread)


def _of_changes(cares: Iterable[Care], names: Mapping[str, str], *, is_registering: bool) -> Iterator[Saying]:
    """What comes next; or does not, where nothing looks by itself."""
    for care in cares:
        for verb, some in (("join", care.register), ("leave", care.deregister)):
            where = f"{verb} {names[care.pool.id]}"
            for node, why in {one.node: one.reason for one in some}.items():
                if is_registering:
                    yield Saying("next", "Within the minute ", node, f" will {where}: {why}.")
                else:
                    after = f" should {where} ({why}), and nothing sees to it by itself: RegisterWebNodes is false."
                    yield Saying("lacks", "", node, after)


def _of_waited(scene: Scene, cares: Sequence[Care], names: Mapping[str, str], patience: timedelta) -> Iterator[Saying]:
    """The members that can serve and that no balancer calls healthy: waited for, until that takes too long."""
    for stand in waiting.find(scene, cares):
        waited = scene.now - stand.since if stand.since else timedelta(0)
        for care, member in stand.waited:
            name, says = names[care.pool.id], _says(member)
            if waited >= patience:
                after = f" healthy for {words.span(waited)}: {says}."
                yield Saying("lacks", f"{name} has not called ", stand.node.id, after)
            else:
                yield Saying("waits_for", f"{name} to call ", stand.node.id, f" healthy: {says}.")


def _of_leaving(cares: Iterable[Care], names: Mapping[str, str]) -> Iterator[Saying]:
    """Those that were taken out, and still answer what they were asked before."""
    for care in cares:
        joins = {one.node for one in care.register}
        for node, member in care.known(draining=True):
            if node.id not in joins:
                yield Saying("waits_for", "", node.id, f" to leave {names[care.pool.id]}: {_says(member)}.")


def _of_left(scene: Scene, pool: Pool) -> Iterator[Saying]:
    """Those that stay as they are, unless they are on their way out."""
    for node in scene.nodes:
        if node.id in pool.left and node.id not in pool.leaving:
            is_in = node.id in {*pool.healthy, *pool.joining}
            after = f", {'in' if is_in else 'not in'} {pool.name}: {pool.left[node.id]}."
            yield Saying(_heading(node, is_in=is_in), "", node.id, after)


def _heading(node: Node, *, is_in: bool) -> Heading:
    """As a person told it to be; or as EC2 may yet say; or a person's to see to."""
    if tags.PAUSED in node.tags or (tags.RETIRED in node.tags and not is_in):
        return "stays"
    return "waits_for" if tags.RETIRED in node.tags or node.state == "unsure" else "lacks"


def _says(member: pools.Member) -> str:
    return ", ".join(filter(None, (member.state, member.reason)))


def _join(sayings: Iterable[Saying], under: Heading) -> tuple[str, ...]:
    """The sentences under a heading; nodes of which the same is said share one."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in sayings:
        if one.under == under:
            found[one.before, one.after].append(one.node)
    return tuple(f"{before}{', '.join(some)}{after}" for (before, after), some in found.items())
