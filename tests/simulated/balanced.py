"""Web nodes and pools in the region, for tests of the region itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from region import Region, minutes

if TYPE_CHECKING:
    from collections.abc import Callable

ZONES = ("eu-central-1a", "eu-central-1b")
IMAGE = "ami-0123456789abcdef0"
INTERVAL = 10


@dataclass
class Web:
    """Two nodes and what a test needs to put them into a pool."""

    region: Region
    subnets: list[str]
    vpc: str
    nodes: list[str]

    @property
    def elbv2(self) -> Any:
        return self.region.client("elbv2")

    def pool(self, protocol: str = "HTTP", used: bool = True, **own: Any) -> str:
        """A target group, with a load balancer that uses it."""
        check = {"HealthCheckIntervalSeconds": INTERVAL, "HealthCheckTimeoutSeconds": 5, **own}
        arn = self.elbv2.create_target_group(Name="web", Protocol=protocol, Port=80, VpcId=self.vpc, **check)
        arn = arn["TargetGroups"][0]["TargetGroupArn"]
        if used:
            self.use(arn, protocol)
        return str(arn)

    def use(self, arn: str, protocol: str = "HTTP") -> str:
        kind = "application" if protocol == "HTTP" else "network"
        balancer = self.elbv2.create_load_balancer(Name="front", Type=kind, Subnets=self.subnets)
        forward = [{"Type": "forward", "TargetGroupArn": arn}]
        balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        listener = self.elbv2.create_listener(
            LoadBalancerArn=balancer, Protocol=protocol, Port=80, DefaultActions=forward
        )
        return str(listener["Listeners"][0]["ListenerArn"])

    def register(self, arn: str, *targets: str, **own: Any) -> None:
        self.elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": one, **own} for one in targets])

    def deregister(self, arn: str, *targets: str, **own: Any) -> None:
        self.elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one, **own} for one in targets])

    def health(self, arn: str, *targets: str) -> dict[str, tuple[str, str]]:
        """State and reason by target."""
        asked = {"Targets": [{"Id": one} for one in targets]} if targets else {}
        found = self.elbv2.describe_target_health(TargetGroupArn=arn, **asked)["TargetHealthDescriptions"]
        return {
            one["Target"]["Id"]: (one["TargetHealth"]["State"], one["TargetHealth"].get("Reason", "")) for one in found
        }

    def until(self, arn: str, target: str, state: str, at_most: float = minutes(10)) -> float:
        """How long it took until a target was so."""
        began = self.region.clock.now()
        self.region.run(lambda: self.region.pool(arn).get(target) == state, at_most=at_most)
        return self.region.clock.now() - began


def launch(region: Region, subnet: str) -> str:
    made = region.client("ec2").run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, SubnetId=subnet)
    return str(made["Instances"][0]["InstanceId"])


def address(region: Region, node: str) -> str:
    found = region.client("ec2").describe_instances(InstanceIds=[node])["Reservations"][0]["Instances"][0]
    return str(found["PrivateIpAddress"])


def refusal(work: Callable[..., object], *arguments: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work(*arguments, **parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def make_web(region: Region) -> Web:
    """Two running nodes, each in a zone of its own."""
    ec2 = region.client("ec2")
    found = {one["AvailabilityZone"]: one for one in ec2.describe_subnets()["Subnets"]}
    subnets = [found[zone]["SubnetId"] for zone in ZONES]
    nodes = [launch(region, subnet) for subnet in subnets]
    region.run(region.quiet, at_most=minutes(2))
    return Web(region, subnets, found[ZONES[0]]["VpcId"], nodes)
