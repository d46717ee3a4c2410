"""prune_snapshots end to end in a region without disks: what nobody keeps is deleted, and nothing else."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from region import (
    Death,
    Failed,
    Interleave,
    Lag,
    LostAnswer,
    Region,
    ServerError,
    Simulated,
    Throttle,
    hours,
    minutes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FUNCTION = "prune_snapshots"
DAY = timedelta(days=1)


@pytest.fixture
def region() -> Iterator[Region]:
    with open_region() as opened:
        yield opened


@contextmanager
def open_region(template: str | Path = "template.yaml", **parameters: str) -> Iterator[Region]:
    """A region with Watchkeeper in it, which keeps 7d, and a few of the newest."""
    with Region(Simulated(seed=7), seed=7) as region:
        region.deploy(
            template,
            **{
                "Email": "a@example.com",
                "Keep": "7d",
                "ReplaceDatabaseHosts": "false",
                "RegisterWebNodes": "false",
                "RehearseRestores": "false",
                **parameters,
            },
        )
        region.calls.clear()
        yield region


def volume(region: Region, application: str = "payroll", **words: str) -> str:
    """A database volume; `words` are further tags, e.g. keep="3d"."""
    given = {"application": application, "role": "database", **words}
    made = region.client("ec2").create_volume(
        AvailabilityZone="eu-central-1a", Size=8, TagSpecifications=[{"ResourceType": "volume", "Tags": tags(given)}]
    )
    return str(made["VolumeId"])


def tags(words: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": f"watchkeeper:{key}", "Value": value} for key, value in words.items()]


def stock(region: Region, of: str, age: timedelta, application: str = "payroll", /, **words: str) -> list[str]:
    """The snapshots of a set of these volumes as it was taken then. `words` are other tags; an empty one is none."""
    started = region.clock.moment() - age
    run = started.strftime("%Y-%m-%dT%H:%M:%SZ")
    given = {
        "application": application,
        "role": "snapshot",
        "run": run,
        "set": f"{application} {run}",
        "volumes": of,
        "consistency": "application",
        "frozen-ms": "80",
    } | {key.replace("_", "-"): value for key, value in words.items()}
    written = {f"watchkeeper:{key}": value for key, value in given.items() if value}
    return [region.ec2.stock(one, started, written).id for one in of.split()]


def stock_nights(
    region: Region, count: int, application: str = "payroll", volumes: str = "", **words: str
) -> list[str]:
    """A set for each of so many nights, the newest first."""
    of = volumes or volume(region, application)
    return [one for age in range(count) for one in stock(region, of, DAY * age, application, **words)]


def event(case: str = "") -> Any:
    """A file of events/."""
    return json.loads(Path(f"events/{FUNCTION}{case}.json").read_text())


def snapshots(region: Region) -> set[str]:
    return {one.id for one in region.world().snapshots}


def writes(region: Region) -> list[str]:
    return [call.operation for call in region.calls if call.write and call.caller == FUNCTION]


def measured(region: Region, name: str) -> float:
    """The metric's value of the last invocation."""
    return region.metrics[name][-1]


# The main job


def test_what_no_policy_keeps_is_deleted_and_the_second_run_does_nothing(region: Region) -> None:
    nights = stock_nights(region, 14)

    answer = region.invoke(FUNCTION, event())

    assert answer["applications"] == {"payroll": {"policy": "7d", "kept": 7, "deleted": 7}}
    assert snapshots(region) == set(nights[:7])
    assert (measured(region, "SnapshotsDeleted"), measured(region, "SetsKept")) == (7, 7)

    region.calls.clear()
    assert region.invoke(FUNCTION, event())["applications"] == {"payroll": {"policy": "7d", "kept": 7}}
    assert writes(region) == []


def test_the_schedule_prunes_each_morning(region: Region) -> None:
    nights = stock_nights(region, 14)

    region.run(at_most=hours(24))

    assert snapshots(region) == set(nights[:7])


def test_what_snapshot_database_makes_each_night_is_pruned_each_morning() -> None:
    with open_region(KeepLast="1") as region:
        region.deploy("examples/smallpayroll.yaml")
        (of,) = region.client("ec2").describe_volumes(
            Filters=[{"Name": "tag:watchkeeper:role", "Values": ["database"]}]
        )["Volumes"]
        region.client("ec2").create_tags(Resources=[of["VolumeId"]], Tags=tags({"keep": "2d"}))

        region.run(at_most=hours(24 * 3 + 4))

        runs = [dict(one.tags)["watchkeeper:run"] for one in region.world().snapshots]
        assert sorted(runs) == ["2026-11-24T04:30:00Z", "2026-11-25T04:30:00Z"]


