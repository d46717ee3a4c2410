"""What becomes of targets in the region while instances stop, addresses move, and readers lag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import Lag, LostAnswer, Throttle, minutes
from tests.simulated.balanced import IMAGE, Web, address, launch, make_web, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from region import Region


@pytest.fixture
def web(region: Region) -> Web:
    return make_web(region)


def test_a_target_is_unused_until_a_listener_sends_to_its_group_and_when_none_does_any_more(
    region: Region, web: Web
) -> None:
    arn = web.pool(used=False)
    web.register(arn, web.nodes[0])
    region.run(at_most=minutes(2))
    assert web.health(arn) == {web.nodes[0]: ("unused", "Target.NotInUse")}

    listener = web.use(arn)
    web.until(arn, web.nodes[0], "healthy")
    web.elbv2.delete_listener(ListenerArn=listener)

    assert web.health(arn) == {web.nodes[0]: ("unused", "Target.NotInUse")}


def test_a_target_in_a_zone_that_the_load_balancer_does_not_serve_is_unused(region: Region, web: Web) -> None:
    zone = {one["AvailabilityZone"]: one["SubnetId"] for one in region.client("ec2").describe_subnets()["Subnets"]}
    node = launch(region, zone["eu-central-1c"])
    region.run(region.quiet, at_most=minutes(2))
    arn = web.pool()

    web.register(arn, node)

    assert web.health(arn) == {node: ("unused", "Target.NotInUse")}


def test_a_stopped_instance_stays_a_target_and_is_asked_anew_when_it_runs_again(region: Region, web: Web) -> None:
    arn = web.pool()
    node = web.nodes[0]
    web.register(arn, node)
    web.until(arn, node, "healthy")

    region.client("ec2").stop_instances(InstanceIds=[node])
    web.until(arn, node, "unused")
    assert web.health(arn) == {node: ("unused", "Target.InvalidState")}
    region.run(at_most=minutes(30))
    region.client("ec2").start_instances(InstanceIds=[node])

    web.until(arn, node, "initial")
    web.until(arn, node, "healthy")


def test_a_terminated_instance_is_found_out_by_the_load_balancer_itself_and_drains(region: Region, web: Web) -> None:
    arn = web.pool()
    web.register(arn, *web.nodes)
    web.until(arn, web.nodes[0], "healthy")

    region.client("ec2").terminate_instances(InstanceIds=[web.nodes[0]])
    web.until(arn, web.nodes[0], "unused")
    assert web.health(arn)[web.nodes[0]] == ("unused", "Target.InvalidState")
    web.until(arn, web.nodes[0], "draining")
    region.run(at_most=minutes(6))

    assert web.health(arn) == {web.nodes[1]: ("healthy", "")}


def test_an_address_is_a_target_whoever_has_it(region: Region, web: Web) -> None:
    ec2, arn = region.client("ec2"), web.pool(TargetType="ip")
    held = address(region, web.nodes[0])
    web.register(arn, held)
    web.until(arn, held, "healthy")

    ec2.terminate_instances(InstanceIds=[web.nodes[0]])
    web.until(arn, held, "unhealthy")
    region.run(at_most=minutes(30))
    assert web.health(arn) == {held: ("unhealthy", "Target.Timeout")}  # nobody takes it out

    ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, SubnetId=web.subnets[0], PrivateIpAddress=held)
    web.until(arn, held, "healthy")  # a stranger answers


def test_an_address_that_drains_has_to_be_waited_for(region: Region, web: Web) -> None:
    arn = web.pool(TargetType="ip")
    held = address(region, web.nodes[0])
    web.register(arn, held)
    web.deregister(arn, held)

    assert refusal(web.register, arn, held)[0] == "InvalidTarget"

    region.run(at_most=minutes(6))
    web.register(arn, held)
    assert list(web.health(arn)) == [held]


def test_what_is_no_address_of_the_network_is_no_target_of_addresses(region: Region, web: Web) -> None:
    arn = web.pool(TargetType="ip")

    assert refusal(web.register, arn, web.nodes[0])[0] == "ValidationError"
    assert refusal(web.register, arn, "192.0.2.1")[0] == "ValidationError"
    web.register(arn, "192.0.2.1", AvailabilityZone="all")


def test_a_check_that_is_changed_finds_all_targets_anew(region: Region, web: Web) -> None:
    arn = web.pool()
    web.register(arn, web.nodes[0])
    web.until(arn, web.nodes[0], "healthy")

    web.elbv2.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/healthy", HealthCheckIntervalSeconds=30)

    assert web.health(arn) == {web.nodes[0]: ("initial", "Elb.InitialHealthChecking")}


def test_one_who_lags_sees_targets_and_their_health_as_they_were(
    region: Region, web: Web, call: Callable[..., Any]
) -> None:
    arn = web.pool()
    web.register(arn, web.nodes[0])
    web.until(arn, web.nodes[0], "healthy")
    region.run(at_most=minutes(1))
    region.faults.add(Lag(20))

    web.register(arn, web.nodes[1])
    web.deregister(arn, web.nodes[0])

    assert call(lambda: web.health(arn)) == {web.nodes[0]: ("healthy", "")}
    region.run(at_most=25)
    assert set(call(lambda: web.health(arn))) == set(web.nodes)
    assert call(lambda: web.health(arn))[web.nodes[0]][0] == "draining"
    web.until(arn, web.nodes[1], "healthy")
    assert call(lambda: web.health(arn))[web.nodes[1]][0] == "initial"


def test_requests_to_load_balancers_meet_faults(region: Region, web: Web, call: Callable[..., Any]) -> None:
    arn = web.pool()
    region.faults.add(Throttle("DescribeTargetHealth", times=9))
    assert refusal(call, lambda: web.health(arn))[0] == "Throttling"

    region.faults.add(LostAnswer("RegisterTargets"))
    call(lambda: web.register(arn, web.nodes[0]))

    assert list(web.health(arn)) == [web.nodes[0]]
    assert [one.error for one in region.calls if one.operation == "RegisterTargets"] == ["lost", None]


def test_two_worlds_are_the_same_if_their_pools_are(region: Region, web: Web) -> None:
    arn = web.pool()
    web.register(arn, *web.nodes)
    web.until(arn, web.nodes[0], "healthy")
    before = region.world()
    assert [(pool.name, dict(pool.targets)) for pool in before.plain().pools] == [
        ("web", {"host 1": "healthy", "host 2": "healthy"})
    ]

    web.deregister(arn, web.nodes[0])

    assert region.world() != before
    assert [dict(pool.targets) for pool in region.world().plain().pools] == [{"host 2": "healthy"}]


def test_a_group_that_is_deleted_has_no_targets_when_it_is_made_again(region: Region, web: Web) -> None:
    arn = web.pool(used=False)
    web.register(arn, web.nodes[0])

    web.elbv2.delete_target_group(TargetGroupArn=arn)

    assert refusal(web.health, arn)[0] == "TargetGroupNotFound"
    assert web.health(web.pool()) == {}
