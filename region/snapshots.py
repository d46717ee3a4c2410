"""EC2's snapshots, where moto differs: they take time, are limited, held and locked, and a set is of one instant."""

from __future__ import annotations

from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.utils import random_snapshot_id

from region import events
from region.protocol import Refusal
from region.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html: five pending, one for the HDD types
PENDING_AT_MOST = 5
PENDING_AT_MOST_ON_DISKS = {"st1": 1, "sc1": 1}
SECONDS_BETWEEN = 15
TAGS_AT_MOST = 50
COMPLETION_SECONDS = (60, 300)
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html: of a copy, "should not be used"
NO_VOLUME = "vol-ffffffff"


class Snapshots(Volumes):
    """moto's snapshots, with what AWS keeps of them beside."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self.deleted: list[tuple[float, Snapshot]] = []
        self.held: dict[str, tuple[str, ...]] = {}
        self.locked: set[str] = set()
        self.doomed: set[str] = set()
        super().__init__(region_name, account_id)

    def get_snapshot(self, snapshot_id: str) -> Snapshot:
        """The snapshot with this id."""
        if snapshot_id not in self.snapshots:
            raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        return self.snapshots[snapshot_id]

    def create_set(self, asked: Mapping[str, Any]) -> Sequence[Snapshot]:
        """CreateSnapshots: of all volumes of an instance but the excluded, at one instant, which is now."""
        instance = self.get_instance(asked["InstanceSpecification"]["InstanceId"])
        excluded = set(asked["InstanceSpecification"].get("ExcludeDataVolumeIds", []))
        without_root = asked["InstanceSpecification"].get("ExcludeBootVolume", False)
        mappings = {block.volume_id: device for device, block in instance.get_block_device_mapping}
        root = {volume for volume, device in mappings.items() if device == instance.root_device_name}
        if root & excluded or len(excluded) > 40:
            raise Refusal("InvalidParameterValue", "ExcludeDataVolumeIds takes 40 ids of data volumes at most")
        volumes = sorted(set(mappings) - excluded - (root if without_root else set()))
        if not volumes:
            raise Refusal("InvalidParameterCombination", f"No volumes of {instance.id} are left to take.")
        return self.begin(volumes, asked)

    def begin(self, volumes: Sequence[str], asked: Mapping[str, Any]) -> Sequence[Snapshot]:
        """Snapshots of these volumes, pending; they complete one after the other."""
        tags = _tags(asked)
        if len(tags) > TAGS_AT_MOST:
            raise Refusal("TagLimitExceeded", "The maximum number of tags for a resource has been reached.")
        for volume_id in volumes:
            self._may_begin(volume_id)
        taken = [
            Snapshot(self, random_snapshot_id(), self.get_volume(one), asked.get("Description", "")) for one in volumes
        ]
        self.home.machines.snapshot([(snapshot.volume.id, snapshot.id) for snapshot in taken])
        for snapshot in taken:
            snapshot.status = "pending"
            snapshot.start_time = _to_the_millisecond(self.home.clock.moment())
            snapshot.encrypted = snapshot.volume.encrypted
            self.snapshots[snapshot.id] = snapshot
            self.create_tags([snapshot.id], {**self._copied_tags(snapshot, asked), **tags})
            if not self.home.faults.stuck("CreateSnapshots"):
                self.home.later(*COMPLETION_SECONDS, partial(self._complete, snapshot, taken))
        return taken

    def _may_begin(self, volume_id: str) -> None:
        volume = self.get_volume(volume_id)
        own = [one for one in self.snapshots.values() if one.volume is volume]
        most = PENDING_AT_MOST_ON_DISKS.get(volume.volume_type or "", PENDING_AT_MOST)
        if sum(one.status in ("pending", "error") for one in own) >= most:
            raise Refusal(
                "ConcurrentSnapshotLimitExceeded", f"You have exceeded {most} pending snapshots of {volume_id}"
            )
        since = self.home.clock.now() - self.home.draw(SECONDS_BETWEEN, SECONDS_BETWEEN)
        if any(one.start_time.timestamp() > since for one in own):
            raise Refusal(
                "SnapshotCreationPerVolumeRateExceeded",
                "The maximum per volume CreateSnapshot request rate has been exceeded.",
            )

    def _copied_tags(self, snapshot: Snapshot, asked: Mapping[str, Any]) -> Mapping[str, str]:
        return dict(self.tags_of(snapshot.volume.id)) if asked.get("CopyTagsFromSource") == "volume" else {}

    def _complete(self, snapshot: Snapshot, taken: Sequence[Snapshot]) -> None:
        if snapshot.status == "pending":
            self.settle(snapshot, "completed")
        if snapshot.id in self.doomed:
            self.delete_snapshot(snapshot.id)
        if len(taken) > 1 and all(one.status != "pending" for one in taken):
            failed = [one.id for one in taken if one.status == "error"]
            volumes = {one.id: one.volume.id for one in taken}
            self.home.bus.emit(events.set_done, volumes, taken[0].start_time, failed)

    def settle(self, snapshot: Snapshot, state: str) -> None:
        """End a pending snapshot as completed or error."""
        snapshot.status = state
        self.home.bus.emit(
            events.snapshot_done, snapshot.id, snapshot.volume.id, snapshot.start_time, state == "completed"
        )

    def delete_snapshot(self, snapshot_id: str) -> Snapshot:
        """Without this snapshot; a pending one goes when it is complete, a held or locked one stays."""
        snapshot = self.get_snapshot(snapshot_id)
        for image, snapshots in self.held.items():
            if snapshot_id in snapshots:
                message = f"The snapshot {snapshot_id} is currently in use by {image}"
                raise Refusal("InvalidSnapshot.InUse", message)
        if snapshot_id in self.locked:
            raise Refusal("SnapshotLocked", f"The snapshot {snapshot_id} is locked.")
        if snapshot.status == "pending":
            self.doomed.add(snapshot_id)
            return snapshot
        self.deleted.append((self.home.clock.now(), snapshot))
        self.home.machines.delete_snapshot(snapshot_id)
        return self.snapshots.pop(snapshot_id)

    def copy_snapshot(self, source_snapshot_id: str, *_: Any, **__: Any) -> Snapshot:
        """A copy: of no volume, and with a transfer type. Its tags are the caller's business."""
        source = self.get_snapshot(source_snapshot_id)
        return self.stock(NO_VOLUME, self.home.clock.moment(), {}, gib=source.volume.size, transfer="standard")

    def stock(  # noqa: PLR0913 what a snapshot is
        self,
        volume_id: str,
        started: datetime,
        tags: Mapping[str, str],
        *,
        state: str = "completed",
        gib: int = 8,
        owner: str | None = None,
        transfer: str | None = None,
    ) -> Snapshot:
        """A snapshot as if taken then; its volume need not exist any more. The machines know nothing of it."""
        volume = self.volumes.get(volume_id) or SimpleNamespace(id=volume_id, size=gib)
        snapshot = Snapshot(self, random_snapshot_id(), volume, "", owner_id=owner)
        snapshot.start_time = started
        snapshot.status = state
        snapshot.transfer_type = transfer  # type: ignore[attr-defined]
        self.snapshots[snapshot.id] = snapshot
        self.tags[snapshot.id] = dict(tags)
        return snapshot

    def register(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """RegisterImage: it holds its snapshots until it is deregistered, also while it is disabled."""
        image = f"ami-{random_snapshot_id().removeprefix('snap-')}"
        mappings = (mapping.get("Ebs", {}) for mapping in asked.get("BlockDeviceMappings", []))
        self.held[image] = tuple(self.get_snapshot(ebs["SnapshotId"]).id for ebs in mappings if "SnapshotId" in ebs)
        return {"ImageId": image}

    def disable(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DisableImage: nobody sees it, but it holds its snapshots."""
        return {"Return": asked["ImageId"] in self.held}

    def deregister(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DeregisterImage: its snapshots are free."""
        del self.held[asked["ImageId"]]
        return {}

    def lock(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """LockSnapshot: nobody deletes it."""
        self.locked.add(self.get_snapshot(asked["SnapshotId"]).id)
        return {"SnapshotId": asked["SnapshotId"], "LockState": asked["LockMode"]}

    def unlock(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """UnlockSnapshot."""
        self.locked.discard(asked["SnapshotId"])
        return {"SnapshotId": asked["SnapshotId"]}

    def visible_snapshots(self, lag: float) -> list[Snapshot]:
        """The snapshots as a reader sees them who is so many seconds behind."""
        if not lag:
            return list(self.snapshots.values())
        horizon = self.home.clock.now() - lag
        still_seen = [one for when, one in self.deleted if when > horizon]
        return [one for one in [*self.snapshots.values(), *still_seen] if one.start_time.timestamp() <= horizon]


def _to_the_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _tags(asked: Mapping[str, Any]) -> dict[str, str]:
    given = [
        (tag["Key"], tag["Value"])
        for specification in asked.get("TagSpecifications", [])
        if specification["ResourceType"] == "snapshot"
        for tag in specification["Tags"]
    ]
    repeated = [key for key, times in Counter(key for key, _ in given).items() if times > 1]
    if repeated:
        raise Refusal("InvalidParameterValue", f"Duplicate tag key '{repeated[0]}' specified.")
    return dict(given)
