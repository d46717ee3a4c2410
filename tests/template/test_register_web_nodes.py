"""What wakes register_web_nodes, and how narrow each of its writes is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.template.conftest import each_rule_wakes_and_may, listed

if TYPE_CHECKING:
    from tests.template.conftest import Node, Template

NAME = "RegisterWebNodes"
EVENTS = "events/register_web_nodes.{}.json"
OURS = {"aws:ResourceTag/watchkeeper:application": {"Ref": "Applications"}}


def statement(template: Template, action: str) -> Node:
    """The one statement that lets this function do something."""
    (found,) = [one for by, one in template.statements if by == f"{NAME}Function" and action in listed(one["Action"])]
    return found


def pattern(template: Template, rule: str) -> Node:
    return template.of_type("AWS::Events::Rule")[f"{NAME}{rule}"]["EventPattern"]


# What wakes it


def test_an_instance_that_ends_or_runs_now_wakes_it(template: Template) -> None:
    given = pattern(template, "OnStateChange")

    assert (given["source"], given["detail-type"]) == (["aws.ec2"], ["EC2 Instance State-change Notification"])
    assert given["detail"] == {"state": ["running", "shutting-down", "stopped", "stopping", "terminated"]}


def test_any_alarm_wakes_it_but_those_of_database_hosts(template: Template) -> None:
    given = pattern(template, "OnAlarm")
    kept = template.functions["ReplaceDatabaseHost"]["Environment"]["Variables"]["ALARM_PREFIX"]

    assert (given["source"], given["detail-type"]) == (["aws.cloudwatch"], ["CloudWatch Alarm State Change"])
    assert given["detail"] == {"alarmName": [{"anything-but": {"prefix": kept}}], "state": {"value": ["ALARM"]}}


def test_each_rule_wakes_it_and_may(template: Template) -> None:
    each_rule_wakes_and_may(template, NAME)


def test_alarms_of_people_may_wake_it_too_if_they_are_of_this_account(template: Template) -> None:
    given = template.of_type("AWS::Lambda::Permission")[f"{NAME}YourAlarmsMayInvoke"]

    assert given["Principal"] == "lambda.alarms.cloudwatch.amazonaws.com"
    assert given["SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_it_is_swept_each_minute(template: Template) -> None:
    assert template.resources[f"{NAME}EachMinute"]["Properties"]["ScheduleExpression"] == "rate(1 minute)"


def test_one_parameter_puts_all_that_wakes_it_to_sleep(template: Template) -> None:
    woken_by = ("AWS::Scheduler::Schedule", "AWS::Events::Rule")
    states = [
        given.get("State")
        for kind in woken_by
        for name, given in template.of_type(kind).items()
        if name.startswith(NAME)
    ]

    assert states == [{"If": ["RegistersNodes", "ENABLED", "DISABLED"]}] * 3
    assert template.parsed["Conditions"]["RegistersNodes"] == {"Equals": [{"Ref": "RegisterWebNodes"}, "true"]}


@pytest.mark.parametrize(
    ("case", "named"),
    [("alarm", 1), ("direct", 1), ("sns", 1), ("composite", 2), ("terminated", 1), ("running", 1), ("dry_run", 0)],
)
def test_there_is_an_event_in_each_shape_that_aws_sends(case: str, named: int) -> None:
    text = Path(EVENTS.format(case)).read_text()

    assert len(set(re.findall(r"i-[0-9a-f]{17}", text))) == named


@pytest.mark.parametrize("case", ["terminated", "running"])
def test_the_files_of_rules_match_their_rules(template: Template, case: str) -> None:
    event = json.loads(Path(EVENTS.format(case)).read_text())
    given = pattern(template, "OnStateChange")

    assert event["source"] in given["source"]
    assert event["detail-type"] in given["detail-type"]
    assert event["detail"]["state"] in given["detail"]["state"]


# What it may do


@pytest.mark.parametrize(
    ("actions", "resource"),
    [
        (["DeregisterTargets", "RegisterTargets"], "targetgroup/*"),
        (["DeregisterInstancesFromLoadBalancer", "RegisterInstancesWithLoadBalancer"], "loadbalancer/*"),
    ],
)
def test_only_the_members_of_a_pool_of_ours_that_is_not_paused_are_changed(
    template: Template, actions: list[str], resource: str
) -> None:
    for action in actions:
        given = statement(template, f"elasticloadbalancing:{action}")
        assert given["Resource"]["Sub"].endswith(f":{resource}")
        assert given["Condition"] == {
            "StringLike": OURS,
            "StringEquals": {"aws:ResourceTag/watchkeeper:role": "web-pool"},
            "Null": {"aws:ResourceTag/watchkeeper:paused": "true"},
        }


@pytest.mark.parametrize(
    ("action", "words", "more"),
    [
        ("CreateTags", ["registered", "registered-ip"], {}),
        ("DeleteTags", ["registered"], {"Null": {"aws:TagKeys": "false"}}),
    ],
)
def test_nodes_remember_and_forget_words_of_its_own_and_never_all_at_once(
    template: Template, action: str, words: list[str], more: Node
) -> None:
    given = statement(template, f"ec2:{action}")

    assert given["Resource"]["Sub"].endswith(":instance/*")
    assert given["Condition"] == {
        "StringLike": OURS,
        "StringEquals": {"aws:ResourceTag/watchkeeper:role": "web-node"},
        "ForAllValues:StringEquals": {"aws:TagKeys": [f"watchkeeper:{word}" for word in words]},
        **more,
    }


def test_it_neither_makes_nor_ends_anything(template: Template) -> None:
    verbs = ("Run", "Stop", "Start", "Terminate", "Create", "Delete", "Modify", "Attach", "Detach", "Send")
    found = [
        action.partition(":")[2]
        for by, one in template.statements
        if by == f"{NAME}Function"
        for action in listed(one["Action"])
        if action.partition(":")[2].startswith(verbs)
    ]

    assert sorted(found) == ["CreateLogStream", "CreateTags", "DeleteTags"]
