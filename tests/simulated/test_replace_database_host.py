"""replace_database_host end to end in a region without disks: what wakes it, which deaths it heals, what it refuses."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from region import Death, Lag, LaunchFails, NoCapacity, Region, ServerError, Stuck, hours, minutes
from tests.simulated.dying import (
    ADDRESS,
    FUNCTION,
    add_volume,
    die,
    host,
    hush,
    is_served_by,
    launched,
    look,
    machine,
    machines,
    notices,
    open_region,
    payload,
    refusals,
    refused,
    rouse,
    settled,
    state,
    volumes,
    wait,
    wake,
    words,
    writes,
    zone,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX = "watchkeeper-database-host-"
FLEET = 1000
REPLACED = "Watchkeeper: smallpayroll has a new database host"
KEPT = "Watchkeeper: smallpayroll keeps its database host"


@pytest.fixture
def region() -> Iterator[Region]:
    with open_region(sweeps=True, quick=True) as opened:
        yield opened


def asked(region: Region, operation: str) -> list[Any]:
    """The calls of an operation that the function made."""
    return [call for call in region.calls if call.operation == operation and call.caller == FUNCTION]


def label(region: Region, resource: str, **tags: str) -> None:
    """Tags of Watchkeeper's, written by a person."""
    named = [{"Key": f"watchkeeper:{key.replace('_', '-')}", "Value": value} for key, value in tags.items()]
    region.client("ec2").create_tags(Resources=[resource], Tags=named)


def unlabel(region: Region, resource: str, *keys: str) -> None:
    named = [{"Key": f"watchkeeper:{key}"} for key in keys]
    region.client("ec2").delete_tags(Resources=[resource], Tags=named)


def ids(region: Region) -> list[str]:
    return [str(one["VolumeId"]) for one in volumes(region)]


def template(region: Region) -> str:
    (found,) = region.client("ec2").describe_launch_templates()["LaunchTemplates"]
    return str(found["LaunchTemplateId"])


def alarms(region: Region) -> list[str]:
    """The instances that have an alarm."""
    found = region.client("cloudwatch").describe_alarms(AlarmNamePrefix=PREFIX)["MetricAlarms"]
    return [one["AlarmName"].removeprefix(PREFIX) for one in found]


# What wakes it


@pytest.mark.parametrize("case", ["terminated", "stopped", "alarm"])
def test_an_event_alone_has_a_dead_host_replaced(region: Region, case: str) -> None:
    old = host(region)
    die(region, "terminated")

    wake(region, case, old)
    told = wait(region, minutes(2))

    assert told == REPLACED
    (new,) = launched(region, old)
    is_served_by(region, new)


@pytest.mark.parametrize("case", ["direct", "composite_direct", "sns", "composite"])
def test_an_alarm_of_somebodys_own_has_a_dead_host_replaced(region: Region, case: str) -> None:
    old = host(region)
    die(region, "terminated")

    function = region.functions.find(FUNCTION)
    if case.endswith("direct"):
        event = payload(case, old)
        region.bus.hand_to(function.arn, event, "lambda.alarms.cloudwatch.amazonaws.com", event["alarmArn"])
    elif case == "sns":
        sns, told = region.client("sns"), payload(case, old)["Records"][0]["Sns"]
        topic = sns.create_topic(Name="on-call")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function.arn)
        sns.publish(TopicArn=topic, Subject=told["Subject"], Message=told["Message"])
    else:
        region.invoke(FUNCTION, payload(case, old), asynchronous=True)
    wait(region, minutes(2))

    assert region.bus.lost == []
    (new,) = launched(region, old)
    is_served_by(region, new)


def test_a_sweep_alone_has_a_dead_host_replaced(region: Region) -> None:
    old = host(region)
    die(region, "terminated")

    look(region, time=region.clock.moment().strftime("%Y-%m-%dT%H:%M:00Z"))

    assert [subject for subject, _ in notices(region)] == [REPLACED]
    (new,) = launched(region, old)
    is_served_by(region, new)


def test_an_event_of_a_host_that_hangs_comes_from_the_alarm_that_the_sweep_keeps(region: Region) -> None:
    old = host(region)
    assert alarms(region) == [old]

    region.hang(old)
    wait(region)

    events = [one.event["detail"] for one in region.functions.invocations if "detail" in one.event]
    assert [one["alarmName"] for one in events if "alarmName" in one] == [PREFIX + old]
    is_served_by(region, launched(region, old)[0])


def test_an_event_of_an_instance_that_is_no_databases_host_costs_one_call(region: Region) -> None:
    other = region.client("ec2").run_instances(ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1)
    name = other["Instances"][0]["InstanceId"]
    hush(region)
    region.calls.clear()

    answer = look(region, **payload("terminated", name))

    assert answer == {"skipped": f"{name} is no database's host"}
    assert [call.operation for call in region.calls if call.caller == FUNCTION] == ["DescribeInstances"]
    assert region.metrics["Skipped"] == [1]


def test_an_event_of_a_host_that_is_well_changes_nothing(region: Region) -> None:
    hush(region)
    before = region.world()
    region.calls.clear()

    for case in ("terminated", "stopped", "alarm", "direct", "sns", "composite", "composite_direct"):
        look(region, **payload(case, host(region)))

    assert region.world() == before
    assert writes(region) == []


def test_a_dry_run_says_what_it_would_do_and_does_nothing(region: Region) -> None:
    die(region, "stopped")
    before = region.world()
    region.calls.clear()

    of_one = look(region, dry_run=True, application="smallpayroll")
    of_all = look(region, dry_run=True)

    assert of_one["applications"][0]["did"][0]["would"]["step"] == "Launch"
    assert of_all["plan"][0]["waits_for"] == [f"{host(region)} is dead"]
    assert region.world() == before
    assert writes(region) == []


