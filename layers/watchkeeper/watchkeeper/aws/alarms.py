"""Alarms of hosts: one for each, made and removed by us; the name ends in the id of the instance that it is about."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_cloudwatch import CloudWatchClient

logger = logging.getLogger(__name__)

INSTANCE = re.compile(r"i-[0-9a-f]+")


def find(cloudwatch: CloudWatchClient, prefix: str) -> dict[str, str]:
    """The names of the alarms that begin with the prefix and end in an instance's id, by that id.

    A page holds 100: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
    """
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"], PaginationConfig={"PageSize": 100}
    )
    names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    ids = {name.removeprefix(prefix): name for name in names}
    return {instance: name for instance, name in ids.items() if INSTANCE.fullmatch(instance)}


def put(cloudwatch: CloudWatchClient, prefix: str, instance: str) -> None:
    """Makes the alarm of an instance: two of two minutes in which a status check failed. Made again it is the same.

    The metric comes each minute and costs nothing; its absence is no failure, since a stopped instance sends none and
    has its own event. An alarm that is rewritten keeps its state, so one is never turned to another instance.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html#status-check-metrics
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    cloudwatch.put_metric_alarm(
        AlarmName=f"{prefix}{instance}",
        AlarmDescription="Watchkeeper keeps this alarm: it wakes the function that replaces database hosts.",
        Namespace="AWS/EC2",
        MetricName="StatusCheckFailed",
        Dimensions=[{"Name": "InstanceId", "Value": instance}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=2,
        DatapointsToAlarm=2,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=1,
        TreatMissingData="missing",
    )
    logger.info("alarm put", extra={"instance_id": instance})


def delete(cloudwatch: CloudWatchClient, names: Sequence[str]) -> None:
    """Deletes alarms, 100 by one call; one that is gone is done, and the others of its call go all the same.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html
    """
    for start in range(0, len(names), 100):
        some = list(names[start : start + 100])
        try:
            cloudwatch.delete_alarms(AlarmNames=some)
        except cloudwatch.exceptions.ResourceNotFound:
            continue
        logger.info("alarms deleted", extra={"alarms": some})
