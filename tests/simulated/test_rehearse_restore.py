"""rehearse_restore end to end in a region without disks: what it proves, what fails, what it leaves alone."""

from __future__ import annotations

import base64
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from region import Death, Failed, Interleave, Lag, LaunchFails, NoCapacity, VolumeFails, hours, minutes
from tests.simulated.dying import host, machines, notices, volumes, words
from tests.simulated.rehearsing import (
    APPLICATION,
    FUNCTION,
    WRITES,
    Shared,
    asked,
    is_untouched,
    label,
    later,
    only_set,
    other_template,
    rehearse,
    reset,
    scratch,
    scratch_host,
    sets,
    take,
    told,
    unlabel,
    writes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from region import Region

SQL = "SELECT count(*) FROM payrolls"
FLEET = 1000


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    with ExitStack() as stack:
        yield Shared(stack)


@pytest.fixture
def region(shared: Shared) -> Region:
    """The same region for all, unless a test left something behind."""
    return shared.fresh(RehearsalSql=SQL)


def why(answer: Any) -> str:
    return str(answer["applications"][0]["why"])


def trouble(answer: Any) -> list[str]:
    return list(answer["applications"][0].get("not_rehearsed", ()))


def snapshots(region: Region) -> list[str]:
    return [one["SnapshotId"] for one in region.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]]


def interrupted(region: Region, operation: str) -> None:
    """A look that dies before its first call of an operation."""
    number = WRITES.index(operation) + 1
    region.faults.add(Death(before=number))
    with pytest.raises(Failed, match="killed"):
        rehearse(region)


# A set is proven


def test_the_newest_set_is_proven_beside_production_and_nothing_of_it_is_left(region: Region) -> None:
    before = region.world()

    answer = rehearse(region)

    assert tuple(writes(region)) == WRITES
    assert why(answer).startswith("proven at ")
    assert {"proven-at", "recovery-ms"} <= set(only_set(region))
    assert "failed" not in only_set(region)
    is_untouched(region, before)


def test_a_second_look_finds_nothing_to_do(region: Region) -> None:
    rehearse(region)
    region.calls.clear()

    assert later(region)["applications"] == []
    assert writes(region) == []


def test_the_figures_of_a_proof_are_metrics(region: Region) -> None:
    rehearse(region)

    assert region.metrics["SetsProven"][-1] == 1
    assert region.metrics["RecoveryMilliseconds"][-1] == float(only_set(region)["recovery-ms"])
    assert 10 < region.metrics["SecondsToProve"][-1] < 600
    rehearse(region)
    assert region.metrics["NewestProofAgeDays"][-1] < 0.1


def test_the_scratch_host_is_nobody_else_and_nobody_reaches_it(region: Region) -> None:
    rehearse(region)

    (launch,) = asked(region, "RunInstances")
    assert base64.b64decode(launch["UserData"]) == b"#!/bin/sh\nshutdown -h +360\n"
    assert launch["InstanceInitiatedShutdownBehavior"] == "terminate"
    made = region.ec2.get_instance(scratch_host(region))
    assert "RehearsalProfile" in launch["IamInstanceProfile"]["Arn"]
    assert words(region, made.id)["role"] == "rehearsal"
    assert "rehearsal" in region.ec2.tags_of(made.id)["Name"]
    assert "watchkeeper:address" not in region.ec2.tags_of(made.id)


def test_its_group_lets_nothing_in_and_only_https_out_before_it_is_launched(region: Region) -> None:
    interrupted(region, "RunInstances")

    (group,) = [
        one
        for one in region.client("ec2").describe_security_groups()["SecurityGroups"]
        if one["GroupId"] in scratch(region)
    ]
    assert group["IpPermissions"] == []
    reach = [
        (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], peer)
        for rule in group["IpPermissionsEgress"]
        for peer in (
            *(one["CidrIp"] for one in rule["IpRanges"]),
            *(one["CidrIpv6"] for one in rule["Ipv6Ranges"]),
        )
    ]
    assert sorted(reach) == [("tcp", 443, 443, "0.0.0.0/0"), ("tcp", 443, 443, "::/0")]
    later(region)


def test_a_way_in_that_somebody_opens_is_closed_before_anything_goes_on(region: Region) -> None:
    interrupted(region, "CreateVolume")
    ec2 = region.client("ec2")
    (group,) = [one for one in scratch(region) if one.startswith("sg-")]
    way = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[way])
    region.calls.clear()

    rehearse(region)

    assert writes(region)[:2] == ["RevokeSecurityGroupIngress", "CreateVolume"]
    assert "proven-at" in only_set(region)


