"""Database hosts: the instances that databases' volumes are attached to."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import (
        FilterTypeDef,
        InstanceBlockDeviceMappingSpecificationTypeDef,
        InstanceTypeDef,
    )


logger = logging.getLogger(__name__)

# A terminated instance is listed, tags and all, for about an hour.
THERE = ("pending", "running", "stopping", "stopped")

# A stop whose reason is one of these was somebody's wish:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
BY_PEOPLE = ("Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown")

# What the tag of an Auto Scaling group on its instances is called:
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html
GROUP = "aws:autoscaling:groupName"


@dataclass(frozen=True, slots=True)
class Host:
    """An EC2 instance; `volumes` are all that are attached to it, `root` the one that it boots from.

    `devices` are the names of all by volume; `dying` those that are deleted with it. `launched` is when it was started
    last. `reason` is the code of why it is in its state, `since` EC2's sentence of when it came into it. `groups` are
    the security groups of all its network interfaces, `profile` the ARN of its instance profile.
    """

    id: str
    state: str
    root: str | None = None
    volumes: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    dying: tuple[str, ...] = ()
    launched: datetime | None = None
    reason: str = ""
    since: str = ""
    token: str = ""
    zone: str = ""
    address: str = ""
    type: str = ""
    is_spot: bool = False
    is_managed: bool = False
    vpc: str = ""
    groups: frozenset[str] = frozenset()
    profile: str = ""

    @property
    def application(self) -> str:
        """The application that it is tagged with; empty if it is with none."""
        return self.tags.get(tags.APPLICATION, "")

    @property
    def is_database(self) -> bool:
        """It is tagged as the host of a database, and there still."""
        return self.tags.get(tags.ROLE) == tags.DATABASE_HOST and self.state in THERE

    @classmethod
    def from_boto(cls, instance: InstanceTypeDef) -> Host:
        """A host as DescribeInstances answers it."""
        blocks = {
            mapping.get("DeviceName", ""): mapping["Ebs"]
            for mapping in instance.get("BlockDeviceMappings", [])
            if "VolumeId" in mapping.get("Ebs", {})
        }
        devices = {block["VolumeId"]: name for name, block in blocks.items()}
        roots = [volume for volume, name in devices.items() if name == instance.get("RootDeviceName")]
        return cls(
            instance["InstanceId"],
            instance["State"]["Name"],
            roots[0] if roots else None,
            tuple(sorted(devices)),
            tags.read(instance.get("Tags", [])),
            devices,
            tuple(sorted(block["VolumeId"] for block in blocks.values() if block.get("DeleteOnTermination"))),
            instance.get("LaunchTime"),
            instance.get("StateReason", {}).get("Code", ""),
            instance.get("StateTransitionReason", ""),
            instance.get("ClientToken", ""),
            instance.get("Placement", {}).get("AvailabilityZone", ""),
            instance.get("PrivateIpAddress", ""),
            instance.get("InstanceType", ""),
            instance.get("InstanceLifecycle") == "spot",
            instance.get("Operator", {}).get("Managed", False),
            instance.get("VpcId", ""),
            frozenset(
                group["GroupId"] for one in instance.get("NetworkInterfaces", []) for group in one.get("Groups", [])
            ),
            instance.get("IamInstanceProfile", {}).get("Arn", ""),
        )


def find(ec2: EC2Client, ids: Sequence[str]) -> dict[str, Host]:
    """The hosts with these ids that exist, by id; asked by filter, so that one that is gone is left out and no error.

    A filter takes 200 values at most: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
    """
    found: dict[str, Host] = {}
    for start in range(0, len(ids), 200):
        found |= {one.id: one for one in _find(ec2, {"Name": "instance-id", "Values": list(ids[start : start + 200])})}
    return found


def find_databases(ec2: EC2Client, applications: Sequence[str], zone: str | None = None) -> dict[str, Host]:
    """The database hosts of the applications with these names (`*` matches any text), in a zone or in all, by id."""
    where: list[FilterTypeDef] = [{"Name": "availability-zone", "Values": [zone]}] if zone else []
    return {
        one.id: one for one in _find(ec2, *_claiming(applications, [tags.DATABASE_HOST]), *where) if one.is_database
    }


def find_of(ec2: EC2Client, applications: Sequence[str], roles: Sequence[str]) -> list[Host]:
    """The instances of these applications that have one of these roles, those that are gone too."""
    return _find(ec2, *_claiming(applications, roles))


def find_taken(ec2: EC2Client, addresses: Sequence[str]) -> set[tuple[str, str]]:
    """Which of these private addresses a network interface has now, whosever it is, each with its VPC."""
    taken: set[tuple[str, str]] = set()
    for start in range(0, len(addresses), 200):
        pages = ec2.get_paginator("describe_network_interfaces").paginate(
            Filters=[{"Name": "addresses.private-ip-address", "Values": list(addresses[start : start + 200])}]
        )
        taken |= {
            (one.get("VpcId", ""), address.get("PrivateIpAddress", ""))
            for page in pages
            for one in page["NetworkInterfaces"]
            for address in one.get("PrivateIpAddresses", [])
        }
    return taken


def _claiming(applications: Sequence[str], roles: Sequence[str]) -> list[FilterTypeDef]:
    return [
        {"Name": f"tag:{tags.APPLICATION}", "Values": list(applications)},
        {"Name": f"tag:{tags.ROLE}", "Values": list(roles)},
    ]


def find_tagged(ec2: EC2Client) -> list[Host]:
    """The instances that carry any tag of ours, read or not, in the order of their ids."""
    return sorted(_find(ec2, {"Name": "tag-key", "Values": [f"{tags.PREFIX}*"]}), key=lambda host: host.id)


def find_token(ec2: EC2Client, token: str) -> Host | None:
    """The instance that a client token made, if it is there still."""
    made = [one for one in _find(ec2, {"Name": "client-token", "Values": [token]}) if one.state in THERE]
    return made[0] if made else None


def is_stop_protected(ec2: EC2Client, instance: str) -> bool:
    """Whether AWS would refuse to stop it: DisableApiStop."""
    answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute="disableApiStop")
    return answer.get("DisableApiStop", {}).get("Value", False)


def is_termination_protected(ec2: EC2Client, instance: str) -> bool:
    """Whether AWS would refuse to terminate it: DisableApiTermination."""
    answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute="disableApiTermination")
    return answer.get("DisableApiTermination", {}).get("Value", False)


def stop(ec2: EC2Client, instance: str, *, force: bool) -> None:
    """Stops a host at once: its operating system is not asked, since it is held for dead.

    Force is for one that hangs in stopping: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
    Raises ClientError.
    """
    if force:
        ec2.stop_instances(InstanceIds=[instance], Force=True, SkipOsShutdown=True)
    else:
        ec2.stop_instances(InstanceIds=[instance], SkipOsShutdown=True)
    logger.info("host stopped", extra={"instance_id": instance, "force": force})


def start(ec2: EC2Client, instance: str) -> bool:
    """Starts a stopped host, which EC2 then puts on other hardware. False for want of capacity: look again.

    Raises ClientError for all else. `ec2` must be a client that sends once: the want of capacity is a server's error.
    """
    try:
        ec2.start_instances(InstanceIds=[instance])
    except ClientError as error:
        if error.response["Error"]["Code"] != "InsufficientInstanceCapacity":
            raise
        logger.info("host not started", extra={"instance_id": instance, "reason": error.response["Error"]["Message"]})
        return False
    logger.info("host started", extra={"instance_id": instance})
    return True


def terminate(ec2: EC2Client, instance: str) -> None:
    """Terminates a host at once, also one that hangs: its operating system is not asked. Raises ClientError.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-terminate-methods.html
    """
    ec2.terminate_instances(InstanceIds=[instance], Force=True, SkipOsShutdown=True)
    logger.info("host terminated", extra={"instance_id": instance})


def protect(ec2: EC2Client, instance: str, devices: Sequence[str]) -> None:
    """Keeps the volumes at these devices when the host is terminated. Raises ClientError."""
    mappings: list[InstanceBlockDeviceMappingSpecificationTypeDef] = [
        {"DeviceName": device, "Ebs": {"DeleteOnTermination": False}} for device in devices
    ]
    ec2.modify_instance_attribute(InstanceId=instance, BlockDeviceMappings=mappings)
    logger.info("volumes protected", extra={"instance_id": instance, "devices": list(devices)})


def tag(ec2: EC2Client, ids: Sequence[str], words: Mapping[str, str]) -> None:
    """Writes the same tags on things; writing them again changes nothing."""
    ec2.create_tags(Resources=list(ids), Tags=tags.write(words))
    logger.info("things tagged", extra={"ids": list(ids), "tags": dict(words)})


def untag(ec2: EC2Client, ids: Sequence[str], key: str, value: str | None = None) -> None:
    """Removes a tag from things, with a value only where it has exactly that; one that has none is done.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
    """
    ec2.delete_tags(Resources=list(ids), Tags=[{"Key": key} if value is None else {"Key": key, "Value": value}])
    logger.info("things untagged", extra={"ids": list(ids), "tag": key})


def _find(ec2: EC2Client, *conditions: FilterTypeDef) -> list[Host]:
    pages = ec2.get_paginator("describe_instances").paginate(Filters=conditions, PaginationConfig={"PageSize": 1000})
    reservations = [reservation for page in pages for reservation in page["Reservations"]]
    return [Host.from_boto(one) for reservation in reservations for one in reservation["Instances"]]
