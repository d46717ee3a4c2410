"""Schedules fall due, events reach whom the template subscribes, and both can be lost, doubled and late."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from region import LostAnswer, Region, ServerError, Simulated, hours, minutes
from region import events as shapes
from region.bus import delay, double, drop
from region.schedules import ScheduleError, due

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = Path(__file__).with_name("region_app")
AT = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)
ENVELOPE = shapes.Envelope("01234567-0123-0123-0123-012345678901", "123456789012", "us-east-1", AT)
BEGAN = datetime(2026, 11, 22, 4, 29, tzinfo=UTC)


@pytest.fixture
def deploy() -> Iterator[Callable[..., Region]]:
    with Region(Simulated(seed=1)) as region:

        def deployed(**parameters: Any) -> Region:
            region.deploy(APP / "template.yaml", Email="a@example.com", **parameters)
            return region

        yield deployed


def times(expression: str, since: str, zone: str = "UTC", number: int = 3) -> list[str]:
    moment = datetime.fromisoformat(since).replace(tzinfo=UTC)
    return [f"{when:%Y-%m-%dT%H:%M}" for when in islice(due(expression, zone, moment, moment), number)]


def runs(region: Region, function: str) -> list[Any]:
    return [i.event for i in region.functions.invocations if i.name == function]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(30 4 * * ? *)", ["2026-11-22T04:30", "2026-11-23T04:30", "2026-11-24T04:30"]),
        ("cron(0/15 4 * * ? *)", ["2026-11-22T04:15", "2026-11-22T04:30", "2026-11-22T04:45"]),
        ("cron(7 * * * ? *)", ["2026-11-22T04:07", "2026-11-22T05:07", "2026-11-22T06:07"]),
        ("cron(0 9 ? * MON-FRI *)", ["2026-11-23T09:00", "2026-11-24T09:00", "2026-11-25T09:00"]),
        ("cron(0 9 ? * 1 *)", ["2026-11-22T09:00", "2026-11-29T09:00", "2026-12-06T09:00"]),
        ("cron(0 9 1 JAN,FEB ? 2027-2028)", ["2027-01-01T09:00", "2027-02-01T09:00", "2028-01-01T09:00"]),
        ("cron(0 9 29 2 ? *)", ["2028-02-29T09:00", "2032-02-29T09:00", "2036-02-29T09:00"]),
        ("rate(1 hour)", ["2026-11-22T05:00", "2026-11-22T06:00", "2026-11-22T07:00"]),
        ("rate(5 minutes)", ["2026-11-22T04:05", "2026-11-22T04:10", "2026-11-22T04:15"]),
        ("at(2026-11-22T12:00:00)", ["2026-11-22T12:00"]),
    ],
)
def test_an_expression_falls_due_when_eventbridge_says(expression: str, expected: list[str]) -> None:
    assert times(expression, "2026-11-22T04:00") == expected


@pytest.mark.parametrize(
    "expression", ["cron(0 4 * * * *)", "cron(0 4 * * ?)", "cron(60 4 * * ? *)", "cron(0 4 L * ? *)", "rate(0 days)"]
)  # fmt: skip
def test_an_expression_that_eventbridge_would_refuse_or_that_is_not_known_is_an_error(expression: str) -> None:
    with pytest.raises(ScheduleError):
        times(expression, "2026-11-22T04:00")


def test_a_local_time_moves_with_the_clocks_of_its_zone() -> None:
    expected = ["2026-10-24T02:30", "2026-10-25T03:30", "2026-10-26T03:30"]

    assert times("cron(30 4 * * ? *)", "2026-10-24T00:00", "Europe/Berlin") == expected


def test_a_local_time_that_does_not_exist_is_skipped_and_one_that_comes_twice_counts_once() -> None:
    cron = "cron(30 2 * * ? *)"

    assert times(cron, "2026-03-28T12:00", "Europe/Berlin", 2) == [
        "2026-03-30T00:30",
        "2026-03-31T00:30",
    ]
    assert times(cron, "2026-10-24T12:00", "Europe/Berlin", 2) == [
        "2026-10-25T00:30",
        "2026-10-26T01:30",
    ]


def test_a_schedule_gives_its_function_the_scheduled_time_in_the_zone_of_the_template(
    deploy: Callable[..., Region],
) -> None:
    region = deploy(Zone="America/New_York", Hour=5)

    region.run(at_most=hours(48))

    assert runs(region, "count_up") == [{"time": "2026-11-22T10:30:00Z"}, {"time": "2026-11-23T10:30:00Z"}]


def test_a_scheduled_event_can_be_lost_doubled_and_late_and_keeps_its_time(deploy: Callable[..., Region]) -> None:
    region = deploy(Zone="UTC")
    first = {"time": "2026-11-22T04:30:00Z"}

    region.bus.deliveries = drop
    region.run(at_most=hours(2))
    assert runs(region, "count_up") == []

    region.bus.deliveries = double
    region.run(at_most=hours(24))
    assert runs(region, "count_up") == [{"time": "2026-11-23T04:30:00Z"}] * 2

    region.bus.deliveries = delay(hours(1))
    region.run(at_most=hours(24))
    assert runs(region, "count_up")[-1] == {"time": "2026-11-24T04:30:00Z"} != first
    assert region.functions.invocations[-1].began == datetime(2026, 11, 24, 5, 30, tzinfo=UTC).timestamp()


def test_scheduler_gives_up_what_is_older_than_the_template_lets_it_be(deploy: Callable[..., Region]) -> None:
    region = deploy(Zone="UTC")
    region.bus.deliveries = delay(hours(2) + 1)

    region.run(at_most=hours(4))

    assert runs(region, "count_up") == []
    assert [why for _, why in region.bus.lost] == ["MaximumEventAgeInSeconds"]
    assert region.queue("Failures") == [{"time": "2026-11-22T04:30:00Z"}]


def test_scheduler_tries_again_as_often_as_the_template_lets_it(deploy: Callable[..., Region]) -> None:
    region = deploy(Zone="UTC")
    region.faults.add(ServerError("Invoke", times=2))
    region.run(at_most=hours(1))
    assert len(runs(region, "count_up")) == 1

    region.faults.add(ServerError("Invoke", times=3))
    region.run(at_most=hours(24))
    assert len(runs(region, "count_up")) == 1
    assert [why for _, why in region.bus.lost] == ["MaximumRetryAttempts"]


def test_scheduler_invokes_twice_when_the_answer_is_lost(deploy: Callable[..., Region]) -> None:
    region = deploy(Zone="UTC")
    region.faults.add(LostAnswer("Invoke"))

    region.run(at_most=hours(1))

    assert runs(region, "count_up") == [{"time": "2026-11-22T04:30:00Z"}] * 2


def test_scheduler_may_invoke_only_what_its_role_allows(deploy: Callable[..., Region]) -> None:
    region = deploy(Zone="UTC")
    region.bus.roles = dict.fromkeys(region.bus.roles, ())

    region.run(at_most=hours(1))

    assert runs(region, "count_up") == []
    assert [why for _, why in region.bus.lost] == ["AccessDeniedException"]


@pytest.mark.parametrize("deleted", [True, False])
def test_a_schedule_that_is_deleted_or_disabled_does_not_fall_due(deploy: Callable[..., Region], deleted: bool) -> None:
    region = deploy(Zone="UTC")
    scheduler = region.client("scheduler")
    (name,) = (schedule["Name"] for schedule in scheduler.list_schedules()["Schedules"])
    if deleted:
        scheduler.delete_schedule(Name=name)
    else:
        kept = ("ScheduleExpression", "FlexibleTimeWindow", "Target")
        now = scheduler.get_schedule(Name=name)
        scheduler.update_schedule(Name=name, State="DISABLED", **{key: now[key] for key in kept})

    region.run(at_most=hours(48))

    assert runs(region, "count_up") == []


def test_an_event_reaches_the_function_whose_pattern_it_matches(deploy: Callable[..., Region]) -> None:
    region = deploy()

    region.bus.emit(shapes.instance_state, "i-0123456789abcdef0", "running")
    region.bus.emit(shapes.instance_state, "i-0123456789abcdef0", "stopped")
    region.run(until=region.quiet, at_most=minutes(1))

    assert [event["detail"]["state"] for event in runs(region, "try_things")] == ["stopped"]


def test_a_permission_for_all_sources_of_an_account_is_none_for_those_of_another(deploy: Callable[..., Region]) -> None:
    region = deploy()
    function, topic = region.functions.find("try_things"), "arn:aws:sns:eu-central-1:{}:on-call"
    region.bus.permissions.add((function.name, "sns.amazonaws.com", "arn:aws:sns:eu-central-1:123456789012:*"))

    for account in ("123456789012", "999999999999"):
        region.bus.hand_to(function.arn, {}, "sns.amazonaws.com", topic.format(account))
    region.run(until=region.quiet, at_most=minutes(1))

    assert len(runs(region, "try_things")) == 1
    assert [source for source, _ in region.bus.lost] == [topic.format("999999999999")]


def test_a_rule_without_a_permission_reaches_nobody(deploy: Callable[..., Region]) -> None:
    region = deploy()
    region.bus.permissions.clear()

    region.bus.emit(shapes.instance_state, "i-0123456789abcdef0", "stopped")
    region.run(until=region.quiet, at_most=minutes(1))

    assert runs(region, "try_things") == []
    assert "events.amazonaws.com may not invoke" in region.bus.lost[0][1]


def test_a_file_of_an_event_reaches_the_bus_and_a_file_of_input_its_function(
    deploy: Callable[..., Region], tmp_path: Path
) -> None:
    region = deploy()
    (tmp_path / "try_things.stopped.json").write_text(json.dumps(shapes.instance_state(ENVELOPE, "i-1", "stopped")))
    (tmp_path / "count_up.by_hand.json").write_text('{"seconds": 1}')

    region.put(tmp_path / "try_things.stopped.json")
    region.put(str(tmp_path / "count_up.by_hand.json"))
    region.run(until=region.quiet, at_most=minutes(1))

    assert runs(region, "try_things")[0]["detail"] == {"instance-id": "i-1", "state": "stopped"}
    assert runs(region, "count_up") == [{"seconds": 1}]


def test_what_is_no_event_is_not_put_on_the_bus(deploy: Callable[..., Region]) -> None:
    with pytest.raises(ValueError, match="not an event"):
        deploy().put({"time": "2026-11-22T04:30:00Z"})


def test_an_instance_that_stops_is_told_in_the_shape_of_ec2() -> None:
    assert shapes.instance_state(ENVELOPE, "i-1234567890abcdef0", "stopped") == {
        "version": "0",
        "id": "01234567-0123-0123-0123-012345678901",
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2026-11-22T04:30:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-1234567890abcdef0"],
        "detail": {"instance-id": "i-1234567890abcdef0", "state": "stopped"},
    }


def test_a_snapshot_that_completes_is_told_in_the_shape_of_ebs() -> None:
    event = shapes.snapshot_done(ENVELOPE, "snap-01234567", "vol-01234567", BEGAN)

    assert event["detail-type"] == "EBS Snapshot Notification"
    assert event["resources"] == ["arn:aws:ec2::us-east-1:snapshot/snap-01234567"]
    assert event["detail"] == {
        "event": "createSnapshot",
        "result": "succeeded",
        "cause": "",
        "request-id": "",
        "snapshot_id": "arn:aws:ec2::us-east-1:snapshot/snap-01234567",
        "source": "arn:aws:ec2::us-east-1:volume/vol-01234567",
        "startTime": "2026-11-22T04:29:00Z",
        "endTime": "2026-11-22T04:30:00Z",
    }


def test_a_set_that_completes_is_told_in_the_shape_of_ebs() -> None:
    event = shapes.set_done(ENVELOPE, {"snap-1": "vol-1", "snap-2": "vol-2"}, BEGAN, failed=["snap-2"])

    assert event["detail-type"] == "EBS Multi-Volume Snapshots Completion Status"
    assert event["resources"] == [f"arn:aws:ec2::us-east-1:snapshot/snap-{number}" for number in (1, 2)]
    assert event["detail"]["event"] == "createSnapshots"
    assert event["detail"]["result"] == "failed"
    assert event["detail"]["snapshots"] == [
        {
            "snapshot_id": f"arn:aws:ec2::us-east-1:snapshot/snap-{number}",
            "source": f"arn:aws:ec2::us-east-1:volume/vol-{number}",
            "status": status,
        }
        for number, status in ((1, "completed"), (2, "error"))
    ]


def test_ids_are_the_same_in_the_next_run_of_the_same_seed() -> None:
    def ids() -> list[str]:
        with Region(Simulated(), seed=3) as region:
            return [region.bus.new_id() for _ in range(3)]

    assert ids() == ids()


def test_a_day_of_a_schedule_takes_no_longer_than_a_day(deploy: Callable[..., Region]) -> None:
    region = deploy()
    began = region.clock.moment()

    region.run(at_most=hours(24))

    assert region.clock.moment() - began == timedelta(hours=24)