def test_the_copy_is_started_on_a_socket_alone_and_asked_what_the_parameter_says(region: Region) -> None:
    rehearse(region)

    start, check = [one["Parameters"] for one in asked(region, "SendCommand")]
    copies = [one["volumeIds"] for one in (start, check)]
    assert copies[0] == copies[1]
    assert not set(copies[0][0].split()) & {one["VolumeId"] for one in volumes(region)}
    assert start["isolated"] == ["true"]
    assert start["newTimeline"][0] in snapshots(region)
    assert base64.b64decode(check["queries"][0]).decode() == SQL


def test_a_check_that_takes_longer_than_a_look_is_waited_for_by_the_next(region: Region) -> None:
    machines(region).launched_with = {"checking": 45 * 60.0}
    rehearse(region)
    assert "proven-at" not in only_set(region)

    later(region)

    assert "proven-at" in only_set(region)
    assert len(asked(region, "RunInstances")) == 1


# A set fails


@pytest.mark.parametrize("mountable", [True, False])
def test_a_damaged_set_is_told_and_not_proven_and_an_older_one_is_tried_next(region: Region, mountable: bool) -> None:
    rehearse(region)
    older = only_set(region)["set"]
    newest = take(region)
    before = reset(region)
    for one in snapshots(region):
        if words(region, one)["set"] == newest:
            machines(region).damage(one, "heap table payrolls: invalid page", mountable=mountable)
    alarms = len(told(region))

    rehearse(region)

    assert "invalid page" in sets(region)[newest]["failed"]
    assert "proven-at" not in sets(region)[newest]
    assert told(region)[alarms:] == ["Watchkeeper: a snapshot set of smallpayroll does not restore"]
    assert "invalid page" in notices(region)[-1][1]
    assert region.metrics["RehearsalsFailed"][-1] == 1
    is_untouched(region, before)
    later(region)
    assert "proven-at" in sets(region)[older]
    assert told(region)[alarms + 1 :] == []
    drop(region, newest)


def drop(region: Region, name: str) -> None:
    for one in snapshots(region):
        if words(region, one)["set"] == name:
            region.client("ec2").delete_snapshot(SnapshotId=one)


@pytest.mark.parametrize(
    ("host_words", "starts", "reason"),
    [
        ({"start_fails": "PANIC: could not locate a valid checkpoint record"}, 3, "checkpoint record"),
        ({"check_fails": "ERROR: a row is missing"}, 1, "a row is missing"),
    ],
)
def test_what_the_document_says_of_a_set_is_its_reason(
    region: Region, host_words: dict[str, Any], starts: int, reason: str
) -> None:
    machines(region).launched_with = host_words

    rehearse(region)

    sent = [one["Parameters"].get("command") for one in asked(region, "SendCommand")]
    assert sent.count(["start"]) == starts
    assert reason in only_set(region)["failed"]
    assert "proven-at" not in only_set(region)


def test_a_start_that_fails_once_is_tried_again(region: Region) -> None:
    machines(region).launched_with = {"start_fails": 1}

    rehearse(region)

    assert "proven-at" in only_set(region)


def test_what_was_made_of_a_set_that_is_deleted_meanwhile_goes_all_the_same(region: Region) -> None:
    newest = take(region)
    interrupted(region, "SendCommand")
    drop(region, newest)
    before = region.world()

    rehearse(region)

    assert "proven-at" in only_set(region)
    is_untouched(region, before)


# Circumstances, which say nothing of a set


def test_a_host_without_an_agent_is_ended_before_anything_is_given_to_it(region: Region) -> None:
    before = region.world()
    machines(region).launched_with = {"agent": False}
    already = len(told(region))

    rehearse(region)
    answer = later(region)

    assert trouble(answer) == ["host-gone"]
    assert asked(region, "CreateVolume") == []
    assert len(asked(region, "RunInstances")) == 1
    assert told(region)[already:] == ["Watchkeeper: no rehearsal for smallpayroll (no-agent)"]
    assert region.metrics["RehearsalsNotRun"][-1] == 1
    machines(region).launched_with = {}
    later(region, 6)
    assert {"proven-at"} == {"proven-at", "failed"} & set(only_set(region))
    is_untouched(region, before)


