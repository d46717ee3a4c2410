"""What wakes replace_database_host, and how narrow each of its writes is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.template.conftest import NEW, OURS, each_rule_wakes_and_may, kind, listed

if TYPE_CHECKING:
    from tests.template.conftest import Node, Template

NAME = "ReplaceDatabaseHost"


def statements(template: Template, action: str) -> dict[str, Node]:
    """The statements that let this function do something, by the kind of resource that they speak of."""
    found = [one for by, one in template.statements if by.startswith(NAME) and action in listed(one["Action"])]
    return {kind(resource): one for one in found for resource in listed(one["Resource"])}


def condition(template: Template, action: str, of: str) -> Node:
    return statements(template, action)[of]["Condition"]


# What wakes it


def pattern(template: Template, name: str) -> Node:
    return template.of_type("AWS::Events::Rule")[name]["EventPattern"]


def test_an_alarm_that_it_keeps_wakes_it_when_it_rings(template: Template) -> None:
    given = pattern(template, "ReplaceDatabaseHostOnAlarm")

    assert (given["source"], given["detail-type"]) == (["aws.cloudwatch"], ["CloudWatch Alarm State Change"])
    assert given["detail"]["state"] == {"value": ["ALARM"]}
    kept = template.functions[NAME]["Environment"]["Variables"]["ALARM_PREFIX"]
    assert given["detail"]["alarmName"] == [{"prefix": kept}]


def test_an_instance_that_ends_or_begins_wakes_it(template: Template) -> None:
    given = pattern(template, "ReplaceDatabaseHostOnStateChange")

    assert (given["source"], given["detail-type"]) == (["aws.ec2"], ["EC2 Instance State-change Notification"])
    assert given["detail"] == {"state": ["running", "stopped", "terminated"]}


def test_each_rule_wakes_it_and_may(template: Template) -> None:
    each_rule_wakes_and_may(template, NAME)


def test_alarms_of_people_may_wake_it_too_if_they_are_of_this_account(template: Template) -> None:
    (given,) = [
        one
        for one in template.of_type("AWS::Lambda::Permission").values()
        if one["Principal"] == "lambda.alarms.cloudwatch.amazonaws.com"
        and one["FunctionName"] == {"Ref": f"{NAME}Function"}
    ]

    assert given["SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_topics_of_people_may_wake_it_too_if_they_are_of_this_account(template: Template) -> None:
    (given,) = [
        one for one in template.of_type("AWS::Lambda::Permission").values() if one["Principal"] == "sns.amazonaws.com"
    ]

    assert given["FunctionName"] == {"Ref": f"{NAME}Function"}
    assert given["SourceArn"] == {"Sub": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:*"}


def test_it_is_swept_each_minute(template: Template) -> None:
    assert template.resources["ReplaceDatabaseHostEachMinute"]["Properties"]["ScheduleExpression"] == "rate(1 minute)"


def test_one_parameter_puts_all_that_wakes_it_to_sleep(template: Template) -> None:
    woken_by = ("AWS::Scheduler::Schedule", "AWS::Events::Rule")
    states = [
        given.get("State")
        for type_ in woken_by
        for name, given in template.of_type(type_).items()
        if name.startswith(NAME)
    ]

    assert states == [{"If": ["ReplacesHosts", "ENABLED", "DISABLED"]}] * 3
    assert template.parsed["Conditions"]["ReplacesHosts"] == {"Equals": [{"Ref": "ReplaceDatabaseHosts"}, "true"]}


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("alarm", 1),
        ("direct", 1),
        ("sns", 1),
        ("composite", 2),
        ("composite_direct", 1),
        ("terminated", 1),
        ("stopped", 1),
    ],
)
def test_there_is_an_event_in_each_shape_that_aws_sends(case: str, named: int) -> None:
    text = Path(f"events/replace_database_host.{case}.json").read_text()

    assert len(set(re.findall(r"i-[0-9a-f]{17}", text))) == named


def test_the_files_of_rules_match_their_rules(template: Template) -> None:
    for case, rule in {"alarm": "OnAlarm", "terminated": "OnStateChange", "stopped": "OnStateChange"}.items():
        event = json.loads(Path(f"events/replace_database_host.{case}.json").read_text())
        given = pattern(template, f"{NAME}{rule}")
        assert event["source"] in given["source"]
        assert event["detail-type"] in given["detail-type"]
        if rule == "OnStateChange":
            assert event["detail"]["state"] in given["detail"]["state"]
        else:
            assert event["detail"]["alarmName"].startswith("watchkeeper-database-host-")


# What it may do


def test_a_launch_is_by_a_tagged_template_and_says_what_it_makes(template: Template) -> None:
    found = statements(template, "ec2:RunInstances")

    assert found["launch-template"]["Condition"] == {
        "StringLike": OURS,
        "StringEquals": {"aws:ResourceTag/watchkeeper:role": "database-launch"},
    }
    assert found["instance"]["Condition"]["StringLike"] == NEW
    assert found["instance"]["Condition"]["StringEquals"] == {"aws:RequestTag/watchkeeper:role": "database-host"}


def test_a_launch_takes_nothing_that_its_template_does_not_name(template: Template) -> None:
    found = statements(template, "ec2:RunInstances")

    template_arn = {"ec2:LaunchTemplate": found["launch-template"]["Resource"]}
    for of in set(found) - {"launch-template"}:
        assert found[of]["Condition"]["ArnLike"] == template_arn
        if of != "instance":  # whose type may be another
            assert found[of]["Condition"]["Bool"] == {"ec2:IsLaunchTemplateResource": "true"}
    assert {"image", "key-pair", "network-interface", "security-group", "subnet", "volume"} <= set(found)


def test_only_roles_that_a_parameter_names_may_be_given_to_hosts_and_only_by_ec2(template: Template) -> None:
    ((by, given),) = [
        one for one in template.statements if one[0].startswith(NAME) and "iam:PassRole" in listed(one[1]["Action"])
    ]

    assert given["Resource"] == {"Ref": "LaunchRoleArns"}
    assert given["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    assert template.resources[by]["Condition"] == "HasLaunchRoles"


@pytest.mark.parametrize("action", ["StopInstances", "StartInstances", "AttachVolume", "DetachVolume"])
def test_only_a_host_of_ours_that_is_not_paused_is_touched(template: Template, action: str) -> None:
    assert condition(template, f"ec2:{action}", "instance") == {
        "StringLike": OURS,
        "StringEquals": {"aws:ResourceTag/watchkeeper:role": "database-host"},
        "Null": {"aws:ResourceTag/watchkeeper:paused": "true"},
    }


@pytest.mark.parametrize("action", ["AttachVolume", "DetachVolume"])
def test_only_a_volume_of_ours_that_is_not_paused_is_moved(template: Template, action: str) -> None:
    assert condition(template, f"ec2:{action}", "volume") == {
        "StringLike": OURS,
        "StringEquals": {"aws:ResourceTag/watchkeeper:role": "database"},
        "Null": {"aws:ResourceTag/watchkeeper:paused": "true"},
    }


@pytest.mark.parametrize("action", ["AttachNetworkInterface", "DetachNetworkInterface"])
def test_only_an_interface_of_ours_is_moved(template: Template, action: str) -> None:
    assert condition(template, f"ec2:{action}", "network-interface")["StringLike"] == OURS


def test_only_a_host_that_was_retired_may_be_terminated(template: Template) -> None:
    given = condition(template, "ec2:TerminateInstances", "instance")

    assert given["Null"]["aws:ResourceTag/watchkeeper:retired"] == "false"
    assert given["StringLike"] == OURS


def test_of_a_hosts_attributes_only_its_devices_may_be_changed(template: Template) -> None:
    assert condition(template, "ec2:ModifyInstanceAttribute", "instance")["StringEquals"] == {
        "aws:ResourceTag/watchkeeper:role": "database-host",
        "ec2:Attribute": "BlockDeviceMapping",
    }


@pytest.mark.parametrize(
    ("of", "role", "words"),
    [
        ("volume", "database", {"host", "refused", "replaced", "volumes"}),
        ("instance", "database-host", {"retired"}),
        ("snapshot", "snapshot", {"lost"}),
    ],
)
def test_it_remembers_by_words_of_its_own(template: Template, of: str, role: str, words: set[str]) -> None:
    (given,) = [
        one["Condition"]
        for by, one in template.statements
        if by == f"{NAME}Function" and one["Action"] == "ec2:CreateTags" and kind(one["Resource"]) == of
    ]

    assert given["StringLike"] == OURS
    assert given["StringEquals"] == {"aws:ResourceTag/watchkeeper:role": role}
    assert set(given["ForAllValues:StringEquals"]["aws:TagKeys"]) == {f"watchkeeper:{word}" for word in words}


def test_it_forgets_words_of_its_own_and_never_all_tags_at_once(template: Template) -> None:
    given = condition(template, "ec2:DeleteTags", "volume")

    words = ["refused", "retired"]
    assert set(statements(template, "ec2:DeleteTags")) == {"instance", "volume"}
    assert given["ForAllValues:StringEquals"] == {"aws:TagKeys": [f"watchkeeper:{word}" for word in words]}
    assert given["Null"] == {"aws:TagKeys": "false"}


def test_only_named_records_of_named_zones_are_moved_and_never_overwritten(template: Template) -> None:
    ((by, given),) = [
        one for one in template.statements if "route53:ChangeResourceRecordSets" in listed(one[1]["Action"])
    ]

    assert "HostedZoneIds" in str(given["Resource"])
    key = "route53:ChangeResourceRecordSets"
    assert given["Condition"]["ForAllValues:StringLike"] == {f"{key}NormalizedRecordNames": {"Ref": "RecordNames"}}
    assert given["Condition"]["ForAllValues:StringEquals"] == {
        f"{key}Actions": ["CREATE", "DELETE"],
        f"{key}RecordTypes": ["A"],
    }
    assert template.resources[by]["Condition"] == "HasHostedZones"


def test_a_volume_is_made_only_if_a_parameter_says_so_and_only_of_a_snapshot_of_ours(template: Template) -> None:
    found = statements(template, "ec2:CreateVolume")

    assert template.resources["ReplaceDatabaseHostMayRestore"]["Condition"] == "RestoresVolumes"
    assert found["snapshot"]["Condition"]["StringEquals"] == {"aws:ResourceTag/watchkeeper:role": "snapshot"}
    assert found["volume"]["Condition"]["StringLike"] == NEW


def test_a_volume_that_is_made_gets_words_of_ours_alone(template: Template) -> None:
    (given,) = [
        one["Condition"]
        for by, one in template.statements
        if by == "ReplaceDatabaseHostMayRestore" and one["Action"] == "ec2:CreateTags"
    ]

    assert given["StringEquals"] == {"ec2:CreateAction": "CreateVolume"}
    words = ["address", "application", "host", "keep", "restored-from", "role"]
    assert given["ForAllValues:StringEquals"] == {"aws:TagKeys": [f"watchkeeper:{word}" for word in words]}


def test_it_deletes_no_volume_and_detaches_none_without_naming_the_host(template: Template) -> None:
    assert not statements(template, "ec2:DeleteVolume")
    assert set(statements(template, "ec2:DetachVolume")) == {"instance", "volume"}


def test_keys_are_used_by_ec2_alone_and_are_those_that_a_parameter_names(template: Template) -> None:
    policy = template.resources["KeysPolicy"]
    grants, look, use = policy["Properties"]["PolicyDocument"]["Statement"]

    assert policy["Condition"] == "HasKeys"
    assert {str(one["Resource"]) for one in (grants, look, use)} == {str({"Ref": "KeyArns"})}
    by_ec2 = {"kms:ViaService": {"Sub": "ec2.${AWS::Region}.${AWS::URLSuffix}"}}
    assert grants["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}, "StringEquals": by_ec2}
    assert look["Condition"] == use["Condition"] == {"StringEquals": by_ec2}


def test_all_that_put_volumes_on_hosts_may_use_the_same_keys(template: Template) -> None:
    attaching = {by for by, one in template.statements if "ec2:AttachVolume" in listed(one["Action"])}

    roles = {one["Ref"] for one in template.resources["KeysPolicy"]["Properties"]["Roles"]}
    assert roles == {f"{name}Role" for name in attaching}


def test_alarms_are_its_own_by_the_beginning_of_their_names(template: Template) -> None:
    prefix = template.functions[NAME]["Environment"]["Variables"]["ALARM_PREFIX"]["Sub"]

    for action in ("PutMetricAlarm", "DeleteAlarms"):
        (given,) = statements(template, f"cloudwatch:{action}").values()
        assert given["Resource"]["Sub"].endswith(f":alarm:{prefix}i-*")


def test_an_alarm_that_it_puts_can_do_nothing_but_tell(template: Template) -> None:
    (given,) = statements(template, "cloudwatch:PutMetricAlarm").values()

    assert given["Condition"] == {"ForAllValues:StringEquals": {"cloudwatch:AlarmActions": [{"Ref": "NoticesTopic"}]}}
