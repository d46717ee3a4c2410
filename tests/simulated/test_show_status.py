"""show_status end to end in a region without disks: what a person reads first, and when something is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from region import Failed, Region, hours, minutes
from region.bus import drop
from tests.simulated import dying, pooling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulated.conftest import Database

FUNCTION = "show_status"
ASLEEP = {"ReplaceDatabaseHosts": "false", "RegisterWebNodes": "false", "RehearseRestores": "false"}
EVENTS = Path("events")


def application(name: str = "payroll", role: str = "database", **more: str) -> dict[str, str]:
    """The tags of an application's thing; `more` are further ones by their short names."""
    return {f"watchkeeper:{key}": value for key, value in {"application": name, "role": role, **more}.items()}


def tag(region: Region, resource: str, words: Mapping[str, str]) -> None:
    region.client("ec2").create_tags(
        Resources=[resource], Tags=[{"Key": key, "Value": value} for key, value in words.items()]
    )


@pytest.fixture
def watched(region: Region, database: Callable[..., Database]) -> Database:
    """A region with Watchkeeper and one tagged database in it."""
    region.deploy("template.yaml", TimeZone="Europe/Berlin", **ASLEEP)
    made = database(2, application())
    tag(region, made.host, application(role="database-host"))
    region.run(at_most=minutes(6))  # until the agent has reported itself
    region.calls.clear()
    return made


def ask(region: Region, **event: Any) -> str:
    answer = region.invoke(FUNCTION, event)
    assert isinstance(answer, str)
    return answer


def test_the_first_status_says_what_to_tag(region: Region) -> None:
    region.deploy("template.yaml", **ASLEEP)

    text = ask(region)

    assert "nothing" in text
    assert "aws ec2 create-tags" in text


def test_a_database_without_a_set_lacks_one_and_gets_it_within_the_hour(region: Region, watched: Database) -> None:
    before = ask(region)
    region.run(at_most=hours(2))
    after = ask(region)

    assert "It has no finished application-consistent set yet." in before
    assert "Within the hour a set is made" in before
    assert "lacks      nothing" in after
    assert "1 set of 2 snapshots" in after


def test_a_set_that_is_being_copied_is_waited_for(region: Region, watched: Database) -> None:
    region.invoke("snapshot_database", {})

    assert "EBS to copy the set from a moment ago" in ask(region)


def test_the_volumes_and_the_host_are_named(region: Region, watched: Database) -> None:
    text = ask(region, application="payroll")

    assert watched.host in text
    assert all(volume in text for volume in watched.volumes)


def test_a_host_that_is_stopped_and_one_without_tags_are_lacking(region: Region, watched: Database) -> None:
    region.client("ec2").stop_instances(InstanceIds=[watched.host])
    region.run(region.quiet, at_most=minutes(10))
    assert f"{watched.host} is stopped" in ask(region)

    region.client("ec2").delete_tags(Resources=[watched.host], Tags=[{"Key": "watchkeeper:application"}])
    assert f"{watched.host} holds the volumes of 'payroll': tag it" in ask(region)


def test_an_application_that_lost_its_tags_does_not_disappear(region: Region, watched: Database) -> None:
    region.run(at_most=hours(2))
    for volume in watched.volumes:
        region.client("ec2").delete_tags(Resources=[volume], Tags=[{"Key": "watchkeeper:role"}])

    text = " ".join(ask(region).split())

    assert re.search(r"'payroll' has snapshots and the host i-\w+ but no volume", text)
    assert f"{watched.volumes[0]} has watchkeeper:application=payroll and no watchkeeper:role." in text


def test_a_tag_with_a_typo_is_told_with_the_right_one(region: Region, watched: Database) -> None:
    tag(region, watched.volumes[0], {"watchkeeper:kepe": "7d"})
    tag(region, watched.host, {"watchkeeper:role": "databse-host"})

    text = " ".join(ask(region).split())

    assert "did you mean watchkeeper:keep?" in text
    assert "did you mean database-host?" in text


