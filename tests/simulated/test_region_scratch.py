"""EC2 as restores and rehearsals use it, where moto 5.2.5 answers otherwise than AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from region import Lag, LostAnswer, Region, Simulated, Stuck, VolumeFails, hours, minutes
from region.place import place
from region.world import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ZONE = "eu-central-1a"
IMAGE = "ami-0123456789abcdef0"
ONE = {"MinCount": 1, "MaxCount": 1}
HTTPS = {
    "IpProtocol": "tcp",
    "FromPort": 443,
    "ToPort": 443,
    "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
}
EVERYTHING = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def refusal(work: Callable[..., object], **parameters: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        work(**parameters)
    return str(caught.value.response["Error"]["Code"])


def tagged(kind: str, **tags: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


def subnet(region: Region) -> Mapping[str, Any]:
    found = region.client("ec2").describe_subnets(Filters=[{"Name": "availability-zone", "Values": [ZONE]}])
    return dict(found["Subnets"][0])


def volume(region: Region, volume_id: str) -> Mapping[str, Any]:
    return dict(region.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"][0])


def group(region: Region, name: str = "rehearsal", **where: str) -> str:
    made = region.client("ec2").create_security_group(
        GroupName=name,
        Description="HTTPS out",
        TagSpecifications=tagged("security-group", role="rehearsal"),
        **{"VpcId": subnet(region)["VpcId"], **where},
    )
    return str(made["GroupId"])


def launch(region: Region, **given: Any) -> Mapping[str, Any]:
    return dict(region.client("ec2").run_instances(**{"ImageId": IMAGE, **ONE, **given})["Instances"][0])


def of_a_template(region: Region, **data: Any) -> dict[str, Any]:
    """What launches from a template with this in it."""
    made = region.client("ec2").create_launch_template(
        LaunchTemplateName="payroll", LaunchTemplateData={"ImageId": IMAGE, **data}
    )
    return {"LaunchTemplate": {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"]}}


def snapshot(region: Region, volume_id: str) -> str:
    made = region.client("ec2").create_snapshot(VolumeId=volume_id)["SnapshotId"]
    region.run(region.quiet)
    return str(made)


class TestGroups:
    def test_a_new_one_lets_all_out_and_is_shown_with_its_tags_and_rules(self, region: Region) -> None:
        ec2, made = region.client("ec2"), group(region)

        def shown() -> Mapping[str, Any]:
            filters = [{"Name": "tag:role", "Values": ["rehearsal"]}]
            (one,) = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
            return dict(one)

        assert (shown()["GroupId"], shown()["VpcId"]) == (made, subnet(region)["VpcId"])
        assert shown()["IpPermissions"] == []
        (before,) = shown()["IpPermissionsEgress"]
        assert (before["IpProtocol"], before["IpRanges"]) == ("-1", [{"CidrIp": "0.0.0.0/0"}])
        ec2.authorize_security_group_egress(GroupId=made, IpPermissions=[HTTPS])
        ec2.revoke_security_group_egress(GroupId=made, IpPermissions=[EVERYTHING])
        (after,) = shown()["IpPermissionsEgress"]
        assert {key: after[key] for key in HTTPS} == HTTPS
        assert refusal(ec2.authorize_security_group_egress, GroupId=made, IpPermissions=[HTTPS]) == (
            "InvalidPermission.Duplicate"
        )
        assert refusal(ec2.revoke_security_group_egress, GroupId=made, IpPermissions=[EVERYTHING]) == (
            "InvalidPermission.NotFound"
        )

    def test_a_name_is_taken_once_in_a_vpc_and_has_no_strange_letters(self, region: Region) -> None:
        ec2, _ = region.client("ec2"), group(region)
        where = {"VpcId": subnet(region)["VpcId"], "Description": "d"}

        assert refusal(ec2.create_security_group, GroupName="rehearsal", **where) == "InvalidGroup.Duplicate"
        assert refusal(ec2.create_security_group, GroupName="Lohn für Müller", **where) == "InvalidParameterValue"
        assert refusal(ec2.create_security_group, GroupName="sg-1", **where) == "InvalidParameterValue"

    def test_it_stays_while_an_instance_that_is_not_terminated_uses_it(self, region: Region) -> None:
        ec2, made = region.client("ec2"), group(region)
        host = launch(region, SubnetId=subnet(region)["SubnetId"], SecurityGroupIds=[made])
        region.run(region.quiet)

        assert refusal(ec2.delete_security_group, GroupId=made) == "DependencyViolation"
        ec2.terminate_instances(InstanceIds=[host["InstanceId"]])
        assert refusal(ec2.delete_security_group, GroupId=made) == "DependencyViolation"
        region.run(region.quiet)
        assert ec2.delete_security_group(GroupId=made)["GroupId"] == made
        assert refusal(ec2.delete_security_group, GroupId=made) == "InvalidGroup.NotFound"
        assert refusal(ec2.describe_security_groups, GroupIds=[made]) == "InvalidGroup.NotFound"

    def test_one_that_another_names_or_that_is_a_vpcs_own_stays(self, region: Region) -> None:
        ec2, made, other = region.client("ec2"), group(region), group(region, "other")
        pairs = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": made}]}]
        ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=pairs)
        own = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])["SecurityGroups"]

        assert refusal(ec2.delete_security_group, GroupId=made) == "DependencyViolation"
        assert refusal(ec2.delete_security_group, GroupId=own[0]["GroupId"]) == "CannotDelete"

    def test_a_reader_behind_does_not_see_it_yet_nor_its_rules(self, region: Region, call: Callable[..., Any]) -> None:
        ec2, old = region.client("ec2"), group(region)
        region.run(at_most=60)
        ec2.revoke_security_group_egress(GroupId=old, IpPermissions=[EVERYTHING])
        new = group(region, "new")
        region.faults.add(Lag(30))

        seen = {
            one["GroupId"]: one["IpPermissionsEgress"]
            for one in call(lambda: ec2.describe_security_groups()["SecurityGroups"])
        }

        assert new not in seen
        assert len(seen[old]) == 1


class TestLaunches:
    def test_groups_are_those_of_the_request_and_of_nothing_else(self, region: Region) -> None:
        made, where = group(region), subnet(region)["SubnetId"]
        other = group(region, "production")

        plain = launch(
            region, **of_a_template(region, SecurityGroupIds=[other]), SubnetId=where, SecurityGroupIds=[made]
        )

        assert [one["GroupId"] for one in plain["SecurityGroups"]] == [made]
        assert [one["GroupId"] for one in plain["NetworkInterfaces"][0]["Groups"]] == [made]

    def test_groups_of_an_instance_and_network_interfaces_exclude_each_other_whoever_names_them(
        self, region: Region
    ) -> None:
        made, where = group(region), subnet(region)["SubnetId"]
        mine = [{"DeviceIndex": 0, "SubnetId": where, "Groups": [made]}]
        from_it = of_a_template(region, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": where}])
        code = "InvalidParameterCombination"

        assert refusal(launch, region=region, **from_it, SecurityGroupIds=[made]) == code
        assert refusal(launch, region=region, SecurityGroupIds=[made], NetworkInterfaces=mine) == code
        assert refusal(launch, region=region, SubnetId=where, NetworkInterfaces=mine) == code
        host = launch(region, **from_it, NetworkInterfaces=mine)
        assert [one["GroupId"] for one in host["SecurityGroups"]] == [made]

    def test_a_group_must_be_there_and_of_the_subnets_network(self, region: Region) -> None:
        ec2, where = region.client("ec2"), subnet(region)["SubnetId"]
        foreign = group(region, VpcId=ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])

        assert refusal(launch, region=region, SubnetId=where, SecurityGroupIds=["sg-1"]) == "InvalidGroup.NotFound"
        assert refusal(launch, region=region, SubnetId=where, SecurityGroupIds=[foreign]) == "InvalidParameter"
        interfaces = [{"DeviceIndex": 0, "SubnetId": where, "Groups": [foreign]}]
        assert refusal(launch, region=region, NetworkInterfaces=interfaces) == "InvalidParameter"

    def test_the_request_has_the_last_word_on_user_data_and_profile(self, region: Region) -> None:
        iam, ec2 = region.client("iam"), region.client("ec2")
        for name in ("production", "rehearsal"):
            iam.create_instance_profile(InstanceProfileName=name)
        from_it = of_a_template(region, UserData="cHJvZHVjdGlvbg==", IamInstanceProfile={"Name": "production"})

        host = launch(region, **from_it, UserData="#!/bin/sh\n", IamInstanceProfile={"Name": "rehearsal"})

        assert host["IamInstanceProfile"]["Arn"].endswith("instance-profile/rehearsal")
        told = ec2.describe_instance_attribute(InstanceId=host["InstanceId"], Attribute="userData")
        assert told["UserData"]["Value"] == "IyEvYmluL3NoCg=="

    def test_what_shuts_itself_down_is_terminated_if_that_was_asked_for(self, region: Region) -> None:
        ends = {"InstanceInitiatedShutdownBehavior": "terminate", "UserData": "#!/bin/sh\nshutdown -h +360\n"}
        scratch, other = launch(region, **ends), launch(region, UserData="#!/bin/sh\nshutdown -h +300\n")
        region.run(region.quiet)

        def states() -> list[str]:
            return [one.state for one in region.world().hosts if one.id in (scratch["InstanceId"], other["InstanceId"])]

        region.run(at_most=hours(5) - minutes(5))
        assert states() == ["running", "running"]
        region.run(at_most=minutes(10))
        assert states() == ["running", "stopped"]
        region.run(at_most=hours(1))
        assert states() == ["terminated", "stopped"]
        assert region.world().hosts[0].reason == "Client.InstanceInitiatedShutdown"

    def test_a_host_that_hangs_or_is_off_does_not_end_itself(self, region: Region) -> None:
        plan = "#!/bin/sh\nshutdown -h +60\n"
        hung, off = (launch(region, UserData=plan)["InstanceId"] for _ in range(2))
        region.run(region.quiet)
        region.hang(hung)
        region.client("ec2").stop_instances(InstanceIds=[off])
        region.run(at_most=minutes(10))
        region.client("ec2").start_instances(InstanceIds=[off])

        region.run(at_most=hours(2))

        assert [one.state for one in region.world().hosts] == ["running", "running"]

    def test_a_root_volume_stays_if_its_mapping_says_so_with_the_tags_of_the_request(self, region: Region) -> None:
        kept = [{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}]
        host = launch(region, BlockDeviceMappings=kept, TagSpecifications=tagged("volume", role="rehearsal"))
        region.run(region.quiet)

        region.client("ec2").terminate_instances(InstanceIds=[host["InstanceId"]])
        region.run(region.quiet)

        (root,) = region.world().tagged("role", "rehearsal")
        assert volume(region, root)["State"] == "available"
        region.client("ec2").delete_volume(VolumeId=root)


class TestVolumes:
    def test_one_has_size_and_key_of_its_snapshot(self, region: Region) -> None:
        ec2 = region.client("ec2")
        made = ec2.create_volume(AvailabilityZone=ZONE, Size=20, Encrypted=True, KmsKeyId="arn:key")["VolumeId"]
        source = snapshot(region, made)
        ec2.delete_volume(VolumeId=made)
        region.run(region.quiet)

        copy = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source, VolumeType="gp3")
        larger = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source, Size=30)
        rekeyed = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source, Encrypted=True, KmsKeyId="arn:other")

        assert (copy["Size"], copy["Encrypted"], copy["KmsKeyId"], copy["SnapshotId"]) == (20, True, "arn:key", source)
        assert (copy["Iops"], copy["Throughput"]) == (3000, 125)
        assert list(place(region.name).key(source)) == ["arn:key"]  # by which IAM is asked
        assert (larger["Size"], rekeyed["KmsKeyId"]) == (30, "arn:other")
        assert refusal(ec2.create_volume, AvailabilityZone=ZONE, SnapshotId=source, Size=19) == "InvalidParameterValue"

    def test_a_gp2_shows_what_it_can_and_is_not_made_with_that(self, region: Region) -> None:
        ec2 = region.client("ec2")
        sizes = {8: 100, 100: 300, 10000: 16000}

        shown = {size: ec2.create_volume(AvailabilityZone=ZONE, Size=size, VolumeType="gp2")["Iops"] for size in sizes}

        assert shown == sizes
        assert refusal(ec2.create_volume, AvailabilityZone=ZONE, Size=8, VolumeType="gp2", Iops=100)

    def test_one_that_is_deleted_is_still_seen_for_a_while(self, region: Region) -> None:
        ec2 = region.client("ec2")
        made = ec2.create_volume(AvailabilityZone=ZONE, Size=8)["VolumeId"]

        ec2.delete_volume(VolumeId=made)

        assert volume(region, made)["State"] == "deleting"
        assert refusal(ec2.delete_volume, VolumeId=made) == "IncorrectState"
        region.run(region.quiet)
        assert refusal(ec2.describe_volumes, VolumeIds=[made]) == "InvalidVolume.NotFound"
        assert refusal(ec2.delete_volume, VolumeId=made) == "InvalidVolume.NotFound"

    def test_one_that_is_attached_or_not_yet_there_is_not_deleted(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, one = region.client("ec2"), database()
        copy = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot(region, one.volumes[0]))["VolumeId"]

        assert refusal(ec2.delete_volume, VolumeId=one.volumes[0]) == "VolumeInUse"
        assert refusal(ec2.delete_volume, VolumeId=copy) == "IncorrectState"
        assert isinstance(region.machines, Simulated)
        region.machines.unmount(one.host)
        ec2.detach_volume(VolumeId=one.volumes[0], InstanceId=one.host)
        assert refusal(ec2.delete_volume, VolumeId=one.volumes[0]) == "VolumeInUse"
        region.run(region.quiet)
        ec2.delete_volume(VolumeId=one.volumes[0])

    def test_a_token_whose_answer_was_lost_makes_no_second(
        self, region: Region, database: Callable[..., Any], call: Callable[..., Any]
    ) -> None:
        ec2, source = region.client("ec2"), snapshot(region, database().volumes[0])
        region.faults.add(LostAnswer("CreateVolume", at_once=True))

        made = call(lambda: ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source, ClientToken="t"))

        found = ec2.describe_volumes(Filters=[{"Name": "snapshot-id", "Values": [source]}])["Volumes"]
        assert [one["VolumeId"] for one in found] == [made["VolumeId"]]

    def test_one_may_never_be_there_or_be_gone_when_it_should_be(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, source = region.client("ec2"), snapshot(region, database().volumes[0])
        region.faults.add(VolumeFails())
        gone = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source)
        there = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source)
        region.faults.add(stuck := Stuck("CreateVolume"))
        never = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source)
        region.faults.remove(stuck)
        region.run(at_most=hours(1))

        assert refusal(ec2.describe_volumes, VolumeIds=[gone["VolumeId"]]) == "InvalidVolume.NotFound"
        assert volume(region, there["VolumeId"])["State"] == "available"
        assert volume(region, never["VolumeId"])["State"] == "creating"


def test_the_world_has_volumes_groups_and_hosts_of_every_role_and_can_be_seen_without_one(
    region: Region, database: Callable[..., Any]
) -> None:
    ec2, production = region.client("ec2"), database()
    before, made = region.world(), group(region)
    scratch = launch(
        region, TagSpecifications=[*tagged("instance", role="rehearsal"), *tagged("volume", role="rehearsal")]
    )
    copy = ec2.create_volume(AvailabilityZone=ZONE, Size=8, TagSpecifications=tagged("volume", role="rehearsal"))

    world = region.world()

    assert world.groups == (Group(made, "rehearsal", (("role", "rehearsal"),)),)
    assert {made, scratch["InstanceId"], copy["VolumeId"]} < world.tagged("role", "rehearsal")
    assert len(world.tagged("role", "rehearsal")) == 4
    assert world.without("role", "rehearsal") == before
    assert {one.id: one.state for one in world.volumes}[production.volumes[0]] == "in-use"
    region.run(region.quiet)
    ec2.terminate_instances(InstanceIds=[scratch["InstanceId"]])
    ec2.delete_volume(VolumeId=copy["VolumeId"])
    region.run(region.quiet)
    ec2.delete_security_group(GroupId=made)
    assert region.world().tagged("role", "rehearsal") == set()