# Alarms


def test_each_host_has_one_alarm_a_new_one_its_own_and_what_is_gone_none(region: Region) -> None:
    old, cloudwatch = host(region), region.client("cloudwatch")
    like = cloudwatch.describe_alarms(AlarmNamePrefix=PREFIX)["MetricAlarms"][0]
    copied = {key: like[key] for key in ("Namespace", "MetricName", "Period", "EvaluationPeriods", "Threshold")}
    cloudwatch.put_metric_alarm(
        AlarmName=f"{PREFIX}i-00000000000000009",
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Statistic="Maximum",
        **copied,
    )
    assert len(alarms(region)) == 2

    region.run(at_most=minutes(2))
    assert alarms(region) == [old]

    region.stop(old)
    wait(region)
    region.run(at_most=minutes(2))
    assert alarms(region) == launched(region, old)


# Deaths


@pytest.mark.parametrize("death", ["terminated", "stopped", "retirement", "hung", "instance", "system"])
def test_a_dead_host_is_replaced_and_nothing_acknowledged_is_lost(region: Region, death: str) -> None:
    old = host(region)
    for _ in range(5):
        assert machines(region).write(old)
    die(region, death)
    still = sum(machines(region).write(old) for _ in range(3))  # an impaired one may serve until it is fenced
    rouse(region)

    told = wait(region)

    (new,) = launched(region, old)
    assert told == REPLACED
    assert all(machines(region).acknowledged(one) == 5 + still for one in ids(region))
    is_served_by(region, new)
    region.run(at_most=minutes(10))
    assert len(notices(region)) == 1
    assert launched(region, old) == [new]
    assert state(region, old) == ("terminated" if death == "terminated" else "stopped")
    assert region.metrics["DatabaseReplaced"] == [1]
    assert 0 < region.metrics["SecondsToReplace"][0] < 300


def test_the_notice_says_what_happened_when_and_what_is_asked(region: Region) -> None:
    old = host(region)
    die(region, "stopped")
    rouse(region)
    wait(region)

    ((_, text),) = notices(region)

    (new,) = launched(region, old)
    assert f"runs on {new} (" in text
    assert f"{old}, which is stopped, and stays so" in text
    assert "AWS stopped it (Server.InternalError)" in text
    for phase in ("was found dead", "was fenced", "was launched", "was attached there", "PostgreSQL took a write"):
        assert phase in text
    assert f"Asked of you: nothing. {old} costs only its root volume now" in text


def test_a_host_that_hangs_is_stopped_then_forced_then_terminated_each_after_its_parameter() -> None:
    with open_region(sweeps=True, quick=True, ForceStopAfterSeconds="60", TerminateAfterSeconds="150") as region:
        old = host(region)
        region.faults.add(Stuck("StopInstances"))
        root = region.ec2.get_instance(old).block_device_mapping["/dev/sda1"].volume_id
        die(region, "hung")
        rouse(region)

        wait(region)

        began = asked(region, "StopInstances")[0].time
        stops = {bool(call.parameters.get("Force")): call for call in reversed(asked(region, "StopInstances"))}
        assert stops[False].parameters["SkipOsShutdown"] is True
        assert 59 <= stops[True].time - began < 65  # the tag that they are counted from has whole seconds
        assert 149 <= asked(region, "TerminateInstances")[0].time - began < 155
        is_served_by(region, launched(region, old)[0])
        assert root in region.ec2.volumes


def test_a_volume_never_leaves_a_host_that_is_not_seen_stopped() -> None:
    with open_region(sweeps=True, quick=True, ForceStopAfterSeconds="3600", TerminateAfterSeconds="7200") as region:
        old = host(region)
        region.faults.add(Stuck("StopInstances"))
        die(region, "hung")
        rouse(region)

        region.run(at_most=minutes(5))

        assert state(region, old) == "stopping"
        assert asked(region, "DetachVolume") == []
        assert {one["Attachments"][0]["InstanceId"] for one in volumes(region)} == {old}
        assert notices(region) == []


@pytest.mark.parametrize("check", ["instance", "system"])
def test_an_impaired_host_that_answers_is_left_and_one_that_falls_silent_is_not(region: Region, check: str) -> None:
    old = host(region)

    region.impair(old, check)
    region.run(at_most=minutes(12))
    assert (state(region, old), refusals(region), refused(region)) == ("running", ["host-answers"], "host-answers")

    machine(region, old).agent = False
    assert wait(region) == REPLACED
    is_served_by(region, launched(region, old)[0])
    assert refused(region) == ""


@pytest.mark.parametrize(("check", "status"), [("ebs", "impaired"), ("instance", "insufficient-data")])
def test_what_is_not_a_hosts_own_failure_is_no_death(region: Region, check: str, status: str) -> None:
    machine(region, host(region)).agent = False

    region.impair(host(region), check, status=status)
    region.run(at_most=minutes(15))

    assert state(region, host(region)) == "running"
    assert notices(region) == []


def test_checks_that_fail_for_less_than_two_minutes_are_no_death(region: Region) -> None:
    machine(region, host(region)).agent = False

    region.impair(host(region), seconds=100)
    region.run(at_most=minutes(15))

    assert state(region, host(region)) == "running"
    assert launched(region, host(region)) == []


def test_a_host_that_died_within_ten_minutes_of_its_start_waits_for_them(region: Region) -> None:
    first = host(region)
    region.terminate(first)
    wait(region)
    second = settled(region)
    region.terminate(second)

    region.run(at_most=minutes(5))
    assert launched(region, second) == []

    wait(region)
    is_served_by(region, launched(region, second)[0])


# Refusals: each is named in the tag and in the metric, and told once, however often it is looked at


