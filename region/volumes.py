"""EC2's volumes, where moto differs: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from region.creation import Creation
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment
    from moto.ec2.models.instances import Instance


class Volumes(Creation):
    """moto's volumes, that are lost, attached and detached as EC2 does it."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self.sick: dict[str, float] = {}
        self._given: set[tuple[str, str]] = set()
        super().__init__(region_name, account_id)

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


def _answered(one: VolumeAttachment) -> Mapping[str, Any]:
    names = {"VolumeId": one.volume_id, "InstanceId": one.instance_id, "Device": one.device}
    return {**names, "State": one.status, "AttachTime": one.attach_time}
