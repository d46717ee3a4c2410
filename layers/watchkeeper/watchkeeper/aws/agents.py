"""SSM agents: which instances take commands now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ssm import SSMClient


def find(ssm: SSMClient, instances: Sequence[str]) -> frozenset[str]:
    """Those of the instances whose agent answers.

    A filter takes 100 values and a page holds 50:
    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
    """
    found: set[str] = set()
    for start in range(0, len(instances), 100):
        pages = ssm.get_paginator("describe_instance_information").paginate(
            Filters=[
                {"Key": "InstanceIds", "Values": list(instances[start : start + 100])},
                {"Key": "PingStatus", "Values": ["Online"]},
            ],
            PaginationConfig={"PageSize": 50},
        )
        found |= {one["InstanceId"] for page in pages for one in page["InstanceInformationList"]}
    return frozenset(found)