def is_refused(region: Region, name: str, sweeps: float = 6) -> str:
    """It is, in all ways, over many sweeps; the text of the notice. No host was launched, stopped or terminated."""
    rouse(region)
    region.calls.clear()
    region.run(at_most=minutes(sweeps))
    assert refusals(region) == [name]
    assert refused(region) == name
    assert sum(region.metrics["Refusals"]) >= sweeps - 3
    assert not {"RunInstances", "StopInstances", "TerminateInstances", "DetachVolume"} & set(writes(region))
    return notices(region)[0][1]


def pause(region: Region) -> None:
    label(region, ids(region)[1], paused="somebody is at it")
    die(region, "terminated")


def stop_by_hand(region: Region) -> None:
    region.client("ec2").stop_instances(InstanceIds=[host(region)])


def shut_down(region: Region) -> None:
    region.stop(host(region), "Client.InstanceInitiatedShutdown")


def detach_by_hand(region: Region) -> None:
    hush(region)
    machines(region).unmount(host(region))
    region.client("ec2").detach_volume(VolumeId=ids(region)[1])
    region.run(region.quiet, at_most=minutes(2))


def move_by_hand(region: Region) -> None:
    hush(region)
    ec2 = region.client("ec2")
    made = ec2.run_instances(ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    machines(region).unmount(host(region))
    for one in ids(region):
        ec2.detach_volume(VolumeId=one)
    region.run(region.quiet, at_most=minutes(2))
    for one, device in zip(ids(region), ("/dev/sdf", "/dev/sdg"), strict=True):
        ec2.attach_volume(VolumeId=one, InstanceId=made, Device=device)
    region.run(region.quiet, at_most=minutes(2))


def forget_the_host(region: Region) -> None:
    die(region, "terminated")
    for one in ids(region):
        unlabel(region, one, "host", "volumes")
    region.run(at_most=minutes(31))


def tag_a_second_template(region: Region) -> None:
    named = {"watchkeeper:application": "smallpayroll", "watchkeeper:role": "database-launch"}
    region.client("ec2").create_launch_template(
        LaunchTemplateName="another",
        LaunchTemplateData={"ImageId": "ami-0123456789abcdef0"},
        TagSpecifications=[
            {
                "ResourceType": "launch-template",
                "Tags": [{"Key": key, "Value": value} for key, value in named.items()],
            }
        ],
    )
    die(region, "terminated")


def make_default(region: Region, **changed: Any) -> None:
    """Another version of the launch template, which counts from now on."""
    ec2, named = region.client("ec2"), template(region)
    found = ec2.describe_launch_template_versions(LaunchTemplateId=named, Versions=["1"])["LaunchTemplateVersions"][0]
    ec2.create_launch_template_version(LaunchTemplateId=named, LaunchTemplateData=found["LaunchTemplateData"] | changed)
    ec2.modify_launch_template(LaunchTemplateId=named, DefaultVersion="2")


def launch_in_another_zone(region: Region) -> None:
    elsewhere = [{"Name": "availability-zone", "Values": ["eu-central-1c"]}]
    subnet = region.client("ec2").describe_subnets(Filters=elsewhere)["Subnets"][0]["SubnetId"]
    make_default(region, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet}])
    die(region, "terminated")


def tag_volumes_of_new_hosts(region: Region) -> None:
    ours = [
        {"Key": "watchkeeper:application", "Value": "smallpayroll"},
        {"Key": "watchkeeper:role", "Value": "database"},
    ]
    make_default(region, TagSpecifications=[{"ResourceType": "volume", "Tags": ours}])
    die(region, "terminated")


def name_no_type(region: Region) -> None:
    label(region, template(region), instance_types="the-big-one")
    die(region, "terminated")


def sicken(region: Region) -> None:
    region.sicken_volume(ids(region)[0])
    die(region, "terminated")


def lock(region: Region) -> None:
    """A volume under a key that nobody gave to Watchkeeper."""
    key = region.client("kms").create_key()["KeyMetadata"]["Arn"]
    add_volume(region, device="/dev/sdh", Encrypted=True, KmsKeyId=key)
    region.run(at_most=minutes(3))
    die(region, "terminated")


def protect_from_stops(region: Region) -> None:
    region.client("ec2").modify_instance_attribute(InstanceId=host(region), DisableApiStop={"Value": True})
    die(region, "hung")


def put_in_a_group(region: Region) -> None:
    region.ec2.create_tags([host(region)], {"aws:autoscaling:groupName": "databases"})
    die(region, "hung")


def share_with_another(region: Region) -> None:
    add_volume(region, "bigpayroll", "/dev/sdh")
    die(region, "hung")


def take_the_role_away(region: Region) -> None:
    hush(region)
    unlabel(region, host(region), "role")
    die(region, "hung")


def let_the_zone_fail(region: Region) -> None:
    others = [
        region.ec2.stock_host({"watchkeeper:application": f"app-{one}", "watchkeeper:role": "database-host"}, {})[0]
        for one in range(3)
    ]
    for one in others:
        region.impair(one, "system")
    die(region, "system")


def answer_still(region: Region) -> None:
    die(region, "system")
    machine(region, host(region)).agent = True


def lose_the_tag(region: Region) -> None:
    unlabel(region, ids(region)[1], "role")


def lose_one_on_a_running_host(region: Region) -> None:
    region.lose_volume(ids(region)[1], "gone")


def lie_elsewhere(region: Region) -> None:
    """One more volume, of which the server knows nothing."""
    machine(region, host(region)).database = frozenset(ids(region))
    add_volume(region, device="/dev/sdh")
    region.run(at_most=minutes(6))


