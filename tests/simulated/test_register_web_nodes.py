"""register_web_nodes end to end in a region without disks: what wakes it, who is in the pools, and what is left."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from region import Failed, Lag, Region, ServerError, Throttle, minutes
from region.bus import double
from tests.simulated.pooling import (
    APPLICATION,
    FUNCTION,
    add_pool,
    address,
    arn,
    asked,
    deregister,
    label,
    launch,
    look,
    nodes,
    notices,
    open_region,
    payload,
    register,
    remembered,
    rouse,
    settle,
    subnets,
    web,
    words,
    writes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("instance", "ip", "network", "classic")


@pytest.fixture
def region() -> Iterator[Region]:
    with open_region() as opened:
        yield opened


@pytest.fixture
def kept(region: Region) -> Region:
    """A region whose nodes are all in, and healthy."""
    settle(region)
    return region


def targets(region: Region, name: str = "instance") -> set[str]:
    """Who gets requests, or will."""
    return {target for target, state in region.pool(name).items() if state != "draining"}


# In and out


def test_nodes_are_registered_with_pools_of_every_kind_and_in_when_the_balancer_says_healthy() -> None:
    with open_region(kinds=KINDS) as region:
        first = look(region)[APPLICATION]["pools"]
        region.run(at_most=minutes(1))
        second = look(region)[APPLICATION]["pools"]

        assert set(first) == set(KINDS)
        for name in KINDS:
            assert (first[name]["in"], sorted(first[name]["registered"])) == ([], nodes(region))
            assert (second[name]["in"], second[name]["registered"]) == (nodes(region), {})
        assert targets(region, "ip") == {address(region, one) for one in nodes(region)}


def test_a_look_at_pools_that_are_true_writes_nothing(kept: Region) -> None:
    look(kept)

    assert writes(kept) == []
    assert kept.metrics["NodesHealthy"][-1] == 3
    assert (kept.metrics["NodesUnhealthy"][-1], kept.metrics["PoolsRefused"][-1]) == (0, 0)


@pytest.mark.parametrize("end", ["terminate", "stop", "power_cut"])
def test_a_node_that_ends_leaves_every_pool_and_is_gone_when_they_say_so(end: str) -> None:
    with open_region(kinds=KINDS) as region:
        settle(region)
        dead, *others = nodes(region)
        getattr(region, end)(dead)
        region.run(at_most=10)

        left = look(region)[APPLICATION]["pools"]
        region.run(at_most=minutes(1))
        gone = look(region)[APPLICATION]["pools"]

        for name in KINDS:
            assert list(left[name]["deregistered"]) == [dead]
            assert (gone[name]["in"], gone[name]["leaving"]) == (others, [])


def test_a_node_that_returns_is_registered_again(kept: Region) -> None:
    node = nodes(kept)[0]
    kept.power_cut(node)
    kept.run(at_most=10)
    look(kept)
    kept.client("ec2").start_instances(InstanceIds=[node])
    kept.run(at_most=30)

    early = look(kept)[APPLICATION]["pools"]["instance"]
    kept.run(at_most=minutes(1.5))
    look(kept)

    assert early["left"] == {node: "EC2 says initializing"}
    assert node in targets(kept)


def test_a_node_that_is_draining_joins_again_and_an_address_once_it_has_left() -> None:
    with open_region(kinds=("instance", "ip")) as region:
        settle(region)
        node = nodes(region)[0]
        deregister(region, "instance", node)
        deregister(region, "ip", address(region, node))

        look(region)
        assert (node in targets(region), address(region, node) in targets(region, "ip")) == (True, False)

        region.run(at_most=minutes(1))
        look(region)
        assert address(region, node) in targets(region, "ip")


def test_a_port_of_a_persons_own_stays_and_leaves_with_its_node(region: Region) -> None:
    node = nodes(region)[0]
    register(region, "instance", node, port=9090)

    look(region)
    assert f"{node}:9090" in targets(region)
    assert node not in targets(region)

    region.terminate(node)
    region.run(at_most=10)
    look(region)
    assert targets(region) == set(nodes(region))


def test_an_impaired_node_leaves_once_its_balancer_does_not_say_healthy_any_more(kept: Region) -> None:
    node = nodes(kept)[0]
    kept.impair(node)
    assert look(kept)[APPLICATION]["pools"]["instance"]["left"] == {node: "EC2 says impaired, and the balancer healthy"}

    web(kept, node, False)
    kept.run(at_most=minutes(1))
    look(kept)

    assert node not in targets(kept)


def test_of_impaired_nodes_one_leaves_a_look_and_below_the_floor_none(kept: Region) -> None:
    launch(kept)
    settle(kept)
    for node in nodes(kept)[:3]:
        kept.impair(node)
        web(kept, node, False)
    kept.run(at_most=minutes(1))

    look(kept)
    assert len(targets(kept)) == 4  # one of four is healthy

    web(kept, nodes(kept)[2], True)
    kept.run(at_most=minutes(2))
    for gone in (1, 2):
        look(kept)
        assert targets(kept) == set(nodes(kept)[gone:])
    look(kept)
    assert targets(kept) == set(nodes(kept)[2:])


def test_a_retired_node_leaves_while_enough_remain(kept: Region) -> None:
    for node in nodes(kept):
        label(kept, node, retired="2026-11-22T04:00:00Z a new image")

    for _ in range(4):
        look(kept)

    assert targets(kept) == set(nodes(kept)[1:])


# What is left alone


def test_what_is_no_node_of_the_application_is_never_touched(kept: Region) -> None:
    (other,) = launch(kept, application="shop")
    (plain,) = launch(kept, role="something-else")
    register(kept, "instance", other, plain)
    for one in (other, plain):
        kept.stop(one, "Client.UserInitiatedShutdown")
    kept.run(at_most=10)

    found = look(kept)[APPLICATION]["pools"]["instance"]

    assert found["unknown"] == sorted([other, plain])
    assert (targets(kept), writes(kept)) == ({*nodes(kept), other, plain}, [])


def test_the_address_of_a_dead_node_that_a_stranger_has_now_is_left_to_it() -> None:
    with open_region(kinds=("ip",)) as region:
        settle(region)
        reused, free = nodes(region)[:2]
        taken, gone = address(region, reused), address(region, free)
        for node in (reused, free):
            region.terminate(node)
        region.run(at_most=10)
        ec2 = region.client("ec2")
        ec2.create_network_interface(SubnetId=subnets(region)[0], PrivateIpAddress=taken)

        found = look(region)[APPLICATION]["pools"]["ip"]

        assert found["unknown"] == [taken]
        assert list(found["deregistered"]) == [free]
        assert gone not in targets(region, "ip")
        assert asked(region).count("DescribeNetworkInterfaces") == 1


def test_a_paused_node_or_pool_is_left_exactly_as_it_is(kept: Region) -> None:
    add_pool(kept, name="held")
    label(kept, arn(kept, "held"), paused="a release")
    node = nodes(kept)[0]
    label(kept, node, paused="a new disk")
    kept.power_cut(node)
    kept.run(at_most=10)

    pools = look(kept)[APPLICATION]["pools"]

    assert pools["instance"]["left"] == {node: "it is paused (a new disk)"}
    assert set(pools["held"]["left"].values()) == {"the pool is paused (a release)"}
    assert (node in targets(kept), targets(kept, "held")) == (True, set())
    assert writes(kept) == []


@pytest.mark.parametrize("kind", ["instance", "classic"])
def test_a_pool_that_an_auto_scaling_group_keeps_is_left_to_it_and_told_once(kind: str) -> None:
    with open_region(kinds=(kind, "network")) as region:
        scaling = region.client("autoscaling")
        launch_template = region.client("ec2").create_launch_template(
            LaunchTemplateName="x", LaunchTemplateData={"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.micro"}
        )["LaunchTemplate"]["LaunchTemplateId"]
        keeps: dict[str, Any] = (
            {"LoadBalancerNames": ["classic"]} if kind == "classic" else {"TargetGroupARNs": [arn(region, kind)]}
        )
        scaling.create_auto_scaling_group(
            AutoScalingGroupName="web-asg",
            MinSize=0,
            MaxSize=1,
            DesiredCapacity=0,
            LaunchTemplate={"LaunchTemplateId": launch_template},
            VPCZoneIdentifier=subnets(region)[0],
            **keeps,
        )
        for _ in range(2):
            pools = look(region, application=APPLICATION)[APPLICATION]["pools"]

        assert "web-asg" in pools[kind]["refused"]["kept-by-auto-scaling"]
        assert targets(region, "network") == set(nodes(region))
        assert [subject for subject, _ in notices(region)] == [
            f"Watchkeeper: a pool of {APPLICATION} is left alone (kept-by-auto-scaling)"
        ]


def test_a_load_balancer_that_is_tagged_in_the_place_of_its_group_is_told(region: Region) -> None:
    elb = region.client("elbv2")
    (front,) = elb.describe_load_balancers(Names=["front-instance"])["LoadBalancers"]
    elb.add_tags(ResourceArns=[front["LoadBalancerArn"]], Tags=words(APPLICATION, "web-pool"))

    found = look(region, application=APPLICATION)[APPLICATION]

    assert "not-a-pool" in found["pools"]["front-instance"]["refused"]
    assert targets(region) == set(nodes(region))


def test_a_pool_that_names_no_application_is_nobodys_and_keeps_nobody_waiting(region: Region) -> None:
    elb = region.client("elbv2")
    (front,) = elb.describe_load_balancers(Names=["front-instance"])["LoadBalancers"]
    nameless = add_pool(region, "instance", "nameless")
    elb.add_tags(ResourceArns=[front["LoadBalancerArn"]], Tags=words(APPLICATION, "web-pool")[1:])
    elb.remove_tags(ResourceArns=[nameless], TagKeys=["watchkeeper:application"])

    assert set(look(region)) == {APPLICATION}
    assert targets(region) == set(nodes(region))
    assert targets(region, "nameless") == set()


def test_what_lasts_is_told_in_one_minute_of_the_hour_and_tried_in_no_other(region: Region) -> None:
    for node in nodes(region):
        region.client("ec2").delete_tags(Resources=[node], Tags=[{"Key": "watchkeeper:role"}])
    tries = Counter[int]()
    for minute in range(60):
        region.calls.clear()
        look(region, time=f"2026-11-22T04:{minute:02}:00Z")
        tries[minute] = writes(region).count("CreateLogStream")

    assert sorted(tries.values()) == [0] * 59 + [1]
    assert [subject for subject, _ in notices(region)] == [
        f"Watchkeeper: a pool of {APPLICATION} is left alone (no-nodes)"
    ]


def test_where_every_node_looks_dead_nothing_changes_and_that_rings(kept: Region) -> None:
    dead, *others = nodes(kept)
    kept.terminate(dead)
    for node in others:
        kept.impair(node)
        web(kept, node, False)
    kept.run(at_most=minutes(1))
    before = targets(kept)
    kept.calls.clear()

    with pytest.raises(Failed, match="Not one of the 3 web nodes of payroll can serve"):
        look(kept)

    assert (targets(kept), writes(kept)) == (before, [])
    assert kept.metrics["PoolsRefused"][-1] == 1


def test_one_application_whose_nodes_look_dead_stops_no_other(region: Region) -> None:
    add_pool(region, name="shop", application="shop")
    (dead,) = launch(region, application="shop")
    region.power_cut(dead)
    region.run(at_most=10)

    with pytest.raises(Failed, match="nodes of shop can serve"):
        look(region)

    assert targets(region) == set(nodes(region))


# Who is told


def test_a_node_that_never_becomes_healthy_is_told_once_with_the_reason(region: Region) -> None:
    late, *others = nodes(region)
    web(region, late, 503)
    for _ in range(9):
        look(region)
        region.run(at_most=minutes(1))

    ((subject, text),) = notices(region)
    assert subject == f"Watchkeeper: 1 of the nodes of {APPLICATION} not healthy in instance"
    assert late in text
    assert "Target.ResponseCodeMismatch" in text
    assert targets(region) == {late, *others}
    assert region.metrics["NodesUnhealthy"][-1] == 1


def test_a_node_that_is_healthy_again_and_then_not_is_waited_for_and_told_anew(region: Region) -> None:
    node = nodes(region)[0]

    def fail_for(seconds: float) -> None:
        web(region, node, False)
        for _ in range(int(seconds // 60)):
            region.run(at_most=minutes(1))
            look(region)
        web(region, node, True)
        region.run(at_most=minutes(2))
        look(region)

    settle(region)
    fail_for(minutes(3))
    assert notices(region) == []
    fail_for(minutes(7))
    fail_for(minutes(7))

    assert len(notices(region)) == 2
    assert remembered(region, node) == {}


def test_a_pool_without_a_load_balancer_is_told_by_one_notice_for_all_its_nodes() -> None:
    with open_region(kinds=()) as region:
        add_pool(region, name="unused", used=False)
        for _ in range(8):
            look(region)
            region.run(at_most=minutes(1))

        ((subject, text),) = notices(region)
        assert subject == f"Watchkeeper: 3 of the nodes of {APPLICATION} not healthy in unused"
        assert all(node in text for node in nodes(region))
        assert "Target.NotInUse" in text


def test_how_long_is_waited_is_a_parameter() -> None:
    with open_region(NodeHealthySeconds="60") as region:
        web(region, nodes(region)[0], False)
        for _ in range(2):
            look(region)
            region.run(at_most=timedelta(seconds=65).total_seconds())
        look(region)

        assert len(notices(region)) == 1


# What wakes it


@pytest.mark.parametrize("case", ["terminated", "alarm", "direct", "sns"])
def test_an_event_alone_has_a_dead_node_leave(kept: Region, case: str) -> None:
    dead = nodes(kept)[0]
    kept.terminate(dead)
    kept.run(at_most=10)

    kept.invoke(FUNCTION, payload(case, dead))

    assert targets(kept) == set(nodes(kept))


def test_an_event_alone_has_a_node_join(region: Region) -> None:
    region.invoke(FUNCTION, payload("running", nodes(region)[0]))

    assert targets(region) == set(nodes(region))


def test_an_alarm_that_names_no_instance_or_several_is_a_look_at_all(region: Region) -> None:
    region.invoke(FUNCTION, payload("composite", nodes(region)[0]))

    assert targets(region) == set(nodes(region))


@pytest.mark.parametrize("whose", ["nobody's", "another role's", "unwatched"])
def test_an_event_of_any_other_instance_costs_one_describe(whose: str) -> None:
    with open_region(Applications=APPLICATION) as region:
        made = {
            "nobody's": lambda: ["i-99999999999999999"],
            "another role's": lambda: launch(region, role="database-host"),
            "unwatched": lambda: launch(region, application="shop"),
        }
        (instance,) = made[whose]()
        region.calls.clear()

        answer = region.invoke(FUNCTION, payload("terminated", instance))

        assert "skipped" in answer
        assert asked(region) == ["DescribeInstances"]


def test_an_event_is_a_look_at_its_application_alone(region: Region) -> None:
    add_pool(region, name="shop", application="shop")
    launch(region, application="shop")

    region.invoke(FUNCTION, payload("running", nodes(region)[0]))

    assert (targets(region), targets(region, "shop")) == (set(nodes(region)), set())


def test_deployed_it_finds_out_by_itself_within_seconds_of_an_event_and_a_minute_without() -> None:
    with open_region(sweeps=True) as region:
        rouse(region)
        region.run(lambda: targets(region) == set(nodes(region)), at_most=minutes(1.1))

        dead = nodes(region)[0]
        region.terminate(dead)
        region.run(lambda: dead not in targets(region), at_most=12)
        assert all(one.failure is None for one in region.functions.invocations)


def test_doubled_and_reordered_events_change_nothing_more(kept: Region) -> None:
    dead, other = nodes(kept)[:2]
    kept.bus.deliveries = double
    kept.terminate(dead)
    kept.run(at_most=10)
    for case in ("terminated", "running", "terminated", "alarm"):
        kept.invoke(FUNCTION, payload(case, dead))
    kept.invoke(FUNCTION, payload("terminated", other))  # which says what is not so
    kept.run(at_most=minutes(1))

    assert targets(kept) == set(nodes(kept))
    assert writes(kept) == ["DeregisterTargets"]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(kept: Region) -> None:
    dead = nodes(kept)[0]
    kept.power_cut(dead)
    (new,) = launch(kept)

    found = look(kept, dry_run=True)[APPLICATION]["pools"]["instance"]

    assert found["would_deregister"] == {dead: "it is stopped"}
    assert found["would_register"] == {new: "it runs, and its checks pass"}
    assert writes(kept) == []


def test_an_application_that_there_is_not_is_told_with_those_that_there_are(region: Region) -> None:
    with pytest.raises(Failed, match="There is no application 'shop'; those that exist are: payroll"):
        look(region, application="shop")


# Failures


def test_one_node_that_a_balancer_refuses_keeps_no_other_out_and_is_named_at_the_end() -> None:
    with open_region(nodes=7) as region:
        bad = nodes(region)[3]
        region.power_cut(bad)
        region.run(at_most=10)
        region.faults.add(Lag(30))  # by all that is read it still runs

        with pytest.raises(Failed, match=f"{bad} was not registered with targetgroup/instance"):
            look(region)

        assert targets(region) == set(nodes(region)) - {bad}
        assert writes(region).count("RegisterTargets") <= 7


def test_one_pool_that_fails_keeps_no_other_from_being_true_and_all_are_raised_together() -> None:
    with open_region(kinds=("instance", "network", "classic")) as region:
        region.faults.add(ServerError("DescribeTargetHealth", times=5), ServerError("RegisterTargets", times=5))

        with pytest.raises(Failed, match="2 failed; the others are done") as failed:
            look(region)

        assert "was not read" in str(failed.value)
        assert "was not changed" in str(failed.value)
        assert targets(region, "classic-classic") == set(nodes(region))


def test_a_node_whose_address_cannot_be_written_down_joins_by_its_id_alone() -> None:
    with open_region(nodes=1, kinds=("instance", "ip")) as region:
        region.faults.add(ServerError("CreateTags", times=5))

        with pytest.raises(Failed, match="nodes of payroll were not tagged"):
            look(region)

        assert (targets(region), targets(region, "ip")) == (set(nodes(region)), set())
        look(region)
        assert targets(region, "ip") == {address(region, one) for one in nodes(region)}


def test_calls_that_are_throttled_are_made_again(region: Region) -> None:
    region.faults.add(*(Throttle(one) for one in ("GetResources", "DescribeTargetHealth", "RegisterTargets")))

    look(region)

    assert targets(region) == set(nodes(region))


# How much it costs


def test_a_thousand_nodes_in_twenty_pools_take_a_few_dozen_calls() -> None:
    with open_region(nodes=0, kinds=()) as region:
        for number in range(20):
            add_pool(region, name=f"pool-{number}", application=f"app-{number}", used=False)
            launch(region, 50, application=f"app-{number}", wait=number == 19)
        region.calls.clear()

        look(region)
        first = Counter(asked(region))
        region.calls.clear()
        look(region)

        assert all(len(targets(region, f"pool-{number}")) == 50 for number in range(20))
        assert (first["CreateTags"], first["RegisterTargets"], sum(first.values())) == (20, 20, 66)
        assert len(asked(region)) == 26


def test_where_no_pool_is_tagged_a_look_is_one_call() -> None:
    with open_region(nodes=1, kinds=()) as region:
        look(region)

        assert asked(region) == ["GetResources"]
