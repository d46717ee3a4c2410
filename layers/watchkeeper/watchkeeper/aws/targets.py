"""Targets of pools: who is in one, what its balancer says of each, and putting them in and out, whatever its kind."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from watchkeeper.aws.pools import DRAINING, HEALTHY, Member, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mypy_boto3_elb.type_defs import InstanceStateTypeDef
    from mypy_boto3_elbv2.type_defs import TargetHealthDescriptionTypeDef

    from watchkeeper.aws.pools import Balancers, Pool

logger = logging.getLogger(__name__)

Thing = TypeVar("Thing")

# No limit is documented; this many at once is what AWS's own controller for Kubernetes sends:
# https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/main/pkg/targetgroupbinding/targets_manager.go
AT_ONCE = 200

# What may be the fault of one target among many; the others of the call are then not registered either:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
# https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_RegisterInstancesWithLoadBalancer.html
OF_ONE = ("InvalidTarget", "InvalidInstance", "TooManyRegistrationsForTargetId")

LEAVES_CLASSIC = "Instance deregistration currently in progress"
LEFT_CLASSIC = "Instance is not currently registered"


def read(clients: Balancers, pool: Pool) -> Pool:
    """The same pool with its members, each with what the balancer says of it. Raises ClientError."""
    if pool.kind != "classic":
        answer = clients.groups.describe_target_health(TargetGroupArn=pool.arn)
        return replace(pool, members=tuple(map(_of_group, answer["TargetHealthDescriptions"])))
    states = clients.classic.describe_instance_health(LoadBalancerName=pool.name)["InstanceStates"]
    members = {one.target.id: one for one in map(_of_classic, states) if LEFT_CLASSIC not in one.reason}
    # Of a terminated instance no state is told.
    missing = {one: Member(Target(one), "unknown") for one in pool.listed if one not in members}
    return replace(pool, members=tuple((members | missing).values()))


def register(clients: Balancers, pool: Pool, targets: Sequence[Target]) -> dict[Target, ClientError]:
    """Has the balancer send requests to these too; what is there already stays. Those that it refused, and why.

    Raises ClientError where the pool itself is the matter.
    """
    classic, groups = clients.classic.register_instances_with_load_balancer, clients.groups.register_targets
    return _send(pool, targets, classic, groups, "targets registered")


def deregister(clients: Balancers, pool: Pool, targets: Sequence[Target]) -> dict[Target, ClientError]:
    """Has the balancer send no new requests to these; what is not there is done. As `register` in all else."""
    classic, groups = clients.classic.deregister_instances_from_load_balancer, clients.groups.deregister_targets
    return _send(pool, targets, classic, groups, "targets deregistered")


def _send(
    pool: Pool, targets: Sequence[Target], classic: Callable[..., object], groups: Callable[..., object], done: str
) -> dict[Target, ClientError]:
    def send(some: Sequence[Target]) -> None:
        if pool.kind == "classic":
            classic(LoadBalancerName=pool.name, Instances=[{"InstanceId": one.id} for one in some])
        else:
            groups(TargetGroupArn=pool.arn, Targets=[{"Id": one.id, "Port": one.port} for one in some])
        logger.info(done, extra={"pool": pool.id, "targets": [one.id for one in some]})

    return in_halves(send, targets, OF_ONE)


def in_halves(
    send: Callable[[Sequence[Thing]], None], things: Sequence[Thing], codes: Iterable[str]
) -> dict[Thing, ClientError]:
    """Sends things in few calls. A call that is refused with one of the codes is halved, until the bad one is alone."""
    refused: dict[Thing, ClientError] = {}
    waiting = [things[start : start + AT_ONCE] for start in range(0, len(things), AT_ONCE)]
    while waiting:
        some = waiting.pop(0)
        try:
            send(some)
        except ClientError as error:
            if error.response["Error"]["Code"] not in codes:
                raise
            if len(some) == 1:
                refused[some[0]] = error
            else:
                middle = len(some) // 2
                waiting[:0] = [some[:middle], some[middle:]]
    return refused


def _of_group(described: TargetHealthDescriptionTypeDef) -> Member:
    target, health = described["Target"], described.get("TargetHealth", {})
    reason = ": ".join(filter(None, (health.get("Reason", ""), health.get("Description", ""))))
    return Member(Target(target["Id"], target.get("Port", 0)), health.get("State", ""), reason)


def _of_classic(state: InstanceStateTypeDef) -> Member:
    """Draining is InService, with a text that says so:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-conn-drain.html
    """
    words = state.get("Description", "")
    known = {"InService": HEALTHY, "OutOfService": "unhealthy"}.get(state.get("State", ""), "unknown")
    known = DRAINING if LEAVES_CLASSIC in words else known
    return Member(Target(state.get("InstanceId", "")), known, f"{state.get('ReasonCode', '')}: {words}")
