"""Status checks: which instances EC2 itself holds for impaired, since when, and what it has planned for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceStatusTypeDef

# Of the instance and of the system below it. A volume that cannot be reached is no fault of its host:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html
OF_HOSTS = ("instance-status.status", "system-status.status")
OF_VOLUMES = "attached-ebs-status.status"

# What a check says that does not say ok, of an instance that runs.
NOT_OK = ("impaired", "initializing", "insufficient-data")


@dataclass(frozen=True, slots=True)
class Check:
    """What EC2 found: the host itself impaired (`since`, if it says so), or only a volume that is attached to it.

    `windows` are the times of what AWS has planned with it and not done yet.
    """

    is_host: bool
    since: datetime | None = None
    windows: tuple[tuple[datetime, datetime | None], ...] = ()

    @classmethod
    def from_boto(cls, status: InstanceStatusTypeDef) -> Check:
        """A check as DescribeInstanceStatus answers it."""
        summaries = [status.get("InstanceStatus", {}), status.get("SystemStatus", {})]
        impaired = [one for one in summaries if one.get("Status") == "impaired"]
        since = [
            detail["ImpairedSince"]
            for one in impaired
            for detail in one.get("Details", [])
            if "ImpairedSince" in detail
        ]
        planned = [
            (event["NotBefore"], event.get("NotAfter"))
            for event in status.get("Events", [])
            if "NotBefore" in event and not event.get("Description", "").startswith(("[Completed]", "[Canceled]"))
        ]
        return cls(bool(impaired), min(since, default=None), tuple(planned))

    def is_planned(self, now: datetime) -> bool:
        """AWS is at something that it had announced."""
        return any(begin <= now and (end is None or now <= end) for begin, end in self.windows)


def find_impaired(ec2: EC2Client, zone: str | None = None, *, volumes: bool = False) -> dict[str, Check]:
    """The running instances that EC2 holds for impaired, by id, in a zone or in all; `volumes` with those of volumes.

    The others are not listed, so that a healthy fleet of any size is a page or two:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceStatus.html
    """
    where: list[FilterTypeDef] = [{"Name": "availability-zone", "Values": [zone]}] if zone else []
    found: dict[str, Check] = {}
    for name in (*OF_HOSTS, *([OF_VOLUMES] if volumes else [])):
        statuses = _statuses(ec2, [{"Name": name, "Values": ["impaired"]}, *where])
        found |= {one["InstanceId"]: Check.from_boto(one) for one in statuses}
    return found


def find_unwell(ec2: EC2Client) -> dict[str, str]:
    """What EC2 says of the running instances whose two checks do not both say ok, by id: the worse of the two."""
    found: dict[str, str] = {}
    for name in OF_HOSTS:
        for one in _statuses(ec2, [{"Name": name, "Values": list(NOT_OK)}]):
            said = {one.get("InstanceStatus", {}).get("Status"), one.get("SystemStatus", {}).get("Status")}
            found[one["InstanceId"]] = next(word for word in NOT_OK if word in said)
    return found


def _statuses(ec2: EC2Client, filters: Sequence[FilterTypeDef]) -> Iterator[InstanceStatusTypeDef]:
    pages = ec2.get_paginator("describe_instance_status").paginate(Filters=filters, PaginationConfig={"PageSize": 1000})
    return (one for page in pages for one in page["InstanceStatuses"])
