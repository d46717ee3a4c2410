"""What a call asks IAM: resources and condition keys of each action that this project uses, and an error beyond it.

https://docs.aws.amazon.com/service-authorization/latest/reference/; where that leaves open what is asked, it is what
fewer policies say yes to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from region.launch_questions import run_instances
from region.place import Place
from region.policies import FREE, Ask, PolicyError, requested, tagged
from region.records import normalise

Question = Callable[[Place, str, Mapping[str, Any]], list[Ask]]
Context = Callable[[Mapping[str, Any]], Mapping[str, Sequence[str]]]

# Actions without a resource to name. A Describe of EC2 is one nearly always:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/ec2-api-permissions.html
UNSCOPED = (
    "autoscaling:DescribeAutoScalingGroups ssm:DescribeInstanceInformation ssm:GetCommandInvocation "
    "ssm:ListCommandInvocations tag:GetResources"
)
DESCRIBES = ("ec2:Describe", "elasticloadbalancing:Describe")
# How IAM calls services that boto3 calls otherwise.
PREFIXES = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing", "resourcegroupstaggingapi": "tag"}
NAMES = {"lambda:Invoke": "lambda:InvokeFunction"}  # of a permission that is not called as its operation
# The key's value is the name in the query, without a plural.
OF_KEYS = ("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext")
ATTRIBUTES = {"BlockDeviceMappings": "BlockDeviceMapping"}


def questions(place: Place, service: str, operation: str, parameters: Mapping[str, Any]) -> list[Ask]:
    """What a call asks IAM. Raises PolicyError for a call whose resources are not known here."""
    named = f"{PREFIXES.get(service, service)}:{operation}"
    action = NAMES.get(named, named)
    if known := ASKED.get(action):
        return known(place, action, parameters)
    if action in UNSCOPED.split() or action in FREE or action.startswith(DESCRIBES):
        return [Ask(action, "*")]
    raise PolicyError(f"which resources {action} asks about is not known to region/questions.py")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _about(place: Place, action: str, ids: Iterable[str]) -> list[Ask]:
    return [Ask(action, place.ec2(one), tagged(place.tags(one))) for one in ids]


def _each(*keys: str, context: Context = lambda _: {}) -> Question:
    """A call that names existing EC2 resources under these keys."""

    def ask(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
        ids = [one for key in keys for one in _list(parameters.get(key, []))]
        return [Ask(action, place.ec2(one), {**tagged(place.tags(one)), **context(parameters)}) for one in ids]

    return ask


def _create_snapshots(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    """Asks about the instance, each volume and the snapshots to be; tags at creation ask for ec2:CreateTags as well:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """
    instance = parameters["InstanceSpecification"]["InstanceId"]
    left_out = parameters["InstanceSpecification"].get("ExcludeDataVolumeIds", [])
    there = [instance, *(volume for volume in place.volumes(instance) if volume not in left_out)]
    return [*_about(place, action, there), *_new(place, action, "snapshot", parameters)]


def _create_volume(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    """Asks about the volume to be, about the snapshot that it is made of, and about a customer's key of that:
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
    """
    source = [parameters["SnapshotId"]] if "SnapshotId" in parameters else []
    of = {"ec2:ParentSnapshot": [place.ec2(one) for one in source]} if source else {}
    keys = {key for one in source for key in place.key(one)}
    return [
        *_about(place, action, source),
        *_new(place, action, "volume", parameters, of),
        *(Ask(asked, key, _by_ec2(place)) for key in keys for asked in OF_KEYS),
    ]


def _create_group(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    """Asks about the group to be, and about the VPC that it is for."""
    named = parameters.get("VpcId")
    network = Ask(action, place.ec2(named) if named else place.of("vpc"), tagged(place.tags(named)) if named else {})
    return [network, *_new(place, action, "security-group", parameters)]


def _new(
    place: Place, action: str, kind: str, parameters: Mapping[str, Any], more: Mapping[str, Sequence[str]] | None = None
) -> list[Ask]:
    tags = [tag for group in parameters.get("TagSpecifications", []) for tag in group["Tags"]]
    asks = [Ask(action, place.of(kind), {**requested(tags), **(more or {})})]
    if tags:
        by = {"ec2:CreateAction": [action.partition(":")[2]]}
        asks.append(Ask("ec2:CreateTags", place.of(kind), {**requested(tags), **by}))
    return asks


def _with_keys(question: Question, volumes: Callable[[Place, Mapping[str, Any]], Iterable[str]]) -> Question:
    """A call after which an instance has volumes to decrypt: for a customer's key EC2 makes a grant as the caller.
    https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html
    """

    def ask(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
        by = _by_ec2(place)
        keys = sorted({key for volume in volumes(place, parameters) for key in place.key(volume)})
        return [*question(place, action, parameters), *(Ask("kms:CreateGrant", key, by) for key in keys)]

    return ask


def _by_ec2(place: Place) -> Mapping[str, Sequence[str]]:
    return {"kms:GrantIsForAWSResource": ["true"], "kms:ViaService": [f"ec2.{place.region}.amazonaws.com"]}


def _modify_instance(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    """Asks about the instance with the attribute, and about the volumes that it is of."""
    given = set(parameters) - {"InstanceId", "DryRun"}
    if not given <= set(ATTRIBUTES):
        raise PolicyError(f"{action} is known for {', '.join(ATTRIBUTES)} alone")
    instance = parameters["InstanceId"]
    context = {**tagged(place.tags(instance)), "ec2:Attribute": [ATTRIBUTES[one] for one in sorted(given)]}
    named = [one["Ebs"]["VolumeId"] for one in parameters["BlockDeviceMappings"] if "VolumeId" in one.get("Ebs", {})]
    return [
        Ask(action, place.ec2(instance), context),
        *_about(place, action, named or place.volumes(instance)),
    ]


def _send_command(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    if "InstanceIds" not in parameters:
        raise PolicyError("ssm:SendCommand is known with InstanceIds alone")
    document = place.arn("ssm", "document/", parameters["DocumentName"])
    hosts = [
        Ask(action, place.ec2(name), {**tagged(tags), **tagged(tags, "ssm:resourceTag/")})
        for name in parameters["InstanceIds"]
        for tags in [place.tags(name)]
    ]
    return [Ask(action, document, tagged(place.tags(parameters["DocumentName"]))), *hosts]


def _named(service: str, key: str, kind: str = "", context: Context = lambda _: {}) -> Question:
    """A call that names resources by their names or ARNs."""
    return lambda place, action, parameters: [
        Ask(action, place.arn(service, kind, name), context(parameters)) for name in _list(parameters[key])
    ]


def _in_zone(key: str, kind: str, context: Context = lambda _: {}) -> Question:
    """A call about something of Route 53, which has neither Region nor account in its ARN."""
    return lambda _, action, parameters: [
        Ask(action, f"arn:aws:route53:::{kind}/{parameters[key].rsplit('/', 1)[-1]}", context(parameters))
    ]


def _changes(parameters: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-rrset-conditions.html"""
    changes, key = parameters["ChangeBatch"]["Changes"], "route53:ChangeResourceRecordSets"
    return {
        f"{key}Actions": [one["Action"] for one in changes],
        f"{key}NormalizedRecordNames": [normalise(one["ResourceRecordSet"]["Name"])[:-1] for one in changes],
        f"{key}RecordTypes": [one["ResourceRecordSet"]["Type"] for one in changes],
    }


