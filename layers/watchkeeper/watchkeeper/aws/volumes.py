"""Database volumes: found by their tags."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import VolumeTypeType
    from mypy_boto3_ec2.type_defs import (
        CreateVolumeRequestTypeDef,
        FilterTypeDef,
        VolumeAttachmentTypeDef,
        VolumeTypeDef,
    )

    from watchkeeper.aws.snapshots import Snapshot

logger = logging.getLogger(__name__)

# EC2 recommends these names for EBS; on Nitro they are only asked for, and a host knows a volume by its serial:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html
DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where a volume is attached, or still is: `attaching`, `attached`, `detaching` or `busy`, since when."""

    host: str
    state: str
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
    snapshot: str = ""

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
            volume.get("SnapshotId", ""),
        )


def find(ec2: EC2Client, applications: Sequence[str]) -> list[Volume]:
    """The database volumes of the applications with these names (`*` matches any text), in the order of their ids."""
    return find_of(ec2, applications, [tags.DATABASE])


def find_of(ec2: EC2Client, applications: Sequence[str], roles: Sequence[str]) -> list[Volume]:
    """The volumes of the applications with these names that have one of these roles, in the order of their ids."""
    return _find(
        ec2,
        [
            {"Name": f"tag:{tags.APPLICATION}", "Values": list(applications)},
            {"Name": f"tag:{tags.ROLE}", "Values": list(roles)},
        ],
    )


def find_tagged(ec2: EC2Client) -> list[Volume]:
    """The volumes that carry any tag of ours, read or not, in the order of their ids."""
    return _find(ec2, [{"Name": "tag-key", "Values": [f"{tags.PREFIX}*"]}])


def find_states(ec2: EC2Client, ids: Sequence[str]) -> dict[str, str]:
    """The states of the volumes with these ids that exist, tagged or not; asked by filter, so that none is an error."""
    if not ids:
        return {}
    return {one.id: one.state for one in _find(ec2, [{"Name": "volume-id", "Values": list(ids)}])}


def find_made(ec2: EC2Client, application: str, snapshots: Sequence[str]) -> list[Volume]:
    """The volumes that were made of these snapshots, or that say to be restored for this application, whatever their
    role, in the order of their ids.
    """
    found = _find(
        ec2,
        [
            {"Name": f"tag:{tags.APPLICATION}", "Values": [application]},
            {"Name": "tag-key", "Values": [tags.RESTORED_FROM]},
        ],
    )
    if snapshots:
        found += _find(ec2, [{"Name": "snapshot-id", "Values": list(snapshots)}])
    return sorted({one.id: one for one in found}.values(), key=lambda one: one.id)


def find_on(ec2: EC2Client, instance: str) -> list[Volume]:
    """The volumes that are attached to an instance, whosever they are."""
    return _find(ec2, [{"Name": "attachment.instance-id", "Values": [instance]}])


def find_sick(ec2: EC2Client, ids: Sequence[str]) -> list[str]:
    """Those of the volumes that EBS holds for impaired, or whose I/O it has disabled; a slow one is not sick.

    Raises ClientError for one that is gone: https://docs.aws.amazon.com/ebs/latest/userguide/monitoring-volume-status.html
    """
    seen = ec2.describe_volume_status(VolumeIds=list(ids))["VolumeStatuses"]
    return sorted(one["VolumeId"] for one in seen if one["VolumeStatus"].get("Status") == "impaired")


def attach(ec2: EC2Client, volume: str, instance: str, device: str) -> bool:
    """Begins to attach a volume. False if something holds it already, or the name is taken: look again.

    A volume has one attachment, so this is the mutex of all who move it. Raises ClientError for all else. Codes:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    try:
        ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("VolumeInUse", "IncorrectState", "InvalidParameterValue"):
            raise
        logger.info("volume not attached", extra={"volume_id": volume, "reason": error.response["Error"]["Message"]})
        return False
    logger.info("volume attached", extra={"volume_id": volume, "instance_id": instance})
    return True


def detach(ec2: EC2Client, volume: str, instance: str, *, force: bool) -> None:
    """Begins to take a volume from exactly this instance; what is not attached there is done.

    Raises ClientError for all else. Codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    try:
        if force:
            ec2.detach_volume(VolumeId=volume, InstanceId=instance, Force=True)
        else:
            ec2.detach_volume(VolumeId=volume, InstanceId=instance)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("InvalidAttachment.NotFound", "IncorrectState"):
            raise
        return
    logger.info("volume detached", extra={"volume_id": volume, "instance_id": instance, "force": force})


def token(*of: str) -> str:
    """The client token of a volume that is made of a snapshot: the same wish has the same token, for ever.

    That of a volume which was deleted since answers the deleted one, so a wish that may come again says when it is of:
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    return "wk-" + hashlib.sha256(" ".join(of).encode()).hexdigest()[:40]


def restore(
    ec2: EC2Client, snapshot: Snapshot, zone: str, kind: tuple[str, int, int], words: Mapping[str, str], token: str
) -> str:
    """Makes a volume of a snapshot: its id, the same for the same token. `kind` is type, IOPS, MiB/s.

    Raises ClientError. A key of the snapshot's is the volume's too:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
    """
    name, iops, throughput = kind
    request: CreateVolumeRequestTypeDef = {
        "SnapshotId": snapshot.id,
        "AvailabilityZone": zone,
        "VolumeType": cast("VolumeTypeType", name),
        "ClientToken": token,
        "TagSpecifications": [{"ResourceType": "volume", "Tags": tags.write(words)}],
    }
    if iops and name in ("gp3", "io1", "io2"):
        request["Iops"] = iops
    if throughput and name == "gp3":
        request["Throughput"] = throughput
    made = ec2.create_volume(**request)["VolumeId"]
    logger.info("volume restored", extra={"volume_id": made, "snapshot_id": snapshot.id})
    return made


def delete(ec2: EC2Client, volume: str) -> bool:
    """Deletes a volume; one that is gone is done. False if something holds it: look again.

    Raises ClientError for all else. Codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    try:
        ec2.delete_volume(VolumeId=volume)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ("InvalidVolume.NotFound", "VolumeInUse", "IncorrectState"):
            raise
        return code == "InvalidVolume.NotFound"
    logger.info("volume deleted", extra={"volume_id": volume})
    return True


def _find(ec2: EC2Client, filters: Sequence[FilterTypeDef]) -> list[Volume]:
    pages = ec2.get_paginator("describe_volumes").paginate(Filters=filters, PaginationConfig={"PageSize": 1000})
    found = [Volume.from_boto(volume) for page in pages for volume in page["Volumes"]]
    return sorted(found, key=lambda volume: volume.id)


def _attachment(attachment: VolumeAttachmentTypeDef) -> Attachment:
    return Attachment(
        attachment.get("InstanceId", ""),
        attachment.get("State", ""),
        attachment.get("AttachTime"),
        attachment.get("DeleteOnTermination", False),
    )
