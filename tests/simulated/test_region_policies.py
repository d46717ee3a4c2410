"""A role may do what its own statements allow, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from region.place import Place
from region.policies import PolicyError, read, refused
from region.questions import questions

TAGS = {
    "vol-1": {"watchkeeper:application": "smallpayroll", "watchkeeper:role": "database"},
    "vol-2": {},
    "i-1": {"watchkeeper:application": "smallpayroll"},
    "snap-1": {"watchkeeper:application": "smallpayroll"},
    "lt-1": {"watchkeeper:role": "database-launch"},
    "eni-1": {"watchkeeper:application": "smallpayroll"},
}
ACCOUNT = "arn:aws:{}:eu-central-1:123456789012:{}"
KEY = ACCOUNT.format("kms", "key/1")
DATA = {
    "ImageId": "ami-1",
    "SubnetId": "subnet-1",
    "SecurityGroupIds": ["sg-1"],
    "InstanceType": "m7g.large",
    "IamInstanceProfile": {"Name": "hosts"},
    "TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "root"}]}],
}
PLACE = Place(
    "eu-central-1",
    "123456789012",
    tags=lambda name: TAGS.get(name, {}),
    volumes=lambda _: ["vol-1", "vol-2"],
    key=lambda name: [KEY] if name in ("vol-2", "snap-2") else [],
    template=lambda _: ("lt-1", DATA),
    profile=lambda name: (f"arn:aws:iam::123456789012:instance-profile/{name}", ["arn:aws:iam::123456789012:role/h"]),
    interface=lambda name: ["eni-1", "i-1"] if name == "eni-attach-1" else [],
)
SNAPSHOT = "arn:aws:ec2:eu-central-1::snapshot/*"


def allows(statements: Any, service: str, operation: str, **parameters: Any) -> bool:
    asks = questions(PLACE, service, operation, parameters)
    return refused(read({"Version": "2012-10-17", "Statement": statements}), asks) is None


def allow(action: Any, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": action,
        "Resource": resource,
        **({"Condition": condition} if condition else {}),
    }


def tags(**values: str) -> list[dict[str, Any]]:
    given = [{"Key": f"watchkeeper:{key}", "Value": value} for key, value in values.items()]
    return [{"ResourceType": "snapshot", "Tags": given}]


@pytest.mark.parametrize("action", ["ec2:DescribeVolumes", "ec2:Describe*", "EC2:describevolumes", "*"])
def test_an_action_is_matched_with_wildcards_whatever_its_case(action: str) -> None:
    assert allows(allow(action), "ec2", "DescribeVolumes")


@pytest.mark.parametrize(
    "statements", [[], allow("ec2:DescribeSnapshots"), allow("ec2:DescribeVolumes", "arn:aws:ec2:*")]
)
def test_what_no_statement_allows_is_refused(statements: Any) -> None:
    assert not allows(statements, "ec2", "DescribeVolumes")


def test_a_deny_wins() -> None:
    deny = {"Effect": "Deny", "Action": "ec2:Delete*", "Resource": "*"}

    assert not allows([allow("*"), deny], "ec2", "DeleteSnapshot", SnapshotId="snap-1")


@pytest.mark.parametrize(("snapshot", "expected"), [("snap-1", True), ("snap-2", False)])
def test_a_condition_on_a_resources_tag_asks_for_that_resource(snapshot: str, expected: bool) -> None:
    ours = allow("ec2:DeleteSnapshot", SNAPSHOT, StringLike={"aws:ResourceTag/watchkeeper:application": "small*"})

    assert allows(ours, "ec2", "DeleteSnapshot", SnapshotId=snapshot) == expected


def test_a_snapshots_arn_names_no_account_and_a_volumes_does() -> None:
    account = "arn:aws:ec2:eu-central-1:123456789012"

    assert not allows(
        allow("ec2:DeleteSnapshot", f"{account}:snapshot/*"), "ec2", "DeleteSnapshot", SnapshotId="snap-1"
    )
    assert allows(allow("ec2:CreateTags", f"{account}:volume/*"), "ec2", "CreateTags", Resources=["vol-1"], Tags=[])


CREATE = [
    allow("ec2:CreateSnapshots", "*:instance/*", StringLike={"aws:ResourceTag/watchkeeper:application": "*"}),
    allow("ec2:CreateSnapshots", "*:volume/*", StringEquals={"aws:ResourceTag/watchkeeper:role": "database"}),
    allow("ec2:CreateSnapshots", SNAPSHOT, StringLike={"aws:RequestTag/watchkeeper:application": "*"}),
    allow("ec2:CreateTags", SNAPSHOT, StringEquals={"ec2:CreateAction": "CreateSnapshots"}),
]
SET = {
    "InstanceSpecification": {"InstanceId": "i-1", "ExcludeDataVolumeIds": ["vol-2"]},
    "TagSpecifications": tags(application="smallpayroll"),
}


def test_a_set_is_allowed_by_the_four_questions_that_it_asks() -> None:
    assert allows(CREATE, "ec2", "CreateSnapshots", **SET)


@pytest.mark.parametrize("forgotten", range(len(CREATE)))
def test_a_set_is_refused_when_one_of_them_is_forgotten(forgotten: int) -> None:
    assert not allows(CREATE[:forgotten] + CREATE[forgotten + 1 :], "ec2", "CreateSnapshots", **SET)


def test_a_set_with_a_volume_that_is_not_the_databases_is_refused() -> None:
    assert not allows(CREATE, "ec2", "CreateSnapshots", **{**SET, "InstanceSpecification": {"InstanceId": "i-1"}})


def test_a_tag_at_creation_is_no_permission_to_tag_later() -> None:
    later = [{"Key": "watchkeeper:application", "Value": "smallpayroll"}]

    assert not allows(CREATE, "ec2", "CreateTags", Resources=["snap-1"], Tags=later)


@pytest.mark.parametrize(
    ("operator", "keys", "expected"),
    [
        ("ForAllValues:StringLike", ["watchkeeper:run"], True),
        ("ForAllValues:StringLike", ["watchkeeper:run", "Name"], False),
        ("ForAnyValue:StringLike", ["watchkeeper:run", "Name"], True),
        ("ForAnyValue:StringLike", ["Name"], False),
        ("ForAllValues:StringNotLike", ["team", "Name"], True),
        ("ForAllValues:StringNotLike", ["watchkeeper:run", "Name"], False),
    ],
)
def test_the_keys_of_a_request_are_asked_for_all_or_for_any(operator: str, keys: list[str], expected: bool) -> None:
    policy = allow("ec2:CreateTags", "*", **{operator: {"aws:TagKeys": ["watchkeeper:*"]}})
    given = [{"Key": key, "Value": "x"} for key in keys]

    assert allows(policy, "ec2", "CreateTags", Resources=["snap-1"], Tags=given) == expected


@pytest.mark.parametrize(("volume", "expected"), [("vol-1", False), ("vol-2", True)])
def test_what_must_not_be_like_something_holds_where_there_is_nothing(volume: str, expected: bool) -> None:
    policy = allow("ec2:DeleteVolume", "*", StringNotLike={"aws:ResourceTag/watchkeeper:role": "data*"})

    assert allows(policy, "ec2", "DeleteVolume", VolumeId=volume) == expected


def test_a_command_asks_about_the_document_and_the_host() -> None:
    account = "arn:aws:{}:eu-central-1:123456789012"
    document = allow("ssm:SendCommand", account.format("ssm") + ":document/freeze")
    host = allow(
        "ssm:SendCommand",
        account.format("ec2") + ":instance/*",
        StringLike={"ssm:resourceTag/watchkeeper:application": "*"},
    )
    asked = {"DocumentName": "freeze", "InstanceIds": ["i-1"]}

    assert allows([document, host], "ssm", "SendCommand", **asked)
    assert not allows([document], "ssm", "SendCommand", **asked)
    assert not allows([host], "ssm", "SendCommand", **asked)
    assert not allows([document, host], "ssm", "SendCommand", **{**asked, "InstanceIds": ["i-2"]})
    assert not allows([document, host], "ssm", "SendCommand", **{**asked, "DocumentName": "AWS-RunShellScript"})


def test_a_function_is_named_by_its_name_or_its_arn() -> None:
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:snapshot-1"

    for name in ("snapshot-1", arn):
        assert allows(allow("lambda:InvokeFunction", arn), "lambda", "Invoke", FunctionName=name)
    assert not allows(allow("lambda:InvokeFunction", arn), "lambda", "Invoke", FunctionName="prune-1")


@pytest.mark.parametrize(
    "statement",
    [
        allow("ec2:*", "*", StringEqualsIgnoreCase={"aws:ResourceTag/a": "b"}),
        allow("ec2:*", "*", StringEquals={"aws:PrincipalOrgID": "o-1"}),
        allow("ec2:*", "*", StringEquals={"aws:ResourceTag/a": "${aws:username}"}),
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
    ],
)
def test_a_statement_that_is_not_known_is_an_error_and_no_answer(statement: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        read({"Statement": statement})


def test_a_call_whose_resources_are_not_known_is_an_error_and_no_answer() -> None:
    with pytest.raises(PolicyError, match="ec2:DeleteKeyPair"):
        questions(PLACE, "ec2", "DeleteKeyPair", {"VolumeId": "vol-1"})
    with pytest.raises(PolicyError, match="BlockDeviceMappings"):
        questions(PLACE, "ec2", "ModifyInstanceAttribute", {"InstanceId": "i-1", "UserData": {"Value": b"x"}})
    with pytest.raises(PolicyError, match="LicenseSpecifications"):
        questions(PLACE, "ec2", "RunInstances", {"ImageId": "ami-1", "LicenseSpecifications": []})


def asked(service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    """What a call asks about: kind and name of each resource, by action where it is another, with the context."""
    found = {}
    for ask in questions(PLACE, service, operation, parameters):
        by = "" if ask.action.endswith(operation) else f"{ask.action} "
        found[by + ask.resource.rsplit(":", 1)[-1]] = ask.context
    return found


@pytest.mark.parametrize(
    ("operation", "parameters", "expected"),
    [
        ("AttachVolume", {"VolumeId": "vol-1", "InstanceId": "i-1"}, {"volume/vol-1", "instance/i-1"}),
        ("DetachVolume", {"VolumeId": "vol-1", "InstanceId": "i-1"}, {"volume/vol-1", "instance/i-1"}),
        ("DetachVolume", {"VolumeId": "vol-1"}, {"volume/vol-1"}),
        (
            "AttachNetworkInterface",
            {"NetworkInterfaceId": "eni-1", "InstanceId": "i-1"},
            {"network-interface/eni-1", "instance/i-1"},
        ),
        (
            "DetachNetworkInterface",
            {"AttachmentId": "eni-attach-1"},
            {"network-interface/eni-1", "instance/i-1"},
        ),
        ("StopInstances", {"InstanceIds": ["i-1", "i-2"]}, {"instance/i-1", "instance/i-2"}),
        ("TerminateInstances", {"InstanceIds": ["i-1"]}, {"instance/i-1"}),
        ("DescribeInstanceAttribute", {"InstanceId": "i-1", "Attribute": "disableApiStop"}, {"instance/i-1"}),
        ("DeleteTags", {"Resources": ["vol-1"], "Tags": [{"Key": "a"}]}, {"volume/vol-1"}),
        ("DeleteVolume", {"VolumeId": "vol-1"}, {"volume/vol-1"}),
        ("AuthorizeSecurityGroupEgress", {"GroupId": "sg-1", "IpPermissions": []}, {"security-group/sg-1"}),
        ("RevokeSecurityGroupEgress", {"GroupId": "sg-1", "IpPermissions": []}, {"security-group/sg-1"}),
        ("DeleteSecurityGroup", {"GroupId": "sg-1"}, {"security-group/sg-1"}),
    ],
)
def test_a_move_asks_about_all_that_it_moves(operation: str, parameters: Any, expected: set[str]) -> None:
    found = asked("ec2", operation, **parameters)

    assert set(found) == expected
    for name, context in found.items():
        tags = TAGS.get(name.rpartition("/")[2], {})
        assert {key: [value] for key, value in tags.items()} == {
            key.removeprefix("aws:ResourceTag/"): value
            for key, value in context.items()
            if key.startswith("aws:ResourceTag/")
        }


LAUNCH = {
    "LaunchTemplate": {"LaunchTemplateId": "lt-1"},
    "TagSpecifications": [
        {"ResourceType": "instance", "Tags": [{"Key": "watchkeeper:role", "Value": "database-host"}]}
    ],
}
OF_THE_TEMPLATE = {"ArnLike": {"ec2:LaunchTemplate": ACCOUNT.format("ec2", "launch-template/*")}}
FROM_IT = {**OF_THE_TEMPLATE, "Bool": {"ec2:IsLaunchTemplateResource": "true"}}
LAUNCHING = [
    allow(
        "ec2:RunInstances", "*:launch-template/*", StringEquals={"aws:ResourceTag/watchkeeper:role": "database-launch"}
    ),
    allow(
        "ec2:RunInstances",
        "*:instance/*",
        **OF_THE_TEMPLATE,
        StringEquals={"aws:RequestTag/watchkeeper:role": "database-host"},
    ),
    *(
        allow("ec2:RunInstances", f"*:{kind}/*", **FROM_IT)
        for kind in ("image", "network-interface", "security-group", "subnet", "volume")
    ),
    allow("ec2:CreateTags", ["*:instance/*"], StringEquals={"ec2:CreateAction": "RunInstances"}),
    allow("ec2:CreateTags", ["*:volume/*"], StringEquals={"ec2:CreateAction": "RunInstances"}),
    allow("iam:PassRole", "arn:aws:iam::*:role/h", StringEquals={"iam:PassedToService": "ec2.amazonaws.com"}),
]


INTERFACE = ("network-interface", "security-group", "subnet")


def test_a_launch_is_allowed_by_the_questions_that_it_asks() -> None:
    assert allows(LAUNCHING, "ec2", "RunInstances", **LAUNCH)
    assert allows(LAUNCHING, "ec2", "RunInstances", **LAUNCH, InstanceType="m6g.large")


@pytest.mark.parametrize("forgotten", range(len(LAUNCHING)))
def test_a_launch_is_refused_when_one_of_them_is_forgotten(forgotten: int) -> None:
    assert not allows(LAUNCHING[:forgotten] + LAUNCHING[forgotten + 1 :], "ec2", "RunInstances", **LAUNCH)


@pytest.mark.parametrize(
    "own", [{"ImageId": "ami-2"}, {"SubnetId": "subnet-2"}, {"SecurityGroupIds": ["sg-2"]}, {"KeyName": "mine"}]
)
def test_a_launch_with_something_that_is_not_the_templates_is_refused(own: dict[str, Any]) -> None:
    assert not allows(LAUNCHING, "ec2", "RunInstances", **LAUNCH, **own)


def test_what_the_request_names_in_an_interface_is_not_the_templates() -> None:
    mine = {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-1", "Groups": ["sg-2"]}]}
    by_request = [allow("ec2:RunInstances", f"*:{kind}/*", **OF_THE_TEMPLATE) for kind in INTERFACE]

    assert not allows(LAUNCHING, "ec2", "RunInstances", **LAUNCH, **mine)
    assert allows([*LAUNCHING, *by_request], "ec2", "RunInstances", **LAUNCH, **mine)
    for forgotten in range(len(by_request)):
        fewer = by_request[:forgotten] + by_request[forgotten + 1 :]
        assert not allows([*LAUNCHING, *fewer], "ec2", "RunInstances", **LAUNCH, **mine)


def test_a_launch_without_a_template_is_refused() -> None:
    plain = {key: value for key, value in DATA.items() if key != "TagSpecifications"}

    assert not allows(LAUNCHING, "ec2", "RunInstances", **plain, TagSpecifications=LAUNCH["TagSpecifications"])


def test_of_a_hosts_attributes_the_one_is_asked_for_that_is_changed() -> None:
    given = {"InstanceId": "i-1", "BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeId": "vol-1"}}]}
    volumes = allow("ec2:ModifyInstanceAttribute", "*:volume/*")

    def on(attribute: str) -> list[dict[str, Any]]:
        condition = {"StringEquals": {"ec2:Attribute": attribute}}
        return [allow("ec2:ModifyInstanceAttribute", "*:instance/*", **condition), volumes]

    assert allows(on("BlockDeviceMapping"), "ec2", "ModifyInstanceAttribute", **given)
    assert not allows(on("UserData"), "ec2", "ModifyInstanceAttribute", **given)
    assert not allows(on("BlockDeviceMapping")[:1], "ec2", "ModifyInstanceAttribute", **given)


def test_a_volume_of_a_customers_key_asks_for_a_grant() -> None:
    moves = [allow("ec2:AttachVolume"), allow("ec2:StartInstances")]
    grant = allow(
        "kms:CreateGrant",
        KEY,
        Bool={"kms:GrantIsForAWSResource": "true"},
        StringEquals={"kms:ViaService": "ec2.eu-central-1.amazonaws.com"},
    )

    assert allows(moves, "ec2", "AttachVolume", VolumeId="vol-1", InstanceId="i-1")
    assert not allows(moves, "ec2", "AttachVolume", VolumeId="vol-2", InstanceId="i-1")
    assert not allows(moves, "ec2", "StartInstances", InstanceIds=["i-1"])
    assert allows([*moves, grant], "ec2", "AttachVolume", VolumeId="vol-2", InstanceId="i-1")
    assert allows([*moves, grant], "ec2", "StartInstances", InstanceIds=["i-1"])


def test_a_volume_that_is_restored_asks_about_its_snapshot_and_its_tags() -> None:
    given = {"SnapshotId": "snap-1", "AvailabilityZone": "eu-central-1a"}
    words = [{"ResourceType": "volume", "Tags": [{"Key": "watchkeeper:role", "Value": "database"}]}]

    found = asked("ec2", "CreateVolume", **given, TagSpecifications=words)

    assert set(found) == {"snapshot/snap-1", "volume/*", "ec2:CreateTags volume/*"}
    assert found["snapshot/snap-1"] == {"aws:ResourceTag/watchkeeper:application": ["smallpayroll"]}
    assert found["volume/*"]["aws:RequestTag/watchkeeper:role"] == ["database"]
    assert found["ec2:CreateTags volume/*"]["ec2:CreateAction"] == ["CreateVolume"]


def test_a_volume_of_a_snapshot_under_a_customers_key_asks_for_that_key() -> None:
    plain = [allow("ec2:CreateVolume")]
    by = {"StringEquals": {"kms:ViaService": "ec2.eu-central-1.amazonaws.com"}}
    of_the_key = [
        allow("kms:CreateGrant", KEY, **by, Bool={"kms:GrantIsForAWSResource": "true"}),
        allow("kms:Decrypt", KEY, **by),
        allow("kms:GenerateDataKeyWithoutPlaintext", KEY, **by),
    ]
    zone = {"AvailabilityZone": "eu-central-1a"}

    assert allows(plain, "ec2", "CreateVolume", SnapshotId="snap-1", **zone)
    assert allows([*plain, *of_the_key], "ec2", "CreateVolume", SnapshotId="snap-2", **zone)
    for forgotten in range(len(of_the_key)):
        fewer = of_the_key[:forgotten] + of_the_key[forgotten + 1 :]
        assert not allows([*plain, *fewer], "ec2", "CreateVolume", SnapshotId="snap-2", **zone)


def test_a_group_asks_about_its_network_and_what_it_will_be() -> None:
    words = [{"ResourceType": "security-group", "Tags": [{"Key": "watchkeeper:role", "Value": "rehearsal"}]}]

    found = asked("ec2", "CreateSecurityGroup", GroupName="r", VpcId="vpc-1", TagSpecifications=words)

    assert set(found) == {"vpc/vpc-1", "security-group/*", "ec2:CreateTags security-group/*"}
    assert found["security-group/*"]["aws:RequestTag/watchkeeper:role"] == ["rehearsal"]
    assert found["ec2:CreateTags security-group/*"]["ec2:CreateAction"] == ["CreateSecurityGroup"]
    assert "vpc/*" in asked("ec2", "CreateSecurityGroup", GroupName="r")


RECORDS = "route53:ChangeResourceRecordSets"
MOVE = allow(
    RECORDS,
    "arn:*:route53:::hostedzone/Z1",
    **{
        "ForAllValues:StringLike": {
            f"{RECORDS}NormalizedRecordNames": ["db.payroll.internal", "*.db.payroll.internal"]
        },
        "ForAllValues:StringEquals": {
            f"{RECORDS}Actions": ["CREATE", "DELETE"],
            f"{RECORDS}RecordTypes": ["A"],
        },
        "Null": {f"{RECORDS}NormalizedRecordNames": "false"},
    },
)


@pytest.mark.parametrize(
    ("zone", "names", "action", "kind", "expected"),
    [
        ("Z1", ["DB.payroll.internal."], "CREATE", "A", True),
        ("/hostedzone/Z1", ["db.payroll.internal", "a.db.payroll.internal"], "DELETE", "A", True),
        ("Z2", ["db.payroll.internal"], "CREATE", "A", False),
        ("Z1", ["db.payroll.internal", "www.payroll.internal"], "CREATE", "A", False),
        ("Z1", ["db.payroll.internal"], "UPSERT", "A", False),
        ("Z1", ["db.payroll.internal"], "CREATE", "CNAME", False),
    ],
)
def test_a_record_is_asked_for_by_zone_name_action_and_type(
    zone: str, names: list[str], action: str, kind: str, expected: bool
) -> None:
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": {"Name": name, "Type": kind}} for name in names]}

    assert allows(MOVE, "route53", "ChangeResourceRecordSets", HostedZoneId=zone, ChangeBatch=batch) == expected


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "resource"),
    [
        ("cloudwatch", "PutMetricAlarm", {"AlarmName": "a-1"}, ACCOUNT.format("cloudwatch", "alarm:a-1")),
        ("cloudwatch", "DeleteAlarms", {"AlarmNames": ["a-1"]}, ACCOUNT.format("cloudwatch", "alarm:a-1")),
        ("cloudwatch", "DescribeAlarms", {}, ACCOUNT.format("cloudwatch", "alarm:*")),
        ("kms", "DescribeKey", {"KeyId": KEY}, KEY),
        ("sns", "Publish", {"TopicArn": "arn:aws:sns:x:1:t"}, "arn:aws:sns:x:1:t"),
        ("route53", "GetHostedZone", {"Id": "Z1"}, "arn:aws:route53:::hostedzone/Z1"),
        ("route53", "GetChange", {"Id": "/change/C1"}, "arn:aws:route53:::change/C1"),
        (
            "logs",
            "CreateLogStream",
            {"logGroupName": "g", "logStreamName": "s"},
            ACCOUNT.format("logs", "log-group:g:log-stream:s"),
        ),
    ],
)
def test_other_services_are_asked_about_by_name(service: str, operation: str, parameters: Any, resource: str) -> None:
    action = f"{service}:{operation}"

    assert allows(allow(action, resource), service, operation, **parameters)
    assert not allows(allow(action, f"{resource}x"), service, operation, **parameters)


def test_an_arn_is_compared_part_by_part() -> None:
    def launched(pattern: str) -> bool:
        statement = allow("*", "*", ArnLike={"ec2:LaunchTemplate": pattern})
        return allows([statement, *LAUNCHING[7:]], "ec2", "RunInstances", **LAUNCH)

    assert launched("arn:*:ec2:*:123456789012:launch-template/lt-*")
    assert not launched("arn:*:launch-template/lt-*")
    assert not launched("arn:aws:ec2:eu-*:2*:launch-template/*")
