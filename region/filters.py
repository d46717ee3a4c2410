"""The filters of EC2's descriptions that are known here: of each, the values that a thing has as it is shown."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Read = Callable[[Any], str | Sequence[str] | None]
Values = Mapping[str, Read]


def _of(*path: str) -> Read:
    """What lies at the end of a path of names, of each item where there is a list on the way."""

    def read(one: Any) -> str | Sequence[str] | None:
        found = [one]
        for name in path:
            inner = [item[name] for item in found if item and item.get(name) is not None]
            found = [item for value in inner for item in (value if isinstance(value, list) else [value])]
        return [str(item).lower() if isinstance(item, bool) else str(item) for item in found]

    return read


SNAPSHOTS: Values = {
    "description": lambda one: one.description,
    "encrypted": lambda one: str(one.encrypted).lower(),
    "owner-id": lambda one: one.owner_id,
    "snapshot-id": lambda one: one.id,
    "start-time": lambda one: one.start_time.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    "status": lambda one: one.status,
    "volume-id": lambda one: one.volume.id,
}
VOLUMES: Values = {
    "attachment.delete-on-termination": _of("Attachments", "DeleteOnTermination"),
    "attachment.device": _of("Attachments", "Device"),
    "attachment.instance-id": _of("Attachments", "InstanceId"),
    "attachment.status": _of("Attachments", "State"),
    "availability-zone": _of("AvailabilityZone"),
    "encrypted": _of("Encrypted"),
    "multi-attach-enabled": _of("MultiAttachEnabled"),
    "size": _of("Size"),
    "snapshot-id": _of("SnapshotId"),
    "status": _of("State"),
    "volume-id": _of("VolumeId"),
    "volume-type": _of("VolumeType"),
}
INSTANCES: Values = {
    "availability-zone": _of("Placement", "AvailabilityZone"),
    "block-device-mapping.volume-id": _of("BlockDeviceMappings", "Ebs", "VolumeId"),
    "client-token": _of("ClientToken"),
    "image-id": _of("ImageId"),
    "instance-id": _of("InstanceId"),
    "instance-lifecycle": _of("InstanceLifecycle"),
    "instance-state-code": _of("State", "Code"),
    "instance-state-name": _of("State", "Name"),
    "instance-type": _of("InstanceType"),
    "network-interface.network-interface-id": _of("NetworkInterfaces", "NetworkInterfaceId"),
    "private-ip-address": _of("PrivateIpAddress"),
    "subnet-id": _of("SubnetId"),
    "vpc-id": _of("VpcId"),
}
INTERFACES: Values = {
    "addresses.private-ip-address": _of("PrivateIpAddresses", "PrivateIpAddress"),
    "attachment.attachment-id": _of("Attachment", "AttachmentId"),
    "attachment.device-index": _of("Attachment", "DeviceIndex"),
    "attachment.instance-id": _of("Attachment", "InstanceId"),
    "attachment.status": _of("Attachment", "Status"),
    "availability-zone": _of("AvailabilityZone"),
    "description": _of("Description"),
    "group-id": _of("Groups", "GroupId"),
    "network-interface-id": _of("NetworkInterfaceId"),
    "private-ip-address": _of("PrivateIpAddress"),
    "status": _of("Status"),
    "subnet-id": _of("SubnetId"),
    "vpc-id": _of("VpcId"),
}
GROUPS: Values = {
    "description": _of("Description"),
    "group-id": _of("GroupId"),
    "group-name": _of("GroupName"),
    "owner-id": _of("OwnerId"),
    "vpc-id": _of("VpcId"),
}
TEMPLATES: Values = {"launch-template-name": _of("LaunchTemplateName")}
# Statuses have no tags to filter by.
INSTANCE_STATUSES: Values = {
    "attached-ebs-status.status": _of("AttachedEbsStatus", "Status"),
    "availability-zone": _of("AvailabilityZone"),
    "event.code": _of("Events", "Code"),
    "instance-state-code": _of("InstanceState", "Code"),
    "instance-state-name": _of("InstanceState", "Name"),
    "instance-status.status": _of("InstanceStatus", "Status"),
    "system-status.status": _of("SystemStatus", "Status"),
}
VOLUME_STATUSES: Values = {
    "action.code": _of("Actions", "Code"),
    "availability-zone": _of("AvailabilityZone"),
    "event.event-type": _of("Events", "EventType"),
    "volume-status.status": _of("VolumeStatus", "Status"),
}
UNTAGGED = (INSTANCE_STATUSES, VOLUME_STATUSES)


def is_of_tags(name: str) -> bool:
    """Whether a filter is of tags."""
    return name == "tag-key" or name.startswith("tag:")


def fits(seen: Any, wanted: Sequence[tuple[str, Sequence[str]]], values: Values) -> bool:
    """Whether a thing, as it is shown, passes all filters but those of tags."""
    return all(is_like(values[name](seen), patterns) for name, patterns in wanted if not is_of_tags(name))


def is_like(value: str | Sequence[str] | None, patterns: Sequence[str]) -> bool:
    """Whether it, or one of several, matches one of the patterns."""
    if value is None or not isinstance(value, str):
        return any(is_like(one, patterns) for one in value or ())
    return any(fnmatch.fnmatchcase(value, one) if "*" in one or "?" in one else value == one for one in patterns)
