"""Serves a look at web nodes: all applications in place, since nothing is waited for; the next look sees the rest."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from watchkeeper import applications, tags
from watchkeeper.aws import hosts, pools
from watchkeeper.aws.pools import HEALTHY
from watchkeeper.errors import Refused, Skipped
from watchkeeper.registration.apply import Done, apply
from watchkeeper.registration.observe import observe
from watchkeeper.registration.plan import plan
from watchkeeper.runtime import Metric, Report, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watchkeeper.aws.pools import Member
    from watchkeeper.look import Look
    from watchkeeper.registration.apply import Clients
    from watchkeeper.registration.observe import Node
    from watchkeeper.registration.settings import Settings
    from watchkeeper.registration.verdict import Care, Change, Plan


def serve(clients: Clients, settings: Settings, look: Look) -> Report:
    """Looks at all applications or at one, does what makes sense now, and answers it with reasons.

    Raises Skipped for an event of an instance that is no web node, Refused for an application there is not.
    """
    names = _names(clients, settings, look)
    fleet = observe(clients.ec2, clients.balancers, names, look, now())
    if look.application and not fleet.scenes:
        others = [one.application for one in pools.find(clients.balancers, settings.watched)]
        applications.refuse_unknown(look, (), others or [f"none: tag its target group {tags.ROLE}={tags.WEB_POOL}"])
    plans = [plan(scene, settings) for scene in fleet.scenes]
    done = [Done() if look.dry_run else apply(clients, settings, one) for one in plans]
    errors = [*fleet.errors, *(Refused(one.refusal.sentence) for one in plans if one.refusal)]
    errors += [error for one in done for error in one.errors]
    answer = {"applications": [_answer(one, came, look) for one, came in zip(plans, done, strict=True)]}
    return Report(answer, _measure(plans, done, look), () if look.dry_run else tuple(errors))


def _names(clients: Clients, settings: Settings, look: Look) -> list[str]:
    if look.instance is None:
        return applications.asked_for(look, settings.watched)
    host = hosts.find(clients.ec2, [look.instance]).get(look.instance)
    if host is None or host.tags.get(tags.ROLE) != tags.WEB_NODE:
        raise Skipped(f"{look.instance} is no web node")
    if not applications.is_watched(host.application, settings.watched):
        raise Skipped(f"{look.instance} is of {host.application!r}, which this stack does not watch")
    return [host.application]


def _answer(found: Plan, done: Done, look: Look) -> dict[str, Any]:
    names = Counter(care.pool.name for care in found.cares)
    kept = {
        care.pool.name if names[care.pool.name] == 1 else care.pool.id: _pool(care, done, look) for care in found.cares
    }
    refused = {"refused": {found.refusal.name: found.refusal.sentence}} if found.refusal else {}
    return {"application": found.application, "pools": kept, "told": done.told, **refused}


def _pool(care: Care, done: Done, look: Look) -> dict[str, Any]:
    """Who is in the pool, by the balancer's word, who is not yet or no longer, and what was changed and why."""
    if care.refusal:
        return {"refused": {care.refusal.name: care.refusal.sentence}}
    changed = (
        {"would_register": _changes(care.register), "would_deregister": _changes(care.deregister)}
        if look.dry_run
        else {
            "registered": _changes(done.registered[care.pool.id]),
            "deregistered": _changes(done.deregistered[care.pool.id]),
        }
    )
    return {
        "in": sorted({node.id for node, member in care.known() if member.state == HEALTHY}),
        "joining": {node.id: f"{member.state}, {member.reason}" for node, member in _joining(care)},
        "leaving": sorted({node.id for node, _ in care.known(draining=True)}),
        "unknown": list(care.unknown),
        **changed,
        "left": dict(care.left),
    }


def _joining(care: Care) -> list[tuple[Node, Member]]:
    """The members that the balancer does not say healthy of, and that nothing takes out."""
    leaving = {one.node for one in care.deregister}
    return [(node, one) for node, one in care.known() if one.state != HEALTHY and node.id not in leaving]


def _changes(some: Sequence[Change]) -> dict[str, str]:
    return {one.node: one.reason for one in some}


def _measure(plans: Sequence[Plan], done: Sequence[Done], look: Look) -> tuple[Metric, ...]:
    """What was done, by every look; how all pools are, by a look at all of them."""
    figures = {
        "NodesRegistered": sum(len(some) for one in done for some in one.registered.values()),
        "NodesDeregistered": sum(len(some) for one in done for some in one.deregistered.values()),
    }
    did = tuple(Metric(name, value) for name, value in figures.items() if value)
    if look.application or look.instance or not plans:
        return (*did, Metric("Looks"))
    cares = [care for one in plans for care in one.cares]
    return (
        *did,
        Metric("NodesHealthy", sum(member.state == HEALTHY for care in cares for _, member in care.known())),
        Metric("NodesUnhealthy", sum(len(_joining(care)) for care in cares)),
        Metric("PoolsRefused", sum(bool(care.refusal) for care in cares) + sum(bool(one.refusal) for one in plans)),
        Metric("Looks"),
    )
