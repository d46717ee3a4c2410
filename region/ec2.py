"""What EC2 answers: descriptions with owners, filters and pages, and the operations that moto answers wrongly."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from moto.ec2 import urls
from moto.ec2.responses import EC2Response

from region.calls import Call, serve
from region.instances import Instances
from region.protocol import Refusal

if TYPE_CHECKING:
    from moto.ec2.models.elastic_block_store import Snapshot, Volume
    from moto.ec2.models.instances import Instance

PAGE = 1000

Values = Mapping[str, Callable[[Any], str | None]]

SNAPSHOT_FILTERS: Values = {
    "description": lambda one: one.description,
    "encrypted": lambda one: str(one.encrypted).lower(),
    "owner-id": lambda one: one.owner_id,
    "snapshot-id": lambda one: one.id,
    "start-time": lambda one: one.start_time.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    "status": lambda one: one.status,
    "volume-id": lambda one: one.volume.id,
}
VOLUME_FILTERS: Values = {
    "attachment.instance-id": lambda one: one.attachment and one.attachment.instance_id,
    "attachment.status": lambda one: one.attachment and one.attachment.status,
    "availability-zone": lambda one: one.availability_zone,
    "status": lambda one: one.status,
    "volume-id": lambda one: one.id,
}
INSTANCE_FILTERS: Values = {
    "availability-zone": lambda one: one.availability_zone,
    "instance-id": lambda one: one.id,
    "instance-state-name": lambda one: one.state,
}


class EC2(Instances):
    """The EC2 of one region."""

    @property
    def _url_module(self) -> Any:
        return _Urls

    def list_snapshots(self, call: Call) -> Mapping[str, Any]:
        """DescribeSnapshots."""
        asked, lag = call.parameters, self.home.lag(call)
        found = self.visible_snapshots(lag)
        if ids := asked.get("SnapshotIds"):
            found = _named(found, ids, "InvalidSnapshot.NotFound", "snapshot")
        if owners := asked.get("OwnerIds"):
            found = [
                one
                for one in found
                if one.owner_id in {self.account_id if owner == "self" else owner for owner in owners}
            ]
        page, token = self._page(found, asked, SNAPSHOT_FILTERS, lag)
        return {"Snapshots": [self.snapshot(one, lag) for one in page], "NextToken": token}

    def list_volumes(self, call: Call) -> Mapping[str, Any]:
        """DescribeVolumes."""
        asked, lag = call.parameters, self.home.lag(call)
        found = list(self.volumes.values())
        if ids := asked.get("VolumeIds"):
            found = _named(found, ids, "InvalidVolume.NotFound", "volume")
        page, token = self._page(found, asked, VOLUME_FILTERS, lag)
        return {"Volumes": [self._volume(one, lag) for one in page], "NextToken": token}

    def list_instances(self, call: Call) -> Mapping[str, Any]:
        """DescribeInstances, each in a reservation of its own."""
        asked, lag = call.parameters, self.home.lag(call)
        found = self.all_instances()
        if ids := asked.get("InstanceIds"):
            found = _named(found, ids, "InvalidInstanceID.NotFound", "instance")
        page, token = self._page(found, asked, INSTANCE_FILTERS, lag)
        reservations = [{"OwnerId": self.account_id, "Instances": [self._instance(one, lag)]} for one in page]
        return {"Reservations": reservations, "NextToken": token}

    def list_statuses(self, call: Call) -> Mapping[str, Any]:
        """DescribeInstanceStatus: of running instances, unless all are asked for."""
        asked = call.parameters
        found = self.all_instances()
        if ids := asked.get("InstanceIds"):
            found = _named(found, ids, "InvalidInstanceID.NotFound", "instance")
        if not asked.get("IncludeAllInstances"):
            found = [one for one in found if one.state == "running"]
        page, token = self._page(found, asked, INSTANCE_FILTERS, 0)
        return {"InstanceStatuses": [self._status(one) for one in page], "NextToken": token}

    def _page(
        self, found: Iterable[Any], asked: Mapping[str, Any], values: Values, lag: float
    ) -> tuple[Sequence[Any], str | None]:
        for name, wanted in ((one["Name"], one["Values"]) for one in asked.get("Filters", [])):
            found = [one for one in found if self._matches(one, name, wanted, values, lag)]
        after = asked.get("NextToken", "")
        rest = sorted((one for one in found if one.id > after), key=lambda one: str(one.id))
        size = min(asked.get("MaxResults", PAGE), PAGE)
        return rest[:size], rest[size - 1].id if len(rest) > size else None

    def _matches(self, one: Any, name: str, wanted: Sequence[str], values: Values, lag: float) -> bool:
        if name == "tag-key":
            return any(_is_like(key, wanted) for key in self.tags_of(one.id, lag))
        if name.startswith("tag:"):
            return _is_like(self.tags_of(one.id, lag).get(name[4:]), wanted)
        if name not in values:
            raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")
        return _is_like(values[name](one), wanted)

    def snapshot(self, one: Snapshot, lag: float = 0) -> Mapping[str, Any]:
        """A snapshot as EC2 shows it."""
        return {
            "SnapshotId": one.id,
            "VolumeId": one.volume.id,
            "VolumeSize": one.volume.size,
            "State": one.status,
            "StartTime": one.start_time,
            "Progress": "100%" if one.status == "completed" else "0%",
            "OwnerId": one.owner_id,
            "Description": one.description,
            "Encrypted": one.encrypted,
            "TransferType": getattr(one, "transfer_type", None),
            "Tags": self._tags(one.id, lag),
        }

    def _volume(self, one: Volume, lag: float) -> Mapping[str, Any]:
        attachments = [
            {
                "VolumeId": one.id,
                "InstanceId": attachment.instance_id,
                "Device": attachment.device,
                "State": attachment.status,
                "AttachTime": attachment.attach_time,
            }
            for attachment in one.attachments
        ]
        return {
            "VolumeId": one.id,
            "Size": one.size,
            "State": one.status,
            "AvailabilityZone": one.availability_zone,
            "CreateTime": one.create_time,
            "SnapshotId": one.snapshot_id,
            "VolumeType": one.volume_type,
            "Encrypted": one.encrypted,
            "Attachments": attachments,
            "Tags": self._tags(one.id, lag),
        }

    def _instance(self, one: Instance, lag: float) -> Mapping[str, Any]:
        blocks = [
            {
                "DeviceName": device,
                "Ebs": {"VolumeId": block.volume_id, "DeleteOnTermination": block.delete_on_termination},
            }
            for device, block in one.get_block_device_mapping
        ]
        reason = one.state_reason
        return {
            "InstanceId": one.id,
            "ImageId": one.image_id,
            "InstanceType": one.instance_type,
            "State": {"Name": one.state, "Code": one.state_code},
            "StateReason": {"Code": reason.code, "Message": reason.message} if reason.code else None,
            "LaunchTime": one.launch_time,
            "Placement": {"AvailabilityZone": one.availability_zone},
            "PrivateIpAddress": one.private_ip_address,
            "SubnetId": one.subnet_id,
            "VpcId": one.vpc_id,
            "RootDeviceName": one.root_device_name,
            "BlockDeviceMappings": blocks,
            "Tags": self._tags(one.id, lag),
        }

    def _status(self, one: Instance) -> Mapping[str, Any]:
        check = {"Status": self.status_of(one)}
        state = {"Name": one.state, "Code": one.state_code}
        return {"InstanceId": one.id, "InstanceState": state, "InstanceStatus": check, "SystemStatus": check}

    def _tags(self, resource_id: str, lag: float) -> list[Mapping[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags_of(resource_id, lag).items()]

    def answers(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that are answered here, by name."""
        return {
            "CreateSnapshot": lambda call: self.snapshot(self.begin([call.parameters["VolumeId"]], call.parameters)[0]),
            "CreateSnapshots": lambda call: {
                "Snapshots": [self.snapshot(one) for one in self.create_set(call.parameters)]
            },
            "DescribeInstanceStatus": self.list_statuses,
            "DescribeInstances": self.list_instances,
            "DescribeSnapshots": self.list_snapshots,
            "DescribeVolumes": self.list_volumes,
            "DetachVolume": lambda call: self.detach(call.parameters),
            "RegisterImage": lambda call: self.register(call.parameters),
            "DisableImage": lambda call: self.disable(call.parameters),
            "DeregisterImage": lambda call: self.deregister(call.parameters),
            "LockSnapshot": lambda call: self.lock(call.parameters),
            "UnlockSnapshot": lambda call: self.unlock(call.parameters),
        }


class _Response(EC2Response):
    """For requests that came over HTTP."""

    def call_action(self) -> Any:
        return serve(self.ec2_backend.home, self) or super().call_action()


class _Urls:
    """What moto looks for in the module moto.ec2.urls."""

    url_bases = urls.url_bases
    url_paths = {"{0}/": _Response.dispatch}  # noqa: RUF012 moto reads it as a module


def _named(found: Sequence[Any], ids: Sequence[str], code: str, kind: str) -> list[Any]:
    by_id = {one.id: one for one in found}
    missing = [one for one in ids if one not in by_id]
    if missing:
        raise Refusal(code, f"The {kind} '{missing[0]}' does not exist.")
    return [by_id[one] for one in ids]


def _is_like(value: str | None, patterns: Sequence[str]) -> bool:
    if value is None:
        return False
    return any(fnmatch.fnmatchcase(value, one) if "*" in one or "?" in one else value == one for one in patterns)
