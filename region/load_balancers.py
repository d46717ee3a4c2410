"""Load balancers and target groups, as CloudFormation creates them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from region.parameters import only
from region.stacks import Made, Stack

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 32  # of the names of all of them
AT_ONCE = ("Listeners", "Scheme", "SecurityGroups", "Subnets", "Tags")  # of a classic one
LATER = ("LoadBalancerAttributes", "TargetGroupAttributes", "Targets")  # said when the rest is made


def load_balancer(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::ElasticLoadBalancingV2::LoadBalancer."""
    only(given, "IpAddressType LoadBalancerAttributes Name Scheme SecurityGroups Subnets Tags Type", name)
    made = _create(stack, "CreateLoadBalancer", name, given)["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    if attributes := given.get("LoadBalancerAttributes"):
        stack.call("elbv2", "ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=attributes)
    attributes = {"LoadBalancerArn": arn, "DNSName": made["DNSName"], "LoadBalancerName": made["LoadBalancerName"]}
    return Made(arn, {**attributes, "LoadBalancerFullName": arn.partition(":loadbalancer/")[2]})


def target_group(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::ElasticLoadBalancingV2::TargetGroup."""
    checks = (
        "HealthCheckEnabled HealthCheckIntervalSeconds HealthCheckPath HealthCheckPort HealthCheckProtocol "
        "HealthCheckTimeoutSeconds HealthyThresholdCount UnhealthyThresholdCount Matcher"
    )
    only(given, f"{checks} Name Port Protocol Tags TargetGroupAttributes Targets TargetType VpcId", name)
    made = _create(stack, "CreateTargetGroup", name, given)["TargetGroups"][0]
    arn = made["TargetGroupArn"]
    if attributes := given.get("TargetGroupAttributes"):
        stack.call("elbv2", "ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=attributes)
    if targets := given.get("Targets"):
        stack.call("elbv2", "RegisterTargets", TargetGroupArn=arn, Targets=targets)
    return Made(arn, {"TargetGroupArn": arn, "TargetGroupName": made["TargetGroupName"]})


def listener(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::ElasticLoadBalancingV2::Listener."""
    only(given, "Certificates DefaultActions LoadBalancerArn Port Protocol SslPolicy", name)
    arn = stack.call("elbv2", "CreateListener", **given)["Listeners"][0]["ListenerArn"]
    return Made(arn, {"ListenerArn": arn})


def classic(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::ElasticLoadBalancing::LoadBalancer."""
    known = (
        "ConnectionDrainingPolicy HealthCheck Instances Listeners LoadBalancerName Scheme SecurityGroups Subnets Tags"
    )
    only(given, known, name)
    own = given.get("LoadBalancerName") or stack.physical(name, LONGEST).replace("--", "-")
    made = {key: given[key] for key in AT_ONCE if key in given}
    dns = stack.call("elb", "CreateLoadBalancer", LoadBalancerName=own, **made)["DNSName"]
    if check := given.get("HealthCheck"):
        stack.call("elb", "ConfigureHealthCheck", LoadBalancerName=own, HealthCheck=check)
    if draining := given.get("ConnectionDrainingPolicy"):
        attributes = {"ConnectionDraining": draining}
        stack.call("elb", "ModifyLoadBalancerAttributes", LoadBalancerName=own, LoadBalancerAttributes=attributes)
    if instances := [{"InstanceId": one} for one in given.get("Instances", [])]:
        stack.call("elb", "RegisterInstancesWithLoadBalancer", LoadBalancerName=own, Instances=instances)
    return Made(own, {"DNSName": dns})


def _create(stack: Stack, operation: str, name: str, given: Mapping[str, Any]) -> Any:
    own = {key: value for key, value in given.items() if key not in LATER}
    return stack.call("elbv2", operation, **{"Name": stack.physical(name, LONGEST).replace("--", "-"), **own})
