"""What balancers answer of their members, and calls of AWS that are refused for one among many."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from tests.unit.test_replacement_calls import Answering
from watchkeeper.aws import pools, targets
from watchkeeper.aws.pools import Balancers, Member, Pool, Target

CLASSIC = Pool("arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/web", "payroll", "classic")
NO: Any = None


def states(*found: tuple[str, str, str]) -> Balancers:
    """The clients of a classic load balancer that answers these instances, each with its state and description."""
    described = [
        {"InstanceId": name, "State": state, "ReasonCode": "Instance", "Description": words}
        for name, state, words in found
    ]
    return Balancers(NO, cast("Any", Answering({"InstanceStates": described})), NO, NO)


def test_a_classic_balancers_words_become_those_of_target_groups() -> None:
    read = targets.read(
        states(
            ("i-1", "InService", "N/A"),
            ("i-2", "OutOfService", "It failed."),
            ("i-3", "InService", "Instance deregistration currently in progress."),
            ("i-4", "OutOfService", "Instance is not currently registered with the LoadBalancer."),
            ("i-5", "Unknown", "A transient error occurred."),
        ),
        CLASSIC,
    )

    assert {one.target.id: one.state for one in read.members} == {
        "i-1": "healthy",
        "i-2": "unhealthy",
        "i-3": "draining",
        "i-5": "unknown",
    }


def test_a_terminated_instance_of_which_a_classic_balancer_tells_no_state_is_a_member_all_the_same() -> None:
    pool = Pool(CLASSIC.arn, "payroll", "classic", listed=("i-1", "i-2"))

    read = targets.read(states(("i-1", "InService", "N/A")), pool)

    assert Member(Target("i-2"), "unknown") in read.members
    assert len(read.members) == 2


class Balancer:
    """Refuses a whole call for each bad thing in it."""

    def __init__(self, *bad: int, code: str = "InvalidTarget") -> None:
        self.bad, self.code = set(bad), code
        self.calls = 0
        self.took: list[int] = []

    def send(self, some: Any) -> None:
        self.calls += 1
        if self.bad & set(some):
            raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "RegisterTargets")
        self.took += some


@pytest.mark.parametrize("bad", [(), (0,), (7,), (3, 4), tuple(range(8))], ids=str)
def test_a_call_is_halved_until_the_bad_ones_stand_alone(bad: tuple[int, ...]) -> None:
    balancer = Balancer(*bad)

    refused = targets.in_halves(balancer.send, range(8), targets.OF_ONE)

    assert sorted(refused) == sorted(bad)
    assert sorted(balancer.took) == sorted(set(range(8)) - set(bad))
    assert balancer.calls <= 1 + 6 * len(bad)


def test_many_are_sent_two_hundred_at_once() -> None:
    balancer = Balancer()

    targets.in_halves(balancer.send, range(1000), targets.OF_ONE)

    assert (balancer.calls, len(balancer.took)) == (5, 1000)


def test_what_is_the_fault_of_no_target_is_not_halved() -> None:
    balancer = Balancer(0, code="AccessDenied")

    with pytest.raises(ClientError):
        targets.in_halves(balancer.send, range(8), targets.OF_ONE)

    assert balancer.calls == 1


class Pages:
    """A client whose every paginator has one page."""

    def __init__(self, **page: Any) -> None:
        self.page = page

    def get_paginator(self, _: str) -> Pages:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self.page]


GROUP = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/0123456789abcdef"


def found(*tagged: str, application: str = "payroll", watched: str = "*", **scaling: Any) -> list[Pool]:
    """What is found where these are tagged, and a target group and a classic load balancer exist."""
    words = [{"Key": "watchkeeper:application", "Value": application}]
    clients: Any = Balancers(
        cast("Any", Pages(TargetGroups=[{"TargetGroupArn": GROUP, "TargetType": "instance"}])),
        cast("Any", Pages(LoadBalancerDescriptions=[{"LoadBalancerName": "web"}])),
        cast("Any", Pages(ResourceTagMappingList=[{"ResourceARN": one, "Tags": words} for one in tagged])),
        cast("Any", Pages(AutoScalingGroups=[{"AutoScalingGroupName": "asg", **scaling}])),
    )
    return pools.find(clients, [watched])


@pytest.mark.parametrize(
    ("scaling", "kept"),
    [
        ({}, ["", ""]),
        ({"TargetGroupARNs": [GROUP]}, ["", "asg"]),
        ({"LoadBalancerNames": ["web"]}, ["asg", ""]),
        ({"TrafficSources": [{"Identifier": GROUP}]}, ["", "asg"]),
        ({"TrafficSources": [{"Identifier": "web"}]}, ["asg", ""]),
    ],
)
def test_an_auto_scaling_group_names_the_pools_that_it_keeps_in_one_of_three_ways(scaling: Any, kept: Any) -> None:
    assert [one.keeper for one in found(CLASSIC.arn, GROUP, **scaling)] == kept


def test_what_is_tagged_and_gone_is_no_pool() -> None:
    assert [one.arn for one in found(GROUP, f"{GROUP}0", f"{CLASSIC.arn}0")] == [GROUP]


def test_a_load_balancer_of_the_second_generation_is_found_as_what_it_is() -> None:
    front = CLASSIC.arn.replace("/web", "/app/web/0123456789abcdef")

    assert [(one.kind, one.name) for one in found(front, CLASSIC.arn)] == [("balancer", "web"), ("classic", "web")]


def test_a_pool_of_an_application_that_is_not_watched_is_none() -> None:
    assert found(GROUP, application="shop", watched="pay*") == []