def test_a_dry_run_answers_a_verdict_and_a_reason_for_each_set_and_writes_nothing(region: Region) -> None:
    nights = stock_nights(region, 9)
    before = region.world()

    answer = region.invoke(FUNCTION, event(".dry_run"))

    assert answer["applications"] == {"payroll": {"policy": "7d", "would_keep": 7, "would_delete": 2}}
    assert [one["would"] for one in answer["sets"]] == ["delete"] * 2 + ["keep"] * 7
    assert answer["sets"][0] == {
        "application": "payroll",
        "run": "2026-11-14T04:00:00Z",
        "consistency": "application",
        "snapshots": [nights[8]],
        "would": "delete",
        "reason": "older than what 7d keeps",
    }
    assert answer["sets"][2]["reason"] == "daily 7 of 7"
    assert writes(region) == []
    assert region.world() == before


def test_an_application_keeps_its_sets_when_volume_and_host_are_replaced(region: Region) -> None:
    old, new = "vol-0123456789abcdef0", volume(region)
    nights = [
        *(stock(region, new, DAY * age) for age in range(4)),
        *(stock(region, old, DAY * age) for age in range(4, 9)),
    ]

    region.invoke(FUNCTION, {})

    assert snapshots(region) == {one for night in nights[:7] for one in night}


def test_days_are_those_of_the_stacks_time_zone() -> None:
    with open_region(TimeZone="Asia/Tokyo") as region:
        of = volume(region)
        # In Tokyo 14:30 and 15:30 UTC are the evening of one day and the first hour of the next.
        newest, *_ = stock_nights(region, 3, volumes=of, consistency="crash")
        evening, morning = (stock(region, of, DAY * 5 + timedelta(hours=hour)) for hour in (13.5, 12.5))

        region.invoke(FUNCTION, {})

        assert snapshots(region) >= {newest, *evening, *morning}


# What is never deleted


def test_a_volume_says_how_its_application_is_kept(region: Region) -> None:
    of = volume(region, keep="9d")
    nights = stock_nights(region, 12, volumes=of)

    region.invoke(FUNCTION, {})

    assert snapshots(region) == set(nights[:9])


def test_a_policy_that_cannot_be_read_deletes_nothing_and_the_others_go_on(region: Region) -> None:
    mine = stock_nights(region, 30, volumes=volume(region, keep="7 days"))
    theirs = stock_nights(region, 9, "billing")

    with pytest.raises(Failed) as failed:
        region.invoke(FUNCTION, {})

    assert failed.value.error_type == "Refused"
    assert "of 'payroll', is '7 days'" in failed.value.message
    assert snapshots(region) == {*mine, *theirs[:7]}


def test_two_volumes_that_disagree_are_an_error_that_names_both(region: Region) -> None:
    one, other = volume(region, keep="7d"), volume(region, keep="3d")
    nights = stock_nights(region, 12, volumes=f"{one} {other}")

    with pytest.raises(Failed, match=rf"({one}.*{other})|({other}.*{one})"):
        region.invoke(FUNCTION, {})

    assert snapshots(region) == set(nights)


def test_what_is_paused_is_left(region: Region) -> None:
    nights = stock_nights(region, 12)
    region.client("ec2").create_tags(Resources=[nights[9]], Tags=tags({"paused": ""}))
    theirs = stock_nights(region, 12, "billing", volume(region, "billing", paused="moving"))

    answer = region.invoke(FUNCTION, {})

    assert snapshots(region) == {*nights[:7], nights[9], *theirs}
    assert answer["applications"]["billing"]["policy"] == "none: the application is paused: moving"


def test_what_only_claims_to_be_ours_is_reported_and_left(region: Region) -> None:
    of = volume(region)
    nights = stock_nights(region, 12, volumes=of)
    ec2 = region.client("ec2")
    copy = ec2.copy_snapshot(SourceSnapshotId=nights[11], SourceRegion="eu-central-1")["SnapshotId"]
    ec2.create_tags(Resources=[copy], Tags=ec2.describe_snapshots(SnapshotIds=[nights[11]])["Snapshots"][0]["Tags"])
    (retagged,) = stock(region, of, DAY * 11, run="2026-01-01T04:00:00Z")
    (of_another_volume,) = stock(region, "vol-0fedcba9876543210", DAY * 11, volumes=of)
    (by_hand,) = stock(region, of, DAY * 11, role="")

    original = region.ec2.get_snapshot(nights[11])
    region.ec2.stock(of, original.start_time, region.ec2.tags_of(original.id), owner="210987654321")

    answer = region.invoke(FUNCTION, {})

    assert snapshots(region) == {*nights[:7], copy, retagged, of_another_volume, by_hand}
    assert len(writes(region)) == 5
    assert sorted(answer["not_ours"]) == sorted([copy, retagged, of_another_volume])
    assert measured(region, "StrangersFound") == 3


