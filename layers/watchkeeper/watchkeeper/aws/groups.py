"""Security groups: found by their tags, narrowed to what they may let through, and deleted."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import IpPermissionOutputTypeDef, IpPermissionTypeDef, SecurityGroupTypeDef

logger = logging.getLogger(__name__)

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
NAME_IS_TAKEN = "InvalidGroup.Duplicate"
NOT_FOUND = "InvalidGroup.NotFound"
STILL_USED = "DependencyViolation"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a group lets through: of a protocol (-1 is all), the ports `first` to `last`, from or to a peer.

    A peer is a range of addresses, another group, or a prefix list.
    """

    protocol: str
    first: int
    last: int
    peer: str


@dataclass(frozen=True, slots=True)
class Group:
    """A security group: the rules by which something comes in and goes out; all else does not."""

    id: str
    name: str
    vpc: str
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)
    incoming: frozenset[Rule] = frozenset()
    outgoing: frozenset[Rule] = frozenset()

    @property
    def application(self) -> str:
        """The application that it is tagged with; empty if it is with none."""
        return self.tags.get(tags.APPLICATION, "")

    @classmethod
    def from_boto(cls, group: SecurityGroupTypeDef) -> Group:
        """A group as DescribeSecurityGroups answers it."""
        return cls(
            group["GroupId"],
            group.get("GroupName", ""),
            group.get("VpcId", ""),
            tags.read(group.get("Tags", [])),
            _rules(group.get("IpPermissions", [])),
            _rules(group.get("IpPermissionsEgress", [])),
        )


def find(ec2: EC2Client, applications: Sequence[str], role: str) -> list[Group]:
    """The groups of the applications with these names (`*` matches any text) that have this role, by their ids."""
    pages = ec2.get_paginator("describe_security_groups").paginate(
        Filters=[
            {"Name": f"tag:{tags.APPLICATION}", "Values": list(applications)},
            {"Name": f"tag:{tags.ROLE}", "Values": [role]},
        ],
        PaginationConfig={"PageSize": 1000},
    )
    return sorted((Group.from_boto(one) for page in pages for one in page["SecurityGroups"]), key=lambda one: one.id)


def create(ec2: EC2Client, name: str, description: str, vpc: str, words: Mapping[str, str]) -> bool:
    """Makes a group that lets nothing in and everything out. False if the network has one of that name: look again.

    A name is there once in a network, so this is the mutex of all who make it. Raises ClientError for all else:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
    """
    try:
        made = ec2.create_security_group(
            GroupName=name,
            Description=description,
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags.write(words)}],
        )["GroupId"]
    except ClientError as error:
        if error.response["Error"]["Code"] != NAME_IS_TAKEN:
            raise
        logger.info("group not made", extra={"group_id": name, "reason": error.response["Error"]["Message"]})
        return False
    logger.info("group made", extra={"group_id": made})
    return True


def narrow(ec2: EC2Client, group: Group, wanted: Collection[Rule]) -> None:
    """Has a group let nothing in, and out only what is wanted; what is so already is done. Raises ClientError.

    Rules are only there or not, so that doing it again, or two doing it at once, comes to the same:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html
    """
    wrong, missing = group.outgoing - frozenset(wanted), frozenset(wanted) - group.outgoing
    if group.incoming:
        with _tolerate("InvalidPermission.NotFound"):
            ec2.revoke_security_group_ingress(GroupId=group.id, IpPermissions=_permissions(group.incoming))
    if wrong:
        with _tolerate("InvalidPermission.NotFound"):
            ec2.revoke_security_group_egress(GroupId=group.id, IpPermissions=_permissions(wrong))
    if missing:
        with _tolerate("InvalidPermission.Duplicate"):
            ec2.authorize_security_group_egress(GroupId=group.id, IpPermissions=_permissions(missing))
    logger.info("group narrowed", extra={"group_id": group.id})


def delete(ec2: EC2Client, group: str) -> bool:
    """Deletes a group; one that is gone is done. False while something uses it: look again.

    Raises ClientError for all else: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
    """
    try:
        ec2.delete_security_group(GroupId=group)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in (NOT_FOUND, STILL_USED):
            raise
        return code == NOT_FOUND
    logger.info("group deleted", extra={"group_id": group})
    return True


@contextmanager
def _tolerate(code: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise


def _rules(permissions: Iterable[IpPermissionOutputTypeDef]) -> frozenset[Rule]:
    """One for each peer; without ports, which all protocols and those without them have, they are -1."""
    return frozenset(
        Rule(one.get("IpProtocol", "-1"), one.get("FromPort", -1), one.get("ToPort", -1), peer)
        for one in permissions
        for peer in (
            *(each.get("CidrIp", "") for each in one.get("IpRanges", [])),
            *(each.get("CidrIpv6", "") for each in one.get("Ipv6Ranges", [])),
            *(each.get("GroupId", "") for each in one.get("UserIdGroupPairs", [])),
            *(each.get("PrefixListId", "") for each in one.get("PrefixListIds", [])),
        )
    )


def _permissions(rules: Iterable[Rule]) -> list[IpPermissionTypeDef]:
    ordered = sorted(rules, key=lambda one: (one.protocol, one.first, one.last, one.peer))
    return [_permission(one) for one in ordered]


def _permission(rule: Rule) -> IpPermissionTypeDef:
    made: IpPermissionTypeDef = {"IpProtocol": rule.protocol}
    if rule.protocol != "-1":
        made |= {"FromPort": rule.first, "ToPort": rule.last}
    if rule.peer.startswith("sg-"):
        made["UserIdGroupPairs"] = [{"GroupId": rule.peer}]
    elif rule.peer.startswith("pl-"):
        made["PrefixListIds"] = [{"PrefixListId": rule.peer}]
    elif ":" in rule.peer:
        made["Ipv6Ranges"] = [{"CidrIpv6": rule.peer}]
    else:
        made["IpRanges"] = [{"CidrIp": rule.peer}]
    return made
