"""Pools of load balancers: target groups and classic load balancers alike, found by their tags."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.applications import is_watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_elb import ElasticLoadBalancingClient
    from mypy_boto3_elb.type_defs import LoadBalancerDescriptionTypeDef
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import TargetGroupTypeDef
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient

# What may carry the tag of a pool, as GetResources names it.
RESOURCES = ("elasticloadbalancing:targetgroup", "elasticloadbalancing:loadbalancer")

HEALTHY, DRAINING = "healthy", "draining"


@dataclass(frozen=True, slots=True)
class Balancers:
    """The clients for all that a pool is made of."""

    groups: ElasticLoadBalancingv2Client
    classic: ElasticLoadBalancingClient
    tagging: ResourceGroupsTaggingAPIClient
    scaling: AutoScalingClient


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """An instance's id or an IP address, and the port; a classic load balancer has its ports in its listeners."""

    id: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """A target that the balancer lists: what it says of it, and why, in its own words."""

    target: Target
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """What is tagged as a pool: its `kind` is `instance`, `ip` or `classic`, or one that cannot be kept.

    `keeper` is the Auto Scaling group that registers its own instances there, `listed` who is in a classic one.
    """

    arn: str
    application: str
    kind: str
    port: int = 0
    vpc: str = ""
    protocol: str = ""
    family: str = "ipv4"
    tags: Mapping[str, str] = field(default_factory=dict)
    keeper: str = ""
    listed: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()

    @property
    def id(self) -> str:
        """What the ARN ends in: `targetgroup/web/73e2d6bc24d8a067`, `loadbalancer/web`."""
        return self.arn.split(":", 5)[-1]

    @property
    def name(self) -> str:
        """As people call it."""
        return self.id.split("/")[-1 if self.kind == "classic" else -2]

    @classmethod
    def from_group(cls, group: TargetGroupTypeDef, words: Mapping[str, str]) -> Pool:
        """A target group as DescribeTargetGroups answers it."""
        return cls(
            group.get("TargetGroupArn", ""),
            words.get(tags.APPLICATION, ""),
            group.get("TargetType", ""),
            group.get("Port", 0),
            group.get("VpcId", ""),
            group.get("Protocol", ""),
            group.get("IpAddressType", "ipv4"),
            words,
        )

    @classmethod
    def from_classic(cls, arn: str, balancer: LoadBalancerDescriptionTypeDef, words: Mapping[str, str]) -> Pool:
        """A classic load balancer as DescribeLoadBalancers answers it."""
        listed = tuple(sorted(one.get("InstanceId", "") for one in balancer.get("Instances", [])))
        vpc = balancer.get("VPCId", "")
        return cls(arn, words.get(tags.APPLICATION, ""), "classic", vpc=vpc, tags=words, listed=listed)


def find(clients: Balancers, applications: Sequence[str]) -> list[Pool]:
    """The pools of the applications with these names (or patterns), without their members, in the order of their ARNs.

    All groups and balancers of the account are described, 400 by a call, since asking for one that is gone is an error.
    """
    tagged = _find_tagged(clients.tagging, applications)
    found = [Pool(arn, words[tags.APPLICATION], "balancer", tags=words) for arn, words in tagged.items() if _is_v2(arn)]
    if any(":targetgroup/" in arn for arn in tagged):
        found += _find_groups(clients.groups, tagged)
    if any(":loadbalancer/" in arn and not _is_v2(arn) for arn in tagged):
        found += _find_classic(clients.classic, tagged)
    keepers = _find_keepers(clients.scaling) if found else {}
    kept = [replace(one, keeper=keepers.get(one.arn) or keepers.get(_classic_name(one), "")) for one in found]
    return sorted(kept, key=lambda one: one.arn)


def _find_tagged(
    tagging: ResourceGroupsTaggingAPIClient, applications: Sequence[str]
) -> Mapping[str, Mapping[str, str]]:
    pages = tagging.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": tags.ROLE, "Values": [tags.WEB_POOL]}],
        ResourceTypeFilters=list(RESOURCES),
        PaginationConfig={"PageSize": 100},
    )
    found = {
        one["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]}
        for page in pages
        for one in page["ResourceTagMappingList"]
    }
    # One without an application is nobody's, whatever the patterns are.
    return {
        arn: words
        for arn, words in found.items()
        if (name := words.get(tags.APPLICATION)) and is_watched(name, applications)
    }


def _find_groups(groups: ElasticLoadBalancingv2Client, tagged: Mapping[str, Mapping[str, str]]) -> list[Pool]:
    pages = groups.get_paginator("describe_target_groups").paginate(PaginationConfig={"PageSize": 400})
    described = {one["TargetGroupArn"]: one for page in pages for one in page["TargetGroups"]}
    return [Pool.from_group(described[arn], words) for arn, words in tagged.items() if arn in described]


def _find_classic(classic: ElasticLoadBalancingClient, tagged: Mapping[str, Mapping[str, str]]) -> list[Pool]:
    pages = classic.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 400})
    described = {one["LoadBalancerName"]: one for page in pages for one in page["LoadBalancerDescriptions"]}
    named = {arn.rsplit("/", 1)[-1]: arn for arn in tagged if ":loadbalancer/" in arn and not _is_v2(arn)}
    return [Pool.from_classic(arn, described[name], tagged[arn]) for name, arn in named.items() if name in described]


def _find_keepers(scaling: AutoScalingClient) -> dict[str, str]:
    """The Auto Scaling group of each pool that one keeps, by the ARN of a target group, the name of a classic one."""
    pages = scaling.get_paginator("describe_auto_scaling_groups").paginate(PaginationConfig={"PageSize": 100})
    return {
        pool: group["AutoScalingGroupName"]
        for page in pages
        for group in page["AutoScalingGroups"]
        for pool in (
            *group.get("TargetGroupARNs", []),
            *group.get("LoadBalancerNames", []),
            *(source["Identifier"] for source in group.get("TrafficSources", [])),
        )
    }


def _is_v2(arn: str) -> bool:
    """An application, network or gateway load balancer, which has target groups and is none."""
    return ":loadbalancer/" in arn and arn.count("/") > 1


def _classic_name(pool: Pool) -> str:
    return pool.name if pool.kind == "classic" else ""
