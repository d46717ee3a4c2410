"""Why a pool is left as it is although it is tagged: each a named value with a sentence; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watchkeeper.aws.pools import Pool

# Targets of the others are no instances, take a tunnel, or need an id of their own:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetDescription.html
KINDS = ("instance", "ip", "classic")
PROTOCOLS = ("GENEVE", "QUIC", "TCP_QUIC")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A name that never changes, and a sentence for people: what is wrong, and what to do."""

    name: str
    sentence: str


def refuse(pool: Pool) -> Refusal | None:
    """Why nothing is registered or deregistered there, if so."""
    if pool.keeper:
        return Refusal(
            "kept-by-auto-scaling",
            f"{pool.id} is kept by the Auto Scaling group {pool.keeper}, which registers its own instances, so it is "
            f"left to that: remove {tags.ROLE} from it, or take it from the group.",
        )
    if pool.kind == "balancer":
        return Refusal(
            "not-a-pool", f"{pool.id} has target groups and is none: tag these {tags.ROLE}={tags.WEB_POOL} instead."
        )
    if pool.kind not in KINDS or pool.protocol in PROTOCOLS or (pool.kind, pool.family) == ("ip", "ipv6"):
        words = " ".join(filter(None, (pool.kind, pool.protocol, pool.family)))
        return Refusal(
            "unknown-kind",
            f"{pool.id} takes targets that Watchkeeper does not register ({words}): it keeps those of instances and of "
            f"IPv4 addresses. Remove {tags.ROLE} from it.",
        )
    return None


def no_nodes(application: str, pools: Iterable[Pool]) -> Refusal:
    """Pools are tagged, and no node is."""
    return Refusal(
        "no-nodes",
        f"{', '.join(one.id for one in pools)} of {application}: no instance is tagged "
        f"{tags.APPLICATION}={application} and {tags.ROLE}={tags.WEB_NODE}, so nothing is registered "
        f"there: tag the web nodes.",
    )


def all_look_dead(application: str, nodes: int) -> Refusal:
    """More likely the looking failed than all of them."""
    return Refusal(
        "all-look-dead",
        f"Not one of the {nodes} web nodes of {application} can serve, by what EC2 says, so its pools are left "
        f"exactly as they are: start or launch nodes; if clients are served all the same, see AWS's "
        f"health of the Region.",
    )
