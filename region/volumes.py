"""EC2's volumes and images, where moto differs: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from moto.ec2.models.amis import Ami

from region.history import History
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment
    from moto.ec2.models.instances import Instance

    from region.delays import Delay


IMAGE = "ami-0123456789abcdef0"
OPTIONS = {
    "Encrypted": "encrypted",
    "Iops": "iops",
    "KmsKeyId": "kms_key_id",
    "MultiAttachEnabled": "multi_attach_enabled",
    "SnapshotId": "snapshot_id",
    "Throughput": "throughput",
    "VolumeType": "volume_type",
}


class Volumes(History):
    """moto's EC2 with volumes that obey. Only what changes the world goes to the machines."""

    building = True
    """moto puts something together, and the machines hear of it when it is whole."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self.odd_states: dict[str, str] = {}
        self.operators: dict[str, str] = {}
        self.sick: dict[str, float] = {}
        self._made: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        self._given: set[tuple[str, str]] = set()
        super().__init__(region_name, account_id)
        self.building = False

    def _load_amis(self) -> None:
        """One public image: moto's thousand, each with a volume and a snapshot, cost a second."""
        self.amis[IMAGE] = Ami(self, ami_id=IMAGE, name="region", owner_id="amazon", root_device_name="/dev/sda1")

    def _create_default_encryption_key(self) -> str:
        """A key's name: moto's own makes a real one, for a tenth of a second."""
        self.default_kms_key_id = f"arn:aws:kms:{self.region_name}:{self.account_id}:key/aws-ebs"
        return self.default_kms_key_id

    def describe_volumes(self, volume_ids: list[str] | None = None, filters: Any = None) -> list[Volume]:
        """For moto's own use: it looks through all volumes for each."""
        if volume_ids and not filters:
            return [self.get_volume(one) for one in volume_ids]
        return super().describe_volumes(volume_ids, filters)

    # Making and losing

    def make_volume(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """CreateVolume: once for each client token, also when the volume is gone since.
        https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
        """
        said = {key: value for key, value in asked.items() if key != "ClientToken"}
        token = asked.get("ClientToken", "")
        if token in self._made:
            before, made = self._made[token]
            if before != said:
                raise Refusal("IdempotentParameterMismatch", "The client token was used with other parameters.")
            return {**(self.show(made["VolumeId"]) or made), "Tags": made["Tags"]}
        options = {own: asked[name] for name, own in OPTIONS.items() if name in asked}
        volume = self.create_volume(asked.get("Size"), asked["AvailabilityZone"], **options)
        made = self._describe_new(volume, asked)
        if token:
            self._made[token] = (said, made)
        return made

    def _describe_new(self, volume: Volume, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        tags = tags_for("volume", asked)
        if tags:
            self.create_tags([volume.id], tags)
        if principal := asked.get("Operator", {}).get("Principal"):
            self.operators[volume.id] = principal
        if volume.snapshot_id:
            self.odd_states[volume.id] = "creating"
            self.after(self.home.delays.create_from_snapshot, partial(self._ready, volume.id))
        shown = cast("Mapping[str, Any]", self.show(volume.id))
        return {**shown, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _ready(self, volume_id: str) -> None:
        if self.odd_states.get(volume_id) == "creating":
            self.remember(volume_id)
            del self.odd_states[volume_id]

    def create_volume(self, *args: Any, **kwargs: Any) -> Volume:
        """A volume, on the machines too; never from a snapshot that is not complete."""
        source = kwargs.get("snapshot_id")
        if source and (state := self.get_snapshot(source).status) != "completed":
            raise Refusal("IncorrectState", f"Snapshot {source} is in invalid state - {state}")
        volume = super().create_volume(*args, **kwargs)
        self.born(volume.id)
        if not self.building:
            self.home.machines.create_volume(volume.id, int(volume.size), source)
        return volume

    def delete_volume(self, volume_id: str) -> Volume:
        """Without this volume."""
        self.remember(volume_id)
        volume = super().delete_volume(volume_id)
        if not self.building:
            self.home.machines.delete_volume(volume_id)
        return volume

    def lose_volume(self, volume_id: str, state: str) -> None:
        """The volume fails for good, which EC2 shows as `error`; or it is `gone`."""
        volume = self.get_volume(volume_id)
        if attachment := volume.attachment:
            self._take_away(attachment, True)
            self._detached(volume, attachment)
        if state == "gone":
            self.delete_volume(volume_id)
        else:
            self.remember(volume_id)
            self.odd_states[volume_id] = state

    # Attaching and detaching

    def attach_volume(
        self, volume_id: str, instance_id: str, device_path: str, delete_on_termination: bool = False
    ) -> VolumeAttachment | None:
        """An attachment, which takes a moment; only then the host has the disk. A volume has one."""
        if self.building:
            return super().attach_volume(volume_id, instance_id, device_path, delete_on_termination)
        volume, instance = self.get_volume(volume_id), self.get_instance(instance_id)
        self._may_attach(volume, instance, device_path)
        self.remember(volume_id, instance_id)
        made = super().attach_volume(volume_id, instance_id, device_path, delete_on_termination)
        attachment = cast("VolumeAttachment", made)
        attachment.status = "attaching"
        if not self.home.faults.stuck("AttachVolume"):
            self.after(self.home.delays.attach, partial(self._attached, volume, attachment))
        return attachment

    def attach(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """AttachVolume."""
        made = cast("VolumeAttachment", self.attach_volume(asked["VolumeId"], asked["InstanceId"], asked["Device"]))
        return _answered(made)

    def _may_attach(self, volume: Volume, instance: Instance, device: str) -> None:
        if volume.attachment:
            raise Refusal("VolumeInUse", f"{volume.id} is already attached to an instance")
        if state := self.odd_states.get(volume.id):
            raise Refusal("IncorrectState", f"The volume '{volume.id}' is '{state}'.")
        if instance.state not in ("running", "stopped"):
            raise Refusal("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
        if instance.placement.zone != volume.zone.name:
            raise Refusal(
                "InvalidVolume.ZoneMismatch", f"The volume '{volume.id}' is not in the zone of '{instance.id}'"
            )
        if device in instance.block_device_mapping:
            raise Refusal("InvalidParameterValue", f"Attachment point {device} is already in use")

    def _attached(self, volume: Volume, attachment: VolumeAttachment) -> None:
        if volume.attachment is attachment and attachment.status == "attaching":
            self.remember(volume.id, attachment.instance_id)
            attachment.status = "attached"
            self.give(volume.id, attachment.instance_id, attachment.device)

    def give(self, volume_id: str, instance_id: str, device: str) -> None:
        """The host has the disk from now on."""
        self._given.add((volume_id, instance_id))
        self.home.machines.attach(volume_id, instance_id, device)

    def pull_out(self, volume_id: str) -> None:
        """The host, which is off, has the disk no more."""
        if attachment := self.volumes[volume_id].attachment:
            self._take_away(attachment, True)

    def _take_away(self, attachment: VolumeAttachment, force: bool) -> bool:
        pair = (attachment.volume_id, attachment.instance_id)
        if pair in self._given and not self.home.machines.detach(*pair, force):
            return False
        self._given.discard(pair)
        return True

    def detach(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DetachVolume: busy while the volume is mounted, unless it is forced."""
        volume = self.get_volume(asked["VolumeId"])
        attachment = volume.attachment
        if attachment is None:
            raise Refusal("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
        instance: Instance = attachment.instance
        if asked.get("InstanceId", instance.id) != instance.id:
            raise Refusal("InvalidAttachment.NotFound", f"The volume {volume.id} is not attached to that instance.")
        if instance.state in ("shutting-down", "terminated"):
            raise Refusal("IncorrectInstanceState", f"The instance '{instance.id}' is going away.")
        if attachment.device == instance.root_device_name and instance.state != "stopped":
            raise Refusal("OperationNotPermitted", f"Unable to detach root volume '{volume.id}' from {instance.id}")
        self._let_go(volume, attachment, asked.get("Force", False))
        return _answered(attachment)

    def _let_go(self, volume: Volume, attachment: VolumeAttachment, force: bool) -> None:
        if volume.attachment is not attachment:
            return
        gone = self._take_away(attachment, force)
        status = "detaching" if gone else "busy"
        if attachment.status != status:
            self.remember(volume.id, attachment.instance_id)
            attachment.status = status
        if gone and not self.home.faults.stuck("DetachVolume"):
            self.after(self.home.delays.detach, partial(self._detached, volume, attachment))
        elif not gone:
            self.home.clock.after(1, lambda: self._let_go(volume, attachment, force), background=True)

    def _detached(self, volume: Volume, attachment: VolumeAttachment) -> None:
        if volume.attachment is attachment:
            self.remember(volume.id, attachment.instance_id)
            self.detach_volume(volume.id, attachment.instance_id, attachment.device)

    def after(self, delay: Delay, happen: Callable[[], object]) -> None:
        """Let something happen that takes so long."""
        self.home.clock.after(self.home.takes(delay), happen)


def _answered(one: VolumeAttachment) -> Mapping[str, Any]:
    names = {"VolumeId": one.volume_id, "InstanceId": one.instance_id, "Device": one.device}
    return {**names, "State": one.status, "AttachTime": one.attach_time}


def tags_for(kind: str, asked: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a request wants on what it makes of this kind."""
    return {
        tag["Key"]: tag["Value"]
        for specification in asked.get("TagSpecifications", [])
        if specification["ResourceType"] == kind
        for tag in specification["Tags"]
    }