def test_a_lost_application_is_left_until_it_is_retired_by_name() -> None:
    for retired, left in (("", 12), ("payroll", 7)):
        with open_region(Retired=retired) as region:
            stock_nights(region, 12, volumes="vol-0123456789abcdef0")

            region.invoke(FUNCTION, {})

            assert len(snapshots(region)) == left


def test_a_plan_for_more_than_half_is_refused_alone_and_done_by_force(region: Region) -> None:
    mine, theirs = stock_nights(region, 20, "smallpayroll"), stock_nights(region, 9, "billing")

    with pytest.raises(Failed, match="would delete 13 of its 20 sets, which is more than half"):
        region.invoke(FUNCTION, event())
    assert snapshots(region) == {*mine, *theirs[:7]}
    assert measured(region, "PrunesRefused") == 1

    region.invoke(FUNCTION, event(".force"))
    assert snapshots(region) == {*mine[:7], *theirs[:7]}


def test_several_refusals_are_told_in_full(region: Region) -> None:
    stock_nights(region, 20)
    stock_nights(region, 20, "billing")

    with pytest.raises(Failed) as failed:
        region.invoke(FUNCTION, {})

    assert "2 failed; the others are done: Keeping 7d of 'billing'" in failed.value.message
    assert "; Keeping 7d of 'payroll'" in failed.value.message


def test_a_stack_that_watches_some_names_touches_no_others() -> None:
    with open_region(Applications="pay*,ledger") as region:
        mine, theirs = stock_nights(region, 9), stock_nights(region, 9, "billing")

        region.invoke(FUNCTION, {})

        assert snapshots(region) == {*mine[:7], *theirs}
        with pytest.raises(Failed, match=r"'billing' is not watched by this stack, .* pay\*,ledger"):
            region.invoke(FUNCTION, {"application": "billing"})


def test_an_application_that_does_not_exist_is_refused_with_those_that_do(region: Region) -> None:
    stock_nights(region, 9)
    stock_nights(region, 9, "billing")

    with pytest.raises(Failed, match="no application 'payrol'; those that exist are: billing, payroll"):
        region.invoke(FUNCTION, {"application": "payrol"})

    region.invoke(FUNCTION, {"application": "payroll"})
    assert len(snapshots(region)) == 7 + 9


# What AWS does not let go


def test_what_an_image_holds_stops_nothing_else_and_goes_when_the_image_is_gone(region: Region) -> None:
    nights = stock_nights(region, 14)
    ec2 = region.client("ec2")
    image = hold(region, nights[10])
    ec2.disable_image(ImageId=image)

    answer = region.invoke(FUNCTION, {})

    assert answer["applications"]["payroll"] == {"policy": "7d", "kept": 7, "deleted": 6, "held": 1}
    assert answer["not_deleted"] == [
        f"payroll 2026-11-12T04:00:00Z: The snapshot {nights[10]} is currently in use by {image}"
    ]
    assert snapshots(region) == {*nights[:7], nights[10]}
    assert measured(region, "SnapshotsHeld") == 1

    ec2.deregister_image(ImageId=image)
    region.invoke(FUNCTION, {})
    assert snapshots(region) == set(nights[:7])


def hold(region: Region, snapshot: str) -> str:
    mappings = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}]
    return str(region.client("ec2").register_image(Name="golden", BlockDeviceMappings=mappings)["ImageId"])


def test_a_locked_snapshot_stops_nothing_else(region: Region) -> None:
    nights = stock_nights(region, 14)
    region.client("ec2").lock_snapshot(SnapshotId=nights[13], LockMode="governance", LockDuration=30)

    answer = region.invoke(FUNCTION, {})

    assert answer["applications"]["payroll"] == {"policy": "7d", "kept": 7, "deleted": 6, "locked": 1}
    assert snapshots(region) == {*nights[:7], nights[13]}
    assert measured(region, "SnapshotsLocked") == 1


def test_a_set_is_not_torn_for_one_of_its_snapshots_that_is_held(region: Region) -> None:
    data, wal = sorted((volume(region), volume(region)))
    nights = [stock(region, f"{data} {wal}", DAY * age) for age in range(9)]
    hold(region, min(nights[8]))

    region.invoke(FUNCTION, {})

    assert snapshots(region) == {one for night in [*nights[:7], nights[8]] for one in night}


