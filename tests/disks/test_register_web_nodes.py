"""register_web_nodes on real disks: real nginx behind a real HAProxy, replaced node by node while clients ask."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from region import Region, minutes
from region.disks import Disks
from tests.disks import web
from tests.disks.clients import Clients
from tests.disks.test_snapshot_database import wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from region.disks.instance import Instance
    from tests.disks.writers import Recorder

FUNCTION = "register_web_nodes"
RETIRED = "watchkeeper:retired"
NODES = 3
DRAIN_SECONDS = 2  # the slow page takes one
MOST_SECONDS = 60


class Nodes:
    """The web nodes of the example, and how its pool has them."""

    def __init__(self, region: Region, stack: Any) -> None:
        self.region, self._stack = region, stack
        self.ec2, self.elb = region.client("ec2"), region.client("elbv2")
        self.group = {"TargetGroupArn": stack["WebPool"]}
        (described,) = self.elb.describe_target_groups(TargetGroupArns=[stack["WebPool"]])["TargetGroups"]
        self.pool = described["TargetGroupName"]
        assert isinstance(region.machines, Disks)
        self.machines: Disks = region.machines

    def launch(self) -> str:
        """A new node, which serves and is not yet registered."""
        template = {"LaunchTemplateId": self._stack["WebLaunch"], "Version": "1"}
        launched = self.ec2.run_instances(LaunchTemplate=template, MinCount=1, MaxCount=1)["Instances"]
        self.ready(launched[0]["InstanceId"])
        return str(launched[0]["InstanceId"])

    def ready(self, node: str) -> None:
        """Wait until its first boot is over, and let it serve the slow page too."""
        wait(self.region, lambda: node in self.machines.hosts, MOST_SECONDS)
        wait(self.region, lambda: self.host(node).call("cloud-init status") == "status: done", MOST_SECONDS)
        web.serve(self.host(node))
        self.pass_checks(node)

    def pass_checks(self, node: str) -> None:
        """EC2's status checks say nothing for a minute, which is not waited for."""
        self.region.ec2.running_since[node] -= minutes(1)

    def host(self, node: str) -> Instance:
        return self.machines.hosts[node]

    def states(self) -> dict[str, str]:
        """The state of each node in the pool, drained ones included."""
        health = self.elb.describe_target_health(**self.group)["TargetHealthDescriptions"]
        return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in health}

    def healthy(self) -> set[str]:
        return {node for node, state in self.states().items() if state == "healthy"}

    def look(self, holds: Callable[[], bool]) -> None:
        """Look until a claim holds, as each minute's sweep does, only sooner."""
        end = time.monotonic() + MOST_SECONDS
        while not holds():
            assert time.monotonic() < end, (self.states(), holds)
            self.region.invoke(FUNCTION, {})
            self.region.run(at_most=0.2)

    def retire(self, node: str) -> None:
        """What a person does who wants a node out, until it is."""
        self.ec2.create_tags(Resources=[node], Tags=[{"Key": RETIRED, "Value": "2026-11-22T04:00:00Z a new image"}])
        self.look(lambda: node not in self.states())

    def terminate(self, node: str) -> None:
        self.ec2.terminate_instances(InstanceIds=[node])
        wait(self.region, lambda: node not in self.machines.hosts, MOST_SECONDS)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """The example with a third node, and Watchkeeper, which knows of them."""
    with Region(Disks()) as region:
        nodes = Nodes(region, region.deploy("examples/smallpayroll_web.yaml"))
        drain = {"Key": "deregistration_delay.timeout_seconds", "Value": str(DRAIN_SECONDS)}
        nodes.elb.modify_target_group_attributes(**nodes.group, Attributes=[drain])
        region.deploy("template.yaml", Email="a@example.com", ReplaceDatabaseHosts="false")
        for node in list(nodes.machines.hosts):
            nodes.ready(node)
        nodes.launch()
        yield nodes


@pytest.fixture
def whole(nodes: Nodes) -> set[str]:
    """The nodes, all of which are in the pool and well."""
    nodes.look(lambda: nodes.healthy() == set(nodes.machines.hosts))
    assert len(nodes.machines.hosts) == NODES
    return nodes.healthy()


def test_replacing_every_node_one_after_the_other_drops_no_request(
    nodes: Nodes, whole: set[str], trial: int, record_property: Recorder
) -> None:
    began = time.monotonic()
    with Clients(nodes.machines, nodes.pool) as quick, Clients(nodes.machines, nodes.pool, web.SLOW) as slow:
        for old in sorted(whole):
            new = nodes.launch()
            nodes.look(lambda new=new: new in nodes.healthy())
            nodes.retire(old)
            nodes.terminate(old)
        replaced = time.monotonic()
        quick.wait(100)
        slow.wait(len(whole))

    record_property("requests", len(quick.answers) + len(slow.answers))
    record_property("failed", len(quick.failed) + len(slow.failed))
    assert not quick.failed
    assert not slow.failed
    assert len(quick.answers) > 1000
    assert quick.served_since(began) > whole
    assert not quick.served_since(replaced) & whole
    assert quick.served_since(replaced) == set(nodes.machines.hosts) == nodes.healthy()


def test_a_node_whose_power_is_cut_drops_requests_and_is_taken_out_and_comes_back(
    nodes: Nodes, whole: set[str]
) -> None:
    dead = min(whole)
    with Clients(nodes.machines, nodes.pool, web.SLOW) as clients:
        clients.wait(NODES)
        nodes.region.power_cut(dead)
        nodes.look(lambda: dead not in nodes.states())
        out = clients.now()
        clients.wait(NODES * 2)
    assert clients.failed
    assert clients.served_since(out) == whole - {dead}

    nodes.ec2.start_instances(InstanceIds=[dead])
    wait(nodes.region, lambda: nodes.host(dead).is_alive, MOST_SECONDS)
    nodes.host(dead).call("service nginx start")  # as systemd does
    nodes.pass_checks(dead)
    nodes.look(lambda: dead in nodes.healthy())

    with Clients(nodes.machines, nodes.pool) as clients:
        clients.wait(100)
    assert not clients.failed
    assert clients.served == whole


def test_a_node_whose_nginx_dies_is_left_to_the_check_of_the_balancer(nodes: Nodes, whole: set[str]) -> None:
    sick = min(whole)
    nodes.region.calls.clear()
    with Clients(nodes.machines, nodes.pool) as clients:
        clients.wait(50)
        nodes.host(sick).call("pkill -KILL -x nginx")
        wait(nodes.region, lambda: nodes.states()[sick] == "unhealthy", minutes(1))
        out = clients.now()
        nodes.region.invoke(FUNCTION, {})
        clients.wait(100)

        assert nodes.states()[sick] == "unhealthy"
        assert clients.served_since(out) == whole - {sick}
        nodes.host(sick).call("service nginx start")
        wait(nodes.region, lambda: nodes.states()[sick] == "healthy", minutes(1))
        back = clients.now()
        clients.wait(100)

    assert clients.served_since(back) == whole
    assert not {"RegisterTargets", "DeregisterTargets"} & {call.operation for call in nodes.region.calls}
