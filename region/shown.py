"""What EC2 shows of a volume, an instance, a network interface and a security group, but for their tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment
    from moto.ec2.models.elastic_network_interfaces import NetworkInterface
    from moto.ec2.models.instances import Instance
    from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupRule

    from region.interfaces import Interfaces

GP2_IOPS = 16000  # at most, and three for each GiB
GP3_THROUGHPUT = 125  # https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html


def shown(ec2: Interfaces, resource_id: str) -> Mapping[str, Any] | None:
    """What is to see of it now; None if it does not exist."""
    if resource_id in ec2.volumes:
        return volume(ec2, ec2.volumes[resource_id])
    if resource_id in ec2.known:
        return instance(ec2, ec2.known[resource_id])
    if resource_id in ec2.enis:
        return interface(ec2, ec2.enis[resource_id])
    if resource_id.startswith("sg-") and (found := ec2.all_groups().get(resource_id)):
        return group(found)
    return None


def volume(ec2: Interfaces, one: Volume) -> Mapping[str, Any]:
    """As DescribeVolumes answers it."""
    is_gp3 = one.volume_type == "gp3"
    return {
        "VolumeId": one.id,
        "Size": one.size,
        "State": ec2.odd_states.get(one.id) or one.status,
        "AvailabilityZone": one.availability_zone,
        "CreateTime": one.create_time,
        "SnapshotId": one.snapshot_id or "",
        "VolumeType": one.volume_type,
        "Iops": min(max(100, 3 * int(one.size)), GP2_IOPS) if one.volume_type == "gp2" else one.iops,
        "Throughput": (one.throughput or GP3_THROUGHPUT) if is_gp3 else None,
        "MultiAttachEnabled": bool(one.multi_attach_enabled),
        "Encrypted": bool(one.encrypted),
        "KmsKeyId": one.kms_key_id if one.encrypted else None,
        "Operator": operator(ec2, one.id),
        "Attachments": [attachment(ec2, one.attachment)] if one.attachment else [],
    }


def attachment(ec2: Interfaces, one: VolumeAttachment) -> Mapping[str, Any]:
    """A volume's attachment."""
    holder = ec2.known.get(one.instance_id)
    block = holder.block_device_mapping.get(one.device) if holder else None
    return {
        "VolumeId": one.volume_id,
        "InstanceId": one.instance_id,
        "Device": one.device,
        "State": one.status,
        "AttachTime": one.attach_time,
        "DeleteOnTermination": bool(block and block.delete_on_termination),
    }


def instance(ec2: Interfaces, one: Instance) -> Mapping[str, Any]:
    """As DescribeInstances answers it. One that is terminated has no address, interface or volume any more."""
    reason = one.state_reason
    primary = one.nics.get(0)
    subnet = primary.subnet if primary else None
    profile = ec2.iam_instance_profile_associations.get(one.id)
    return {
        "InstanceId": one.id,
        "ImageId": one.image_id,
        "InstanceType": one.instance_type,
        "State": {"Name": one.state, "Code": one.state_code},
        "StateReason": {"Code": reason.code, "Message": reason.message} if reason.code else None,
        "StateTransitionReason": one.state_transition_reason or "",
        "InstanceLifecycle": one.lifecycle,
        "LaunchTime": one.launch_time,
        "ClientToken": one.client_token or "",
        "Placement": {"AvailabilityZone": one.availability_zone, "Tenancy": "default"},
        "PrivateIpAddress": primary.private_ip_address if primary else None,
        "SubnetId": subnet.id if subnet else None,
        "VpcId": subnet.vpc_id if subnet else None,
        "SecurityGroups": _groups(primary) if primary else [],
        "RootDeviceName": one.root_device_name,
        "RootDeviceType": "ebs",
        "IamInstanceProfile": {"Arn": profile.iam_instance_profile.arn, "Id": profile.iam_instance_profile.id}
        if profile
        else None,
        "Operator": operator(ec2, one.id),
        "BlockDeviceMappings": [_block(ec2, device, block) for device, block in one.get_block_device_mapping],
        "NetworkInterfaces": [_held(ec2, nic) for _, nic in sorted(one.nics.items())],
    }