def test_a_paused_application_says_so(region: Region, watched: Database) -> None:
    tag(region, watched.volumes[1], {"watchkeeper:paused": "moving house"})

    assert "payroll is paused, and left exactly as it is: moving house" in ask(region)


def test_a_snapshot_that_only_claims_to_be_of_a_set_is_told(region: Region, watched: Database) -> None:
    made = region.client("ec2").create_snapshot(VolumeId=watched.volumes[0])["SnapshotId"]
    tag(region, made, application(role="snapshot"))

    assert f"{made} claims to be of a set of 'payroll' and is not" in ask(region)


def test_an_application_that_does_not_exist_is_refused_with_those_that_do(region: Region, watched: Database) -> None:
    with pytest.raises(Failed, match="no application 'shop'; those that exist are: payroll"):
        ask(region, application="shop")


def test_a_word_that_is_not_known_is_refused_with_those_that_are(region: Region, watched: Database) -> None:
    with pytest.raises(Failed, match=r"The event has fromat; it may have .*format"):
        ask(region, fromat="json")


def test_every_event_file_is_answered(region: Region, watched: Database) -> None:
    for path in sorted(EVENTS.glob(f"{FUNCTION}*.json")):
        assert region.invoke(FUNCTION, json.loads(path.read_text()))


def test_as_json_it_answers_values(region: Region, watched: Database) -> None:
    answer = region.invoke(FUNCTION, {"format": "json"})

    assert [one["name"] for one in answer["applications"]] == ["payroll"]
    assert answer["applications"][0]["volumes"] == dict.fromkeys(watched.volumes, 8)


def test_it_only_reads_and_costs_the_calls_of_its_pages(
    region: Region, watched: Database, database: Callable[..., Database]
) -> None:
    for number in range(3):
        other = database(1, application(f"shop-{number}"))
        tag(region, other.host, application(f"shop-{number}", role="database-host"))
    region.calls.clear()

    ask(region)

    assert [call.operation for call in region.calls if call.caller == FUNCTION] == [
        "DescribeVolumes",
        "DescribeInstances",
        "DescribeSnapshots",
        "GetResources",
        "DescribeLaunchTemplates",
        "DescribeInstanceInformation",
    ]


def test_a_host_without_any_tag_is_read_all_the_same(region: Region, database: Callable[..., Database]) -> None:
    region.deploy("template.yaml", **ASLEEP)
    made = database(1, application())

    assert f"the host {made.host}, running" in ask(region)


# The hosts of databases


def line(region: Region) -> str:
    """The status as one line, however it was wrapped."""
    return " ".join(ask(region).split())


def test_a_database_whose_host_would_be_replaced_says_so() -> None:
    with dying.open_region(volumes=1, sweeps=True) as region:
        assert re.search(rf"a new host when this one dies, by lt-\w+, found at {dying.ADDRESS} as before", line(region))


def test_a_stop_by_a_person_is_told_as_it_is_refused() -> None:
    with dying.open_region(volumes=1, quick=True, sweeps=True) as region:
        region.client("ec2").stop_instances(InstanceIds=[dying.host(region)])
        region.run(at_most=minutes(5))

        assert re.search(rf"Refused \(stopped-by-people, \d min ago\): {dying.host(region)} was stopped", line(region))


def test_a_replacement_is_told_while_it_is_under_way_and_afterwards() -> None:
    with dying.open_region(volumes=1, quick=True, sweeps=True) as region:
        old = dying.host(region)
        dying.die(region, "stopped")
        before = line(region)
        dying.rouse(region)
        region.run(lambda: bool(dying.launched(region, old)), at_most=minutes(2))
        between = line(region)
        dying.wait(region)
        after = line(region)
        (new,) = dying.launched(region, old)

    assert f"Within the minute its host is replaced: {old} is dead." in before
    assert f"its database to move to {new}" in between
    assert f"the host {new}, running" in after
    assert "1 replacement begun within 24 h" in after
    assert f"1 retired host, stopped, of which the root volumes cost: {old}" in after