def test_by_force_it_begins_anew_without_waiting_for_the_end_of_its_time(region: Region) -> None:
    machines(region).launched_with = {"agent": False}
    rehearse(region)
    machines(region).launched_with = {}
    region.run(at_most=minutes(5))

    rehearse(region, application=APPLICATION, force=True)

    assert "proven-at" in only_set(region)


@pytest.mark.parametrize(
    ("image", "name", "said"),
    [
        ({"amcheck": False}, "no-check", "pg_amcheck is not installed"),
        ({"unfit": "The database is of PostgreSQL 16, and this host has none."}, "host-unfit", "this host has none"),
    ],
)
def test_an_image_on_which_nothing_can_be_tried_is_told_and_is_no_fault_of_the_set(
    region: Region, image: dict[str, Any], name: str, said: str
) -> None:
    machines(region).launched_with = image

    answer = rehearse(region)

    assert name in trouble(answer) or "host-gone" in trouble(answer)
    assert told(region)[-1] == f"Watchkeeper: no rehearsal for smallpayroll ({name})"
    assert said in notices(region)[-1][1]
    assert [one["Parameters"].get("command") for one in asked(region, "SendCommand")].count(["start"]) == 1
    assert not {"proven-at", "failed"} & set(only_set(region))
    region.run(at_most=hours(6))
    machines(region).launched_with = {}
    rehearse(region)


def test_a_type_that_is_not_to_be_had_gives_way_to_another_and_the_next_hour_tries_again(region: Region) -> None:
    nothing = NoCapacity()
    region.faults.add(nothing)
    answer = rehearse(region)
    assert trouble(answer) == ["no-capacity"]
    assert len(asked(region, "RunInstances")) == 3
    region.faults.remove(nothing)
    region.faults.add(NoCapacity(types=("t3.small",)))

    later(region)

    assert "proven-at" in only_set(region)


def test_a_host_that_never_comes_up_is_told_and_another_is_launched_after_six_hours(region: Region) -> None:
    region.faults.add(LaunchFails())

    assert trouble(rehearse(region)) == ["host-gone"]
    assert trouble(later(region, 2)) == ["host-gone"]

    later(region, 5)
    assert "proven-at" in only_set(region)


def test_copies_that_never_come_to_be_are_told_and_the_host_is_ended(region: Region) -> None:
    region.faults.add(VolumeFails(times=2))

    answer = rehearse(region)

    assert "host-gone" in trouble(answer) or "copy-unusable" in trouble(answer)
    assert not [one for one in scratch(region) if not one.startswith("sg-")]
    later(region, 6.5)
    assert "proven-at" in only_set(region)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (
            {
                "TagSpecifications": [
                    {"ResourceType": "instance", "Tags": [{"Key": "watchkeeper:role", "Value": "database-host"}]}
                ]
            },
            "template-has-our-tags",
        ),
        ({"NetworkInterfaces": [{"DeviceIndex": 0, "PrivateIpAddress": "172.31.0.9"}]}, "template-has-an-address"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1}]}, "template-has-an-address"),
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, "template-is-spot"),
    ],
)
def test_a_template_that_would_lead_to_production_is_refused(region: Region, data: Any, name: str) -> None:
    with other_template(region, **data):
        answer = rehearse(region)

    assert trouble(answer) == [name]
    assert scratch(region) == set()


def test_what_is_not_over_after_six_hours_is_ended_and_told(region: Region) -> None:
    before = region.world()
    already = len(told(region))
    machines(region).launched_with = {"checking": 60 * 60 * 24.0}
    rehearse(region)
    region.run(at_most=hours(6))
    machines(region).launched_with = {}
    label(region, volumes(region)[0]["VolumeId"], paused="by hand")

    answer = rehearse(region)

    unlabel(region, [volumes(region)[0]["VolumeId"]], "paused")
    assert why(answer) == "paused: by hand"
    assert told(region)[already:] == ["Watchkeeper: no rehearsal for smallpayroll (took-too-long)"]
    assert not {"proven-at", "failed"} & set(only_set(region))
    is_untouched(region, before)


# What is left alone


def test_a_paused_application_has_no_rehearsal(region: Region) -> None:
    label(region, volumes(region)[0]["VolumeId"], paused="moving")

    answer = rehearse(region, application=APPLICATION)

    unlabel(region, [volumes(region)[0]["VolumeId"]], "paused")
    assert why(answer) == "paused: moving"
    assert writes(region) == []


