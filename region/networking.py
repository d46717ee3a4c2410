"""Records, network interfaces and security groups, as CloudFormation creates them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from region.parameters import only
from region.stacks import Made, Stack

if TYPE_CHECKING:
    from collections.abc import Mapping


def record_set(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::Route53::RecordSet in a zone that is named by its id. A record that is there already is an error."""
    only(given, "HostedZoneId Name Type TTL ResourceRecords AliasTarget Comment", name)
    record = {key: value for key, value in given.items() if key not in ("HostedZoneId", "Comment")}
    if "ResourceRecords" in record:
        record["ResourceRecords"] = [{"Value": value} for value in record["ResourceRecords"]]
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    stack.call("route53", "ChangeResourceRecordSets", HostedZoneId=given["HostedZoneId"], ChangeBatch=batch)
    return Made(given["Name"])


def network_interface(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::EC2::NetworkInterface."""
    only(given, "Description GroupSet PrivateIpAddress SubnetId Tags", name)
    arguments = {key: value for key, value in given.items() if key not in ("GroupSet", "Tags")}
    arguments |= {"Groups": given["GroupSet"]} if "GroupSet" in given else {}
    if given.get("Tags"):
        arguments["TagSpecifications"] = [{"ResourceType": "network-interface", "Tags": given["Tags"]}]
    made = stack.call("ec2", "CreateNetworkInterface", **arguments)["NetworkInterface"]
    identifier = made["NetworkInterfaceId"]
    return Made(identifier, {"Id": identifier, "PrimaryPrivateIpAddress": made["PrivateIpAddress"]})


def network_interface_attachment(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::EC2::NetworkInterfaceAttachment."""
    only(given, "DeviceIndex InstanceId NetworkInterfaceId", name)
    made = stack.call("ec2", "AttachNetworkInterface", **given)["AttachmentId"]
    named = {"NetworkInterfaceIds": [given["NetworkInterfaceId"]]}

    def is_attached() -> bool:
        (seen,) = stack.client("ec2").describe_network_interfaces(**named)["NetworkInterfaces"]
        return bool(seen.get("Attachment", {}).get("Status") == "attached")

    stack.wait(is_attached, f"{name} did not become attached")
    return Made(made, {"AttachmentId": made})


def security_group(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::EC2::SecurityGroup, with rules for what comes in."""
    only(given, "GroupName GroupDescription SecurityGroupIngress VpcId Tags", name)
    group = given.get("GroupName") or stack.physical(name, 255)
    where = {"VpcId": given["VpcId"]} if "VpcId" in given else {}
    if given.get("Tags"):
        where["TagSpecifications"] = [{"ResourceType": "security-group", "Tags": given["Tags"]}]
    described = {"GroupName": group, "Description": given["GroupDescription"]}
    made = stack.call("ec2", "CreateSecurityGroup", **described, **where)["GroupId"]
    for rule in given.get("SecurityGroupIngress", []):
        only(rule, "CidrIp Description FromPort IpProtocol SourceSecurityGroupId ToPort", name)
        stack.call("ec2", "AuthorizeSecurityGroupIngress", GroupId=made, IpPermissions=[_permission(rule)])
    return Made(made, {"GroupId": made})


def _permission(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    said = {"Description": rule["Description"]} if "Description" in rule else {}
    permission = {key: rule[key] for key in ("FromPort", "IpProtocol", "ToPort") if key in rule}
    if "CidrIp" in rule:
        permission["IpRanges"] = [{"CidrIp": rule["CidrIp"], **said}]
    if "SourceSecurityGroupId" in rule:
        permission["UserIdGroupPairs"] = [{"GroupId": rule["SourceSecurityGroupId"], **said}]
    return permission