def _block(ec2: Interfaces, device: str, block: Any) -> Mapping[str, Any]:
    attached = ec2.volumes[block.volume_id].attachment
    ebs = {
        "VolumeId": block.volume_id,
        "DeleteOnTermination": bool(block.delete_on_termination),
        "Status": attached.status if attached else "attached",
    }
    return {"DeviceName": device, "Ebs": ebs}


def _held(ec2: Interfaces, nic: NetworkInterface) -> Mapping[str, Any]:
    whole = interface(ec2, nic)
    # Without times, which boto3 takes long to read.
    own = {key: whole["Attachment"][key] for key in ("AttachmentId", "DeviceIndex", "DeleteOnTermination", "Status")}
    kept = ("Groups", "NetworkInterfaceId", "PrivateIpAddress", "Status", "SubnetId")
    return {**{key: whole[key] for key in kept}, "Attachment": own}


def interface(ec2: Interfaces, nic: NetworkInterface) -> Mapping[str, Any]:
    """As DescribeNetworkInterfaces answers it."""
    moving = ec2.moving.get(nic.id)
    holder = nic.instance
    attached = {
        "AttachmentId": nic.attachment_id,
        "AttachTime": nic.attach_time,
        "DeviceIndex": nic.device_index,
        "InstanceId": holder.id if holder else None,
        "InstanceOwnerId": ec2.account_id,
        "DeleteOnTermination": nic.device_index == 0 or bool(nic.delete_on_termination),
        "Status": moving or "attached",
    }
    return {
        "NetworkInterfaceId": nic.id,
        "Description": nic.description,
        "PrivateIpAddress": nic.private_ip_address,
        "PrivateIpAddresses": [
            {"PrivateIpAddress": one["PrivateIpAddress"], "Primary": one.get("Primary", False)}
            for one in nic.private_ip_addresses
        ],
        "Groups": _groups(nic),
        "Status": moving or ("in-use" if holder else "available"),
        "SubnetId": nic.subnet.id,
        "VpcId": nic.subnet.vpc_id,
        "AvailabilityZone": nic.subnet.availability_zone,
        "OwnerId": ec2.account_id,
        "RequesterManaged": False,
        "Operator": operator(ec2, nic.id),
        "Attachment": attached if holder else None,
    }


def group(one: SecurityGroup) -> Mapping[str, Any]:
    """As DescribeSecurityGroups answers it."""
    return {
        "GroupId": one.id,
        "GroupName": one.name,
        "Description": one.description,
        "OwnerId": one.owner_id,
        "VpcId": one.vpc_id,
        "IpPermissions": _permissions(one.ingress_rules),
        "IpPermissionsEgress": _permissions(one.egress_rules),
    }


def _permissions(rules: Iterable[SecurityGroupRule]) -> list[Mapping[str, Any]]:
    """Rules for the same ports are shown as one."""
    shown: dict[Any, dict[str, Any]] = {}
    for rule in rules:
        ports = {"IpProtocol": rule.ip_protocol, "FromPort": rule.from_port, "ToPort": rule.to_port}
        lists: dict[str, Any] = {"IpRanges": [], "Ipv6Ranges": [], "UserIdGroupPairs": [], "PrefixListIds": []}
        one = shown.setdefault(tuple(ports.values()), {**ports, **lists})
        if rule.ip_range:
            one["Ipv6Ranges" if "CidrIpv6" in rule.ip_range else "IpRanges"].append(rule.ip_range)
        if rule.source_group:
            one["UserIdGroupPairs"].append(rule.source_group)
    return list(shown.values())


def _groups(nic: NetworkInterface) -> list[Mapping[str, str]]:
    return [{"GroupId": one.id, "GroupName": one.name} for one in nic._group_set]


def operator(ec2: Interfaces, resource_id: str) -> Mapping[str, Any]:
    """Whose it is: of a service that manages it, or nobody's but the account's."""
    principal = ec2.operators.get(resource_id)
    return {"Managed": True, "Principal": principal} if principal else {"Managed": False}
