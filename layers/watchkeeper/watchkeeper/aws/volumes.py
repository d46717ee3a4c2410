"""Database volumes: found by their tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, VolumeAttachmentTypeDef, VolumeTypeDef


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where a volume is attached, or still is: `attaching`, `attached`, `detaching` or `busy`, since when."""

    host: str
    state: str
    device: str = ""
    since: datetime | None = None
    is_deleted_with_host: bool = False


@dataclass(frozen=True, slots=True)
class Volume:
    """An EBS volume that is tagged as a database's; `host` is the instance that it is attached to.

    `is_shared` may be attached to several at once (Multi-Attach), `is_managed` belongs to a service of AWS.
    """

    id: str
    application: str
    created: datetime
    host: str | None = None
    size_gib: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    state: str = "in-use"
    attachment: Attachment | None = None
    zone: str = ""
    type: str = "gp3"
    iops: int = 0
    throughput: int = 0
    key: str = ""
    is_shared: bool = False
    is_managed: bool = False

    @classmethod
    def from_boto(cls, volume: VolumeTypeDef) -> Volume:
        """A volume as DescribeVolumes answers it. Only Multi-Attach ones have several attachments; the first counts."""
        words = tags.read(volume.get("Tags", []))
        holding = [one for one in volume.get("Attachments", []) if one.get("State") != "detached"]
        attachment = _attachment(holding[0]) if holding else None
        return cls(
            volume["VolumeId"],
            words.get(tags.APPLICATION, ""),
            volume["CreateTime"],
            attachment.host if attachment and attachment.state != "detaching" else None,
            volume["Size"],
            words,
            volume["State"],
            attachment,
            volume["AvailabilityZone"],
            volume.get("VolumeType", "gp3"),
            volume.get("Iops", 0),
            volume.get("Throughput", 0),
            volume.get("KmsKeyId", ""),
            volume.get("MultiAttachEnabled", False),
            volume.get("Operator", {}).get("Managed", False),
        )


def find(ec2: EC2Client, applications: Sequence[str]) -> list[Volume]:
    """The database volumes of the applications with these names (`*` matches any text), in the order of their ids."""
    return _find(
        ec2,
        [
            {"Name": f"tag:{tags.APPLICATION}", "Values": list(applications)},
            {"Name": f"tag:{tags.ROLE}", "Values": [tags.DATABASE]},
        ],
    )


def find_tagged(ec2: EC2Client) -> list[Volume]:
    """The volumes that carry any tag of ours, read or not, in the order of their ids."""
    return _find(ec2, [{"Name": "tag-key", "Values": [f"{tags.PREFIX}*"]}])


def _find(ec2: EC2Client, filters: Sequence[FilterTypeDef]) -> list[Volume]:
    pages = ec2.get_paginator("describe_volumes").paginate(Filters=filters, PaginationConfig={"PageSize": 1000})
    found = [Volume.from_boto(volume) for page in pages for volume in page["Volumes"]]
    return sorted(found, key=lambda volume: volume.id)


def _attachment(attachment: VolumeAttachmentTypeDef) -> Attachment:
    return Attachment(
        attachment.get("InstanceId", ""),
        attachment.get("State", ""),
        attachment.get("Device", ""),
        attachment.get("AttachTime"),
        attachment.get("DeleteOnTermination", False),
    )
