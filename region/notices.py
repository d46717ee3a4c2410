"""What CloudWatch tells of an alarm, each in AWS's own shape: who asks, topics of SNS, and functions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from region import events

if TYPE_CHECKING:
    from collections.abc import Mapping

PRINCIPAL = "lambda.alarms.cloudwatch.amazonaws.com"
# MaxRecords: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
PAGE, LARGEST_PAGE = 50, 100
ASKED = {"AlarmNames", "AlarmNamePrefix", "AlarmTypes", "StateValue", "MaxRecords", "NextToken"}


def page(alarms: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """DescribeAlarms: those of metrics, by name; the region has no others."""
    if unknown := set(asked) - ASKED:
        raise NotImplementedError(f"DescribeAlarms is not known here with {', '.join(sorted(unknown))}")
    prefix, names = asked.get("AlarmNamePrefix", ""), asked.get("AlarmNames")
    rest = sorted(
        name
        for name, alarm in alarms.items()
        if name.startswith(prefix)
        and (names is None or name in names)
        and asked.get("StateValue") in (None, alarm.state_value)
        and name > asked.get("NextToken", "")
    )
    size = min(asked.get("MaxRecords", PAGE), LARGEST_PAGE)
    token = {"NextToken": rest[size - 1]} if len(rest) > size else {}
    return {"MetricAlarms": [described(alarms[name]) for name in rest[:size]], **token}


def described(alarm: Any) -> dict[str, Any]:
    """An alarm of moto's as DescribeAlarms answers it."""
    shown = {
        "AlarmName": alarm.name,
        "AlarmArn": alarm.alarm_arn,
        "AlarmDescription": alarm.description or "",
        "ActionsEnabled": alarm.actions_enabled,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions or [],
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "StateValue": alarm.state_value,
        "StateReason": alarm.state_reason,
        "StateReasonData": alarm.state_reason_data,
        "StateUpdatedTimestamp": alarm.state_updated_timestamp.replace(tzinfo=UTC),
        "Namespace": alarm.namespace,
        "MetricName": alarm.metric_name,
        "Dimensions": [{"Name": one.name, "Value": one.value} for one in alarm.dimensions or []],
        "Statistic": alarm.statistic,
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm,
        "Threshold": float(alarm.threshold),
        "ComparisonOperator": alarm.comparison_operator,
        "TreatMissingData": alarm.treat_missing_data,
    }
    return {key: value for key, value in shown.items() if value is not None}


def said(alarm: Any) -> dict[str, str]:
    """An alarm's state, as its events have it."""
    return {
        "value": alarm.state_value,
        "reason": alarm.state_reason,
        "reasonData": alarm.state_reason_data,
        "timestamp": _stamp(alarm.state_updated_timestamp),
    }


def reason(alarm: Any, recent: list[float], now: datetime) -> str:
    """The reason of a state, as data: the values of the window that it was taken from."""
    facts = {
        "version": "1.0",
        "queryDate": _stamp(now),
        "statistic": alarm.statistic,
        "period": alarm.period,
        "recentDatapoints": recent,
        "threshold": float(alarm.threshold),
    }
    return json.dumps(facts)


def to_topic(alarm: Any, before: str) -> str:
    """What a topic gets: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html"""
    shown = described(alarm)
    trigger = {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "StatisticType": "Statistic",
        "Statistic": alarm.statistic.upper(),
        "Dimensions": [{"value": one["Value"], "name": one["Name"]} for one in shown["Dimensions"]],
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": float(alarm.threshold),
        "TreatMissingData": alarm.treat_missing_data or "missing",
    }
    facts = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _stamp(alarm.state_updated_timestamp),
        "OldStateValue": before,
        "AlarmArn": alarm.alarm_arn,
        "Trigger": trigger,
    }
    return json.dumps(facts)


def to_function(envelope: events.Envelope, alarm: Any, previous: Mapping[str, Any]) -> dict[str, Any]:
    """What a function gets that is an alarm's own action:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
    """
    return {
        "source": "aws.cloudwatch",
        "alarmArn": alarm.alarm_arn,
        "accountId": envelope.account,
        "time": _stamp(envelope.time),
        "region": envelope.region,
        "alarmData": events.alarm_detail(envelope, described(alarm), previous, said(alarm)),
    }


def records(topic: str, message_id: str, subject: str | None, message: str, now: datetime) -> dict[str, Any]:
    """What a function gets that a topic tells: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html"""
    told: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": topic,
        "Subject": subject,
        "Message": message,
        "Timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
        "MessageAttributes": {},
    }
    arn = f"{topic}:{message_id}"
    return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": arn, "Sns": told}]}


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
