"""The world as a value: what it holds, and when two runs of one history have ended alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import Region, Simulated, minutes
from region.world import Attachment, Record, World, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

ZONE = "eu-central-1a"
IMAGE = "ami-0123456789abcdef0"
NAME = "db.payroll.internal."


def launch(region: Region) -> str:
    made = region.client("ec2").run_instances(
        ImageId=IMAGE, MinCount=1, MaxCount=1, Placement={"AvailabilityZone": ZONE}
    )
    return str(made["Instances"][0]["InstanceId"])


def move(region: Region, seed: int, strays: int = 0) -> World:
    """A history: one host has a volume, another gets it, and so many more are launched and terminated in between."""
    ec2, route53 = region.client("ec2"), region.client("route53")
    zone = route53.create_hosted_zone(Name="payroll.internal", CallerReference="1")["HostedZone"]["Id"]
    old = launch(region)
    volume = ec2.create_volume(AvailabilityZone=ZONE, Size=8)["VolumeId"]
    region.run(region.quiet, at_most=minutes(2))
    region.run(at_most=seed)
    ec2.attach_volume(VolumeId=volume, InstanceId=old, Device="/dev/sdf")
    region.run(region.quiet, at_most=minutes(2))
    ec2.stop_instances(InstanceIds=[old])
    gone = [launch(region) for _ in range(strays)]
    region.run(region.quiet, at_most=minutes(2))
    if gone:
        ec2.terminate_instances(InstanceIds=gone)
    new = launch(region)
    ec2.detach_volume(VolumeId=volume, InstanceId=old)
    region.run(region.quiet, at_most=minutes(2))
    ec2.attach_volume(VolumeId=volume, InstanceId=new, Device="/dev/sdf")
    region.run(region.quiet, at_most=minutes(2))
    stamp = region.clock.moment().isoformat()
    ec2.create_tags(Resources=[volume], Tags=[{"Key": "replaced", "Value": f"{stamp}={old}"}])
    ec2.create_tags(Resources=[volume], Tags=[{"Key": "host", "Value": new}])
    address = ec2.describe_instances(InstanceIds=[new])["Reservations"][0]["Instances"][0]["PrivateIpAddress"]
    record = {"Name": NAME, "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": address}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    return region.world()


def ended(seed: int, strays: int = 0) -> World:
    with Region(Simulated(seed=seed), seed=seed) as region:
        return move(region, seed, strays)


@pytest.mark.parametrize(("seed", "strays"), [(2, 0), (1, 1), (3, 2)])
def test_two_runs_that_ended_alike_are_equal_whatever_ids_addresses_and_times_they_had(seed: int, strays: int) -> None:
    one, other = ended(1), ended(seed, strays)

    assert one != other
    assert one.plain() == other.plain()
    assert one.plain().records == (Record("payroll.internal.", NAME, "A", 5, ("address of host 2",)),)
    assert dict(one.plain().volumes[1].tags) == {"host": "host 2", "replaced": "a time=host 1"}


def named(seed: int) -> World:
    """Two volumes and a group that name each other, the lowest id first, at one host in that order."""
    with Region(Simulated(seed=seed), seed=seed) as region:
        ec2, host = region.client("ec2"), launch(region)
        region.run(region.quiet)
        pair = sorted(ec2.create_volume(AvailabilityZone=ZONE, Size=8)["VolumeId"] for _ in range(2))
        group = ec2.create_security_group(GroupName=f"for {pair[0]}", Description="d")["GroupId"]
        tags = [{"Key": "volumes", "Value": " ".join(pair)}, {"Key": "group", "Value": group}]
        ec2.create_tags(Resources=pair, Tags=tags)
        for volume, device in zip(pair, ("/dev/sdf", "/dev/sdg"), strict=True):
            ec2.attach_volume(VolumeId=volume, InstanceId=host, Device=device)
        region.run(region.quiet)
        return region.world()


def test_neither_the_order_of_ids_nor_a_groups_id_tells_two_runs_apart() -> None:
    ended = [named(seed).plain() for seed in (4, 5)]

    assert len({one.volumes for one in ended}) == 1
    assert dict(ended[0].volumes[-1].tags) == {"volumes": "volume 2 volume 3", "group": "group 1"}
    assert {one.id for world in ended for one in world.groups} == {"group 1"}


def test_two_runs_that_ended_otherwise_are_not(region: Region) -> None:
    before = move(region, 1)
    (moved,) = [one for one in before.volumes if dict(one.tags).get("host")]

    region.client("ec2").create_tags(Resources=[moved.id], Tags=[{"Key": "host", "Value": before.hosts[0].id}])

    assert region.world().plain() != before.plain()


def test_a_volume_has_all_its_attachments_and_their_states(region: Region, database: Callable[..., Any]) -> None:
    one = database()

    region.client("ec2").detach_volume(VolumeId=one.volumes[0], InstanceId=one.host)

    (volume,) = [volume for volume in region.world().volumes if volume.id == one.volumes[0]]
    assert volume.host == one.host
    assert volume.attachments in [(Attachment(one.host, "/dev/sdf", state),) for state in ("detaching", "busy")]


def test_a_writer_is_a_host_whose_postgresql_takes_writes_with_its_volumes(
    region: Region, database: Callable[..., Any]
) -> None:
    one = database(volumes=2)
    assert region.world().writers == (Writer(one.host, one.volumes),)

    region.power_cut(one.host)

    assert region.world().writers == ()


def test_a_notice_is_of_the_world_and_what_an_alarm_says_is_not(region: Region) -> None:
    topic = region.client("sns").create_topic(Name="people")["TopicArn"]

    region.client("sns").publish(TopicArn=topic, Subject="db-1 was replaced", Message="after 61 s")
    region.bus.publish(topic, "{}", 'ALARM: "Errors"')

    assert [one.subject for one in region.world().notices] == ["db-1 was replaced"]
    assert len(region.notices) == 2