def _pool(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    """A call about a target group by its ARN, or a classic load balancer by its name."""
    kind = "loadbalancer/" if "LoadBalancerName" in parameters else ""
    named = parameters.get("TargetGroupArn") or parameters["LoadBalancerName"]
    arn = place.arn("elasticloadbalancing", kind, named)
    tags = place.tags(arn)
    return [Ask(action, arn, {**tagged(tags), **tagged(tags, "elasticloadbalancing:ResourceTag/")})]


def _log_stream(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    name = f"{parameters['logGroupName']}:log-stream:{parameters['logStreamName']}"
    return [Ask(action, place.arn("logs", "log-group:", name))]


ASKED: Mapping[str, Question] = {
    "ec2:AttachNetworkInterface": _each("NetworkInterfaceId", "InstanceId"),
    "ec2:AttachVolume": _with_keys(_each("VolumeId", "InstanceId"), lambda _, given: [given["VolumeId"]]),
    "ec2:AuthorizeSecurityGroupEgress": _each("GroupId"),
    "ec2:CreateSecurityGroup": _create_group,
    "ec2:CreateSnapshots": _create_snapshots,
    "ec2:CreateTags": _each("Resources", context=lambda given: requested(given["Tags"])),
    "ec2:CreateVolume": _create_volume,
    "ec2:DeleteSecurityGroup": _each("GroupId"),
    "ec2:DeleteSnapshot": _each("SnapshotId"),
    "ec2:DeleteTags": _each("Resources", context=lambda given: requested(given.get("Tags", []))),
    "ec2:DeleteVolume": _each("VolumeId"),
    "ec2:DescribeInstanceAttribute": _each("InstanceId"),
    # By the attachment: that there is none, EC2 says before it asks.
    "ec2:DetachNetworkInterface": lambda place, action, given: _about(
        place, action, place.interface(given["AttachmentId"])
    ),
    "ec2:DetachVolume": _each("VolumeId", "InstanceId"),
    "ec2:ModifyInstanceAttribute": _modify_instance,
    "ec2:RevokeSecurityGroupEgress": _each("GroupId"),
    "ec2:RevokeSecurityGroupIngress": _each("GroupId"),
    "ec2:RunInstances": run_instances,
    "ec2:StartInstances": _with_keys(
        _each("InstanceIds"), lambda place, given: [one for host in given["InstanceIds"] for one in place.volumes(host)]
    ),
    "ec2:StopInstances": _each("InstanceIds"),
    "ec2:TerminateInstances": _each("InstanceIds"),
    "ssm:SendCommand": _send_command,
    "ssm:DescribeDocument": _named("ssm", "Name", "document/"),
    "ssm:GetDocument": _named("ssm", "Name", "document/"),
    "elasticloadbalancing:DeregisterInstancesFromLoadBalancer": _pool,
    "elasticloadbalancing:DeregisterTargets": _pool,
    "elasticloadbalancing:RegisterInstancesWithLoadBalancer": _pool,
    "elasticloadbalancing:RegisterTargets": _pool,
    "lambda:InvokeFunction": _named("lambda", "FunctionName", "function:"),
    "route53:ChangeResourceRecordSets": _in_zone("HostedZoneId", "hostedzone", _changes),
    "route53:GetChange": _in_zone("Id", "change"),
    "route53:GetHostedZone": _in_zone("Id", "hostedzone"),
    "route53:ListResourceRecordSets": _in_zone("HostedZoneId", "hostedzone"),
    "cloudwatch:DeleteAlarms": _named("cloudwatch", "AlarmNames", "alarm:"),
    "cloudwatch:DescribeAlarms": lambda place, action, _: [Ask(action, place.arn("cloudwatch", "alarm:", "*"))],
    "cloudwatch:PutMetricAlarm": _named(
        "cloudwatch", "AlarmName", "alarm:", lambda given: {"cloudwatch:AlarmActions": given.get("AlarmActions", [])}
    ),
    "cloudwatch:PutMetricData": lambda _, action, given: [
        Ask(action, "*", {"cloudwatch:namespace": [given["Namespace"]]})
    ],
    "kms:DescribeKey": _named("kms", "KeyId", "key/"),
    "logs:CreateLogStream": _log_stream,
    "logs:PutLogEvents": _log_stream,
    "sns:Publish": _named("sns", "TopicArn"),
}