def test_an_application_that_a_restore_left_paused_is_told_once(region: Region) -> None:
    label(region, host(region), paused="restore 4f1c since 2026-11-22T04:00:00Z")
    before = told(region)

    rehearse(region)
    later(region)

    unlabel(region, [host(region)], "paused")
    assert told(region)[len(before) :] == ["Watchkeeper: a restore of smallpayroll is not over"]


def test_what_only_calls_itself_a_rehearsals_is_left_and_named(region: Region) -> None:
    ec2 = region.client("ec2")
    of = f"{only_set(region)['set']} 2026-11-20T00:00:00Z"
    production = volumes(region)[0]
    spare = ec2.create_volume(AvailabilityZone=production["AvailabilityZone"], Size=8)["VolumeId"]
    settled = ec2.create_volume(AvailabilityZone=production["AvailabilityZone"], SnapshotId=snapshots(region)[0])[
        "VolumeId"
    ]
    net = ec2.create_security_group(GroupName="prod", Description="prod", VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"])
    claimed = [host(region), production["VolumeId"], spare, settled, net["GroupId"]]
    kept = {one: words(region, one) for one in claimed}
    for one in claimed:
        label(region, one, application=APPLICATION, role="rehearsal", rehearses=of)
    label(region, spare, restored_from=snapshots(region)[0])
    label(region, settled, restored_from=snapshots(region)[0], host=host(region))

    with pytest.raises(Failed) as failed:
        rehearse(region)

    assert all(one in str(failed.value) for one in claimed)
    ended = [
        *asked(region, "TerminateInstances"),
        *asked(region, "DeleteVolume"),
        *asked(region, "DeleteSecurityGroup"),
    ]
    assert not [one for one in claimed if one in str(ended)]
    for one in claimed:
        unlabel(region, [one], "role", "rehearses", "application", "restored-from", "host")
    for one, tags in kept.items():
        label(region, one, **tags)
    rehearse(region)
    ec2.delete_security_group(GroupId=net["GroupId"])
    for one in (spare, settled):
        ec2.delete_volume(VolumeId=one)


def test_a_volume_that_somebody_gave_to_a_scratch_host_never_dies_with_it(region: Region) -> None:
    interrupted(region, "CreateVolume")
    ec2 = region.client("ec2")
    on = scratch_host(region)
    zone = volumes(region)[0]["AvailabilityZone"]
    spare = ec2.create_volume(AvailabilityZone=zone, Size=8)["VolumeId"]
    ec2.attach_volume(VolumeId=spare, InstanceId=on, Device="/dev/sdz")
    region.run(region.quiet, at_most=minutes(2))
    dies = [{"DeviceName": "/dev/sdz", "Ebs": {"DeleteOnTermination": True}}]
    ec2.modify_instance_attribute(InstanceId=on, BlockDeviceMappings=dies)

    with pytest.raises(Failed, match=spare):
        rehearse(region)

    dies[0]["Ebs"]["DeleteOnTermination"] = False
    ec2.modify_instance_attribute(InstanceId=on, BlockDeviceMappings=dies)
    rehearse(region)
    region.run(region.quiet, at_most=minutes(2))
    assert ec2.describe_volumes(VolumeIds=[spare])["Volumes"][0]["State"] == "available"
    ec2.delete_volume(VolumeId=spare)


def test_a_scratch_thing_that_somebody_pauses_is_left_and_its_disks_and_group_with_it(region: Region) -> None:
    interrupted(region, "TerminateInstances")
    on = scratch_host(region)
    label(region, on, paused="looking at it")
    there = scratch(region)

    answer = rehearse(region)

    assert scratch(region) == there
    assert f"{on}: paused: looking at it" in answer["left"]
    unlabel(region, [on], "paused")
    rehearse(region)


# When


def test_a_proof_is_due_again_after_its_days_and_not_before(region: Region) -> None:
    rehearse(region)
    region.run(at_most=hours(7 * 24 - 2))
    assert rehearse(region)["applications"] == []
    region.run(at_most=hours(3))
    region.calls.clear()

    rehearse(region)

    assert "RunInstances" in writes(region)


def test_by_force_a_proven_set_is_proven_again_once_for_the_same_event(region: Region) -> None:
    rehearse(region)
    first = only_set(region)["proven-at"]
    region.run(at_most=minutes(10))
    event = {"application": APPLICATION, "force": True, "time": region.clock.moment().strftime("%Y-%m-%dT%H:%M:00Z")}

    rehearse(region, **event)
    assert only_set(region)["proven-at"] > first
    region.calls.clear()
    rehearse(region, **event)

    assert writes(region) == []


def test_by_force_a_look_at_all_proves_what_is_proven(region: Region) -> None:
    rehearse(region)
    first = only_set(region)["proven-at"]
    region.run(at_most=minutes(10))

    rehearse(region, force=True)

    assert only_set(region)["proven-at"] > first


def test_dry_run_says_what_comes_next_and_writes_nothing(region: Region) -> None:
    answer = rehearse(region, dry_run=True)
    alone = rehearse(region, dry_run=True, application=APPLICATION)

    assert answer["plan"][0]["waits_for"] == ["a rehearsal begins"]
    assert [one["step"] for one in alone["applications"][0]["would"]] == ["Begin"]
    assert writes(region) == []


def test_an_application_that_there_is_not_is_refused(region: Region) -> None:
    with pytest.raises(Failed, match="those that exist are: smallpayroll"):
        rehearse(region, application="bigpayroll")


def test_two_looks_at_once_make_one_rehearsal(region: Region, trial: int) -> None:
    before = region.world()
    region.faults.add(Interleave(trial), Lag((0, 2, 5)[trial % 3], trial))
    for event in ({}, {"application": APPLICATION}, {"application": APPLICATION}):
        region.invoke(FUNCTION, event, asynchronous=True)
    region.run(lambda: all(one.is_over for one in region.functions.invocations), at_most=minutes(40))
    region.faults.active.clear()

    later(region)

    hosts = {one["ClientToken"] for one in asked(region, "RunInstances")}
    assert len(hosts) == 1
    assert "proven-at" in only_set(region)
    is_untouched(region, before)


# Many


def test_a_thousand_healthy_applications_cost_the_calls_of_their_pages(region: Region) -> None:
    rehearse(region)
    stock(region, FLEET, proven=True)
    region.calls.clear()

    answer = rehearse(region)

    assert answer["looked_at"] == FLEET + 1
    assert answer["applications"] == answer["handed_on"] == []
    assert Counter(call.operation for call in region.calls if call.caller == FUNCTION) == {
        "DescribeLaunchTemplates": 6,  # of 1,001, by 200
        "DescribeVolumes": 2,
        "DescribeInstances": 1,
        "DescribeSnapshots": 2,
        "DescribeSecurityGroups": 1,
    }


def test_of_many_that_are_due_ten_begin_and_those_without_a_proof_for_longest_first(region: Region) -> None:
    rehearse(region)
    stock(region, 12, proven=False)

    answer = rehearse(region)

    # The higher its number, the younger its set.
    assert answer["handed_on"] == [f"app-{one:05}" for one in range(10)]
    assert answer["later"] == ["app-00010", "app-00011"]
    assert region.metrics["NewestProofAgeDays"][-1] > 13


def test_copies_go_although_the_subnet_of_the_template_is_gone(region: Region) -> None:
    interrupted(region, "SendCommand")

    interface = {"DeviceIndex": 0, "SubnetId": "subnet-0123456789abcdef0"}
    region.run(at_most=hours(6))
    with other_template(region, NetworkInterfaces=[interface]):
        answer = rehearse(region)

    assert trouble(answer) == ["no-network"]
    assert scratch(region) == set()


def stock(region: Region, number: int, *, proven: bool) -> None:
    """So many databases with a launch template and a set each, all without a request; their hosts are a page more."""
    for one in range(number):
        own = {"watchkeeper:application": f"app-{one:05}"}
        volume = region.ec2.create_volume(8, "eu-central-1a", volume_type="gp3").id
        region.ec2.create_tags([volume], {**own, "watchkeeper:role": "database", "watchkeeper:host": "i-1"})
        region.ec2.create_launch_template(
            f"app-{one:05}",
            "",
            {"ImageId": "ami-0123456789abcdef0"},
            {"launch-template": {**own, "watchkeeper:role": "database-launch"}},
        )
        taken = region.clock.moment() - timedelta(hours=1 if proven else 14 * 24 - one)
        run = taken.strftime("%Y-%m-%dT%H:%M:%SZ")
        words = {"role": "snapshot", "run": run, "set": f"set-{one}", "volumes": volume, "consistency": "application"}
        words |= {"frozen-ms": "80"} | ({"proven-at": run} if proven else {})
        region.ec2.stock(volume, taken, own | {f"watchkeeper:{key}": value for key, value in words.items()})