def test_what_is_gone_already_is_done(region: Region) -> None:
    nights = stock_nights(region, 9)
    region.run(at_most=minutes(2))
    region.client("ec2").delete_snapshot(SnapshotId=nights[8])
    region.faults.add(Lag(60))  # the function's reads still show it

    answer = region.invoke(FUNCTION, {})

    assert answer["applications"]["payroll"] == {"policy": "7d", "kept": 7, "deleted": 1, "gone": 1}
    assert writes(region) == ["DeleteSnapshot"] * 2


def test_one_failure_stops_nothing_else_and_is_raised_at_the_end(region: Region) -> None:
    nights = stock_nights(region, 9)
    region.run(at_most=minutes(2))
    region.client("ec2").create_tags(Resources=[nights[8]], Tags=tags({"paused": "just now"}))
    region.faults.add(Lag(60))  # the function does not see the pause; its role does

    with pytest.raises(Failed, match="UnauthorizedOperation"):
        region.invoke(FUNCTION, {})

    assert snapshots(region) == {*nights[:7], nights[8]}
    assert (measured(region, "DeletesFailed"), measured(region, "SnapshotsDeleted")) == (1, 1)


def test_many_failures_are_raised_together_and_the_next_run_makes_up_for_them(region: Region) -> None:
    stock_nights(region, 60)
    outage = ServerError("DeleteSnapshot", times=10**6)
    region.faults.add(outage)

    with pytest.raises(Failed, match=r"21 failed; .*33 more sets were not deleted"):
        region.invoke(FUNCTION, {"force": True})
    assert len(snapshots(region)) == 60

    region.faults.remove(outage)
    region.invoke(FUNCTION, {"force": True})
    assert len(snapshots(region)) == 7


# What cannot be restored


def test_the_rest_of_a_half_deleted_set_and_of_failed_attempts_goes_when_a_day_old(region: Region) -> None:
    data, wal = sorted((volume(region), volume(region)))
    nights = [stock(region, f"{data} {wal}", DAY * age) for age in range(5)]
    region.client("ec2").delete_snapshot(SnapshotId=nights[3][0])
    for age in (0.5, 2.5):
        stock(region, f"{data} {wal}", DAY * age, frozen_ms="", consistency="crash", set=f"attempt {age}")

    answer = region.invoke(FUNCTION, {"dry_run": True})
    region.invoke(FUNCTION, {})

    assert [one["reason"] for one in answer["sets"] if one["would"] == "delete"] == [
        f"it has no snapshot of {data} any more",
        "its attempt was ended before it said what it is",
    ]
    assert len(snapshots(region)) == 2 * 4 + 2


def test_a_set_is_broken_only_if_two_reads_say_so(region: Region) -> None:
    data, wal = sorted((volume(region), volume(region)))
    nights = [stock(region, f"{data} {wal}", DAY * age) for age in (0, 1, 2)]
    # The first read comes after 0.1 s and misses what was begun last; the second comes after 0.15 s.
    late = region.ec2.get_snapshot(nights[2][1])
    late.start_time += timedelta(seconds=30)
    blind = Lag(2 * DAY.total_seconds())
    region.faults.add(blind)
    region.clock.after(0.12, lambda: region.faults.remove(blind))

    region.invoke(FUNCTION, {})

    assert snapshots(region) == {one for night in nights for one in night}
    assert [call.operation for call in region.calls].count("DescribeSnapshots") == 2


# Killed, doubled, throttled


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 5, 9])
def test_killed_at_any_deletion_the_retry_ends_in_the_same_world(nth: int, moment: str) -> None:
    with open_region() as region:
        data, wal = sorted((volume(region), volume(region)))
        nights = [stock(region, f"{data} {wal}", DAY * age) for age in range(12)]
        death = Death(**{moment: nth})
        region.faults.add(death)

        region.invoke(FUNCTION, {}, asynchronous=True)
        region.run(region.quiet, at_most=minutes(20))

        assert death.happened
        assert snapshots(region) == {one for night in nights[:7] for one in night}
        assert region.queue("FailureQueue") == []


def test_two_at_once_end_in_the_same_world(trial: int) -> None:
    with open_region() as region:
        nights = stock_nights(region, 14)
        region.run(at_most=minutes(2))
        region.faults.add(Interleave(trial), Lag(1))

        for _ in range(2):
            region.invoke(FUNCTION, {}, asynchronous=True)
        region.run(region.quiet, at_most=minutes(20))

        assert snapshots(region) == set(nights[:7])
        assert region.queue("FailureQueue") == []


