"""Addresses: what a database's clients find it by, a Route 53 record or a network interface that moves along."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import NetworkInterfaceTypeDef
    from mypy_boto3_route53 import Route53Client
    from mypy_boto3_route53.type_defs import ChangeTypeDef, ResourceRecordSetOutputTypeDef, ResourceRecordSetTypeDef

logger = logging.getLogger(__name__)

# The types that say where a name leads; a TXT or an MX beside them is nobody's obstacle.
LEADING = ("A", "AAAA", "CNAME")
PLAIN = {"Name", "Type", "TTL", "ResourceRecords"}

# A name has one plain record set of each of 18 types at most, and A is listed first, in ASCII order:
# https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListResourceRecordSets.html
MOST_OF_A_NAME = "20"

# How Route 53 says that a record is not as it was observed. The same code stands for what no other look would cure, a
# protected record for one. Texts as in https://github.com/kubernetes-sigs/external-dns/issues/732 and boto/boto #2887.
MOVED = ("do not match the current values", "but it was not found", "but it already exists")

SECOND = 1


@dataclass(frozen=True, slots=True)
class Record:
    """A plain A record with one value; `name` as `normalise` writes it."""

    zone: str
    name: str
    ttl: int
    value: str


@dataclass(frozen=True, slots=True)
class Odd:
    """What a name has instead of one plain A record with one value: it is never touched. The reason is a sentence."""

    reason: str


# Where a name leads could not be asked: that is no reason to do anything about it.
UNREAD = Odd("it was not read")


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface: the instance and the id of its attachment if it has one, which `status`, `since` are of.

    Without one the status is its own (`available`). One that AWS attached for a service has an attachment alone.
    `is_first` is what its instance was launched with and keeps; `is_deleted_with_host` goes when that is terminated.
    """

    id: str
    ip: str
    instance: str | None
    attachment: str | None
    status: str
    application: str = ""
    is_first: bool = False
    is_deleted_with_host: bool = False
    since: datetime | None = None

    @classmethod
    def from_boto(cls, interface: NetworkInterfaceTypeDef) -> Interface:
        """An interface as DescribeNetworkInterfaces answers it."""
        attachment = interface.get("Attachment", {})
        if attachment.get("Status") == "detached":
            attachment = {}
        return cls(
            interface.get("NetworkInterfaceId", ""),
            interface.get("PrivateIpAddress", ""),
            attachment.get("InstanceId"),
            attachment.get("AttachmentId"),
            attachment.get("Status") or interface.get("Status", ""),
            tags.read(interface.get("TagSet", [])).get(tags.APPLICATION, ""),
            attachment.get("DeviceIndex") == 0,
            attachment.get("DeleteOnTermination", False),
            attachment.get("AttachTime"),
        )


def normalise(name: str) -> str:
    """A name as names are compared: in lower case, without the last dot, and `*` for `\\052`.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html
    """
    plain = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), name)
    return plain.lower().removesuffix(".")


def find_zones(route53: Route53Client, ids: Iterable[str]) -> dict[str, str]:
    """The domains of the hosted zones with these ids; one that is gone is left out. Raises ClientError for all else."""
    found: dict[str, str] = {}
    for zone in ids:
        try:
            found[zone] = normalise(route53.get_hosted_zone(Id=zone)["HostedZone"]["Name"])
        except route53.exceptions.NoSuchHostedZone:
            logger.warning("hosted zone missed", extra={"hosted_zone_id": zone})
    return found


def zone_of(zones: Mapping[str, str], name: str) -> str | None:
    """The id of the zone that a name is in, which is that of the longest domain; None if no zone is, or if two are."""
    asked = normalise(name)
    around = {zone: domain for zone, domain in zones.items() if f".{asked}".endswith(f".{domain}")}
    longest = max(map(len, around.values()), default=0)
    nearest = [zone for zone, domain in around.items() if len(domain) == longest]
    return nearest[0] if len(nearest) == 1 else None


def find_records(route53: Route53Client, zone: str) -> dict[str, Record | Odd]:
    """Where all names of a zone lead, by name, for the cost of its pages. Raises NoSuchHostedZone."""
    pages = route53.get_paginator("list_resource_record_sets").paginate(
        HostedZoneId=zone, PaginationConfig={"PageSize": 300}
    )
    sets: dict[str, list[ResourceRecordSetOutputTypeDef]] = defaultdict(list)
    for page in pages:
        for one in page["ResourceRecordSets"]:
            sets[normalise(one["Name"])].append(one)
    judged = {name: _judge(zone, name, some) for name, some in sets.items()}
    return {name: record for name, record in judged.items() if record}