REFUSED: list[tuple[str, Callable[[Region], None], str]] = [
    ("paused", pause, "somebody is at it"),
    ("stopped-by-people", stop_by_hand, "ReplaceStoppedByPeople=true"),
    ("stopped-by-people", shut_down, "Client.InstanceInitiatedShutdown"),
    ("detached-while-healthy", detach_by_hand, "which runs and is well"),
    ("moved-by-hand", move_by_hand, "tag i-"),
    ("never-settled", forget_the_host, "nobody knows where"),
    ("two-launch-templates", tag_a_second_template, "leave the tag on one"),
    ("launch-template-elsewhere", launch_in_another_zone, "launches in eu-central-1c"),
    ("launch-template-tags-volumes", tag_volumes_of_new_hosts, "would count as the database's"),
    ("odd-instance-type", name_no_type, "'the-big-one'"),
    ("sick-volume", sicken, "aws ec2 enable-volume-io"),
    ("key-not-usable", lock, "KeyArns"),
    ("not-ours-to-kill", protect_from_stops, "DisableApiStop"),
    ("not-ours-to-kill", put_in_a_group, "Auto Scaling group databases"),
    ("not-ours-to-kill", share_with_another, "volumes of another application"),
    ("not-ours-to-kill", take_the_role_away, "is not tagged"),
    ("zone-looks-dead", let_the_zone_fail, "4 of 4 database hosts"),
    ("host-answers", answer_still, "takes writes all the same"),
    ("volume-untagged", lose_the_tag, "is not tagged as a volume of its database any more"),
    ("volume-missing", lose_one_on_a_running_host, "still runs: that is no loss"),
    ("not-recorded", lie_elsewhere, "Nothing of the database"),
]


@pytest.mark.parametrize(("name", "happen", "said"), REFUSED, ids=[one[1].__name__ for one in REFUSED])
def test_what_is_not_replaced_is_told_once_and_named(
    region: Region, name: str, happen: Callable[[Region], None], said: str
) -> None:
    happen(region)

    told = is_refused(region, name)

    assert said in told


# Refusals on the way, after the fence


def test_without_a_launch_template_nothing_is_asked_for(region: Region) -> None:
    unlabel(region, template(region), "role")
    die(region, "terminated")
    before = region.world()
    rouse(region)

    region.run(at_most=minutes(5))

    assert region.world().volumes == before.volumes
    assert notices(region) == []
    assert sum(region.metrics["Refusals"]) == 0
    assert {call.operation for call in region.calls if call.write} <= {"DeleteAlarms"}


def test_a_launch_template_that_loses_its_tag_in_a_move_is_told_and_the_move_goes_on_when_it_is_back(
    region: Region,
) -> None:
    old, named = host(region), template(region)
    die(region, "hung")
    region.faults.add(Death(before=5))  # counted, launched, retired, stopped, and not detached
    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(lambda: state(region, old) == "stopping", at_most=minutes(2))
    unlabel(region, named, "role")
    region.run(region.quiet, at_most=minutes(15))
    rouse(region)

    region.run(at_most=minutes(5))
    assert (refusals(region), refused(region)) == (["launch-template-gone"], "launch-template-gone")
    label(region, named, role="database-launch")

    assert wait(region) == REPLACED
    assert asked(region, "RunInstances")[1:] == []


def test_a_host_that_somebody_stopped_is_replaced_where_the_parameter_says_so() -> None:
    with open_region(sweeps=True, quick=True, ReplaceStoppedByPeople="true") as region:
        old = host(region)
        stop_by_hand(region)

        assert wait(region) == REPLACED
        is_served_by(region, launched(region, old)[0])


def test_of_many_hosts_of_a_zone_one_that_is_terminated_is_replaced_all_the_same(region: Region) -> None:
    let_the_zone_fail(region)
    old = host(region)
    region.terminate(old)
    rouse(region)

    assert wait(region) == REPLACED
    is_served_by(region, launched(region, old)[0])


def test_what_held_and_holds_no_longer_is_forgotten_and_the_host_replaced(region: Region) -> None:
    old = host(region)
    pause(region)
    is_refused(region, "paused")

    unlabel(region, ids(region)[1], "paused")

    assert wait(region) == REPLACED
    region.run(at_most=minutes(2))
    assert refused(region) == ""
    is_served_by(region, launched(region, old)[0])


def test_replacements_are_as_many_a_day_as_the_parameter_allows() -> None:
    with open_region(sweeps=True, quick=True, ReplacementsPerDay="1") as region:
        die(region, "terminated")
        rouse(region)
        wait(region)
        second = settled(region)
        hush(region)
        region.run(at_most=minutes(11))
        die(region, "terminated")
        rouse(region)

        region.run(at_most=minutes(6))

        assert (refusals(region), refused(region)) == (["budget-spent"], "budget-spent")
        assert launched(region, second) == []
        hush(region)
        region.run(at_most=hours(24))
        rouse(region)
        assert wait(region) == REPLACED
        is_served_by(region, settled(region))


def test_where_the_first_type_is_not_to_be_had_the_next_is_launched(region: Region) -> None:
    old = host(region)
    region.faults.add(NoCapacity(("t3.small", "t3a.small")))
    die(region, "stopped")
    rouse(region)

    assert wait(region) == REPLACED

    (new,) = launched(region, old)
    assert region.ec2.get_instance(new).instance_type == "t3.medium"
    assert notices(region) == notices(region)[:1]
    is_served_by(region, new)


