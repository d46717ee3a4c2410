"""EC2 in the region, where moto 5.2.5 answers otherwise than AWS: each of these fails with moto alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from region import Stuck, hours, minutes

if TYPE_CHECKING:
    from collections.abc import Callable

    from region import Region

ZONE = "eu-central-1a"


def refusal(work: Callable[..., object], **parameters: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        work(**parameters)
    return str(caught.value.response["Error"]["Code"])


def the_set(host: str, **more: Any) -> dict[str, Any]:
    specification = {"InstanceId": host, "ExcludeBootVolume": True}
    return {"InstanceSpecification": specification | more.pop("specification", {})} | more


class TestInstances:
    def test_starting_and_stopping_take_time(self, region: Region) -> None:
        ec2 = region.client("ec2")
        host = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]

        def state() -> str:
            answer = ec2.describe_instances(InstanceIds=[host])
            return str(answer["Reservations"][0]["Instances"][0]["State"]["Name"])

        assert state() == "pending"
        region.run(lambda: state() == "running", at_most=minutes(1))
        assert region.seconds >= 10
        ec2.stop_instances(InstanceIds=[host])
        assert state() == "stopping"
        region.run(lambda: state() == "stopped", at_most=minutes(1))
        ec2.start_instances(InstanceIds=[host])
        assert state() == "pending"
        region.run(region.quiet)
        ec2.terminate_instances(InstanceIds=[host])
        assert state() == "shutting-down"
        region.run(region.quiet)
        assert state() == "terminated"
        assert refusal(ec2.start_instances, InstanceIds=[host]) == "IncorrectInstanceState"

    def test_an_instance_says_who_stopped_it(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        stopped, failed = database(name="stopped").host, database(name="failed").host

        ec2.stop_instances(InstanceIds=[stopped])
        region.power_cut("failed")
        region.run(region.quiet)

        reasons = {host.id: host.reason for host in region.world().hosts}
        assert reasons == {stopped: "Client.UserInitiatedShutdown", failed: "Server.InternalError"}

    def test_status_checks_begin_with_initializing_and_speak_of_running_instances_alone(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2 = region.client("ec2")
        host = database(volumes=0).host

        def check() -> list[str]:
            return [one["InstanceStatus"]["Status"] for one in ec2.describe_instance_status()["InstanceStatuses"]]

        assert check() == ["initializing"]
        region.run(at_most=minutes(1))
        assert check() == ["ok"]
        ec2.stop_instances(InstanceIds=[host])
        region.run(region.quiet)
        assert check() == []

    def test_one_that_never_gets_out_of_pending(self, region: Region) -> None:
        ec2 = region.client("ec2")
        region.faults.add(stuck := Stuck("StartInstances"))
        host = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        region.run(region.quiet)
        ec2.stop_instances(InstanceIds=[host])
        region.run(region.quiet)

        ec2.start_instances(InstanceIds=[host])
        region.run(at_most=hours(1))

        assert region.world().hosts[0].state == "pending"
        region.faults.remove(stuck)


class TestVolumes:
    def test_a_volume_has_one_attachment(self, region: Region, database: Callable[..., Any]) -> None:
        volume = database(name="db-1").volumes[0]
        other = database(name="db-2", volumes=0).host

        attach = region.client("ec2").attach_volume

        assert refusal(attach, VolumeId=volume, InstanceId=other, Device="/dev/sdf") == "VolumeInUse"

    def test_attaching_is_refused_across_zones_to_a_used_name_and_to_what_is_going(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2 = region.client("ec2")
        host = database().host
        far = ec2.create_volume(AvailabilityZone="eu-central-1b", Size=1)["VolumeId"]
        near = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]

        assert (
            refusal(ec2.attach_volume, VolumeId=far, InstanceId=host, Device="/dev/sdz") == "InvalidVolume.ZoneMismatch"
        )
        assert refusal(ec2.attach_volume, VolumeId=near, InstanceId=host, Device="/dev/sdf") == "InvalidParameterValue"
        ec2.stop_instances(InstanceIds=[host])
        assert refusal(ec2.attach_volume, VolumeId=near, InstanceId=host, Device="/dev/sdz") == "IncorrectState"

    def test_attaching_and_detaching_take_a_moment(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        host = database(volumes=0).host
        volume = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]

        def attachment() -> list[str]:
            return [one["State"] for one in ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Attachments"]]

        ec2.attach_volume(VolumeId=volume, InstanceId=host, Device="/dev/sdf")
        assert attachment() == ["attaching"]
        region.run(region.quiet)
        assert attachment() == ["attached"]
        region.machines.unmount(host)
        assert ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
        region.run(region.quiet)
        assert attachment() == []
        assert refusal(ec2.detach_volume, VolumeId=volume) == "IncorrectState"

    def test_detaching_names_the_right_instance_or_is_refused(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        volume = database(name="db-1").volumes[0]
        other = database(name="db-2").host

        detach = region.client("ec2").detach_volume

        assert refusal(detach, VolumeId=volume, InstanceId=other) == "InvalidAttachment.NotFound"

    def test_a_mounted_volume_is_busy_until_it_is_unmounted(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        mounted = database()
        region.machines.hosts[mounted.host].mounted.add(mounted.volumes[0])

        assert ec2.detach_volume(VolumeId=mounted.volumes[0])["State"] == "busy"
        region.run(at_most=hours(1))
        assert ec2.describe_volumes(VolumeIds=list(mounted.volumes))["Volumes"][0]["Attachments"][0]["State"] == "busy"
        region.machines.hosts[mounted.host].mounted.clear()
        region.run(at_most=10)
        assert region.world().volumes[-1].host is None

    def test_a_volume_is_not_made_of_a_snapshot_under_way(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        snapshot = ec2.create_snapshot(VolumeId=database().volumes[0])["SnapshotId"]

        assert refusal(ec2.create_volume, AvailabilityZone=ZONE, SnapshotId=snapshot) == "IncorrectState"
        region.run(region.quiet)
        assert ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["Size"] == 8


class TestSnapshots:
    def test_a_set_is_pending_then_complete_and_tagged_from_the_first_moment(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2 = region.client("ec2")
        two = database(volumes=2)
        words = [{"ResourceType": "snapshot", "Tags": [{"Key": "run", "Value": "now"}]}]

        answer = ec2.create_snapshots(**the_set(two.host, TagSpecifications=words))["Snapshots"]

        assert {one["VolumeId"]: one["State"] for one in answer} == dict.fromkeys(two.volumes, "pending")
        assert [snapshot.tags for snapshot in region.world().snapshots] == [(("run", "now"),)] * 2
        region.run(region.quiet)
        assert {snapshot.state for snapshot in region.world().snapshots} == {"completed"}
        assert region.seconds >= 60

    def test_what_is_excluded_is_not_taken(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        three = database(volumes=3)

        some = the_set(three.host, specification={"ExcludeDataVolumeIds": [three.volumes[1]]})
        taken = {one["VolumeId"] for one in ec2.create_snapshots(**some)["Snapshots"]}
        region.run(at_most=15)
        everything = ec2.create_snapshots(InstanceSpecification={"InstanceId": three.host})["Snapshots"]

        assert taken == {three.volumes[0], three.volumes[2]}
        assert len(everything) == 4

    def test_tags_of_volumes_come_along_when_asked(self, region: Region, database: Callable[..., Any]) -> None:
        host = database(tags={"team": "payroll"}).host

        region.client("ec2").create_snapshots(**the_set(host, CopyTagsFromSource="volume"))

        assert region.world().snapshots[0].tags == (("team", "payroll"),)

    def test_five_may_be_pending_fifteen_seconds_apart(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        host = database().host
        region.faults.add(Stuck("CreateSnapshots"))

        ec2.create_snapshots(**the_set(host))
        assert refusal(ec2.create_snapshots, **the_set(host)) == "SnapshotCreationPerVolumeRateExceeded"
        for _ in range(4):
            region.run(at_most=15)
            ec2.create_snapshots(**the_set(host))
        region.run(at_most=15)

        assert refusal(ec2.create_snapshots, **the_set(host)) == "ConcurrentSnapshotLimitExceeded"
        assert len(region.world().snapshots) == 5

    def test_fifty_tags_are_the_most_and_nothing_is_taken_with_more(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        words = [{"ResourceType": "snapshot", "Tags": [{"Key": str(n), "Value": ""} for n in range(51)]}]
        host = database().host

        code = refusal(region.client("ec2").create_snapshots, **the_set(host, TagSpecifications=words))

        assert code == "TagLimitExceeded"
        assert region.world().snapshots == ()

    def test_a_dry_run_takes_nothing(self, region: Region, database: Callable[..., Any]) -> None:
        host = database().host

        code = refusal(region.client("ec2").create_snapshots, **the_set(host, DryRun=True))

        assert code == "DryRunOperation"
        assert region.world().snapshots == ()

    def test_one_of_a_set_can_fail(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        answer = ec2.create_snapshots(**the_set(database(volumes=2).host))["Snapshots"]

        region.fail_snapshot(answer[0]["SnapshotId"])
        region.run(region.quiet)

        assert sorted(snapshot.state for snapshot in region.world().snapshots) == ["completed", "error"]

    def test_only_ones_own_are_listed_by_owner(self, region: Region) -> None:
        ec2 = region.client("ec2")
        started = datetime(2026, 1, 1, tzinfo=UTC)
        mine = region.ec2.stock("vol-00000001", started, {}).id
        region.ec2.stock("vol-00000002", started, {}, owner="999999999999")

        assert [one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]] == [mine]
        assert len(ec2.describe_snapshots()["Snapshots"]) > 2  # those of public images too

    def test_filters_are_conjunctions_of_alternatives_with_wildcards(self, region: Region) -> None:
        ec2 = region.client("ec2")
        started = datetime(2026, 1, 1, tzinfo=UTC)
        for name, role in (
            ("payroll", "snapshot"),
            ("paylater", "snapshot"),
            ("payroll", "other"),
            ("shop", "snapshot"),
        ):
            region.ec2.stock("vol-00000001", started, {"application": name, "role": role, name: ""})

        def found(*filters: tuple[str, list[str]]) -> int:
            asked = [{"Name": name, "Values": values} for name, values in filters]
            return len(ec2.describe_snapshots(Filters=asked, OwnerIds=["self"])["Snapshots"])

        assert found(("tag:application", ["pay*"]), ("tag:role", ["snapshot"])) == 2
        assert found(("tag:application", ["payroll", "shop"])) == 3
        assert found(("tag-key", ["shop", "paylater"])) == 2
        assert found(("start-time", ["2026-01-01*"]), ("status", ["completed"])) == 4
        assert found(("volume-id", ["vol-00000002"])) == 0
        assert (
            refusal(ec2.describe_snapshots, Filters=[{"Name": "colour", "Values": ["red"]}]) == "InvalidParameterValue"
        )

    def test_lists_come_in_pages(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        started = datetime(2026, 1, 1, tzinfo=UTC)
        ids = sorted(region.ec2.stock("vol-00000001", started, {}).id for _ in range(1001))
        database(name="db-1", volumes=3)
        database(name="db-2", volumes=3)

        first = ec2.describe_snapshots(OwnerIds=["self"])
        rest = ec2.describe_snapshots(OwnerIds=["self"], NextToken=first["NextToken"])
        pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 300})
        volumes = ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 5})
        hosts = ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 1})

        assert (len(first["Snapshots"]), len(rest["Snapshots"])) == (1000, 1)
        assert [one["SnapshotId"] for page in pages for one in page["Snapshots"]] == ids
        assert [len(page["Volumes"]) for page in volumes] == [5, 3]
        assert [len(page["Reservations"]) for page in hosts] == [1, 1]

    def test_one_held_by_an_image_even_a_disabled_one_is_not_deleted(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2 = region.client("ec2")
        snapshot = ec2.create_snapshot(VolumeId=database().volumes[0])["SnapshotId"]
        region.run(region.quiet)
        mapping = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}]
        image = ec2.register_image(Name="golden", BlockDeviceMappings=mapping)["ImageId"]

        assert refusal(ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
        ec2.disable_image(ImageId=image)
        assert refusal(ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
        ec2.deregister_image(ImageId=image)
        ec2.delete_snapshot(SnapshotId=snapshot)
        assert region.world().snapshots == ()

    def test_a_locked_one_is_not_deleted(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        snapshot = ec2.create_snapshot(VolumeId=database().volumes[0])["SnapshotId"]
        region.run(region.quiet)
        ec2.lock_snapshot(SnapshotId=snapshot, LockMode="governance", LockDuration=1)

        assert refusal(ec2.delete_snapshot, SnapshotId=snapshot) == "SnapshotLocked"
        ec2.unlock_snapshot(SnapshotId=snapshot)
        ec2.delete_snapshot(SnapshotId=snapshot)
        assert refusal(ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.NotFound"

    def test_one_that_is_deleted_while_pending_goes_when_it_is_complete(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2 = region.client("ec2")
        snapshot = ec2.create_snapshot(VolumeId=database().volumes[0])["SnapshotId"]

        ec2.delete_snapshot(SnapshotId=snapshot)

        assert len(region.world().snapshots) == 1
        region.run(region.quiet)
        assert region.world().snapshots == ()

    def test_a_copy_is_of_no_volume_and_has_a_transfer_type(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        volume = database().volumes[0]
        source = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        region.run(region.quiet)
        words = [{"ResourceType": "snapshot", "Tags": [{"Key": "run", "Value": "now"}]}]

        copy = ec2.copy_snapshot(SourceSnapshotId=source, SourceRegion="eu-central-1", TagSpecifications=words)

        seen = ec2.describe_snapshots(SnapshotIds=[copy["SnapshotId"]])["Snapshots"][0]
        assert seen["VolumeId"] == "vol-ffffffff" != volume
        assert (seen["TransferType"], seen["Tags"]) == ("standard", [{"Key": "run", "Value": "now"}])