def find_record(route53: Route53Client, zone: str, name: str) -> Record | Odd | None:
    """Where one name of a zone leads; None if nothing says so. Raises NoSuchHostedZone.

    A record is listed as soon as it is written, though no name server may know it yet:
    https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListResourceRecordSets.html
    """
    asked = normalise(name)
    page = route53.list_resource_record_sets(HostedZoneId=zone, StartRecordName=asked, MaxItems=MOST_OF_A_NAME)
    return _judge(zone, asked, [one for one in page["ResourceRecordSets"] if normalise(one["Name"]) == asked])


def move(route53: Route53Client, observed: Record | None, zone: str, name: str, ip: str, ttl: int) -> bool:
    """Lets a name lead to an address, if it still is as observed (None: nothing says where it leads).

    False if it is not: somebody was there before, or this very call was, whose answer was lost and which botocore then
    sent again; so look again. Raises ClientError for all else. Route 53 does all of a batch or nothing, and deletes
    only what is given exactly as it is, so this is its compare-and-swap:
    https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
    """
    changes: list[ChangeTypeDef] = []
    if observed:
        changes.append({"Action": "DELETE", "ResourceRecordSet": _write(observed.name, observed.value, observed.ttl)})
    changes.append({"Action": "CREATE", "ResourceRecordSet": _write(normalise(name), ip, ttl)})
    try:
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    except route53.exceptions.InvalidChangeBatch as error:
        said = error.response["Error"]["Message"]
        if not any(text in said for text in MOVED):
            raise
        logger.info("address not moved", extra={"record_name": name, "address": ip, "reason": said})
        return False
    logger.info("address moved", extra={"record_name": name, "address": ip, "hosted_zone_id": zone})
    return True


def find_interfaces(ec2: EC2Client, ids: Sequence[str]) -> dict[str, Interface]:
    """The network interfaces with these ids that exist, by id; by filter, so that one that is gone is no error.

    A filter takes 200 values:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
    """
    found: dict[str, Interface] = {}
    for start in range(0, len(ids), 200):
        pages = ec2.get_paginator("describe_network_interfaces").paginate(
            Filters=[{"Name": "network-interface-id", "Values": list(ids[start : start + 200])}],
            PaginationConfig={"PageSize": 1000},
        )
        seen = [Interface.from_boto(one) for page in pages for one in page["NetworkInterfaces"]]
        found |= {one.id: one for one in seen}
    return found


def find_interface(ec2: EC2Client, interface: str) -> Interface | None:
    """The network interface with this id, if it exists."""
    return find_interfaces(ec2, [interface]).get(interface)


def detach_interface(ec2: EC2Client, interface: Interface) -> None:
    """Begins to take an interface off the instance that it was observed on; an attachment that is gone is done.

    Raises ClientError for all else, as for an instance's first interface. The attachment's id says which instance is
    meant: one that the interface was moved to meanwhile keeps it. Codes:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    if interface.attachment is None:
        return
    try:
        ec2.detach_network_interface(AttachmentId=interface.attachment)
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidAttachmentID.NotFound":
            raise
        return
    logger.info("interface detached", extra={"interface_id": interface.id, "instance_id": interface.instance})


def attach_interface(ec2: EC2Client, interface: str, instance: str) -> bool:
    """Attaches an interface to an instance, as its second. False if something holds it already: look again.

    Raises ClientError for all else. Code: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    try:
        ec2.attach_network_interface(NetworkInterfaceId=interface, InstanceId=instance, DeviceIndex=SECOND)
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidNetworkInterface.InUse":
            raise
        return False
    logger.info("interface attached", extra={"interface_id": interface, "instance_id": instance})
    return True


def _judge(zone: str, name: str, sets: Sequence[ResourceRecordSetOutputTypeDef]) -> Record | Odd | None:
    leading = [one for one in sets if one["Type"] in LEADING]
    if not leading:
        return None
    first = leading[0]
    values = [one["Value"] for one in first.get("ResourceRecords", [])]
    if len(leading) == 1 and first["Type"] == "A" and set(first) <= PLAIN and len(values) == 1:
        return Record(zone, name, first.get("TTL", 0), values[0])
    return Odd(f"{name} is not one plain A record with one value but {' and '.join(map(_describe, leading))}.")


def _describe(one: ResourceRecordSetOutputTypeDef) -> str:
    more = ", ".join(sorted(set(one) - PLAIN))
    values = len(one.get("ResourceRecords", []))
    return f"{one['Type']} with {more}" if more else f"{one['Type']} with {values} value{'s' * (values != 1)}"


def _write(name: str, value: str, ttl: int) -> ResourceRecordSetTypeDef:
    return {"Name": name, "Type": "A", "TTL": ttl, "ResourceRecords": [{"Value": value}]}