@pytest.mark.parametrize("death", ["stopped", "hung"])
def test_where_no_host_is_to_be_had_the_old_one_is_started_on_other_hardware(region: Region, death: str) -> None:
    old = host(region)
    region.ec2.get_instance(old).instance_type = "m7g.large"  # which there is room for
    region.faults.add(NoCapacity(("t3.small", "t3a.small", "t3.medium")))
    leads_to = region.resolve(ADDRESS)
    die(region, death)
    rouse(region)

    wait(region)
    assert refusals(region) == ["no-capacity"]
    assert wait(region) == KEPT

    assert len(notices(region)) == 2
    region.run(at_most=minutes(3))
    assert (len(notices(region)), refused(region)) == (2, "")
    assert "retired" not in words(region, old)
    assert launched(region, old) == []
    assert region.resolve(ADDRESS) == leads_to
    is_served_by(region, old)


def test_where_there_is_no_room_at_all_it_is_tried_until_there_is_and_told_once(region: Region) -> None:
    old, full = host(region), NoCapacity()
    region.faults.add(full)
    die(region, "terminated")
    rouse(region)
    region.run(at_most=minutes(10))
    assert (refusals(region), refused(region)) == (["no-capacity"], "no-capacity")
    assert "t3a.small t3.medium" in notices(region)[0][1]

    region.faults.remove(full)

    assert wait(region) == REPLACED
    is_served_by(region, launched(region, old)[0])


def test_where_there_is_no_room_to_start_the_old_one_either_that_is_told(region: Region) -> None:
    region.faults.add(NoCapacity())
    die(region, "retirement")
    rouse(region)

    region.run(at_most=minutes(3))

    assert (refusals(region), refused(region)) == (["no-capacity"], "no-capacity")
    assert asked(region, "StartInstances")


def test_what_aws_refuses_to_launch_is_told_in_its_words(region: Region) -> None:
    region.faults.add(NoCapacity(code="PendingVerification"))
    die(region, "terminated")
    rouse(region)

    region.run(at_most=minutes(5))

    assert (refusals(region), refused(region)) == (["launch-refused"], "launch-refused")
    assert "PendingVerification" in notices(region)[0][1]


def test_a_host_that_never_runs_is_followed_by_the_next(region: Region) -> None:
    old = host(region)
    region.faults.add(LaunchFails(times=2))
    die(region, "terminated")
    rouse(region)

    assert wait(region) == REPLACED

    assert [state(region, one) for one in launched(region, old)] == ["terminated", "terminated", "running"]
    is_served_by(region, launched(region, old)[-1])


def test_a_database_that_recovers_for_long_is_told_once_and_waited_for(region: Region) -> None:
    old = host(region)
    machines(region).launched_with = {"recovering": 300}
    die(region, "terminated")
    rouse(region)

    wait(region)
    region.run(at_most=5)
    assert (refusals(region), refused(region)) == (["recovering"], "recovering")

    assert wait(region) == REPLACED
    assert len(notices(region)) == 2
    assert launched(region, old) == [settled(region)]
    is_served_by(region, settled(region))


def test_a_database_that_does_not_start_is_tried_thrice_told_and_tried_again_by_force(region: Region) -> None:
    machines(region).launched_with = {"start_fails": 3}
    die(region, "terminated")
    rouse(region)

    wait(region)
    region.run(at_most=minutes(5))
    assert (refusals(region), refused(region)) == (["start-failed"], "start-failed")
    assert "could not create any TCP/IP sockets" in notices(region)[0][1]
    assert 3 <= len(asked(region, "SendCommand")) <= 4  # two looks may ask for the same try

    look(region, application="smallpayroll", force=True)

    assert notices(region)[-1][0] == REPLACED
    region.run(at_most=minutes(2))
    assert (len(notices(region)), refused(region)) == (2, "")
    is_served_by(region, settled(region))


def test_a_host_that_may_not_have_the_database_is_told_and_not_asked_again(region: Region) -> None:
    machines(region).launched_with = {"unfit": "The volumes are of PostgreSQL 16, and this host has 15."}
    die(region, "terminated")
    rouse(region)

    wait(region)
    sent = len(asked(region, "SendCommand"))
    region.run(at_most=minutes(8))

    assert (refusals(region), refused(region)) == (["start-refused"], "start-refused")
    assert "this host has 15" in notices(region)[0][1]
    assert len(asked(region, "SendCommand")) == sent


def test_a_new_host_without_an_agent_is_told_and_waited_for(region: Region) -> None:
    machines(region).launched_with = {"agent": False}
    die(region, "terminated")
    rouse(region)

    wait(region)
    region.run(at_most=5)
    assert (refusals(region), refused(region)) == (["no-agent"], "no-agent")

    machine(region, volumes(region)[0]["Attachments"][0]["InstanceId"]).agent = True
    assert wait(region) == REPLACED
    is_served_by(region, settled(region))


# Addresses


