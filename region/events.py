"""What AWS puts on the bus, in its exact shapes.

EC2: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html
EBS: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-cloud-watch-events.html (its ARNs do look like this)
Alarms: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all events share."""

    event_id: str
    account: str
    region: str
    time: datetime

    def around(
        self, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The whole event."""
        return {
            "version": "0",
            "id": self.event_id,
            "detail-type": detail_type,
            "source": source,
            "account": self.account,
            "time": zulu(self.time),
            "region": self.region,
            "resources": list(resources),
            "detail": dict(detail),
        }


def zulu(moment: datetime) -> str:
    """A time as AWS writes it, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def instance_state(envelope: Envelope, instance_id: str, state: str) -> dict[str, Any]:
    """An instance is now pending, running, stopping, stopped, shutting-down or terminated."""
    arn = f"arn:aws:ec2:{envelope.region}:{envelope.account}:instance/{instance_id}"
    detail = {"instance-id": instance_id, "state": state}
    return envelope.around("aws.ec2", "EC2 Instance State-change Notification", [arn], detail)


def snapshot_done(
    envelope: Envelope, snapshot_id: str, volume_id: str, began: datetime, succeeded: bool = True
) -> dict[str, Any]:
    """One snapshot completed or failed."""
    arn = _ebs(envelope, "snapshot", snapshot_id)
    detail = {
        **_result("createSnapshot", succeeded),
        "snapshot_id": arn,
        "source": _ebs(envelope, "volume", volume_id),
        "startTime": zulu(began),
        "endTime": zulu(envelope.time),
    }
    return envelope.around("aws.ec2", "EBS Snapshot Notification", [arn], detail)


def set_done(
    envelope: Envelope, volumes: Mapping[str, str], began: datetime, failed: Sequence[str] = ()
) -> dict[str, Any]:
    """A set that CreateSnapshots began is complete, or some of it failed; `volumes` by their snapshots."""
    members = [
        {
            "snapshot_id": _ebs(envelope, "snapshot", snapshot_id),
            "source": _ebs(envelope, "volume", volume_id),
            "status": "error" if snapshot_id in failed else "completed",
        }
        for snapshot_id, volume_id in volumes.items()
    ]
    detail = {
        **_result("createSnapshots", not failed),
        "startTime": zulu(began),
        "endTime": zulu(envelope.time),
        "snapshots": members,
    }
    arns = [member["snapshot_id"] for member in members]
    return envelope.around("aws.ec2", "EBS Multi-Volume Snapshots Completion Status", arns, detail)


def alarm_state(
    envelope: Envelope, alarm: Mapping[str, Any], previous: Mapping[str, Any], state: Mapping[str, Any]
) -> dict[str, Any]:
    """An alarm changed its state; `alarm` as DescribeAlarms answers it."""
    detail = alarm_detail(envelope, alarm, previous, state)
    return envelope.around("aws.cloudwatch", "CloudWatch Alarm State Change", [alarm["AlarmArn"]], detail)


def alarm_detail(
    envelope: Envelope, alarm: Mapping[str, Any], previous: Mapping[str, Any], state: Mapping[str, Any]
) -> dict[str, Any]:
    """What both EventBridge and a function that is an alarm's action are told of it."""
    metric = {
        "namespace": alarm["Namespace"],
        "name": alarm["MetricName"],
        "dimensions": {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])},
    }
    statistic = {"metric": metric, "period": alarm["Period"], "stat": alarm["Statistic"]}
    return {
        "alarmName": alarm["AlarmName"],
        "state": dict(state),
        "previousState": dict(previous),
        "configuration": {
            "description": alarm.get("AlarmDescription", ""),
            "metrics": [{"id": envelope.event_id, "metricStat": statistic, "returnData": True}],
        },
    }


def _ebs(envelope: Envelope, kind: str, name: str) -> str:
    return f"arn:aws:ec2::{envelope.region}:{kind}/{name}"


def _result(event: str, succeeded: bool) -> dict[str, str]:
    return {"event": event, "result": "succeeded" if succeeded else "failed", "cause": "", "request-id": ""}
