"""Target groups, where moto differs: it keeps one port of a target, and finds all of them well at once.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from moto.elbv2.models import elbv2_backends

from region import pools
from region.bus import ACCOUNT
from region.machines import TIMEOUT, Check
from region.pools import Member, Pool
from region.protocol import Refusal
from region.tagging import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from region.calls import Call
    from region.region import Region

PAGE = 400
MOST_TAGGED = 20  # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
Health = dict[str, str]
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


class Targets:
    """What Elastic Load Balancing (2015-12-01) answers of target groups."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._pools = region.pools
        self._marks = region.marks
        region.pools.readers.append(self.read)

    def answers(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that are answered here, by name."""
        return {
            "AddTags": self.tag,
            "DeregisterTargets": self.deregister,
            "DescribeTags": self.tags,
            "DescribeTargetGroups": self.describe,
            "DescribeTargetHealth": self.health,
            "RegisterTargets": self.register,
            "RemoveTags": self.untag,
        }

    def read(self) -> Iterable[Pool]:
        """All target groups as pools."""
        return map(pool, backend(self._region.name).target_groups.values())

    def register(self, call: Call) -> Mapping[str, Any]:
        """RegisterTargets: all or none."""
        group = self._group(call)
        targets = call.parameters["Targets"]
        check = self._check_address if group.target_type == "ip" else self._check_instance
        for one in targets:
            check(group, one)
        self._pools.add(pool(group), [_named(group, one) for one in targets])
        return {}

    def deregister(self, call: Call) -> Mapping[str, Any]:
        """DeregisterTargets: a target with another port than the group's only by that port."""
        group = self._group(call)
        self._pools.drop(pool(group), [_named(group, one) for one in call.parameters["Targets"]])
        return {}

    def health(self, call: Call) -> Mapping[str, Any]:
        """DescribeTargetHealth: of the members, those that drain among them, or of those that are asked for."""
        group, lag = self._group(call), self._region.lag(call)
        own, members = pool(group), self._pools.members(group.arn, self._region.lag(call))
        asked = [Member(*_named(group, one), ready=0) for one in call.parameters.get("Targets", [])]
        shown = []
        for one in asked or members.values():
            known = members.get(one.name)
            said = said_of(group, self._pools.find(own, known, lag)) if known else NOT_REGISTERED
            shown.append(_shown(group, one, said))
        return {"TargetHealthDescriptions": shown}

    def describe(self, call: Call) -> Mapping[str, Any]:
        """DescribeTargetGroups."""
        asked, lag = call.parameters, self._region.lag(call)
        marked = backend(self._region.name).describe_target_groups(
            asked.get("LoadBalancerArn"), asked.get("TargetGroupArns", []), asked.get("Names", [])
        )
        found = [one for one in marked if self._marks.seen(one.arn, lag) is not None]
        if len(found) < len(asked.get("TargetGroupArns", [])):
            raise Refusal("TargetGroupNotFound", "One or more target groups not found")
        first, size = int(asked.get("Marker") or 0), min(int(asked.get("PageSize") or PAGE), PAGE)
        shown = [_described(one) for one in found[first : first + size]]
        return {"TargetGroups": shown, "NextMarker": str(first + size) if first + size < len(found) else None}

    def tags(self, call: Call) -> Mapping[str, Any]:
        """DescribeTags."""
        arns = call.parameters["ResourceArns"]
        if len(arns) > MOST_TAGGED:
            raise Refusal("ValidationError", f"Number of resources must be between 1 and {MOST_TAGGED}")
        found = {arn: self._marks.seen(arn, self._region.lag(call)) for arn in arns}
        for arn, seen in found.items():
            if seen is None:
                kind = "TargetGroup" if ":targetgroup/" in arn else "LoadBalancer"
                raise Refusal(f"{kind}NotFound", f"'{arn}' not found")
        return {"TagDescriptions": [{"ResourceArn": arn, "Tags": listed(seen or {})} for arn, seen in found.items()]}

    def tag(self, call: Call) -> Mapping[str, Any]:
        """AddTags."""
        for arn in call.parameters["ResourceArns"]:
            self._marks.change(arn)
        backend(self._region.name).add_tags(call.parameters["ResourceArns"], call.parameters["Tags"])
        return {}

    def untag(self, call: Call) -> Mapping[str, Any]:
        """RemoveTags."""
        for arn in call.parameters["ResourceArns"]:
            self._marks.change(arn)
        backend(self._region.name).remove_tags(call.parameters["ResourceArns"], call.parameters["TagKeys"])
        return {}

    def _group(self, call: Call) -> Any:
        group = backend(self._region.name).target_groups.get(call.parameters["TargetGroupArn"])
        if group is None or self._marks.seen(group.arn, self._region.lag(call) * (not call.write)) is None:
            raise Refusal("TargetGroupNotFound", "One or more target groups not found")
        return group

    def _check_instance(self, group: Any, target: Mapping[str, Any]) -> None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html"""
        seen = self._region.ec2.seen(target["Id"], 0)
        if seen is None:
            raise Refusal("InvalidTarget", f"The following targets do not exist: '{target['Id']}'")
        if seen["State"]["Name"] != "running":
            message = "The following targets are not in a running state and cannot be registered"
            raise Refusal("InvalidTarget", f"{message}: '{target['Id']}'")
        if seen["VpcId"] != group.vpc_id:
            message = f"The following targets are not in the target group VPC '{group.vpc_id}'"
            raise Refusal("InvalidTarget", f"{message}: '{target['Id']}'")

    def _check_address(self, group: Any, target: Mapping[str, Any]) -> None:
        """One that drains has to be waited for:
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-register-targets.html
        """
        try:
            address = ipaddress.IPv4Address(target["Id"])
        except ValueError:
            raise Refusal("ValidationError", f"The IP address '{target['Id']}' is not a valid IPv4 address") from None
        network = ipaddress.IPv4Network(self._region.ec2.get_vpc(group.vpc_id).cidr_block)
        if address not in network and "AvailabilityZone" not in target:
            message = f"You must specify an Availability Zone for the IP address '{address}' outside the VPC"
            raise Refusal("ValidationError", message)
        member = self._pools.members(group.arn).get(Member(*_named(group, target), ready=0).name)
        if member and member.until is not None:
            raise Refusal("InvalidTarget", f"The following targets are being deregistered: '{address}'")


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
    return Pool(group.arn, group.name, check, int(group.port or 0), _zones(group), seconds)


def _zones(group: Any) -> frozenset[str] | None:
    owner = backend(group.region_name)
    zones: set[str] = set()
    for balancer in owner.load_balancers.values():
        actions = [
            action
            for listener in balancer.listeners.values()
            for rule in listener.rules.values()
            for action in rule.actions
        ]
        if any(group.arn in owner._get_target_group_arns_from(action.data) for action in actions):
            zones |= {subnet.availability_zone for subnet in balancer.subnets}
    return frozenset(zones) or None


def _is_http(group: Any) -> bool:
    return group.protocol in ("HTTP", "HTTPS")


def _named(group: Any, target: Mapping[str, Any]) -> tuple[str, int]:
    return target["Id"], int(target.get("Port") or group.port)


def _shown(group: Any, member: Member, said: tuple[str, str, str]) -> Mapping[str, Any]:
    state, reason, description = said
    port = str(group.health_check_port)
    return {
        "Target": {"Id": member.id, "Port": member.port},
        "HealthCheckPort": port if port.isdecimal() else str(member.port),
        "TargetHealth": {"State": state, "Reason": reason or None, "Description": description or None},
    }


def _described(group: Any) -> Mapping[str, Any]:
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
        "LoadBalancerArns": sorted(set(group.load_balancer_arns)),
    }
