"""What a target group is to its load balancer, and what is shown of it and of its targets.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.elbv2.models import elbv2_backends

from region import pools
from region.bus import ACCOUNT
from region.machines import TIMEOUT, Check
from region.pools import Member, Pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
SAID: Mapping[str, tuple[str, str, str]] = {
    pools.REGISTERING: ("initial", "Elb.RegistrationInProgress", "Target registration is in progress"),
    pools.CHECKING: ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
    pools.DRAINING: ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"),
    pools.UNUSED: (
        "unused",
        "Target.NotInUse",
        "Target group is not configured to receive traffic from the load balancer",
    ),
    pools.ELSEWHERE: (
        "unused",
        "Target.NotInUse",
        "Target is in an Availability Zone that is not enabled for the load balancer",
    ),
    pools.STOPPED: ("unused", "Target.InvalidState", "Target is in the stopped state"),
    pools.TERMINATED: ("unused", "Target.InvalidState", "Target is in the terminated state"),
    TIMEOUT: ("unhealthy", "Target.Timeout", "Request timed out"),
}
FAILED = ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
NOT_REGISTERED = ("unused", "Target.NotRegistered", "Target is not registered to the target group")


def backend(region: str) -> Any:
    """What moto keeps of load balancers and target groups."""
    return elbv2_backends[ACCOUNT][region]


def said_of(group: Any, found: str) -> tuple[str, str, str]:
    """State, reason and description. Only load balancers of HTTP tell what a check found."""
    if not found:
        return ("healthy", "", "")
    if found in SAID and not (found == TIMEOUT and not _is_http(group)):
        return SAID[found]
    if found.isdecimal() and _is_http(group):
        return ("unhealthy", "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{found}]")
    return FAILED


def pool(group: Any) -> Pool:
    """A target group as a pool. That one good answer is enough for a new target is so with HTTP alone."""
    protocol, port = str(group.health_check_protocol), str(group.health_check_port)
    matcher = getattr(group, "matcher", None) or {}
    check = Check(
        protocol="TCP" if protocol == "TCP" else "HTTP",
        port=int(port) if port.isdecimal() else None,
        path=group.health_check_path or "/",
        codes=matcher.get("HttpCode") or "200",
        interval_seconds=float(group.health_check_interval_seconds),
        timeout_seconds=float(group.health_check_timeout_seconds),
        well_after=int(group.healthy_threshold_count),
        unwell_after=int(group.unhealthy_threshold_count),
        first_decides=_is_http(group),
    )
    seconds = float(group.attributes["deregistration_delay.timeout_seconds"])
    zones = {subnet.availability_zone for balancer in _users(group) for subnet in balancer.subnets}
    return Pool(group.arn, group.name, check, int(group.port or 0), frozenset(zones) or None, seconds)


def _users(group: Any) -> Iterable[Any]:
    """The load balancers of which a listener sends requests to it."""
    owner = backend(group.region_name)
    for balancer in owner.load_balancers.values():
        actions = [
            action
            for listener in balancer.listeners.values()
            for rule in listener.rules.values()
            for action in rule.actions
        ]
        if any(group.arn in owner._get_target_group_arns_from(action.data) for action in actions):
            yield balancer


def _is_http(group: Any) -> bool:
    return group.protocol in ("HTTP", "HTTPS")


def named(group: Any, target: Mapping[str, Any]) -> tuple[str, int]:
    return target["Id"], int(target.get("Port") or group.port)


def shown(group: Any, member: Member, said: tuple[str, str, str]) -> Mapping[str, Any]:
    state, reason, description = said
    port = str(group.health_check_port)
    return {
        "Target": {"Id": member.id, "Port": member.port},
        "HealthCheckPort": port if port.isdecimal() else str(member.port),
        "TargetHealth": {"State": state, "Reason": reason or None, "Description": description or None},
    }


def described(group: Any) -> Mapping[str, Any]:
    """As DescribeTargetGroups answers it."""
    is_of_host = group.target_type in ("instance", "ip")
    check = pool(group).check if is_of_host else Check()
    asks = group.health_check_protocol in ("HTTP", "HTTPS")
    return {
        "TargetGroupArn": group.arn,
        "TargetGroupName": group.name,
        "Protocol": group.protocol,
        "ProtocolVersion": group.protocol_version,
        "Port": group.port,
        "VpcId": group.vpc_id,
        "TargetType": group.target_type,
        "IpAddressType": group.ip_address_type,
        "HealthCheckEnabled": bool(group.health_check_enabled),
        "HealthCheckProtocol": group.health_check_protocol,
        "HealthCheckPort": group.health_check_port,
        "HealthCheckPath": check.path if asks else None,
        "Matcher": {"HttpCode": check.codes} if asks else None,
        "HealthCheckIntervalSeconds": group.health_check_interval_seconds,
        "HealthCheckTimeoutSeconds": group.health_check_timeout_seconds,
        "HealthyThresholdCount": group.healthy_threshold_count,
        "UnhealthyThresholdCount": group.unhealthy_threshold_count,
        "LoadBalancerArns": [one.arn for one in _users(group)],
    }
