"""A role may do what its own statements allow, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from region.policies import Place, PolicyError, questions, read, refused

TAGS = {
    "vol-1": {"watchkeeper:application": "smallpayroll", "watchkeeper:role": "database"},
    "vol-2": {},
    "i-1": {"watchkeeper:application": "smallpayroll"},
    "snap-1": {"watchkeeper:application": "smallpayroll"},
}
PLACE = Place("eu-central-1", "123456789012", lambda name: TAGS.get(name, {}), lambda _: ["vol-1", "vol-2"])
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
    ],
)
def test_the_keys_of_a_request_are_asked_for_all_or_for_any(operator: str, keys: list[str], expected: bool) -> None:
    policy = allow("ec2:CreateTags", "*", **{operator: {"aws:TagKeys": ["watchkeeper:*"]}})
    given = [{"Key": key, "Value": "x"} for key in keys]

    assert allows(policy, "ec2", "CreateTags", Resources=["snap-1"], Tags=given) == expected


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
    with pytest.raises(PolicyError, match="ec2:DetachVolume"):
        questions(PLACE, "ec2", "DetachVolume", {"VolumeId": "vol-1"})
