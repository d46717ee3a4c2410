"""Classic load balancers in the region, where moto 5.2.5 has every running instance in service at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import Lag, minutes
from tests.simulated.balanced import INTERVAL, Web, make_web, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from region import Region

NAME = "old"
NOT_YET = "Instance has not passed the configured HealthyThreshold number of health checks consecutively."
FAILED = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."
LEAVING = "Instance deregistration currently in progress."
GONE = "Instance is not currently registered with the LoadBalancer."


@pytest.fixture
def web(region: Region) -> Web:
    return make_web(region)


@pytest.fixture
def elb(region: Region, web: Web) -> Any:
    """A client, and a load balancer of the first node's zone that asks by HTTP."""
    client = region.client("elb")
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}
    client.create_load_balancer(LoadBalancerName=NAME, Listeners=[listener], Subnets=web.subnets[:1])
    check = {"Interval": INTERVAL, "Timeout": 5, "HealthyThreshold": 3, "UnhealthyThreshold": 2}
    client.configure_health_check(LoadBalancerName=NAME, HealthCheck={"Target": "HTTP:80/up", **check})
    return client


def register(elb: Any, *nodes: str) -> list[str]:
    named = [{"InstanceId": one} for one in nodes]
    answer = elb.register_instances_with_load_balancer(LoadBalancerName=NAME, Instances=named)
    return [one["InstanceId"] for one in answer["Instances"]]


def deregister(elb: Any, *nodes: str) -> list[str]:
    named = [{"InstanceId": one} for one in nodes]
    answer = elb.deregister_instances_from_load_balancer(LoadBalancerName=NAME, Instances=named)
    return [one["InstanceId"] for one in answer["Instances"]]


def health(elb: Any, *nodes: str) -> dict[str, tuple[str, str, str]]:
    asked = {"Instances": [{"InstanceId": one} for one in nodes]} if nodes else {}
    found = elb.describe_instance_health(LoadBalancerName=NAME, **asked)["InstanceStates"]
    return {one["InstanceId"]: (one["State"], one["ReasonCode"], one["Description"]) for one in found}


def test_an_instance_is_in_service_after_the_threshold_and_out_of_it_after_the_other(
    region: Region, web: Web, elb: Any
) -> None:
    node = web.nodes[0]

    assert register(elb, node) == [node]

    assert health(elb) == {node: ("OutOfService", "ELB", "Instance registration is still in progress.")}
    region.run(region.quiet, at_most=minutes(1))
    assert health(elb) == {node: ("OutOfService", "Instance", NOT_YET)}
    assert 2 * INTERVAL < web.until(NAME, node, "InService") <= 3 * INTERVAL
    assert health(elb) == {node: ("InService", "N/A", "N/A")}
    region.machines.hosts[node].web = 500
    assert INTERVAL < web.until(NAME, node, "OutOfService") <= 2 * INTERVAL
    assert health(elb) == {node: ("OutOfService", "Instance", FAILED)}


def test_a_deregistered_instance_is_gone_at_once_unless_connections_are_drained(
    region: Region, web: Web, elb: Any
) -> None:
    node = web.nodes[0]
    register(elb, node)
    assert deregister(elb, node) == []
    assert (health(elb), health(elb, node)) == ({}, {node: ("OutOfService", "Instance", GONE)})

    draining = {"ConnectionDraining": {"Enabled": True, "Timeout": 60}}
    elb.modify_load_balancer_attributes(LoadBalancerName=NAME, LoadBalancerAttributes=draining)
    register(elb, node)
    web.until(NAME, node, "InService")
    deregister(elb, node)

    assert health(elb) == {node: ("InService", "N/A", LEAVING)}
    region.run(at_most=61)
    assert health(elb) == {}


def test_only_running_instances_of_the_network_are_registered_all_or_none(region: Region, web: Web, elb: Any) -> None:
    region.stop(web.nodes[1])
    region.run(region.quiet, at_most=minutes(2))

    assert refusal(register, elb, *web.nodes)[0] == "InvalidInstance"
    assert refusal(register, elb, "i-00000000000000000")[0] == "InvalidInstance"
    assert health(elb) == {}


def test_an_instance_of_another_zone_stays_out_of_service(web: Web, elb: Any) -> None:
    register(elb, web.nodes[1])

    ((state, reason, text),) = health(elb).values()
    assert (state, reason, "Availability Zone" in text) == ("OutOfService", "ELB", True)


def test_of_a_stopped_instance_it_says_so_and_of_a_terminated_one_nothing(region: Region, web: Web, elb: Any) -> None:
    node = web.nodes[0]
    register(elb, node)
    web.until(NAME, node, "InService")

    region.power_cut(node)
    assert health(elb) == {node: ("OutOfService", "Instance", "Instance is in stopped state.")}
    region.terminate(node)
    region.run(region.quiet, at_most=minutes(2))

    assert health(elb) == {}
    region.run(at_most=minutes(5))
    assert elb.describe_load_balancers()["LoadBalancerDescriptions"][0]["Instances"] == []


def test_it_is_described_with_its_network_and_members(web: Web, elb: Any) -> None:
    register(elb, web.nodes[0])

    (found,) = elb.describe_load_balancers(LoadBalancerNames=[NAME])["LoadBalancerDescriptions"]

    assert (found["VPCId"], found["Instances"]) == (web.vpc, [{"InstanceId": web.nodes[0]}])
    assert found["HealthCheck"]["Target"] == "HTTP:80/up"
    assert refusal(elb.describe_load_balancers, LoadBalancerNames=["none"])[0] == "LoadBalancerNotFound"


def test_one_who_lags_sees_it_as_it_was(region: Region, web: Web, elb: Any, call: Callable[..., Any]) -> None:
    region.run(at_most=minutes(1))
    region.faults.add(Lag(20))

    register(elb, web.nodes[0])

    assert call(lambda: health(elb)) == {}
    region.run(at_most=25)
    assert list(call(lambda: health(elb))) == [web.nodes[0]]
