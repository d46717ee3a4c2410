"""Database hosts: the instances that databases' volumes are attached to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeDef


# A terminated instance is listed, tags and all, for about an hour.
THERE = ("pending", "running", "stopping", "stopped")


# What the tag of an Auto Scaling group on its instances is called:
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html
GROUP = "aws:autoscaling:groupName"


@dataclass(frozen=True, slots=True)
class Host:
    """An EC2 instance; `volumes` are all that are attached to it, `root` the one that it boots from.

    `devices` are the names of all by volume; `dying` those that are deleted with it. `launched` is when it was started
    last. `reason` is the code of why it is in its state, `since` EC2's sentence of when it came into it.
    """

    id: str
    state: str
    root: str | None = None
    volumes: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    dying: tuple[str, ...] = ()
    launched: datetime | None = None
    reason: str = ""
    since: str = ""
    token: str = ""
    zone: str = ""
    address: str = ""
    type: str = ""
    is_spot: bool = False
    is_managed: bool = False

    @property
    def application(self) -> str:
        """The application that it is tagged with; empty if it is with none."""
        return self.tags.get(tags.APPLICATION, "")

    @property
    def is_database(self) -> bool:
        """It is tagged as the host of a database, and there still."""
        return self.tags.get(tags.ROLE) == tags.DATABASE_HOST and self.state in THERE

    @classmethod
    def from_boto(cls, instance: InstanceTypeDef) -> Host:
        """A host as DescribeInstances answers it."""
        blocks = {
            mapping.get("DeviceName", ""): mapping["Ebs"]
            for mapping in instance.get("BlockDeviceMappings", [])
            if "VolumeId" in mapping.get("Ebs", {})
        }
        devices = {block["VolumeId"]: name for name, block in blocks.items()}
        roots = [volume for volume, name in devices.items() if name == instance.get("RootDeviceName")]
        return cls(
            instance["InstanceId"],
            instance["State"]["Name"],
            roots[0] if roots else None,
            tuple(sorted(devices)),
            tags.read(instance.get("Tags", [])),
            devices,
            tuple(sorted(block["VolumeId"] for block in blocks.values() if block.get("DeleteOnTermination"))),
            instance.get("LaunchTime"),
            instance.get("StateReason", {}).get("Code", ""),
            instance.get("StateTransitionReason", ""),
            instance.get("ClientToken", ""),
            instance.get("Placement", {}).get("AvailabilityZone", ""),
            instance.get("PrivateIpAddress", ""),
            instance.get("InstanceType", ""),
            instance.get("InstanceLifecycle") == "spot",
            instance.get("Operator", {}).get("Managed", False),
        )


def find(ec2: EC2Client, ids: Sequence[str]) -> dict[str, Host]:
    """The hosts with these ids that exist, by id; asked by filter, so that one that is gone is left out and no error.

    A filter takes 200 values at most: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
    """
    found: dict[str, Host] = {}
    for start in range(0, len(ids), 200):
        found |= {one.id: one for one in _find(ec2, {"Name": "instance-id", "Values": list(ids[start : start + 200])})}
    return found


def find_databases(ec2: EC2Client, applications: Sequence[str]) -> dict[str, Host]:
    """The database hosts of the applications with these names (`*` matches any text), by id."""
    found = _find(
        ec2,
        {"Name": f"tag:{tags.APPLICATION}", "Values": list(applications)},
        {"Name": f"tag:{tags.ROLE}", "Values": [tags.DATABASE_HOST]},
    )
    return {one.id: one for one in found if one.is_database}


def find_tagged(ec2: EC2Client) -> list[Host]:
    """The instances that carry any tag of ours, read or not, in the order of their ids."""
    return sorted(_find(ec2, {"Name": "tag-key", "Values": [f"{tags.PREFIX}*"]}), key=lambda host: host.id)


def _find(ec2: EC2Client, *conditions: FilterTypeDef) -> list[Host]:
    pages = ec2.get_paginator("describe_instances").paginate(Filters=conditions, PaginationConfig={"PageSize": 1000})
    reservations = [reservation for page in pages for reservation in page["Reservations"]]
    return [Host.from_boto(one) for reservation in reservations for one in reservation["Instances"]]
