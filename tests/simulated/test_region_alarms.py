"""Alarms ring when CloudWatch's would, and are heard by e-mail and on the bus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from region import Region, Simulated, hours, minutes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def watch(region: Region, host: str, **more: Any) -> str:
    """An alarm of a host's status checks, as somebody with a client puts it."""
    name = f"host-{host}"
    region.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/EC2",
        MetricName="StatusCheckFailed",
        Dimensions=[{"Name": "InstanceId", "Value": host}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=2,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="missing",
        **more,
    )
    return name


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


def test_a_host_that_runs_well_reads_as_zero_and_one_that_is_stopped_as_missing(
    region: Region, database: Callable[..., Any]
) -> None:
    host = database().host
    name = watch(region, host)
    assert region.alarms[name] == "INSUFFICIENT_DATA"

    region.run(at_most=minutes(3))
    assert region.alarms[name] == "OK"
    region.client("ec2").stop_instances(InstanceIds=[host])
    region.run(at_most=minutes(5))
    assert region.alarms[name] == "INSUFFICIENT_DATA"
    region.client("ec2").start_instances(InstanceIds=[host])
    region.run(at_most=minutes(5))

    assert region.alarms[name] == "OK"


def test_two_bad_minutes_ring_and_one_does_not(region: Region, database: Callable[..., Any]) -> None:
    host = database().host
    name = watch(region, host)
    region.run(at_most=minutes(5))

    region.impair(host, seconds=40)
    region.run(at_most=minutes(5))
    assert region.alarms[name] == "OK"
    region.impair(host)
    region.run(lambda: region.alarms[name] == "ALARM", at_most=minutes(4))

    assert region.seconds > 60


def test_a_month_of_good_minutes_measures_nothing(region: Region, database: Callable[..., Any]) -> None:
    host = database().host
    name = watch(region, host)
    region.run(at_most=minutes(5))
    (measured,) = [data for series, data in region.watch.series.items() if series[0] == "AWS/EC2"]
    before = len(measured)

    region.run(at_most=hours(30 * 24))

    assert len(measured) == before
    assert region.alarms[name] == "OK"


def test_an_alarm_that_is_put_again_keeps_its_state_and_one_that_is_deleted_rings_no_more(
    region: Region, database: Callable[..., Any]
) -> None:
    host = database().host
    name = watch(region, host)
    region.impair(host)
    region.run(lambda: region.alarms[name] == "ALARM", at_most=minutes(5))

    watch(region, host, AlarmDescription="the same again")
    assert region.alarms[name] == "ALARM"
    region.client("cloudwatch").delete_alarms(AlarmNames=[name, "host-of-nobody"])
    assert name not in region.alarms
    region.run(at_most=minutes(5))

    watch(region, host)
    assert region.alarms[name] == "INSUFFICIENT_DATA"


def test_alarms_are_described_by_prefix_page_by_page(region: Region) -> None:
    for number in range(5):
        watch(region, f"i-{number:017x}")
    pages = region.client("cloudwatch").get_paginator("describe_alarms")

    found = list(pages.paginate(AlarmNamePrefix="host-", PaginationConfig={"PageSize": 2}))

    names = [alarm["AlarmName"] for page in found for alarm in page["MetricAlarms"]]
    assert names == [f"host-i-{number:017x}" for number in range(5)]
    assert [len(page["MetricAlarms"]) for page in found] == [2, 2, 1]
    (one,) = region.client("cloudwatch").describe_alarms(AlarmNames=[names[3]])["MetricAlarms"]
    assert one["Dimensions"] == [{"Name": "InstanceId", "Value": "i-00000000000000003"}]
    assert (one["StateValue"], one["Threshold"], one["Period"]) == ("INSUFFICIENT_DATA", 1.0, 60)


@pytest.mark.parametrize("permitted", [True, False])
def test_an_alarm_invokes_a_function_that_permits_it(
    region: Region, database: Callable[..., Any], permitted: bool
) -> None:
    host, function = database().host, region.functions.find("try_things")
    if permitted:
        region.bus.permissions.add((function.name, "lambda.alarms.cloudwatch.amazonaws.com", ""))
    name = watch(region, host, AlarmActions=[function.arn])

    region.impair(host)
    region.run(lambda: region.alarms[name] == "ALARM", at_most=minutes(5))
    region.run(region.quiet, at_most=minutes(1))

    told = [one.event for one in region.functions.invocations if "alarmData" in one.event]
    assert len(told) == permitted
    for event in told:
        assert event.keys() == {"source", "alarmArn", "accountId", "time", "region", "alarmData"}
        assert event["alarmArn"].endswith(f":alarm:{name}")
        assert event["alarmData"].keys() == {"alarmName", "state", "previousState", "configuration"}
        assert event["alarmData"]["state"]["value"] == "ALARM"
        assert json.loads(event["alarmData"]["state"]["reasonData"])["recentDatapoints"] == [1.0, 1.0]
        (metric,) = event["alarmData"]["configuration"]["metrics"]
        assert metric["metricStat"]["metric"]["dimensions"] == {"InstanceId": host}
    assert bool(region.bus.lost) != permitted


def test_an_alarm_is_heard_through_a_topic_by_a_function(region: Region, database: Callable[..., Any]) -> None:
    host, function, sns = database().host, region.functions.find("try_things"), region.client("sns")
    topic = sns.create_topic(Name="people")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function.arn)
    region.bus.permissions.add((function.name, "sns.amazonaws.com", topic))
    name = watch(region, host, AlarmActions=[topic])

    region.impair(host)
    region.run(lambda: region.alarms[name] == "ALARM", at_most=minutes(5))
    region.run(region.quiet, at_most=minutes(1))

    (event,) = [one.event for one in region.functions.invocations if "Records" in one.event]
    (told,) = event["Records"]
    assert (told["EventSource"], told["Sns"]["TopicArn"]) == ("aws:sns", topic)
    assert json.loads(told["Sns"]["Message"])["Trigger"]["Dimensions"] == [{"value": host, "name": "InstanceId"}]


def test_what_is_published_is_a_notice_whoever_publishes_it(region: Region, call: Callable[..., Any]) -> None:
    (topic,) = [one["TopicArn"] for one in region.client("sns").list_topics()["Topics"]]

    call(lambda: region.client("sns").publish(TopicArn=topic, Subject="replaced", Message="db-1 died"))
    fail(region)
    region.run(at_most=minutes(6))

    assert region.notices[0] == ("replaced", "db-1 died")
    assert {subject.split(":")[0] for subject, _ in region.notices[1:]} == {"ALARM"}


def test_a_log_stream_is_made_once(region: Region, call: Callable[..., Any]) -> None:
    logs = region.client("logs")
    logs.create_log_group(logGroupName="notices")
    stream = {"logGroupName": "notices", "logStreamName": "db-1 is dead"}

    call(lambda: logs.create_log_stream(**stream))
    moment = int(region.clock.now() * 1000)
    call(lambda: logs.put_log_events(**stream, logEvents=[{"timestamp": moment, "message": "told"}]))

    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        call(lambda: logs.create_log_stream(**stream))
    assert [one["message"] for one in logs.get_log_events(**stream)["events"]] == ["told"]
