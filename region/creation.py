"""EC2's volumes and images as they come and go, where moto differs.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from moto.ec2.models.amis import Ami

from region.history import History
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moto.ec2.models.elastic_block_store import Volume

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


class Creation(History):
    """moto's EC2, in which volumes come and go as EC2 lets them. Only what changes the world goes to the machines."""

    building = True
    """moto puts something together, and the machines hear of it when it is whole."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self.odd_states: dict[str, str] = {}
        self.operators: dict[str, str] = {}
        self._made: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
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
        if source := asked.get("SnapshotId"):
            options |= self._inherited(source, asked)
        volume = self.create_volume(asked.get("Size"), asked["AvailabilityZone"], **options)
        made = self._describe_new(volume, asked)
        if token:
            self._made[token] = (said, made)
        return made

    def _inherited(self, source: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a volume has of its snapshot: encryption, under its key unless another is named, and a least size."""
        of = self.get_snapshot(source)
        if int(asked.get("Size") or of.volume.size) < int(of.volume.size):
            message = (
                f"Volume of {asked['Size']}GiB is smaller than snapshot '{source}', expect size >= {of.volume.size}GiB"
            )
            raise Refusal("InvalidParameterValue", message)
        if not of.encrypted:
            return {}
        return {"encrypted": True, "kms_key_id": asked.get("KmsKeyId") or getattr(of.volume, "kms_key_id", None)}

    def _describe_new(self, volume: Volume, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        tags = tags_for("volume", asked)
        if tags:
            self.create_tags([volume.id], tags)
        if principal := asked.get("Operator", {}).get("Principal"):
            self.operators[volume.id] = principal
        if volume.snapshot_id:
            self.odd_states[volume.id] = "creating"
            if not self.home.faults.stuck("CreateVolume"):
                happen = self.delete_volume if self.home.faults.failing_volume() else self._ready
                self.after(self.home.delays.create_from_snapshot, partial(happen, volume.id))
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

    def drop_volume(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DeleteVolume: of one that is attached nowhere; it is `deleting` for a while."""
        volume = self.get_volume(asked["VolumeId"])
        if volume.attachment:
            raise Refusal("VolumeInUse", f"Volume {volume.id} is currently attached to {volume.attachment.instance_id}")
        if (state := self.odd_states.get(volume.id, "available")) not in ("available", "error"):
            raise Refusal("IncorrectState", f"The volume '{volume.id}' is '{state}'.")
        self.remember(volume.id)
        self.odd_states[volume.id] = "deleting"
        if not self.home.faults.stuck("DeleteVolume"):
            self.after(self.home.delays.delete_volume, partial(self.delete_volume, volume.id))
        return {}

    def delete_volume(self, volume_id: str) -> Volume:
        """Without this volume."""
        self.remember(volume_id)
        volume = super().delete_volume(volume_id)
        if not self.building:
            self.home.machines.delete_volume(volume_id)
        return volume

    def after(self, delay: Delay, happen: Callable[[], object]) -> None:
        """Let something happen that takes so long."""
        self.home.clock.after(self.home.takes(delay), happen)


def tags_for(kind: str, asked: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a request wants on what it makes of this kind."""
    return {
        tag["Key"]: tag["Value"]
        for specification in asked.get("TagSpecifications", [])
        if specification["ResourceType"] == kind
        for tag in specification["Tags"]
    }