def weigh(region: Region) -> None:
    """Somebody made a weighted record of the address."""
    route53 = region.client("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    found = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    (plain,) = [one for one in found if one["Type"] == "A"]
    changes = [
        {"Action": "DELETE", "ResourceRecordSet": plain},
        {"Action": "CREATE", "ResourceRecordSet": {**plain, "SetIdentifier": "one", "Weight": 10}},
    ]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def name_two(region: Region) -> None:
    label(region, ids(region)[0], address="db2.smallpayroll.internal")
    label(region, ids(region)[1], address=ADDRESS)


def name_another(region: Region) -> None:
    for one in ids(region):
        label(region, one, address="db.bigpayroll.internal")


def name_no_interface(region: Region) -> None:
    for one in ids(region):
        label(region, one, address="eni-0123456789abcdef0")


@pytest.mark.parametrize("happen", [weigh, name_two, name_another, name_no_interface])
def test_an_odd_address_is_told_and_left_and_the_database_served_all_the_same(
    region: Region, happen: Callable[[Region], None]
) -> None:
    die(region, "terminated")
    happen(region)
    before = region.world().records
    rouse(region)

    wait(region)
    region.run(at_most=minutes(4))

    assert (refusals(region), refused(region)) == (["odd-address"], "odd-address")
    assert region.world().records == before
    assert len(machines(region).serving()) == 1


def test_an_interface_moves_along_with_the_volumes(region: Region) -> None:
    ec2, old = region.client("ec2"), host(region)
    subnet = ec2.describe_instances(InstanceIds=[old])["Reservations"][0]["Instances"][0]["SubnetId"]
    eni = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    label(region, eni, application="smallpayroll")
    for one in ids(region):
        label(region, one, address=eni)
    region.run(at_most=minutes(2))
    assert ec2.describe_network_interfaces()["NetworkInterfaces"]
    shown = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"][0]
    assert shown["Attachment"]["InstanceId"] == old
    die(region, "hung")
    rouse(region)

    assert wait(region) == REPLACED

    shown = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"][0]
    (new,) = launched(region, old)
    assert (shown["Attachment"]["InstanceId"], shown["Attachment"]["Status"]) == (new, "attached")
    assert machines(region).serving().keys() == {new}
    assert machines(region).servers.clashes() == []


# Neighbours in mid-move


def test_an_old_host_that_is_started_again_before_its_volumes_left_keeps_them(region: Region) -> None:
    old = host(region)
    die(region, "hung")
    region.faults.add(Death(before=5))  # counted, launched, retired, stopped, and not detached
    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(lambda: state(region, old) == "stopping", at_most=minutes(2))
    region.run(region.quiet, at_most=minutes(15))
    assert (state(region, old), asked(region, "DetachVolume")) == ("stopped", [])

    region.client("ec2").start_instances(InstanceIds=[old])
    rouse(region)

    assert wait(region) == KEPT
    region.run(at_most=minutes(35))
    assert "retired" not in words(region, old)
    assert [state(region, one) for one in launched(region, old)] == ["stopped"]  # launched in vain
    assert len(notices(region)) == 1
    is_served_by(region, old)


def test_an_old_host_that_is_started_again_after_its_volumes_left_is_left_alone_without_them(region: Region) -> None:
    old = host(region)
    die(region, "stopped")
    rouse(region)
    region.run(lambda: all(not one["Attachments"] for one in volumes(region)), at_most=minutes(3))
    hush(region)

    region.client("ec2").start_instances(InstanceIds=[old])
    rouse(region)

    assert wait(region) == REPLACED
    region.run(at_most=minutes(15))
    assert state(region, old) == "running"
    is_served_by(region, launched(region, old)[0])


def test_an_old_host_that_is_started_again_with_one_of_its_volumes_is_fenced_once_more(region: Region) -> None:
    old = host(region)
    die(region, "stopped")
    region.faults.add(Death(after=4))  # counted, launched, retired, and one volume of two detached
    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(region.quiet, at_most=minutes(3))
    assert sorted(len(one["Attachments"]) for one in volumes(region)) == [0, 1]

    region.client("ec2").start_instances(InstanceIds=[old])
    region.run(region.quiet, at_most=minutes(3))
    rouse(region)

    assert wait(region) == REPLACED
    assert state(region, old) == "stopped"
    is_served_by(region, launched(region, old)[0])


def test_an_instance_whose_token_was_used_with_another_version_of_the_template_is_adopted(region: Region) -> None:
    """RunInstances was done and its answer lost; then the template's default changed, and reads lag for a while."""
    old = host(region)
    die(region, "terminated")
    region.faults.add(Death(after=2))
    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(at_most=4)
    make_default(region, InstanceType="m7g.xlarge")
    late = Lag(30)
    region.faults.add(late)
    region.calls.clear()
    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(lambda: bool(asked(region, "DescribeVolumeStatus")), at_most=minutes(2))
    region.faults.remove(late)
    rouse(region)

    assert wait(region) == REPLACED

    assert [call.error for call in asked(region, "RunInstances")] == ["400"]  # IdempotentParameterMismatch
    assert len(launched(region, old)) == 1
    is_served_by(region, launched(region, old)[0])


# Volumes that are lost


def test_a_lost_volume_is_told_with_what_to_run_and_nothing_is_restored(region: Region) -> None:
    region.invoke("snapshot_database", {})
    region.run(region.quiet, at_most=minutes(30))
    die(region, "terminated")
    region.lose_volume(ids(region)[1])
    rouse(region)

    wait(region)
    region.run(at_most=minutes(5))

    assert (refusals(region), refused(region)) == (["volume-lost"], "volume-lost")
    assert "aws ec2 create-volume --snapshot-id snap-" in notices(region)[0][1]
    assert "CreateVolume" not in writes(region)


def test_what_a_restore_that_was_killed_has_taken_away_is_left_and_nothing_is_told(region: Region) -> None:
    region.invoke("snapshot_database", {})
    region.run(region.quiet, at_most=minutes(30))
    region.calls.clear()
    die(region, "terminated")
    since = region.clock.moment().strftime("%Y-%m-%dT%H:%M:%SZ")
    for one in ids(region):
        label(region, one, role="retired", paused=f"restore 2026-11-20T04:30:00Z since {since}")
    rouse(region)

    region.run(at_most=minutes(4.5))
    closely = look(region, application="smallpayroll")

    assert (notices(region), region.queue("FailureQueue")) == ([], [])
    assert writes(region) == ["DeleteAlarms"]  # of the host that is gone
    assert closely["applications"] == [{"application": "smallpayroll", "did": [], "waits_for": []}]
    assert look(region)["applications"] == []


# For somebody to look at, for a rehearsal, and one that was the database's until that was undone.
COPIES: list[dict[str, str]] = [
    {"role": "restored", "restored-for": "volumes"},
    {"role": "rehearsal", "rehearses": "set"},
    {"role": "retired", "retired": "2026-11-22T04:00:00Z undone", "volumes": "vol-1"},
]


def copy_newest(region: Region, **words: str) -> str:
    """A copy of the newest snapshot, as a restore or a rehearsal tags it."""
    snapshot = region.world().snapshots[-1].id
    ec2 = region.client("ec2")
    made = ec2.create_volume(AvailabilityZone=zone(region), SnapshotId=snapshot)["VolumeId"]
    label(region, made, **{"application": "smallpayroll", "restored-from": snapshot, **words})
    return str(made)


def test_a_lost_volume_is_restored_in_its_place_where_the_parameter_says_so() -> None:
    with open_region(sweeps=True, quick=True, volumes=1, RestoreWhenVolumeLost="true") as region:
        old, (lost,) = host(region), ids(region)
        for _ in range(4):
            machines(region).write(old)
        region.invoke("snapshot_database", {})
        region.run(region.quiet, at_most=minutes(30))
        machines(region).write(old)
        copies = [copy_newest(region, **words) for words in COPIES]
        die(region, "terminated")
        region.lose_volume(lost)
        region.run(at_most=10)
        began = region.clock.now()
        rouse(region)

        assert wait(region) == REPLACED

        assert region.clock.now() - began >= minutes(5)
        (new,) = [one for one in ids(region) if one != lost]
        assert new not in copies
        assert machines(region).servers.disks[new].timeline == 2
        assert machines(region).acknowledged(new) == 4
        assert words(region, new)["restored-from"].startswith("snap-")
        serving = machines(region).serving()
        assert list(serving.values()) == [{new}]
        assert machines(region).servers.clashes() == []
        region.run(at_most=minutes(5))
        assert len(notices(region)) == 1


@pytest.mark.parametrize("forgotten", [("role",), ("role", "application", "restored-from", "volumes")])
def test_a_restored_volume_that_loses_its_tags_is_no_second_loss(forgotten: tuple[str, ...]) -> None:
    with open_region(sweeps=True, quick=True, volumes=1, RestoreWhenVolumeLost="true") as region:
        (lost,) = ids(region)
        region.invoke("snapshot_database", {})
        region.run(region.quiet, at_most=minutes(30))
        die(region, "terminated")
        region.lose_volume(lost)
        region.run(at_most=10)
        rouse(region)
        assert wait(region) == REPLACED
        (new,) = [one for one in ids(region) if one != lost]
        assert machines(region).write(words(region, new)["host"])
        region.run(at_most=minutes(20))
        region.calls.clear()

        unlabel(region, new, *forgotten)
        region.terminate(next(iter(machines(region).serving())))
        region.run(at_most=minutes(30))

        assert "CreateVolume" not in writes(region)
        assert refusals(region) == ["volume-untagged"]
        assert new in notices(region)[-1][1]


# Afterwards


def test_a_retired_host_is_terminated_after_its_days_and_nothing_of_it_is_deleted() -> None:
    with open_region(sweeps=True, quick=True, RetiredHostDays="1") as region:
        old = host(region)
        root = region.ec2.get_instance(old).block_device_mapping["/dev/sda1"].volume_id
        die(region, "hung")
        rouse(region)
        wait(region)
        hush(region)
        region.run(at_most=hours(23.5))
        rouse(region)
        region.run(at_most=minutes(3))
        assert state(region, old) == "stopped"
        hush(region)
        region.run(at_most=hours(1))
        rouse(region)

        region.run(at_most=minutes(3))

        assert state(region, old) == "terminated"
        assert root in region.ec2.volumes
        assert region.metrics["RetiredHosts"][-1] == 0
        is_served_by(region, launched(region, old)[0])


def test_volumes_that_somebody_lets_go_with_their_host_are_kept_by_the_next_sweep(region: Region) -> None:
    old = host(region)
    device = volumes(region)[0]["Attachments"][0]["Device"]
    region.client("ec2").modify_instance_attribute(
        InstanceId=old, BlockDeviceMappings=[{"DeviceName": device, "Ebs": {"DeleteOnTermination": True}}]
    )

    region.run(at_most=minutes(2))
    region.terminate(old)

    assert wait(region) == REPLACED
    is_served_by(region, launched(region, old)[0])


# Fleets


def add_application(region: Region, name: str) -> str:
    """A database on a host that runs well, with a launch template of its own, not settled yet; the host."""
    data = region.client("ec2").describe_launch_template_versions(LaunchTemplateId=template(region), Versions=["1"])
    own = {"watchkeeper:application": name}
    named = [{"Key": key, "Value": value} for key, value in {**own, "watchkeeper:role": "database-launch"}.items()]
    wanted = data["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    region.client("ec2").create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={key: value for key, value in wanted.items() if key != "TagSpecifications"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": named}],
    )
    hosting = {**own, "watchkeeper:role": "database-host"}
    return region.ec2.stock_host(hosting, {**own, "watchkeeper:role": "database"})[0]


