"""Alarms ring when CloudWatch's would, and are heard by e-mail and on the bus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from region import Region, Simulated, hours, minutes

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = Path(__file__).with_name("region_app")


@pytest.fixture
def region() -> Iterator[Region]:
    with Region(Simulated(seed=1)) as region:
        region.deploy(APP / "template.yaml", Email="a@example.com")
        yield region


def fail(region: Region) -> None:
    region.invoke("try_things", {"do": "fail"}, asynchronous=True)
    region.run(until=region.quiet, at_most=minutes(10))


def count(region: Region, times: int = 1) -> None:
    for _ in range(times):
        region.invoke("count_up", {})


def test_an_alarm_begins_without_data(region: Region) -> None:
    assert region.alarms == {"FailuresAlarm": "INSUFFICIENT_DATA", "SilenceAlarm": "INSUFFICIENT_DATA"}


def test_a_failed_event_rings_and_is_told_by_mail(region: Region) -> None:
    fail(region)
    region.run(at_most=minutes(6))

    assert region.alarms["FailuresAlarm"] == "ALARM"
    (mail,) = [mail for mail in region.bus.mail() if "FailuresAlarm" in mail["subject"]]
    assert mail["to"] == "a@example.com"
    assert json.loads(mail["message"])["NewStateValue"] == "ALARM"


def test_it_rings_as_long_as_the_message_lies_there_and_once(region: Region) -> None:
    fail(region)
    region.run(at_most=hours(5))
    assert region.alarms["FailuresAlarm"] == "ALARM"
    assert len([mail for mail in region.bus.mail() if "FailuresAlarm" in mail["subject"]]) == 1

    name = region.stacks.physical("Failures")
    sqs = region.client("sqs")
    sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    region.run(at_most=minutes(12))
    assert region.alarms["FailuresAlarm"] == "OK"


def test_silence_rings_where_missing_data_breaches(region: Region) -> None:
    region.run(at_most=minutes(2))

    assert region.alarms["SilenceAlarm"] == "ALARM"
    assert region.alarms["FailuresAlarm"] == "OK"


def test_every_period_of_the_window_must_breach(region: Region) -> None:
    count(region)
    region.run(at_most=hours(2))
    assert region.alarms["SilenceAlarm"] == "OK"

    region.bus.roles.clear()  # the schedule wakes nobody any more
    region.run(at_most=hours(3))
    assert region.alarms["SilenceAlarm"] == "ALARM"


def test_what_rang_is_well_again_once_there_is_data(region: Region) -> None:
    region.run(at_most=minutes(2))
    assert region.alarms["SilenceAlarm"] == "ALARM"

    count(region)
    region.run(at_most=hours(1))

    assert region.alarms["SilenceAlarm"] == "OK"


def test_a_function_that_fails_is_measured_as_lambda_does(region: Region) -> None:
    fail(region)

    function = region.functions.find("try_things").name
    series = region.watch.series
    measured = {name: data for (namespace, name, of), data in series.items() if ("FunctionName", function) in of}
    assert [value for _, value in measured["Errors"]] == [1, 1, 1]
    assert [value for _, value in measured["Invocations"]] == [1, 1, 1]


def test_a_change_of_state_is_on_the_bus_in_the_shape_of_cloudwatch(region: Region) -> None:
    events: list[Any] = []
    region.bus.deliveries = lambda event: events.append(event) or (0.0,)

    fail(region)
    region.run(at_most=minutes(6))

    (event,) = [event for event in events if "FailuresAlarm" in str(event.get("detail"))][-1:]
    assert event["source"] == "aws.cloudwatch"
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [event["resources"][0]]
    assert event["resources"][0].startswith(
        "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:region-app-FailuresAlarm-"
    )
    detail = event["detail"]
    assert detail.keys() == {"alarmName", "state", "previousState", "configuration"}
    assert detail["state"].keys() == {"value", "reason", "reasonData", "timestamp"}
    assert detail["state"]["value"] == "ALARM"
    assert json.loads(detail["state"]["reasonData"])
    (metric,) = detail["configuration"]["metrics"]
    assert metric["returnData"] is True
    assert metric["metricStat"] == {
        "metric": {
            "namespace": "AWS/SQS",
            "name": "ApproximateNumberOfMessagesVisible",
            "dimensions": {"QueueName": region.stacks.physical("Failures")},
        },
        "period": 300,
        "stat": "Maximum",
    }
