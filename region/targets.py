"""Target groups, where moto differs: it keeps one port of a target, and finds all of them well at once."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from region.groups import NOT_REGISTERED, backend, described, named, pool, said_of, shown
from region.pools import Member
from region.protocol import Refusal
from region.tagging import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from region.calls import Call
    from region.pools import Pool
    from region.region import Region

PAGE = 400
MOST_TAGGED = 20  # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
Health = dict[str, str]


class Targets:
    """What Elastic Load Balancing (2015-12-01) answers of target groups."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._pools = region.pools
        self._marks = region.marks
        region.pools.kinds.append(self)

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

    def state(self, key: str, found: str) -> str:
        """How DescribeTargetHealth calls it."""
        return said_of(backend(self._region.name).target_groups[key], found)[0]

    def register(self, call: Call) -> Mapping[str, Any]:
        """RegisterTargets: all or none."""
        group = self._group(call)
        targets = call.parameters["Targets"]
        check = self._check_address if group.target_type == "ip" else self._check_instance
        for one in targets:
            check(group, one)
        self._pools.add(pool(group), [named(group, one) for one in targets])
        return {}

    def deregister(self, call: Call) -> Mapping[str, Any]:
        """DeregisterTargets: a target with another port than the group's only by that port."""
        group = self._group(call)
        self._pools.drop(pool(group), [named(group, one) for one in call.parameters["Targets"]])
        return {}

    def health(self, call: Call) -> Mapping[str, Any]:
        """DescribeTargetHealth: of the members, those that drain among them, or of those that are asked for."""
        group, lag = self._group(call), self._region.lag(call)
        own, members = pool(group), self._pools.members(group.arn, self._region.lag(call))
        asked = [Member(*named(group, one), ready=0) for one in call.parameters.get("Targets", [])]
        descriptions = []
        for one in asked or members.values():
            known = members.get(one.name)
            said = said_of(group, self._pools.find(own, known, lag)) if known else NOT_REGISTERED
            descriptions.append(shown(group, one, said))
        return {"TargetHealthDescriptions": descriptions}

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
        page = [described(one) for one in found[first : first + size]]
        return {"TargetGroups": page, "NextMarker": str(first + size) if first + size < len(found) else None}

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
        member = self._pools.members(group.arn).get(Member(*named(group, target), ready=0).name)
        if member and member.until is not None:
            raise Refusal("InvalidTarget", f"The following targets are being deregistered: '{address}'")
