"""What wakes rehearse_restore, and that it makes and ends nothing but what is tagged as a rehearsal's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.template.conftest import NEW, OURS, as_role, conditions, kind, listed, of_role, words

if TYPE_CHECKING:
    from tests.template.conftest import Node, Template

NAME = "RehearseRestore"
SCRATCH = {"StringLike": OURS, "StringEquals": of_role("rehearsal")}
SAYS_SO = {"StringLike": NEW, "StringEquals": as_role("rehearsal")}
ROLE = {"GetAtt": "RehearsalRole.Arn"}
PROFILE = {"GetAtt": "RehearsalProfile.Arn"}


def launching(template: Template, of: str) -> Node:
    (found,) = conditions(template, NAME, "ec2:RunInstances", of)
    return found


# What wakes it


def test_it_is_swept_each_hour_and_one_parameter_puts_it_to_sleep(template: Template) -> None:
    given = template.resources["RehearseRestoreHourly"]["Properties"]

    assert given["ScheduleExpression"] == "rate(1 hour)"
    assert given["State"] == {"If": ["RehearsesRestores", "ENABLED", "DISABLED"]}
    assert template.parsed["Conditions"]["RehearsesRestores"] == {"Equals": [{"Ref": "RehearseRestores"}, "true"]}


# What it may launch


def test_a_launch_is_by_a_tagged_template_with_our_profile_and_says_that_it_is_a_rehearsal(template: Template) -> None:
    by = {"ec2:LaunchTemplate": {"Sub": launch_template(template)}}

    assert launching(template, "launch-template") == {"StringLike": OURS, "StringEquals": of_role("database-launch")}
    profile = {"ArnEquals": {"ec2:InstanceProfile": PROFILE}}
    assert launching(template, "instance") == {"ArnLike": by, **profile, **SAYS_SO}
    assert launching(template, "volume") == {"ArnLike": by, **SAYS_SO}


def test_of_security_groups_only_one_of_a_rehearsal_is_launched_into(template: Template) -> None:
    by = {"ec2:LaunchTemplate": {"Sub": launch_template(template)}}

    assert launching(template, "security-group") == {"ArnLike": by, **SCRATCH}


def test_all_else_is_as_the_template_names_it_but_what_the_request_names_anew(template: Template) -> None:
    by = {"ec2:LaunchTemplate": {"Sub": launch_template(template)}}

    named = {"ArnLike": by, "Bool": {"ec2:IsLaunchTemplateResource": "true"}}
    assert all(
        launching(template, of) == named for of in ("capacity-reservation", "image", "key-pair", "placement-group")
    )
    assert all(launching(template, of) == {"ArnLike": by} for of in ("subnet", "network-interface", "snapshot"))


def launch_template(template: Template) -> str:
    (found,) = [
        one["Resource"]["Sub"]
        for by, one in template.statements
        if by.startswith(NAME) and "launch-template" in map(kind, listed(one["Resource"]))
    ]
    return str(found)


def test_a_scratch_host_may_be_reached_by_systems_manager_and_nothing_else(template: Template) -> None:
    role = template.resources["RehearsalRole"]["Properties"]

    assert role["ManagedPolicyArns"] == [{"Sub": "arn:${AWS::Partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"}]
    assert "Policies" not in role
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert not [by for by, one in template.statements if by == "RehearsalRole"]
    assert "RehearsalRole" not in str(
        [one.get("Roles") for one in template.of_type("AWS::IAM::ManagedPolicy").values()]
    )


def test_that_role_is_the_only_one_that_it_may_give_away_and_only_to_ec2(template: Template) -> None:
    given = [one for by, one in template.statements if by.startswith(NAME) and one["Action"] == "iam:PassRole"]

    assert [one["Resource"] for one in given] == [ROLE]
    assert given[0]["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    assert template.resources["RehearsalProfile"]["Properties"] == {"Roles": [{"Ref": "RehearsalRole"}]}
    assert template.functions[NAME]["Environment"]["Variables"]["REHEARSAL_PROFILE"] == PROFILE


@pytest.mark.parametrize("of", ["instance", "network-interface", "volume"])
def test_what_is_launched_is_tagged_while_it_is_and_never_as_something_else(template: Template, of: str) -> None:
    given = conditions(template, NAME, "ec2:CreateTags", of)[-1]

    assert given == {
        "StringEquals": {"ec2:CreateAction": "RunInstances"},
        "StringEqualsIfExists": as_role("rehearsal"),
    }


# What it may make, change and end


def test_a_volume_is_made_of_a_snapshot_of_ours_and_says_that_it_is_a_rehearsals(template: Template) -> None:
    assert conditions(template, NAME, "ec2:CreateVolume", "snapshot") == [
        {"StringLike": OURS, "StringEquals": of_role("snapshot")}
    ]
    assert conditions(template, NAME, "ec2:CreateVolume", "volume") == [SAYS_SO]
    assert conditions(template, NAME, "ec2:CreateTags", "volume")[0] == {
        "StringEquals": {**as_role("rehearsal"), "ec2:CreateAction": "CreateVolume"}
    }


def test_a_group_is_made_as_a_rehearsals_and_only_such_a_one_is_changed_or_deleted(template: Template) -> None:
    assert conditions(template, NAME, "ec2:CreateSecurityGroup", "security-group") == [SAYS_SO]
    assert conditions(template, NAME, "ec2:CreateTags", "security-group") == [
        {"StringEquals": {**as_role("rehearsal"), "ec2:CreateAction": "CreateSecurityGroup"}}
    ]
    for action in ("AuthorizeSecurityGroupEgress", "RevokeSecurityGroupEgress", "RevokeSecurityGroupIngress"):
        assert conditions(template, NAME, f"ec2:{action}", "security-group") == [SCRATCH]
    assert conditions(template, NAME, "ec2:DeleteSecurityGroup", "security-group") == [SCRATCH]


def test_nobody_may_open_a_way_in(template: Template) -> None:
    actions = {action for _, one in template.statements for action in listed(one["Action"])}

    assert {action for action in actions if "Ingress" in action} == {"ec2:RevokeSecurityGroupIngress"}
    assert not [action for action in actions if "ModifySecurityGroup" in action]


@pytest.mark.parametrize("of", ["instance", "volume"])
def test_volumes_are_attached_from_a_rehearsal_to_a_rehearsal(template: Template, of: str) -> None:
    assert conditions(template, NAME, "ec2:AttachVolume", of) == [SCRATCH]
    assert conditions(template, NAME, "ec2:DetachVolume", of) == []


def test_commands_go_to_scratch_hosts_alone(template: Template) -> None:
    (given,) = conditions(template, NAME, "ssm:SendCommand", "instance")

    assert given == {
        "StringLike": {"ssm:resourceTag/watchkeeper:application": {"Ref": "Applications"}},
        "StringEquals": {"ssm:resourceTag/watchkeeper:role": "rehearsal"},
    }


def test_only_a_scratch_host_is_terminated_and_its_root_goes_with_it(template: Template) -> None:
    devices = {**of_role("rehearsal"), "ec2:Attribute": "BlockDeviceMapping"}

    assert conditions(template, NAME, "ec2:TerminateInstances", "instance") == [SCRATCH]
    assert conditions(template, NAME, "ec2:ModifyInstanceAttribute", "instance") == [
        {"StringLike": OURS, "StringEquals": devices}
    ]
    assert conditions(template, NAME, "ec2:ModifyInstanceAttribute", "volume") == [SCRATCH]


def test_only_a_rehearsal_deletes_volumes_and_only_what_was_restored_for_it_and_never_was_a_database(
    template: Template,
) -> None:
    assert {by for by, one in template.statements if "ec2:DeleteVolume" in listed(one["Action"])} == {f"{NAME}Function"}
    key = "aws:ResourceTag/watchkeeper:"
    never = {f"{key}host": "true", f"{key}restored-from": "false", f"{key}volumes": "true"}
    assert conditions(template, NAME, "ec2:DeleteVolume", "volume") == [{**SCRATCH, "Null": never}]


def test_of_a_set_it_writes_the_outcome_and_nothing_else(template: Template) -> None:
    assert conditions(template, NAME, "ec2:CreateTags", "snapshot") == [
        {
            "StringLike": OURS,
            "StringEquals": of_role("snapshot"),
            "ForAllValues:StringEquals": words("failed", "proven-at", "recovery-ms"),
        }
    ]
    assert not [
        by for by, one in template.statements if by.startswith(NAME) and "ec2:DeleteTags" in listed(one["Action"])
    ]
