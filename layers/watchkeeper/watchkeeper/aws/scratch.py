"""Scratch hosts: launched from a database's template, of whose words none that leads to production counts."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from watchkeeper import tags
from watchkeeper.aws import launches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import (
        BlockDeviceMappingTypeDef,
        InstanceNetworkInterfaceSpecificationTypeDef,
        ResponseLaunchTemplateDataTypeDef,
    )
    from mypy_boto3_ec2.type_defs import RunInstancesRequestTypeDef as Request

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Failure, Launch

logger = logging.getLogger(__name__)

# Of a network interface: what no second instance can have, or what clients know the first one by.
FIXED = ("NetworkInterfaceId", "PrivateIpAddress", "PrivateIpAddresses", "Ipv6Addresses")


@dataclass(frozen=True, slots=True)
class Network:
    """Where a launch template's version launches, and what else of it bears on a scratch host.

    `interfaces` is how many network interfaces it names, and `is_public` what it says of a public address. `fixed` are
    words of theirs that only one instance can have, `claims` the tags of ours that it gives, `blocks` its disks.
    `is_spot`: it asks for spare capacity, which EC2 may give anew once an instance of it is terminated.
    """

    vpc: str
    subnet: str = ""
    interfaces: int = 0
    is_public: bool | None = None
    fixed: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    blocks: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    is_spot: bool = False


@dataclass(frozen=True, slots=True)
class Apart:
    """What a scratch host has of its own: its security group, its instance profile, its user data."""

    group: str
    profile: str
    user_data: str


def find_network(ec2: EC2Client, launch: Launch) -> Network:
    """The network of a launch template, by its subnet; the account's default one if it names none.

    Its `vpc` is empty where there is none, or where its subnet is gone. Raises ClientError.
    """
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=launch.id, Versions=[str(launch.version)])
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    interfaces = data.get("NetworkInterfaces", [])
    subnet = interfaces[0].get("SubnetId", "") if interfaces else ""
    if subnet:
        found = ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["Subnets"]
    else:
        found = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    keys = {tag["Key"] for one in data.get("TagSpecifications", []) for tag in one.get("Tags", [])}
    return Network(
        found[0]["VpcId"] if found else "",
        subnet,
        len(interfaces),
        interfaces[0].get("AssociatePublicIpAddress") if interfaces else None,
        tuple(sorted({name for one in interfaces for name in FIXED if one.get(name)})),
        tuple(sorted(key for key in keys if key.startswith(tags.PREFIX))),
        _dying(data),
        data.get("InstanceMarketOptions", {}).get("MarketType") == "spot",
    )


def run(
    ec2: EC2Client, launch: Launch, network: Network, apart: Apart, wish: tuple[int, str], words: Mapping[str, str]
) -> Host | Failure:
    """Launches a scratch host with all its disks, as `launches.run` does another; `wish` is its number and token.

    What the request says counts in place of the template's. It is gone, and its disks, once it shuts down, and what
    capacity is reserved stays free for a host of production:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    number, token = wish
    request = launches.request(launch, number, token)
    request |= {
        "UserData": apart.user_data,
        "IamInstanceProfile": {"Arn": apart.profile},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "DisableApiTermination": False,
        "CapacityReservationSpecification": {"CapacityReservationPreference": "none"},
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": tags.write(words)},
            {"ResourceType": "volume", "Tags": tags.write(words)},
        ],
    }
    request |= _place(network, apart.group)
    return launches.send(ec2, request, number)


def let_go(ec2: EC2Client, instance: str, devices: Sequence[str]) -> None:
    """Has the disks at these devices deleted with their host. Raises ClientError."""
    ec2.modify_instance_attribute(
        InstanceId=instance,
        BlockDeviceMappings=[{"DeviceName": one, "Ebs": {"DeleteOnTermination": True}} for one in devices],
    )
    logger.info("volumes let go", extra={"instance_id": instance, "devices": list(devices)})


def _place(network: Network, group: str) -> Request:
    """The part of a request that says where: the group on the interface, if the template names one."""
    made: Request = {"MinCount": 1, "MaxCount": 1}
    if network.blocks:
        made["BlockDeviceMappings"] = [cast("BlockDeviceMappingTypeDef", one) for one in network.blocks]
    if network.interfaces:
        made["NetworkInterfaces"] = [_interface(network, group)]
    else:
        made["SecurityGroupIds"] = [group]
    return made


def _interface(network: Network, group: str) -> InstanceNetworkInterfaceSpecificationTypeDef:
    made: InstanceNetworkInterfaceSpecificationTypeDef = {
        "DeviceIndex": 0,
        "Groups": [group],
        "DeleteOnTermination": True,
    }
    if network.subnet:
        made["SubnetId"] = network.subnet
    if network.is_public is not None:
        made["AssociatePublicIpAddress"] = network.is_public
    return made


def _dying(data: ResponseLaunchTemplateDataTypeDef) -> tuple[Mapping[str, Any], ...]:
    """All disks of a template, each deleted with its instance: whether EC2 merges them or not comes to the same."""
    return tuple(
        {**one, "Ebs": {**one["Ebs"], "DeleteOnTermination": True}} if "Ebs" in one else {**one}
        for one in data.get("BlockDeviceMappings", [])
    )
