"""EC2's volumes and images, where moto differs: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import Ami

from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment
    from moto.ec2.models.instances import Instance

    from region.region import Region


IMAGE = "ami-0123456789abcdef0"


class Volumes(EC2Backend):
    """moto's EC2 with volumes that obey. Only what changes the world goes to the machines."""

    home: ClassVar[Region]
    building = True
    """moto puts something together, and the machines hear of it when it is whole."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self.former_tags: dict[str, list[tuple[float, Mapping[str, str]]]] = defaultdict(list)
        super().__init__(region_name, account_id)
        self.building = False

    def _load_amis(self) -> None:
        """One public image: moto's thousand, each with a volume and a snapshot, cost a second."""
        self.amis[IMAGE] = Ami(self, ami_id=IMAGE, name="region", owner_id="amazon", root_device_name="/dev/sda1")

    def _create_default_encryption_key(self) -> str:
        """A key's name: moto's own makes a real one, for a tenth of a second."""
        self.default_kms_key_id = f"arn:aws:kms:{self.region_name}:{self.account_id}:key/aws-ebs"
        return self.default_kms_key_id

    # Tags

    def create_tags(self, resource_ids: list[str], tags: dict[str, str]) -> bool:
        """Tags as moto keeps them, with what they were, for readers that lag."""
        self._remember_tags(resource_ids)
        return super().create_tags(resource_ids, tags)

    def delete_tags(self, resource_ids: list[str], tags: dict[str, str]) -> bool:
        """Without these tags."""
        self._remember_tags(resource_ids)
        return super().delete_tags(resource_ids, tags)

    def _remember_tags(self, resource_ids: list[str]) -> None:
        now = self.home.clock.now()
        for resource_id in resource_ids:
            self.former_tags[resource_id].append((now, dict(self.tags.get(resource_id, {}))))

    def tags_of(self, resource_id: str, lag: float = 0) -> Mapping[str, str]:
        """A resource's tags as a reader sees them who is so many seconds behind."""
        if lag:
            horizon = self.home.clock.now() - lag
            for changed, before in self.former_tags[resource_id]:
                if changed > horizon:
                    return before
        return self.tags.get(resource_id, {})

    # Volumes

    def create_volume(self, *args: Any, **kwargs: Any) -> Volume:
        """A volume, on the machines too; never from a snapshot that is not complete."""
        source = kwargs.get("snapshot_id")
        if source and (state := self.get_snapshot(source).status) != "completed":
            raise Refusal("IncorrectState", f"Snapshot {source} is in invalid state - {state}")
        volume = super().create_volume(*args, **kwargs)
        if not self.building:
            self.home.machines.create_volume(volume.id, int(volume.size), source)
        return volume

    def delete_volume(self, volume_id: str) -> Volume:
        """Without this volume."""
        volume = super().delete_volume(volume_id)
        if not self.building:
            self.home.machines.delete_volume(volume_id)
        return volume

    def attach_volume(
        self, volume_id: str, instance_id: str, device_path: str, delete_on_termination: bool = False
    ) -> VolumeAttachment | None:
        """An attachment, which takes a moment. A volume has one."""
        if self.building:
            return super().attach_volume(volume_id, instance_id, device_path, delete_on_termination)
        volume, instance = self.get_volume(volume_id), self.get_instance(instance_id)
        _may_attach(volume, instance, device_path)
        made = super().attach_volume(volume_id, instance_id, device_path, delete_on_termination)
        attachment = cast("VolumeAttachment", made)
        attachment.status = "attaching"
        self.home.machines.attach(volume_id, instance_id, device_path)
        if not self.home.faults.stuck("AttachVolume"):
            self.home.later(1, 3, lambda: setattr(attachment, "status", "attached"))
        return attachment

    def detach(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DetachVolume: busy while the volume is mounted, unless it is forced."""
        volume = self.get_volume(asked["VolumeId"])
        attachment = volume.attachment
        if attachment is None:
            raise Refusal("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
        instance: Instance = attachment.instance
        if asked.get("InstanceId", instance.id) != instance.id:
            raise Refusal("InvalidAttachment.NotFound", f"The volume {volume.id} is not attached to that instance.")
        if attachment.device == instance.root_device_name and instance.state != "stopped":
            raise Refusal("OperationNotPermitted", f"Unable to detach root volume '{volume.id}' from {instance.id}")
        attachment.status = "detaching"
        self._let_go(volume, attachment, asked.get("Force", False))
        return {
            "VolumeId": volume.id,
            "InstanceId": instance.id,
            "Device": attachment.device,
            "State": attachment.status,
            "AttachTime": attachment.attach_time,
        }

    def _let_go(self, volume: Volume, attachment: VolumeAttachment, force: bool) -> None:
        if volume.attachment is not attachment:
            return
        if self.home.machines.detach(volume.id, attachment.instance_id, force):
            attachment.status = "detaching"
            self.home.later(1, 3, lambda: self._detached(volume, attachment))
        else:
            attachment.status = "busy"
            self.home.clock.after(1, lambda: self._let_go(volume, attachment, force), background=True)

    def _detached(self, volume: Volume, attachment: VolumeAttachment) -> None:
        if volume.attachment is attachment:
            self.detach_volume(volume.id, attachment.instance_id, attachment.device)


def _may_attach(volume: Volume, instance: Instance, device: str) -> None:
    if volume.attachment:
        raise Refusal("VolumeInUse", f"{volume.id} is already attached to an instance")
    if instance.state not in ("running", "stopped"):
        raise Refusal("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if instance.placement.zone != volume.zone.name:
        raise Refusal("InvalidVolume.ZoneMismatch", f"The volume '{volume.id}' is not in the zone of '{instance.id}'")
    if device in instance.block_device_mapping:
        raise Refusal("InvalidParameterValue", f"Attachment point {device} is already in use")
