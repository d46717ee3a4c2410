"""What is found by tags in the region, which pools Auto Scaling keeps, and what a template makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import Lag, minutes
from region.place import place
from region.policies import Ask, read, refused
from region.questions import questions
from tests.simulated.balanced import Web, make_web, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from region import Region

ROLE = {"Key": "watchkeeper:role", "Value": "web-pool"}
WANTED = {"TagFilters": [{"Key": ROLE["Key"], "Values": [ROLE["Value"]]}]}


@pytest.fixture
def web(region: Region) -> Web:
    return make_web(region)


def found(region: Region, **asked: Any) -> list[str]:
    pages = region.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(**{**WANTED, **asked})
    return [one["ResourceARN"] for page in pages for one in page["ResourceTagMappingList"]]


def group(region: Region, web: Web, name: str, *tags: dict[str, str]) -> str:
    made = region.client("elbv2").create_target_group(
        Name=name, Protocol="HTTP", Port=80, VpcId=web.vpc, **({"Tags": list(tags)} if tags else {})
    )
    return str(made["TargetGroups"][0]["TargetGroupArn"])


def test_pools_of_both_generations_are_found_by_a_tag_in_pages(region: Region, web: Web) -> None:
    groups = [group(region, web, f"web-{number}", ROLE) for number in range(3)]
    group(region, web, "other", {"Key": ROLE["Key"], "Value": "other"})
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}
    tagged = {"Listeners": [listener], "Subnets": web.subnets, "Tags": [ROLE]}
    region.client("elb").create_load_balancer(LoadBalancerName="old", **tagged)
    region.client("ec2").create_tags(Resources=web.nodes[:1], Tags=[ROLE])

    page = region.client("resourcegroupstaggingapi").get_resources(**WANTED, ResourcesPerPage=2)
    everything = found(region, PaginationConfig={"PageSize": 2})
    balanced = found(region, ResourceTypeFilters=["elasticloadbalancing:targetgroup", "elasticloadbalancing"])

    assert (len(page["ResourceTagMappingList"]), bool(page["PaginationToken"])) == (2, True)
    assert everything == sorted(everything)
    assert set(everything) - set(balanced) == {f"arn:aws:ec2:eu-central-1:123456789012:instance/{web.nodes[0]}"}
    assert set(groups) | {"arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/old"} == set(balanced)


def test_one_who_lags_finds_things_and_tags_as_they_were(region: Region, web: Web, call: Callable[..., Any]) -> None:
    old = group(region, web, "old", ROLE)
    region.run(at_most=minutes(1))
    region.faults.add(Lag(20))

    new = group(region, web, "new", ROLE)
    region.client("elbv2").remove_tags(ResourceArns=[old], TagKeys=[ROLE["Key"]])

    assert (found(region), call(lambda: found(region))) == ([new], [old])
    described = region.client("elbv2").describe_target_groups
    assert refusal(call, lambda: described(TargetGroupArns=[new]))[0] == "TargetGroupNotFound"
    region.run(at_most=25)
    assert call(lambda: found(region)) == [new]


def test_tags_are_described_of_twenty_things_at_a_time(region: Region, web: Web) -> None:
    client = region.client("elbv2")
    arns = [group(region, web, f"web-{number}", ROLE) for number in range(21)]

    tags = client.describe_tags(ResourceArns=arns[:20])["TagDescriptions"]

    assert [one["Tags"] for one in tags] == [[ROLE]] * 20
    assert refusal(client.describe_tags, ResourceArns=arns)[0] == "ValidationError"
    assert refusal(region.client("elb").describe_tags, LoadBalancerNames=["none"])[0] == "LoadBalancerNotFound"


def test_the_pools_that_an_auto_scaling_group_keeps_are_seen_however_it_came_to_them(region: Region, web: Web) -> None:
    scaling, first, second = region.client("autoscaling"), group(region, web, "first"), group(region, web, "second")
    scaling.create_launch_configuration(LaunchConfigurationName="one", ImageId="ami-1", InstanceType="t3.small")
    sizes = {"MinSize": 0, "MaxSize": 1, "DesiredCapacity": 0, "VPCZoneIdentifier": web.subnets[0]}
    for name, targets in (("a", [first]), ("b", [])):
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=name, LaunchConfigurationName="one", TargetGroupARNs=targets, **sizes
        )
    scaling.attach_traffic_sources(AutoScalingGroupName="b", TrafficSources=[{"Identifier": second, "Type": "elbv2"}])

    pages = scaling.get_paginator("describe_auto_scaling_groups").paginate(PaginationConfig={"PageSize": 1})

    kept = [one for page in pages for one in page["AutoScalingGroups"]]
    assert [[source["Identifier"] for source in one["TrafficSources"]] for one in kept] == [[first], [second]]
    assert [one.get("TargetGroupARNs", []) for one in kept] == [[first], []]


@pytest.mark.parametrize("key", ["aws:ResourceTag", "elasticloadbalancing:ResourceTag"])
def test_iam_is_asked_about_the_pool_and_its_tags(region: Region, web: Web, key: str) -> None:
    arn, other = group(region, web, "web", ROLE), group(region, web, "other")
    condition = {"StringEquals": {f"{key}/{ROLE['Key']}": ROLE["Value"]}}
    allowed = {"Effect": "Allow", "Action": "elasticloadbalancing:RegisterTargets", "Resource": "*"}
    policy = read({"Version": "2012-10-17", "Statement": [{**allowed, "Condition": condition}]})

    def refusal_of(named: str) -> Ask | None:
        asked = {"TargetGroupArn": named, "Targets": []}
        return refused(policy, questions(place(region.name), "elbv2", "RegisterTargets", asked))

    assert refusal_of(arn) is None
    assert (refusal_of(other) or Ask("", "")).resource == other
    classic = questions(place(region.name), "elb", "RegisterInstancesWithLoadBalancer", {"LoadBalancerName": "old"})
    assert [one.resource.rsplit(":", 1)[1] for one in classic] == ["loadbalancer/old"]
    (asked,) = questions(place(region.name), "resourcegroupstaggingapi", "GetResources", {})
    assert (asked.action, asked.resource) == ("tag:GetResources", "*")


def test_the_example_has_two_nodes_in_two_zones_that_become_well_once_they_are_registered(region: Region) -> None:
    outputs = region.deploy("examples/smallpayroll_web.yaml", Application="payroll")
    nodes = [outputs["WebNode1"], outputs["WebNode2"]]
    assert region.pool(outputs["WebPool"]) == {}
    assert found(region) == [outputs["WebPool"]]

    targets = [{"Id": one} for one in nodes]
    region.client("elbv2").register_targets(TargetGroupArn=outputs["WebPool"], Targets=targets)
    region.run(lambda: set(region.pool(outputs["WebPool"]).values()) == {"healthy"}, at_most=minutes(2))

    hosts = region.client("ec2").describe_instances(InstanceIds=nodes)["Reservations"]
    assert len({host["Instances"][0]["Placement"]["AvailabilityZone"] for host in hosts}) == 2
    for host in hosts:
        tags = {one["Key"]: one["Value"] for one in host["Instances"][0]["Tags"]}
        assert (tags["watchkeeper:application"], tags["watchkeeper:role"]) == ("payroll", "web-node")