def template_of(region: Region, name: str) -> str:
    wanted = [{"Name": "tag:watchkeeper:application", "Values": [name]}]
    (found,) = region.client("ec2").describe_launch_templates(Filters=wanted)["LaunchTemplates"]
    return str(found["LaunchTemplateId"])


def test_several_with_work_are_handed_on_and_each_is_replaced() -> None:
    with open_region(sweeps=True, quick=True) as region:
        shop = add_application(region, "shop")
        region.run(at_most=minutes(3))
        assert sorted(alarms(region)) == sorted([host(region), shop])
        hush(region)
        region.run(at_most=minutes(10))
        old = host(region)
        die(region, "terminated")
        region.power_cut(shop)

        handed = look(region)["handed_on"]
        region.run(region.quiet, at_most=minutes(3))

        assert handed == ["shop", "smallpayroll"]
        assert sorted(subject for subject, _ in notices(region)) == [
            "Watchkeeper: shop has a new database host",
            REPLACED,
        ]
        assert len(launched(region, shop)) == 1
        is_served_by(region, launched(region, old)[0])


def settle_stock(region: Region, number: int) -> list[str]:
    """So many databases that are well and settled, each with its launch template, all without a request; the hosts."""
    made = []
    for one in range(number):
        own = {"watchkeeper:application": f"app-{one:05}"}
        instance, volume = region.ec2.stock_host(
            {**own, "watchkeeper:role": "database-host"}, {**own, "watchkeeper:role": "database"}
        )
        region.ec2.create_tags([volume], {"watchkeeper:host": instance, "watchkeeper:volumes": volume})
        region.ec2.create_launch_template(
            f"app-{one:05}",
            "",
            {"ImageId": "ami-0123456789abcdef0"},
            {"launch-template": {**own, "watchkeeper:role": "database-launch"}},
        )
        made.append(instance)
    return made


