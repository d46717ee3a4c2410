"""What the roles may do: reads where AWS can say no more, and writes on nothing that is not ours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.template.conftest import conditions, kind, listed

if TYPE_CHECKING:
    from tests.template.conftest import Node, Template

# https://docs.aws.amazon.com/service-authorization/latest/reference/ lists no resource for these.
WITHOUT_RESOURCES = re.compile(
    r"(autoscaling|elasticloadbalancing):Describe\w+|tag:GetResources|"
    r"ec2:Describe(?!InstanceAttribute)[A-Z]\w+|ssm:(GetCommandInvocation|DescribeInstanceInformation|ListCommandInvocations)"
)
READ = re.compile(r"[a-z0-9]+:(Describe|Get|List)\w+")
SCOPE = re.compile(
    r"aws:(ResourceTag|RequestTag)/watchkeeper:|ssm:resourceTag/watchkeeper:|ec2:(CreateAction|LaunchTemplate)"
    r"|route53:ChangeResourceRecordSetsNormalizedRecordNames"
)
OF_ONE_STACK = ":alarm:${AWS::StackName}-"


def is_one_thing(resource: Node) -> bool:
    """What an ARN may end in without a condition: one thing, by name; alarms, by the name of the stack; any VPC.

    IAM asks about the VPC of a security group that is made, and about the group's tags beside it.
    """
    return "*" not in str(resource) or OF_ONE_STACK in str(resource) or kind(resource) == "vpc"


SEND = "ssm:SendCommand"
# Of a role's own policies, all together; of each managed one:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MOST_INLINE, MOST_MANAGED = 10_240, 6_144


def keys(statement: Node) -> set[str]:
    return {key for operands in statement.get("Condition", {}).values() for key in operands}


def writes(template: Template) -> list[tuple[str, str, Node]]:
    return [
        (name, action, statement)
        for name, statement in template.statements
        for action in listed(statement["Action"])
        if not READ.fullmatch(action)
    ]


def test_every_statement_says_whether_it_observes_or_applies(template: Template) -> None:
    for _, statement in template.statements:
        reads = [READ.fullmatch(action) is not None for action in listed(statement["Action"])]
        assert statement["Effect"] == "Allow"
        assert statement["Sid"].startswith("Observe" if all(reads) else "Apply")
        assert all(reads) or not any(reads)


def test_no_action_is_a_pattern(template: Template) -> None:
    assert not [
        action for _, statement in template.statements for action in listed(statement["Action"]) if "*" in action
    ]


def test_only_reads_that_aws_cannot_scope_are_on_everything(template: Template) -> None:
    for _, statement in template.statements:
        if "*" in listed(statement["Resource"]):
            assert all(WITHOUT_RESOURCES.fullmatch(action) for action in listed(statement["Action"]))


def test_every_star_gives_its_reason(template: Template) -> None:
    lines = [line for line in template.text.splitlines() if re.search(r"Resource: '?\*'?", line)]

    assert lines
    assert all(line.endswith("# no resource-level permissions") for line in lines)


def test_every_write_is_on_one_thing_or_on_what_our_tags_say(template: Template) -> None:
    found = writes(template)

    assert found
    for name, action, statement in found:
        assert all(is_one_thing(resource) for resource in listed(statement["Resource"])) or any(
            SCOPE.match(key) for key in keys(statement)
        ), f"{name} may {action} without a condition"


def test_the_parameter_applications_is_the_value_of_every_condition_on_the_application(template: Template) -> None:
    for _, statement in template.statements:
        for operator, operands in statement.get("Condition", {}).items():
            for key, value in operands.items():
                if key.endswith("watchkeeper:application"):
                    assert operator in ("StringLike", "StringLikeIfExists")
                    assert value == {"Ref": "Applications"}


def test_only_where_a_group_is_made_is_on_all_of_a_kind_without_a_condition(template: Template) -> None:
    found = [(name, action) for name, action, one in writes(template) if "vpc" in map(kind, listed(one["Resource"]))]

    assert found == [("RehearseRestoreMayLaunch", "ec2:CreateSecurityGroup")]
    assert conditions(template, "RehearseRestore", "ec2:CreateSecurityGroup", "security-group") != [{}]


@pytest.mark.parametrize(
    "action",
    [
        "ec2:AttachVolume",
        "ec2:CreateSnapshots",
        "ec2:DeleteSnapshot",
        "ec2:DeleteVolume",
        "ec2:DetachVolume",
        "ec2:TerminateInstances",
        "ssm:SendCommand",
    ],
)
def test_what_touches_a_database_asks_for_the_application(template: Template, action: str) -> None:
    statements = [one for _, written, one in writes(template) if written == action]

    assert statements
    for statement in statements:
        by_name = all(is_one_thing(resource) for resource in listed(statement["Resource"]))
        assert by_name or any(key.endswith("/watchkeeper:application") for key in keys(statement))


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("SnapshotDatabase", ["Freeze"]),
        ("ReplaceDatabaseHost", ["Start"]),
        ("RestoreDatabase", ["MountCopy", "Start", "Stop"]),
        ("RehearseRestore", ["Check", "Start"]),
    ],
)
def test_commands_are_our_documents_on_tagged_hosts_in_two_statements(
    template: Template, function: str, names: list[str]
) -> None:
    document, hosts = [one for by, action, one in writes(template) if (by, action) == (f"{function}Function", SEND)]

    sent = [resource["Sub"].rpartition(":document/")[2] for resource in listed(document["Resource"])]
    assert [one.removesuffix("Document}").removesuffix("Database") for one in sent] == [f"${{{name}" for name in names]
    assert hosts["Resource"]["Sub"].endswith(":instance/*")
    assert "ssm:resourceTag/watchkeeper:application" in keys(hosts)


def test_nobody_may_send_the_document_that_a_person_sends(template: Template) -> None:
    assert "PrepareVolumeDocument" not in str(template.statements)


def test_a_new_snapshot_must_say_at_once_whose_it_is_and_claim_nothing(template: Template) -> None:
    (condition,) = [
        one["Condition"]
        for _, action, one in writes(template)
        if action == "ec2:CreateSnapshots" and one["Resource"]["Sub"].endswith("::snapshot/*")
    ]

    assert condition == {
        "StringLike": {"aws:RequestTag/watchkeeper:application": {"Ref": "Applications"}},
        "StringEquals": {
            "aws:RequestTag/watchkeeper:role": "snapshot",
            "aws:RequestTag/watchkeeper:consistency": "crash",
        },
    }


def test_only_a_snapshot_of_ours_that_is_not_paused_may_be_deleted(template: Template) -> None:
    ((name, _, statement),) = [one for one in writes(template) if one[1] == "ec2:DeleteSnapshot"]

    assert name == "PruneSnapshotsFunction"
    assert statement["Condition"]["StringEquals"] == {"aws:ResourceTag/watchkeeper:role": "snapshot"}
    assert statement["Condition"]["Null"] == {"aws:ResourceTag/watchkeeper:paused": "true"}


def test_tags_are_written_at_creation_or_afterwards_only_as_a_conclusion_or_as_peoples_own(template: Template) -> None:
    creation, conclusion, own = [
        one["Condition"]
        for name, action, one in writes(template)
        if (name, action) == ("SnapshotDatabaseFunction", "ec2:CreateTags")
    ]

    assert creation == {"StringEquals": {"ec2:CreateAction": "CreateSnapshots"}}
    assert conclusion["ForAllValues:StringEquals"]["aws:TagKeys"] == [
        "watchkeeper:consistency",
        "watchkeeper:frozen-ms",
        "watchkeeper:lsn",
        "watchkeeper:role",
        "watchkeeper:seconds-to-set",
    ]
    assert own == {
        "StringLike": {"aws:ResourceTag/watchkeeper:application": {"Ref": "Applications"}},
        "StringEquals": {"aws:ResourceTag/watchkeeper:role": "snapshot"},
        "ForAllValues:StringNotLike": {"aws:TagKeys": "watchkeeper:*"},
    }


def test_who_only_shows_writes_nothing(template: Template) -> None:
    assert not [action for name, action, _ in writes(template) if name.startswith("ShowStatus")]


def test_a_function_may_invoke_itself_and_a_restore_the_one_that_makes_sets(template: Template) -> None:
    policies = template.of_type("AWS::IAM::Policy")
    invoking = {name: one for name, action, one in writes(template) if action == "lambda:InvokeFunction"}

    restoring = invoking.pop("RestoreDatabaseFunction")
    assert restoring["Resource"] == {"GetAtt": "SnapshotDatabaseFunction.Arn"}
    assert {name for name in invoking if not name.endswith("ScheduleRole")} == set(policies)
    for name, policy in policies.items():
        function = f"{name.removesuffix('MayHandOn')}Function"
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert policy["Roles"] == [{"Ref": f"{function}Role"}]
        assert (statement["Action"], statement["Resource"]) == ("lambda:InvokeFunction", {"GetAtt": f"{function}.Arn"})


def test_only_the_scheduler_of_this_account_may_take_a_role_of_a_schedule(template: Template) -> None:
    roles = template.of_type("AWS::IAM::Role")
    assert [name for name in roles if not name.endswith("ScheduleRole")] == ["RehearsalRole"]
    for role in [one for name, one in roles.items() if name.endswith("ScheduleRole")]:
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_no_account_is_named_and_of_aws_policies_only_the_one_for_agents(template: Template) -> None:
    assert template.text.count("ManagedPolicyArns") == 1
    assert template.text.count(":iam::aws:policy/") == template.text.count(":policy/AmazonSSMManagedInstanceCore") == 1
    assert "arn:aws:" not in template.text
    assert not re.search(r"\b\d{12}\b", template.text)


def test_every_write_stands_in_the_decisions_with_its_scope(template: Template) -> None:
    rows = [line.split("|")[1] for line in Path("docs/decisions.md").read_text().splitlines() if line.startswith("| `")]

    assert {action for _, action, _ in writes(template)} == set(re.findall(r"`(\w+:\w+)`", "".join(rows)))


@pytest.mark.parametrize("name", ["SnapshotDatabase", "ReplaceDatabaseHost", "RestoreDatabase", "RehearseRestore"])
def test_the_policies_are_not_longer_than_iam_takes_them(template: Template, name: str) -> None:
    role = {"Ref": f"{name}FunctionRole"}
    inline = [*template.functions[name]["Policies"]]
    inline += [one["PolicyDocument"] for one in template.of_type("AWS::IAM::Policy").values() if role in one["Roles"]]
    managed = [one["PolicyDocument"] for one in template.of_type("AWS::IAM::ManagedPolicy").values()]

    assert sum(map(length, inline)) <= MOST_INLINE
    assert managed
    assert all(length(one) <= MOST_MANAGED for one in managed)


def length(document: Node) -> int:
    return len(json.dumps(written(document), separators=(",", ":")))


def written(node: Node) -> Any:
    """About what CloudFormation makes of it; with 180 characters of applications, and names of 60."""
    if isinstance(node, list):
        return [written(one) for one in node]
    if not isinstance(node, dict):
        return node
    if "Sub" in node:
        return re.sub(r"\$\{(AWS::)?\w+\}", lambda found: "x" * (12 if found[1] else 60), node["Sub"])
    if set(node) & {"Ref", "GetAtt", "Split", "Join"}:
        return "x" * (180 if node == {"Ref": "Applications"} else 110)
    return {key: written(value) for key, value in node.items()}