@pytest.mark.parametrize("fault", [Throttle, ServerError, LostAnswer])
@pytest.mark.parametrize("operation", ["DeleteSnapshot", "DescribeSnapshots"])
def test_a_passing_fault_is_outlived(fault: type[Throttle], operation: str) -> None:
    with open_region() as region:
        nights = stock_nights(region, 14)
        region.faults.add(fault(operation, times=3))

        region.invoke(FUNCTION, {}, asynchronous=True)
        region.run(region.quiet, at_most=minutes(20))

        assert snapshots(region) == set(nights[:7])
        assert region.queue("FailureQueue") == []


# Many


def test_a_thousand_snapshots_cost_no_call_but_their_deletion(region: Region) -> None:
    for number in range(50):
        stock_nights(region, 21, f"app-{number}")

    region.invoke(FUNCTION, {"force": True})

    calls = [call.operation for call in region.calls if call.caller == FUNCTION]
    assert len(snapshots(region)) == 50 * 7
    assert {one: calls.count(one) for one in set(calls)} == {
        "DescribeVolumes": 1,
        "DescribeSnapshots": 2,  # of 1,050, by the thousand
        "DeleteSnapshot": 50 * 14,
    }


def test_deletions_stay_below_ec2s_rate_and_the_oldest_go_first(region: Region) -> None:
    nights = stock_nights(region, 120)

    region.invoke(FUNCTION, {"force": True})

    deletions = [call for call in region.calls if call.operation == "DeleteSnapshot"]
    # https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html: 5 a second, once some dozens are used up
    for first, one in enumerate(deletions):
        later = [other for other in deletions if one.time <= other.time < one.time + 10]
        assert len(later) <= 20 + 10 * 5, first
    assert region.seconds < (113 - 20) / 4 + 2
    started = [nights.index(str(call.parameters["SnapshotId"])) for call in deletions]
    assert max(abs(place - (119 - index)) for place, index in enumerate(started)) <= 8  # as many as are under way


@pytest.fixture
def hurried(tmp_path: Path) -> Path:
    """The template, with functions that have two minutes."""
    for name in ("functions", "layers", "documents"):
        (tmp_path / name).symlink_to(Path(name).resolve())
    text = Path("template.yaml").read_text()
    assert "Timeout: 900" in text
    (tmp_path / "template.yaml").write_text(text.replace("Timeout: 900", "Timeout: 120"))
    return tmp_path / "template.yaml"


def test_what_there_is_no_time_for_is_carried_on_by_the_next_invocation(hurried: Path) -> None:
    with open_region(hurried) as region:
        nights = stock_nights(region, 400)

        answer = region.invoke(FUNCTION, {"time": "2026-11-22T04:00:00Z", "force": True})
        left = 400 - 7 - answer["applications"]["payroll"]["deleted"]
        assert answer["left"] == f"{left} sets, for want of time; the next invocation has them"
        assert measured(region, "SnapshotsLeft") == left > 200
        region.run(region.quiet, at_most=minutes(20))

        assert snapshots(region) == set(nights[:7])
        assert events(region) == [
            {"time": "2026-11-22T04:00:00Z", "force": True, **({"hop": hop} if hop else {})} for hop in range(3)
        ]


def events(region: Region) -> Sequence[Any]:
    return [invocation.event for invocation in region.functions.invocations]


def test_the_ninth_invocation_leaves_the_rest_to_the_next_run_and_says_so(hurried: Path) -> None:
    with open_region(hurried) as region:
        stock_nights(region, 200)

        answer = region.invoke(FUNCTION, {"force": True, "hop": 8})

        assert "the next run has them, for this was the last of 9 invocations" in answer["left"]
        assert len(events(region)) == 1
        assert measured(region, "SnapshotsLeft") > 0


def test_after_a_failure_lambdas_retry_carries_on_and_nobody_else(hurried: Path) -> None:
    with open_region(hurried) as region:
        nights = stock_nights(region, 200)
        region.run(at_most=minutes(2))
        region.client("ec2").create_tags(Resources=[nights[150]], Tags=tags({"paused": "just now"}))
        region.faults.add(blind := Lag(60))
        region.clock.after(60, lambda: region.faults.remove(blind))

        region.invoke(FUNCTION, {"force": True}, asynchronous=True)
        region.run(region.quiet, at_most=minutes(20))

        assert snapshots(region) == {*nights[:7], nights[150]}
        assert [event.get("hop", 0) for event in events(region)] == [0, 0]
