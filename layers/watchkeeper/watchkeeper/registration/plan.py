"""Decides who is registered with a pool and who is taken out, with a reason for each node and pool; pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws.pools import DRAINING, HEALTHY, Target
from watchkeeper.registration import refusals, waiting
from watchkeeper.registration.verdict import Care, Change, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchkeeper.aws.pools import Member, Pool
    from watchkeeper.registration.observe import Node, Scene
    from watchkeeper.registration.settings import Settings


def plan(scene: Scene, settings: Settings) -> Plan:
    """What to do now. Nothing at all where every node looks dead: then it is the looking that failed."""
    if scene.nodes and _all_look_dead(scene):
        return Plan(scene.application, refusal=refusals.all_look_dead(scene.application, len(scene.nodes)))
    if not scene.nodes:
        refusal = refusals.no_nodes(scene.application, scene.pools)
        tell = waiting.tell_refusal(scene, "pools", refusal)
        return Plan(scene.application, tuple(Care(one, refusal) for one in scene.pools), tell=tell)
    cares = tuple(_care(scene, pool, settings) for pool in scene.pools)
    stands = waiting.find(scene, cares)
    told = [tell for one in cares if one.refusal for tell in waiting.tell_refusal(scene, one.pool.id, one.refusal)]
    return Plan(
        scene.application,
        cares,
        waiting.remember(scene, stands),
        waiting.forget(scene, stands),
        (*waiting.tell_late(scene, stands, settings), *told),
    )


def _all_look_dead(scene: Scene) -> bool:
    """Where people paused all of it, they know."""
    words = [*(one.tags for one in scene.nodes), *(one.tags for one in scene.pools)]
    is_paused = all(tags.PAUSED in one for one in words)
    return not is_paused and all(one.state in ("gone", "impaired") for one in scene.nodes)


def _care(scene: Scene, pool: Pool, settings: Settings) -> Care:
    who = scene.who(pool)
    unknown = tuple(sorted({one.target.id for one in pool.members} - set(who)))
    paused = pool.tags.get(tags.PAUSED)
    refusal = refusals.refuse(pool)
    if refusal:
        return Care(pool, refusal)
    if paused is not None:
        return Care(
            pool, None, who, left={one.id: f"the pool is paused ({paused})" for one in scene.nodes}, unknown=unknown
        )
    there = {who[one.target.id].id for one in pool.members if one.target.id in who and one.state != DRAINING}
    register, left = _register(scene, pool, there)
    deregister, stay = _deregister(pool, who, settings)
    return Care(pool, None, who, register, deregister, left | stay, unknown)


def _register(scene: Scene, pool: Pool, there: set[str]) -> tuple[tuple[Change, ...], dict[str, str]]:
    """Of the nodes that are not in the pool those that shall be, and why the others stay out."""
    out = [one for one in scene.nodes if one.id not in there and one.state != "gone"]
    draining = {one.target for one in pool.members if one.state == DRAINING}
    left = {one.id: reason for one in out if (reason := _stays_out(one, pool))}
    if pool.kind == "ip":
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-register-targets.html
        left |= {one.id: "its address has yet to leave" for one in out if _target(one, pool) in draining}
    joining = [one for one in out if one.id not in left]
    return tuple(Change(_target(one, pool), one.id, "it runs, and its checks pass") for one in joining), left


def _target(node: Node, pool: Pool) -> Target:
    return Target(node.address if pool.kind == "ip" else node.id, pool.port)


def _stays_out(node: Node, pool: Pool) -> str:
    if tags.PAUSED in node.tags:
        return f"it is paused ({node.tags[tags.PAUSED]})"
    if tags.RETIRED in node.tags:
        return f"it is retired ({node.tags[tags.RETIRED]})"
    if node.state != "ok":
        return f"EC2 says {node.word}"
    return "" if node.vpc == pool.vpc else f"it is in {node.vpc}, and the pool in {pool.vpc}"


def _deregister(pool: Pool, who: Mapping[str, Node], settings: Settings) -> tuple[tuple[Change, ...], dict[str, str]]:
    """The members that have to go: those that do not run, and of those that run at most one. Why others stay."""
    members: dict[str, list[Member]] = defaultdict(list)
    for one in pool.members:
        if one.state != DRAINING:
            members[one.target.id].append(one)
    healthy = {name for name, some in members.items() if any(one.state == HEALTHY for one in some)}
    gone = {name: f"it is {who[name].word}" for name in members if name in who and _is_gone(who[name])}
    # Those that drain still count, or with each that left fewer would have to remain.
    least = max(1, -(-settings.floor_percent * len({one.target.id for one in pool.members}) // 100))
    left: dict[str, str] = {}
    leaving: dict[str, str] = {}
    for name in sorted(set(members) & set(who) - set(gone), key=lambda name: who[name].id):
        wish, stay = _wish(who[name], is_healthy=name in healthy)
        remain = len(healthy - set(gone) - {name})
        if wish and (leaving or remain < least):
            stay = f"{wish}, but one after the other" if leaving else f"{wish}, but {remain} healthy ones would remain"
        elif wish:
            leaving[name] = wish
        if stay:
            left[who[name].id] = stay
    changes = {**gone, **leaving}
    return tuple(Change(one.target, who[name].id, why) for name, why in changes.items() for one in members[name]), left


def _is_gone(node: Node) -> bool:
    return node.state == "gone" and tags.PAUSED not in node.tags


def _wish(node: Node, *, is_healthy: bool) -> tuple[str, str]:
    """Why a member that runs shall go, if it shall; or why it stays although something is the matter."""
    if tags.PAUSED in node.tags:
        return "", f"it is paused ({node.tags[tags.PAUSED]})"
    if tags.RETIRED in node.tags and node.word != "pending":
        return f"it is retired ({node.tags[tags.RETIRED]})", ""
    if node.state == "impaired" and is_healthy:
        return "", "EC2 says impaired, and the balancer healthy"
    if node.state == "impaired":
        return "EC2 says impaired, and the balancer does not say healthy", ""
    return "", "" if node.state == "ok" else f"EC2 says {node.word}"
