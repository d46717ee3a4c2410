"""Target groups in the region, where moto 5.2.5 keeps one port of a target and finds each well at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import minutes
from tests.simulated.balanced import INTERVAL, Web, make_web, refusal

if TYPE_CHECKING:
    from region import Region


@pytest.fixture
def web(region: Region) -> Web:
    return make_web(region)


def test_a_new_target_is_registered_then_asked_and_well_after_one_good_answer(region: Region, web: Web) -> None:
    arn = web.pool(HealthyThresholdCount=5)
    node = web.nodes[0]

    web.register(arn, node)

    assert web.health(arn) == {node: ("initial", "Elb.RegistrationInProgress")}
    region.run(region.quiet, at_most=minutes(1))
    assert web.health(arn) == {node: ("initial", "Elb.InitialHealthChecking")}
    assert web.until(arn, node, "healthy") <= INTERVAL
    assert web.health(arn) == {node: ("healthy", "")}


@pytest.mark.parametrize(("first", "intervals"), [("HTTP", 1), ("TCP", 3)])
def test_a_network_load_balancer_wants_as_many_good_answers_as_its_threshold_says(
    region: Region, web: Web, first: str, intervals: int
) -> None:
    arn = web.pool(first, HealthyThresholdCount=3)
    web.register(arn, web.nodes[0])
    region.run(region.quiet, at_most=minutes(1))

    waited = web.until(arn, web.nodes[0], "healthy")

    assert (intervals - 1) * INTERVAL < waited <= intervals * INTERVAL


@pytest.mark.parametrize(
    ("word", "reason"),
    [(False, "Target.FailedHealthChecks"), (503, "Target.ResponseCodeMismatch")],
)
def test_a_target_that_fails_is_unhealthy_after_the_threshold_and_well_again_after_the_other(
    region: Region, web: Web, word: Any, reason: str
) -> None:
    arn = web.pool(UnhealthyThresholdCount=3, HealthyThresholdCount=4)
    node = web.nodes[0]
    web.register(arn, node)
    web.until(arn, node, "healthy")

    region.machines.hosts[node].web = word
    assert 2 * INTERVAL < web.until(arn, node, "unhealthy") <= 3 * INTERVAL
    assert web.health(arn) == {node: ("unhealthy", reason)}

    region.machines.hosts[node].web = True
    assert 3 * INTERVAL < web.until(arn, node, "healthy") <= 4 * INTERVAL


@pytest.mark.parametrize(("protocol", "reason"), [("HTTP", "Target.Timeout"), ("TCP", "Target.FailedHealthChecks")])
def test_a_host_that_hangs_times_out_of_which_a_network_load_balancer_says_only_that_it_failed(
    region: Region, web: Web, protocol: str, reason: str
) -> None:
    arn = web.pool(protocol, HealthyThresholdCount=2)
    web.register(arn, *web.nodes)
    web.until(arn, web.nodes[1], "healthy")

    region.hang(web.nodes[0])
    web.until(arn, web.nodes[0], "unhealthy")

    assert web.health(arn)[web.nodes[0]] == ("unhealthy", reason)
    assert web.health(arn)[web.nodes[1]] == ("healthy", "")


def test_other_codes_are_good_answers_where_the_matcher_says_so(region: Region, web: Web) -> None:
    arn = web.pool(Matcher={"HttpCode": "200,300-399"})
    region.machines.hosts[web.nodes[0]].web = 302
    web.register(arn, *web.nodes)

    web.until(arn, web.nodes[0], "healthy")

    region.machines.hosts[web.nodes[1]].web = 404
    web.until(arn, web.nodes[1], "unhealthy")


def test_a_deregistered_target_drains_for_the_delay_and_is_not_listed_any_more(region: Region, web: Web) -> None:
    arn = web.pool()
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "60"}]
    web.elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
    web.register(arn, *web.nodes)
    web.until(arn, web.nodes[0], "healthy")

    web.deregister(arn, web.nodes[0])

    assert web.health(arn)[web.nodes[0]] == ("draining", "Target.DeregistrationInProgress")
    region.run(at_most=59)
    assert web.nodes[0] in web.health(arn)
    region.run(at_most=2)
    assert web.health(arn) == {web.nodes[1]: ("healthy", "")}
    assert web.health(arn, web.nodes[0]) == {web.nodes[0]: ("unused", "Target.NotRegistered")}


def test_a_target_that_drains_can_be_registered_again_and_begins_anew(region: Region, web: Web) -> None:
    arn = web.pool()
    web.register(arn, web.nodes[0])
    web.until(arn, web.nodes[0], "healthy")
    web.deregister(arn, web.nodes[0])
    region.run(at_most=20)

    web.register(arn, web.nodes[0])

    assert web.health(arn) == {web.nodes[0]: ("initial", "Elb.RegistrationInProgress")}
    web.until(arn, web.nodes[0], "healthy")
    region.run(at_most=minutes(6))
    assert web.health(arn) == {web.nodes[0]: ("healthy", "")}


def test_to_register_again_what_is_there_and_to_deregister_what_is_not_changes_nothing(
    region: Region, web: Web
) -> None:
    arn = web.pool()
    web.register(arn, web.nodes[0])
    web.until(arn, web.nodes[0], "healthy")

    web.register(arn, web.nodes[0])
    web.deregister(arn, web.nodes[1], "i-00000000000000000")

    assert web.health(arn) == {web.nodes[0]: ("healthy", "")}


def test_an_instance_is_one_target_for_each_port_and_leaves_only_by_it(region: Region, web: Web) -> None:
    arn = web.pool()
    node = web.nodes[0]
    web.register(arn, node)
    web.register(arn, node, Port=8080)
    web.until(arn, f"{node}:8080", "healthy")

    web.deregister(arn, node)

    assert region.pool(arn) == {node: "draining", f"{node}:8080": "healthy"}


def test_one_that_may_not_be_a_target_keeps_the_others_of_the_call_out(region: Region, web: Web) -> None:
    arn = web.pool()
    region.stop(web.nodes[1])
    region.run(region.quiet, at_most=minutes(2))
    other = region.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    elsewhere = web.elbv2.create_target_group(Name="else", Protocol="HTTP", Port=80, VpcId=other)
    elsewhere = elsewhere["TargetGroups"][0]["TargetGroupArn"]

    stopped = refusal(web.register, arn, *web.nodes)
    unknown = refusal(web.register, arn, web.nodes[0], "i-00000000000000000")

    assert stopped[0] == unknown[0] == refusal(web.register, elsewhere, web.nodes[0])[0] == "InvalidTarget"
    assert (web.nodes[1] in stopped[1], web.health(arn)) == (True, {})
    assert refusal(web.register, f"{arn}0", web.nodes[0])[0] == "TargetGroupNotFound"