def test_it_reads_of_hosts_what_is_read_cheaply() -> None:
    with dying.open_region(volumes=1) as region:
        ask(region)

        assert [call.operation for call in region.calls if call.caller == FUNCTION] == [
            "DescribeVolumes",
            "DescribeInstances",
            "DescribeSnapshots",
            "GetResources",
            "DescribeLaunchTemplates",
            "DescribeInstanceInformation",
            "DescribeInstanceStatus",
            "DescribeInstanceStatus",
        ]


# Web nodes


@pytest.fixture
def shop(region: Region) -> list[str]:
    """Two web nodes of an application without a database, and a pool that nobody keeps by himself."""
    region.deploy("template.yaml", **ASLEEP)
    pooling.add_pool(region, name="web", application="shop")
    made = pooling.launch(region, 2, application="shop")
    region.calls.clear()
    return sorted(made)


def test_nodes_that_nobody_registers_are_lacking_then_waited_for_then_in(region: Region, shop: list[str]) -> None:
    before = line(region)
    pooling.look(region)
    between = line(region)
    region.run(lambda: pooling.is_settled(region, "web"), at_most=minutes(3))
    after = line(region)

    assert f"lacks {', '.join(shop)} should join web (it runs, and its checks pass)" in before
    assert "the pool web: 0 nodes in, 2 joining lacks nothing" in between
    assert f"waits for web to call {', '.join(shop)} healthy: initial, Elb.RegistrationInProgress" in between
    assert after.endswith("shop has 2 web nodes the pool web: 2 nodes in lacks nothing")


def test_where_nodes_are_registered_by_themselves_it_says_what_comes_next(region: Region) -> None:
    region.deploy("template.yaml", ReplaceDatabaseHosts="false")
    region.bus.deliveries = drop
    pooling.add_pool(region, name="web", application="shop")
    (made,) = pooling.launch(region, application="shop")

    text = line(region)

    assert f"next Within the minute {made} will join web" in text
    assert "Next look at web nodes within the minute." in text


def test_an_application_of_web_nodes_alone_can_be_asked_for_by_its_name(region: Region, shop: list[str]) -> None:
    assert "shop has 2 web nodes" in " ".join(ask(region, application="shop").split())

    with pytest.raises(Failed, match="no application 'ship'; those that exist are: shop"):
        ask(region, application="ship")


def test_nodes_without_a_pool_and_pools_without_a_node_are_told(region: Region, shop: list[str]) -> None:
    pooling.add_pool(region, name="other", application="payroll")
    scratch, _ = pooling.launch(region, 2, application="store")
    tag(region, scratch, application("store", role="rehearsal"))

    text = line(region)

    assert "Refused (no-nodes): targetgroup/other/" in text
    assert "No pool is tagged watchkeeper:application=store and watchkeeper:role=web-pool" in text
    assert "but no volume" not in text


def test_a_web_node_without_an_application_is_of_none(region: Region, shop: list[str]) -> None:
    region.client("ec2").delete_tags(Resources=[shop[0]], Tags=[{"Key": "watchkeeper:application"}])

    text = line(region)

    assert f"{shop[0]} has watchkeeper:role=web-node and no watchkeeper:application, so it belongs to none." in text
    assert "1 application, 1 in need of somebody." in text


def test_pools_are_read_in_pages_and_one_by_one(region: Region, shop: list[str]) -> None:
    pooling.add_pool(region, "classic", application="shop")
    region.calls.clear()

    ask(region)

    assert [call.operation for call in region.calls if call.caller == FUNCTION][3:] == [
        "GetResources",
        "DescribeTargetGroups",
        "DescribeLoadBalancers",
        "DescribeAutoScalingGroups",
        "DescribeInstances",
        "DescribeInstanceStatus",
        "DescribeInstanceStatus",
        "DescribeInstanceHealth",
        "DescribeTargetHealth",
        "DescribeLaunchTemplates",
    ]
