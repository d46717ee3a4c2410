"""snapshot_database end to end in a region without disks: one set for a run, truly named, whatever goes wrong."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from region import (
    Death,
    Failed,
    Lag,
    LostAnswer,
    Region,
    Simulated,
    StillWaiting,
    Stuck,
    Throttle,
    hours,
    minutes,
)
from tests.runs import (  # noqa: F401 the tests among these hold in both forms
    FUNCTION,
    test_a_run_makes_one_set_and_the_same_run_again_none,
    test_a_run_that_was_killed_after_the_thaw_is_completed_by_its_retry,
    test_a_set_whose_answer_was_lost_is_found_within_the_freeze,
    test_what_ec2_refuses_is_thawed_and_raised,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from region.world import Snapshot

LEASE = 20

# What is not tried here does not fall due each minute or hour.
ASLEEP = {"ReplaceDatabaseHosts": "false", "RegisterWebNodes": "false", "RehearseRestores": "false"}


@pytest.fixture
def region() -> Iterator[Region]:
    with open_region() as opened:
        yield opened


@contextmanager
def open_region(seed: int = 7, **parameters: str) -> Iterator[Region]:
    """A region with Watchkeeper and smallpayroll in it, both settled."""
    with Region(Simulated(seed=seed), seed=seed) as region:
        region.deploy("template.yaml", Email="a@example.com", **ASLEEP, **parameters)
        region.deploy("examples/smallpayroll.yaml")
        region.run(region.quiet, at_most=minutes(10))
        region.run(at_most=minutes(3))
        region.calls.clear()
        yield region


@pytest.fixture
def event(region: Region) -> dict[str, Any]:
    return {"application": "smallpayroll", "time": this_minute(region)}


def concluded(region: Region) -> list[Snapshot]:
    """The snapshots of tries that came to a conclusion."""
    return [one for one in region.world().snapshots if "frozen-ms" in words(one)]


def this_minute(region: Region) -> str:
    return region.clock.moment().replace(second=0).strftime("%Y-%m-%dT%H:%M:%SZ")


def host(region: Region) -> Any:
    """The simulated machine of the database."""
    machines = region.machines
    assert isinstance(machines, Simulated)
    (machine,) = machines.hosts.values()
    return machine


def writes(region: Region) -> list[str]:
    return [call.operation for call in region.calls if call.write and call.caller == FUNCTION]


def nobody_was_lied_to(region: Region) -> None:
    """Nothing is frozen, and a set says `application` only if every member was taken within one freeze."""
    assert [volume.frozen for volume in region.world().volumes if volume.frozen] == []
    sets: dict[str, list[Snapshot]] = {}
    for one in region.world().snapshots:
        sets.setdefault(words(one)["set"], []).append(one)
    for name, members in sets.items():
        if any(words(one)["consistency"] == "application" for one in members):
            assert {one.freeze for one in members} == {name}


# One set for a run


def test_a_run_makes_one_application_consistent_set(region: Region) -> None:
    answer = region.invoke(FUNCTION, {"application": "smallpayroll"})

    (made,) = answer["made"]
    (snapshot,) = region.world().snapshots
    assert made["consistency"] == words(snapshot)["consistency"] == "application"
    assert int(words(snapshot)["frozen-ms"]) == made["frozen_ms"] > 0
    assert words(snapshot)["lsn"]
    nobody_was_lied_to(region)


def test_the_same_run_again_does_nothing(region: Region) -> None:
    event = {"time": this_minute(region)}
    region.invoke(FUNCTION, event)
    before = region.world()
    region.calls.clear()

    answer = region.invoke(FUNCTION, event)

    assert answer["left"] == [{"application": "smallpayroll", "reason": "the run has its set"}]
    assert writes(region) == []
    assert region.world() == before


def test_the_volumes_of_others_on_the_host_are_left_out(region: Region) -> None:
    ec2 = region.client("ec2")
    (volume,) = ec2.describe_volumes(Filters=[{"Name": "tag:watchkeeper:role", "Values": ["database"]}])["Volumes"]
    other = ec2.create_volume(AvailabilityZone=volume["AvailabilityZone"], Size=1)["VolumeId"]
    ec2.attach_volume(VolumeId=other, InstanceId=volume["Attachments"][0]["InstanceId"], Device="/dev/sdz")
    region.run(region.quiet, at_most=minutes(2))

    region.invoke(FUNCTION, {})

    assert [one.volume for one in region.world().snapshots] == [volume["VolumeId"]]


def within_the_freeze(region: Region, happen: Callable[[Any, str, str], object]) -> Any:
    """Lets something happen to a volume and its host while the database is frozen; the invocation, at its end."""
    machines = region.machines
    assert isinstance(machines, Simulated)
    invocation = region.start(FUNCTION, {"application": "smallpayroll"})
    region.run(lambda: bool(machines.frozen()), at_most=minutes(2))
    happen(region.client("ec2"), next(iter(machines.frozen())), host_id(region))
    region.run(invocation, at_most=minutes(10))
    return invocation


def test_a_volume_that_comes_to_the_host_within_the_freeze_is_no_part_of_the_set(region: Region) -> None:
    (zone,) = {one["AvailabilityZone"] for one in region.client("ec2").describe_volumes()["Volumes"]}
    other = region.client("ec2").create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    region.run(region.quiet, at_most=minutes(2))

    invocation = within_the_freeze(
        region, lambda ec2, _, instance: ec2.attach_volume(VolumeId=other, InstanceId=instance, Device="/dev/sdz")
    )

    (made,) = invocation.result["made"]
    roles = {one.volume: words(one)["role"] for one in region.world().snapshots}
    assert roles.pop(other) == "not-ours"
    assert list(roles.values()) == ["snapshot"]
    assert (made["consistency"], len(made["snapshots"])) == ("application", 1)


def add_wal_volume(region: Region) -> str:
    """A second volume of the database, attached."""
    ec2 = region.client("ec2")
    (zone,) = {one["AvailabilityZone"] for one in ec2.describe_volumes()["Volumes"]}
    names = {"watchkeeper:application": "smallpayroll", "watchkeeper:role": "database"}
    tagged = [{"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in names.items()]}]
    made = ec2.create_volume(AvailabilityZone=zone, Size=1, TagSpecifications=tagged)["VolumeId"]
    region.run(region.quiet, at_most=minutes(2))
    ec2.attach_volume(VolumeId=made, InstanceId=host_id(region), Device="/dev/sdw")
    region.run(region.quiet, at_most=minutes(2))
    return str(made)


def test_data_and_wal_on_two_volumes_are_one_call_and_one_set(region: Region) -> None:
    add_wal_volume(region)

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    assert (made["consistency"], len(made["snapshots"])) == ("application", 2)
    assert writes(region).count("CreateSnapshots") == 1
    nobody_was_lied_to(region)


def test_a_set_that_lacks_a_volume_which_left_meanwhile_does_not_count(region: Region) -> None:
    wal = add_wal_volume(region)
    host(region).slow = 8
    invocation = region.start(FUNCTION, {"application": "smallpayroll"})
    region.run(lambda: host(region).keeper is not None, at_most=minutes(2))
    region.client("ec2").detach_volume(VolumeId=wal, Force=True)
    region.run(invocation, at_most=minutes(10))

    assert f"lacks {wal}" in str(invocation.error)
    assert concluded(region) == []
    nobody_was_lied_to(region)


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(region: Region) -> None:
    answer = region.invoke(FUNCTION, {"dry_run": True})

    assert answer["plan"] == [{"application": "smallpayroll", "would": "take", "reason": "asked for"}]
    assert writes(region) == []


def test_while_a_restore_is_at_it_a_set_is_made_when_that_asks_for_one_and_no_volume_is_missed(region: Region) -> None:
    ec2, event = region.client("ec2"), {"application": "smallpayroll"}
    (volume,) = [one.id for one in region.world().volumes if "database" in words_of(one.tags).values()]
    paused = [{"Key": "watchkeeper:paused", "Value": "restore 2026-11-20T04:30:00Z since 2026-11-22T04:20:00Z"}]
    ec2.create_tags(Resources=[volume, host_id(region)], Tags=paused)

    left = region.invoke(FUNCTION, event)["left"]
    made = region.invoke(FUNCTION, {**event, "force": True})["made"]
    ec2.create_tags(Resources=[volume], Tags=[{"Key": "watchkeeper:role", "Value": "retired"}])
    ec2.delete_tags(Resources=[host_id(region)], Tags=[{"Key": "watchkeeper:application"}])
    between = region.invoke(FUNCTION, event)["left"]

    assert left == between == [{"application": "smallpayroll", "reason": f"paused: {paused[0]['Value']}"}]
    assert [one["consistency"] for one in made] == ["application"]


def test_the_schedule_makes_a_set_each_night_and_the_hourly_look_none_beside_it(region: Region) -> None:
    region.run(at_most=hours(24 * 4))

    runs = [words(one)["run"] for one in concluded(region)]
    assert len(runs) == len(set(runs))
    assert 4 <= len(runs) <= 5
    nobody_was_lied_to(region)


def test_what_a_night_missed_the_hourly_look_makes_up_for(region: Region) -> None:
    region.run(at_most=hours(25))
    before = len(concluded(region))
    host(region).agent = False  # the next night fails: nothing can be frozen, a crash set is made
    region.run(at_most=hours(24))
    host(region).agent = True

    region.run(at_most=hours(3))

    newest = max(concluded(region), key=lambda one: one.started)
    assert words(newest)["consistency"] == "application"
    assert len(concluded(region)) == before + 2


def test_a_database_that_cannot_be_frozen_for_days_gets_a_crash_set_a_night_and_fails_no_hour(region: Region) -> None:
    host(region).agent = False

    region.run(at_most=hours(72))

    assert {words(one)["consistency"] for one in concluded(region)} == {"crash"}
    assert 3 <= len(concluded(region)) <= 4
    assert region.queue("FailureQueue") == []


@pytest.mark.parametrize("fault", [Lag(5), Lag(15)])
def test_a_second_delivery_that_reads_an_older_state_makes_no_second_set(region: Region, fault: Lag) -> None:
    event = {"time": this_minute(region)}
    region.faults.add(fault)

    region.invoke(FUNCTION, event)
    region.invoke(FUNCTION, event, asynchronous=True)
    region.run(region.quiet, at_most=minutes(15))

    assert len(region.world().snapshots) == 1
    nobody_was_lied_to(region)


def test_a_set_that_another_delivery_had_thawed_says_crash(region: Region) -> None:
    machines = region.machines
    assert isinstance(machines, Simulated)
    invocation = region.start(FUNCTION, {"application": "smallpayroll"})
    region.run(lambda: bool(machines.frozen()), at_most=minutes(2))
    sent = next(call.parameters for call in region.calls if call.operation == "SendCommand")
    late = {"executionId": sent["Parameters"]["executionId"], "command": ["post-script"]}
    region.client("ssm").send_command(
        InstanceIds=sent["InstanceIds"], DocumentName=sent["DocumentName"], Parameters=late
    )
    region.run(invocation, at_most=minutes(5))

    nobody_was_lied_to(region)
    assert [words(one)["consistency"] for one in concluded(region)] == ["crash"]


def test_an_answer_of_ssm_that_cannot_be_understood_does_not_keep_the_thaw_away(region: Region) -> None:
    machines = region.machines
    assert isinstance(machines, Simulated)
    answer = region.wire.answers["ssm", "GetCommandInvocation"]
    odd = ("ResponseCode", "StandardOutputContent", "StandardErrorContent")
    region.wire.answers["ssm", "GetCommandInvocation"] = lambda call: {
        word: value
        for word, value in answer(call).items()  # type: ignore[union-attr]
        if word not in odd
    }

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    assert made["consistency"] == "crash"
    assert writes(region).count("SendCommand") == 2
    assert machines.frozen() == {}


# Answers that are lost


def test_a_freeze_whose_command_was_not_answered_is_ended_at_once_and_not_by_the_lease(region: Region) -> None:
    machines = region.machines
    assert isinstance(machines, Simulated)
    region.faults.add(LostAnswer("SendCommand", at_once=True))

    region.invoke(FUNCTION, {"application": "smallpayroll"})

    assert machines.frozen() == {}
    with pytest.raises(StillWaiting):
        region.run(lambda: bool(machines.frozen()), at_most=LEASE)


def test_boto_does_not_send_a_write_without_a_token_twice(region: Region) -> None:
    region.faults.add(LostAnswer("CreateSnapshots", at_once=True))

    region.invoke(FUNCTION, {"application": "smallpayroll"})

    assert writes(region).count("CreateSnapshots") == 1


def test_a_set_whose_answer_was_lost_but_which_is_seen_within_the_freeze_is_application(region: Region) -> None:
    region.faults.add(LostAnswer("CreateSnapshots", at_once=True))

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    assert made["consistency"] == "application"
    nobody_was_lied_to(region)


def test_a_set_whose_answer_was_lost_and_which_is_seen_only_after_the_thaw_stays_crash(region: Region) -> None:
    region.faults.add(LostAnswer("CreateSnapshots", at_once=True), Lag(0.4))

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    assert made["consistency"] == "crash"
    assert "not answered" in made["reason"]
    nobody_was_lied_to(region)


# The lease


def test_a_set_that_outlasts_its_lease_says_crash(region: Region) -> None:
    region.faults.add(LostAnswer("CreateSnapshots"), Lag(60))  # ten seconds until the time-out, ten more until a look
    host(region).slow = 0.5

    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(region.quiet, at_most=minutes(20))

    nobody_was_lied_to(region)


def test_a_keeper_that_is_killed_within_the_freeze_demotes_the_set(region: Region) -> None:
    invocation = region.start(FUNCTION, {"application": "smallpayroll"})
    machines = region.machines
    assert isinstance(machines, Simulated)
    region.run(lambda: bool(machines.frozen()), at_most=minutes(2))
    machines.kill_keeper(next(iter(machines.hosts)))
    region.run(invocation, at_most=minutes(5))

    (made,) = invocation.result["made"]  # type: ignore[index]
    assert made["consistency"] == "crash"
    assert region.metrics["CrashSets"][-1] == 1
    nobody_was_lied_to(region)


def test_a_file_system_that_somebody_thaws_within_the_freeze_demotes_the_set(region: Region) -> None:
    invocation = region.start(FUNCTION, {"application": "smallpayroll"})
    machines = region.machines
    assert isinstance(machines, Simulated)
    region.run(lambda: bool(machines.frozen()), at_most=minutes(2))
    machines.thaw(next(iter(machines.frozen())))
    region.run(invocation, at_most=minutes(5))

    assert [words(one)["consistency"] for one in concluded(region)] == ["crash"]
    nobody_was_lied_to(region)


# What cannot be frozen


def refuse_in_words(machine: Any) -> None:
    machine.refuses = (201, "PostgreSQL refused the backup: a backup is already in progress")


def lay_wal_outside(machine: Any) -> None:
    machine.database = frozenset({"vol-0000000000000dead"})


def take_the_agent_away(machine: Any) -> None:
    machine.agent = False


def stop_postgres(machine: Any) -> None:
    machine.postgres = False


CANNOT = [
    (refuse_in_words, "already in progress"),
    (lay_wal_outside, "vol-0000000000000dead"),
    (take_the_agent_away, "SSM does not reach"),
    (stop_postgres, "No PostgreSQL runs"),
]


@pytest.mark.parametrize(("go_wrong", "sentence"), CANNOT)
def test_what_cannot_be_frozen_gets_a_crash_set_a_metric_and_a_reason(
    region: Region, go_wrong: Any, sentence: str
) -> None:
    go_wrong(host(region))

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    assert made["consistency"] == "crash"
    assert sentence in made["reason"]
    assert region.metrics["CrashSets"][-1] == 1
    nobody_was_lied_to(region)


@pytest.mark.parametrize(("go_wrong", "sentence"), CANNOT)
def test_where_the_parameter_says_skip_it_gets_none_and_the_function_fails(go_wrong: Any, sentence: str) -> None:
    with open_region(OnFreezeFailure="skip") as region:
        go_wrong(host(region))

        with pytest.raises(Failed, match=sentence):
            region.invoke(FUNCTION, {"application": "smallpayroll"})

        assert region.world().snapshots == ()


def test_a_thaw_that_is_throttled_is_sent_again_before_the_lease_ends(region: Region) -> None:
    invocation = region.start(FUNCTION, {"application": "smallpayroll"})
    machines = region.machines
    assert isinstance(machines, Simulated)
    region.run(lambda: bool(machines.frozen()), at_most=minutes(2))
    region.faults.add(Throttle("SendCommand", times=2))
    region.run(invocation, at_most=minutes(5))

    assert [words(one)["consistency"] for one in concluded(region)] == ["application"]
    nobody_was_lied_to(region)


def test_a_host_whose_volumes_are_not_tagged_is_missed(region: Region) -> None:
    (volume,) = [one.id for one in region.world().volumes if "database" in words_of(one.tags).values()]
    region.client("ec2").delete_tags(Resources=[volume], Tags=[{"Key": "watchkeeper:role"}])

    with pytest.raises(Failed, match=r"has the host i-\w+ but no volume: tag its volume"):
        region.invoke(FUNCTION, {})


def test_a_missing_document_is_told_and_the_set_is_crash(region: Region) -> None:
    ssm = region.client("ssm")
    (name,) = [one["Name"] for one in ssm.list_documents()["DocumentIdentifiers"] if "Freeze" in one["Name"]]
    ssm.delete_document(Name=name)

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    assert made["consistency"] == "crash"
    assert "deploy the stack again" in made["reason"]


def test_a_stopped_host_gets_a_crash_set_without_a_command(region: Region) -> None:
    (instance,) = region.world().hosts
    region.client("ec2").stop_instances(InstanceIds=[instance.id])
    region.run(region.quiet, at_most=minutes(5))

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    assert made["consistency"] == "crash"
    assert "stopped" in made["reason"]
    assert "SendCommand" not in writes(region)


def test_a_freeze_of_somebody_else_is_left_alone_and_nothing_is_made(region: Region) -> None:
    machines = region.machines
    assert isinstance(machines, Simulated)
    (volume,) = [one.id for one in region.world().volumes if words_of(one.tags).get("watchkeeper:role") == "database"]
    machines.freeze(volume)

    with pytest.raises(Failed, match="A freeze is under way"):
        region.invoke(FUNCTION, {"application": "smallpayroll"})

    assert machines.frozen() == {volume: "somebody"}
    assert region.world().snapshots == ()


def words_of(tags: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(tags)


def test_five_pending_snapshots_are_told_in_words(region: Region) -> None:
    region.faults.add(Stuck("CreateSnapshots"))
    for _ in range(5):
        region.invoke(FUNCTION, {"application": "smallpayroll"})
        region.run(at_most=minutes(2))

    with pytest.raises(Failed, match=r"Five snapshots .* EBS takes no sixth"):
        region.invoke(FUNCTION, {"application": "smallpayroll"})

    nobody_was_lied_to(region)


# Names and failures that nobody answers for


def test_an_unknown_application_is_refused_with_the_names_that_exist(region: Region) -> None:
    with pytest.raises(Failed, match=r"no application 'bigpayroll'.*smallpayroll"):
        region.invoke(FUNCTION, {"application": "bigpayroll"})


def test_several_applications_are_handed_on_each_to_an_invocation_of_its_own(region: Region) -> None:
    ec2 = region.client("ec2")
    (volume,) = ec2.describe_volumes(Filters=[{"Name": "tag:watchkeeper:role", "Values": ["database"]}])["Volumes"]
    zone = volume["AvailabilityZone"]
    for name in ("shop", "wiki"):
        label = [
            {"Key": "watchkeeper:application", "Value": name},
            {"Key": "watchkeeper:role", "Value": "database-host"},
        ]
        instance = ec2.run_instances(
            ImageId="ami-0123456789abcdef0",
            MinCount=1,
            MaxCount=1,
            Placement={"AvailabilityZone": zone},
            TagSpecifications=[{"ResourceType": "instance", "Tags": label}],
        )["Instances"][0]["InstanceId"]
        region.run(region.quiet, at_most=minutes(3))
        tagged = [label[0], {"Key": "watchkeeper:role", "Value": "database"}]
        made = ec2.create_volume(
            AvailabilityZone=zone, Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": tagged}]
        )["VolumeId"]
        ec2.attach_volume(VolumeId=made, InstanceId=instance, Device="/dev/sdf")
    region.run(region.quiet, at_most=minutes(3))

    answer = region.invoke(FUNCTION, {})
    region.run(region.quiet, at_most=minutes(10))

    assert answer["handed_on"] == ["shop", "smallpayroll", "wiki"]
    made = sorted((words(one)["application"], words(one)["consistency"]) for one in concluded(region))
    assert made == [("shop", "application"), ("smallpayroll", "application"), ("wiki", "application")]
    nobody_was_lied_to(region)


def test_a_run_that_fails_for_good_ends_in_the_failure_queue_and_rings(region: Region) -> None:
    (name,) = [volume.id for volume in region.world().volumes if "database" in words_of(volume.tags).values()]
    region.client("ec2").delete_tags(Resources=[host_id(region)], Tags=[{"Key": "watchkeeper:application"}])

    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(region.quiet, at_most=minutes(10))

    (message,) = region.queue("FailureQueue")
    assert name
    assert "tag it watchkeeper:application=smallpayroll" in str(message)


def host_id(region: Region) -> str:
    (instance,) = region.world().hosts
    return instance.id


def test_a_run_of_another_hour_is_refused(region: Region) -> None:
    late = region.clock.moment() - timedelta(hours=2)

    with pytest.raises(Failed, match="not of now"):
        region.invoke(FUNCTION, {"time": late.strftime("%Y-%m-%dT%H:%M:%SZ")})


def test_a_set_tells_what_its_volumes_were_and_where(region: Region) -> None:
    """When they are lost, nothing else says it."""
    (volume,) = [one for one in region.world().volumes if "database" in words_of(one.tags).values()]
    wanted = {"watchkeeper:address": "db.smallpayroll.internal", "watchkeeper:keep": "9d"}
    tagged = [{"Key": key, "Value": value} for key, value in wanted.items()]
    region.client("ec2").create_tags(Resources=[volume.id], Tags=tagged)
    seen = region.client("ec2").describe_volumes(VolumeIds=[volume.id])["Volumes"][0]

    region.invoke(FUNCTION, {})

    (snapshot,) = region.world().snapshots
    told = words(snapshot)
    assert (told["zone"], told["host"]) == (seen["AvailabilityZone"], host_id(region))
    assert wanted.items() <= words_of(snapshot.tags).items()
    assert told["types"] == f"{seen['VolumeType']}/{seen.get('Iops', 0)}/{seen.get('Throughput', 0)}"


def test_fifty_tags_at_most_and_ours_come_first(region: Region) -> None:
    (volume,) = [one for one in region.world().volumes if "database" in words_of(one.tags).values()]
    theirs = [{"Key": f"team-{number:02}", "Value": "x"} for number in range(45)]
    region.client("ec2").create_tags(Resources=[volume.id], Tags=theirs[: 50 - len(volume.tags)])

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    (snapshot,) = region.world().snapshots
    assert len(snapshot.tags) <= 45  # `paused`, `lost`, `proven-at`, `recovery-ms` and `failed` may be added
    assert {"application", "role", "run", "set", "volumes", "zone", "types", "host"} <= set(words(snapshot))
    assert {"consistency", "frozen-ms"} <= set(words(snapshot))
    assert made["tags_left_out"] > 0


def name_apart(region: Region, own: int = 1) -> dict[str, str]:
    """Two volumes of a database: a Name of its own each and more of that kind, a team together; the names by volume."""
    add_wal_volume(region)
    found = [one.id for one in region.world().volumes if "database" in words_of(one.tags).values()]
    names = dict(zip(sorted(found), ("data", "wal"), strict=True))
    for one, name in names.items():
        theirs = {"Name": name, **{f"own-{number:02}": name for number in range(own - 1)}, "team": "pay"}
        tagged = [{"Key": key, "Value": value} for key, value in theirs.items()]
        region.client("ec2").create_tags(Resources=[one], Tags=tagged)
    region.calls.clear()
    return names


def names_of_snapshots(region: Region) -> dict[str, str]:
    return {one.volume: words(one).get("Name", "") for one in region.world().snapshots}


def test_what_people_wrote_on_one_volume_comes_back_on_that_one_alone(region: Region) -> None:
    names = name_apart(region)

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    assert (made["consistency"], made["tags_left_out"]) == ("application", 0)
    assert names_of_snapshots(region) == names
    assert {words(one)["team"] for one in region.world().snapshots} == {"pay"}
    assert writes(region) == ["SendCommand", "CreateSnapshots", "SendCommand", *["CreateTags"] * 3]  # after the thaw

    region.run(region.quiet, at_most=minutes(20))
    event = {"application": "smallpayroll", "set": "latest", "into": "volumes"}
    restored = region.invoke("restore_database", event)["volumes"]

    volumes = {one.id: words_of(one.tags) for one in region.world().volumes}
    assert {one["of"]: volumes[one["volume"]]["Name"] for one in restored} == names


def test_a_set_that_is_not_frozen_has_them_too(region: Region) -> None:
    names = name_apart(region)
    host(region).postgres = False

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    assert made["consistency"] == "crash"
    assert names_of_snapshots(region) == names


@pytest.mark.parametrize(("writes_done", "are_lost"), [(3, False), (4, True)])
def test_a_death_before_these_tags_costs_nothing_else(
    region: Region, event: dict[str, Any], writes_done: int, are_lost: bool
) -> None:
    names = name_apart(region)
    region.faults.add(Death(after=writes_done))
    with pytest.raises(Failed, match="killed"):
        region.invoke(FUNCTION, event)
    region.run(at_most=2)

    region.invoke(FUNCTION, event)

    assert {words(one)["consistency"] for one in region.world().snapshots} == {"application"}
    assert names_of_snapshots(region) == (dict.fromkeys(names, "") if are_lost else names)
    nobody_was_lied_to(region)


def test_of_what_is_one_volumes_own_as_much_is_kept_as_there_is_room_for(region: Region) -> None:
    name_apart(region, own=40)

    (made,) = region.invoke(FUNCTION, {"application": "smallpayroll"})["made"]

    snapshots = region.world().snapshots
    assert all("Name" in words(one) and len(one.tags) <= 45 for one in snapshots)
    kept = sum(key in ("Name", "team") or key.startswith("own-") for one in snapshots for key in words(one))
    assert made["tags_left_out"] == 2 * 41 - kept > 0


# Figures


def test_the_figures_of_a_run_are_metrics(region: Region) -> None:
    region.invoke(FUNCTION, {})

    assert region.metrics["SetsCreated"] == [1]
    assert region.metrics["CrashSets"] == [0]
    assert region.metrics["ApplicationsFound"] == [1]
    assert 0 < region.metrics["SecondsToSet"][0] < 60
    assert 0 < region.metrics["Frozen"][0] < LEASE * 1000


def test_a_fleet_that_has_its_sets_costs_the_calls_of_its_pages(region: Region) -> None:
    event = {"time": this_minute(region)}
    region.invoke(FUNCTION, event)
    region.calls.clear()

    region.invoke(FUNCTION, event)

    assert [call.operation for call in region.calls if call.caller == FUNCTION] == [
        "DescribeVolumes",
        "DescribeInstances",
        "DescribeSnapshots",
    ]


def test_the_age_of_the_newest_set_rings_when_nobody_looks_any_more(region: Region) -> None:
    region.run(at_most=hours(30))
    (alarm,) = [name for name in region.alarms if "Age" in name and "Proof" not in name]
    assert region.alarms[alarm] == "OK"
    for schedule in region.client("scheduler").list_schedules()["Schedules"]:
        region.client("scheduler").delete_schedule(Name=schedule["Name"], GroupName=schedule["GroupName"])

    region.run(at_most=hours(60))

    assert region.alarms[alarm] == "ALARM"
