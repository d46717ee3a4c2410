"""Launch templates of database hosts, and launching from them so that the same wish never makes two instances."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from watchkeeper import tags
from watchkeeper.aws.hosts import Host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import InstanceTypeType
    from mypy_boto3_ec2.type_defs import FilterTypeDef, LaunchTemplateTypeDef
    from mypy_boto3_ec2.type_defs import RunInstancesRequestTypeDef as Request

logger = logging.getLogger(__name__)

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
NO_CAPACITY = (
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientCapacity",
    "InstanceLimitExceeded",
    "VcpuLimitExceeded",
    "Unsupported",
)
OF_A_TERMINATED = "IdempotentInstanceTerminated"
OTHER_PARAMETERS = "IdempotentParameterMismatch"
SAID = (*NO_CAPACITY, OF_A_TERMINATED, OTHER_PARAMETERS)

# Throttling by EC2 is one as well: RequestLimitExceeded has the status 503.
SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch template of database hosts, in its default version; `types` are tried when its own is not to be had."""

    id: str
    application: str
    version: int
    types: tuple[str, ...] = ()
    paused: str = ""
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def from_boto(cls, template: LaunchTemplateTypeDef) -> Launch:
        """A launch template as DescribeLaunchTemplates answers it."""
        words = tags.read(template.get("Tags", []))
        return cls(
            template["LaunchTemplateId"],
            words.get(tags.APPLICATION, ""),
            template.get("DefaultVersionNumber", 1),
            tuple(words.get(tags.INSTANCE_TYPES, "").split()),
            words.get(tags.PAUSED, ""),
            words,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why RunInstances made nothing: `code` as AWS names it, and its sentence."""

    code: str
    message: str

    @property
    def is_capacity(self) -> bool:
        """Another type may be had, or the same one later."""
        return self.code in NO_CAPACITY


def find(ec2: EC2Client, applications: Sequence[str]) -> list[Launch]:
    """The launch templates for database hosts of the applications with these names (`*` matches any text)."""
    return _find(
        ec2,
        [
            {"Name": f"tag:{tags.APPLICATION}", "Values": list(applications)},
            {"Name": f"tag:{tags.ROLE}", "Values": [tags.DATABASE_LAUNCH]},
        ],
    )


def find_tagged(ec2: EC2Client) -> list[Launch]:
    """The launch templates that carry any tag of ours, read or not, in the order of their ids."""
    return _find(ec2, [{"Name": "tag-key", "Values": [f"{tags.PREFIX}*"]}])


def find_zone_and_role(ec2: EC2Client, launch: Launch) -> tuple[str, str]:
    """The zone that a launch template names, by its subnet, and the role that it tags volumes with; empty for none."""
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=launch.id, Versions=[str(launch.version)])
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    interfaces = data.get("NetworkInterfaces", [])
    subnet = interfaces[0].get("SubnetId", "") if interfaces else ""
    of_volumes = [
        one.get("Tags", []) for one in data.get("TagSpecifications", []) if one.get("ResourceType") == "volume"
    ]
    role = "".join(tags.read(given).get(tags.ROLE, "") for given in of_volumes)
    if not subnet:
        return data.get("Placement", {}).get("AvailabilityZone", ""), role
    return ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailabilityZone"], role


def token(anchor: str, host: str, number: int) -> str:
    """The client token of the number-th replacement of a host: the same wish has the same token, for ever.

    With one, RunInstances answers the instance that it made before, for 24 h at least after that is terminated:
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    return "wk-" + hashlib.sha256(f"{anchor} {host} {number}".encode()).hexdigest()[:40]


def run(
    ec2: EC2Client, launch: Launch, number: int, token: str, words: Mapping[str, str], *, dry_run: bool = False
) -> Host | Failure:
    """Launches the number-th replacement, or finds it launched; Failure says with which code AWS refused.

    Raises ClientError when AWS only throttles or fails itself: that is no answer, and the next look asks again.
    Every parameter follows from the number and the template, as idempotency wants it. `ec2` must be a client that sends
    once: for want of capacity AWS answers a server's error, which botocore would repeat.
    """
    wanted = request(launch, number, token)
    wanted["DryRun"] = dry_run
    wanted["TagSpecifications"] = [{"ResourceType": "instance", "Tags": tags.write(words)}]
    return send(ec2, wanted, number)


def request(launch: Launch, number: int, token: str) -> Request:
    """What asks for one instance of the template, of the number-th of its types."""
    made: Request = {
        "LaunchTemplate": {"LaunchTemplateId": launch.id, "Version": str(launch.version)},
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": token,
    }
    if other := number % (len(launch.types) + 1):
        made["InstanceType"] = cast("InstanceTypeType", launch.types[other - 1])
    return made


def send(ec2: EC2Client, request: Request, number: int) -> Host | Failure:
    """Sends it, as `run` says."""
    try:
        instance = ec2.run_instances(**request)["Instances"][0]
    except ClientError as error:
        failure = Failure(error.response["Error"]["Code"], error.response["Error"]["Message"])
        if failure.code not in SAID and error.response["ResponseMetadata"]["HTTPStatusCode"] >= SERVER_ERROR:
            raise
        return failure
    logger.info("host launched", extra={"instance_id": instance["InstanceId"], "number": number})
    return Host.from_boto(instance)


def _find(ec2: EC2Client, filters: Sequence[FilterTypeDef]) -> list[Launch]:
    pages = ec2.get_paginator("describe_launch_templates").paginate(Filters=filters, PaginationConfig={"PageSize": 200})
    return sorted((Launch.from_boto(one) for page in pages for one in page["LaunchTemplates"]), key=lambda one: one.id)