def test_a_healthy_fleet_costs_the_calls_of_its_pages_and_nothing_more(region: Region) -> None:
    hush(region)
    for instance in settle_stock(region, FLEET):
        region.client("cloudwatch").put_metric_alarm(
            AlarmName=PREFIX + instance,
            Namespace="AWS/EC2",
            MetricName="StatusCheckFailed",
            Dimensions=[{"Name": "InstanceId", "Value": instance}],
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=2,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )
    region.calls.clear()

    answer = look(region, time="2026-11-22T04:16:00Z")

    assert answer["looked_at"] == FLEET + 1
    assert Counter(call.operation for call in region.calls if call.caller == FUNCTION) == {
        "DescribeLaunchTemplates": pages(FLEET + 1, 200),
        "DescribeVolumes": pages(FLEET + 2, 1000),
        "DescribeInstances": pages(FLEET + 1, 1000),
        "DescribeInstanceStatus": 3,
        "GetHostedZone": 1,
        "ListResourceRecordSets": 1,
        "DescribeAlarms": pages(FLEET + 1, 100),
    }


def pages(things: int, size: int) -> int:
    return -(-things // size)


def test_a_fleet_without_alarms_gets_some_with_each_sweep(region: Region) -> None:
    settle_stock(region, 60)

    made = [len(look(region, time="2026-11-22T04:16:00Z")["alarms"]["made"]) for _ in range(3)]

    assert made == [50, 10, 0]


def test_each_application_has_a_minute_of_the_day_in_which_a_launch_is_rehearsed(region: Region) -> None:
    hush(region)
    mine = zlib.crc32(b"smallpayroll") % (24 * 60)
    before = region.world()
    rehearsed = []

    for minute in range(mine - 2, mine + 3):
        region.calls.clear()
        look(region, time=f"2026-11-22T{minute // 60:02}:{minute % 60:02}:00Z")
        rehearsed += [minute for call in asked(region, "RunInstances") if call.parameters["DryRun"]]

    assert rehearsed == [mine]
    assert region.world() == before


def test_what_would_prevent_a_launch_is_told_on_a_calm_day(region: Region) -> None:
    hush(region)
    mine = zlib.crc32(b"smallpayroll") % (24 * 60)
    iam = region.client("iam")
    iam.create_role(RoleName="admin", AssumeRolePolicyDocument="{}")
    profile = iam.create_instance_profile(InstanceProfileName="admin")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="admin", RoleName="admin")
    make_default(region, IamInstanceProfile={"Arn": profile})

    for _ in range(2):
        look(region, time=f"2026-11-22T{mine // 60:02}:{mine % 60:02}:00Z")

    assert [subject.partition("; ")[2] for subject, _ in notices(region)] == ["to be mended (launch-refused)"]
    assert "iam:PassRole" in notices(region)[0][1]


def test_what_is_told_of_a_host_that_is_well_is_told_once_and_rings_no_alarm(region: Region) -> None:
    hush(region)
    mine = zlib.crc32(b"smallpayroll") % (24 * 60)
    region.client("ec2").modify_instance_attribute(InstanceId=host(region), DisableApiTermination={"Value": True})
    region.metrics.clear()

    times = [f"2026-11-22T{minute // 60:02}:{minute % 60:02}:00Z" for minute in range(mine, mine + 3)]
    answers = [look(region, time=time) for time in times]

    assert refused(region) == "protected-from-termination"
    assert [subject for subject, _ in notices(region)] == [
        "Watchkeeper: the host of smallpayroll is well; to be mended (protected-from-termination)"
    ]
    assert sum(region.metrics["Refusals"]) == 0
    assert [len(one["applications"]) for one in answers] == [1, 0, 0]


@pytest.mark.parametrize("operation", ["DescribeInstanceStatus", "DescribeAlarms", "DeleteAlarms"])
def test_a_sweep_replaces_the_dead_though_something_else_cannot_be_read_or_written(
    region: Region, operation: str
) -> None:
    old = host(region)
    die(region, "terminated")
    region.faults.add(ServerError(operation, times=1000))
    region.bus.deliveries = lambda event: (0.0,) if event["source"] == "aws.scheduler" else ()

    assert wait(region) == REPLACED
    is_served_by(region, launched(region, old)[0])


def test_without_route_53_a_sweep_starts_the_database_and_the_address_follows_later(region: Region) -> None:
    away = [ServerError(one, times=1000) for one in ("GetHostedZone", "ListResourceRecordSets")]
    die(region, "terminated")
    region.faults.add(*away)
    region.bus.deliveries = lambda event: (0.0,) if event["source"] == "aws.scheduler" else ()
    region.run(at_most=minutes(3))
    assert len(machines(region).serving()) == 1

    region.faults.remove(*away)

    assert wait(region) == REPLACED
    is_served_by(region, settled(region))
