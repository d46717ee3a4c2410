"""What rings, when, and where a person finds out what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.template.conftest import Node, Template

ALARM = "AWS::CloudWatch::Alarm"
SERVICES = ("snapshot_database", "register_web_nodes", "rehearse_restore", "replace_database_host")


def alarm(template: Template, name: str) -> Node:
    return template.of_type(ALARM)[name]


def test_every_alarm_tells_the_topic_of_notices(template: Template) -> None:
    for given in template.of_type(ALARM).values():
        assert given["AlarmActions"] == [{"Ref": "NoticesTopic"}]


def test_every_alarm_says_what_missing_data_mean(template: Template) -> None:
    for given in template.of_type(ALARM).values():
        assert given["TreatMissingData"] in ("breaching", "notBreaching", "missing")


def test_every_alarm_has_an_entry_in_the_runbook_and_names_it(template: Template) -> None:
    entries = re.findall(r"^## (\w+)$", Path("docs/runbook.md").read_text(), re.MULTILINE)

    assert sorted(entries) == sorted(template.of_type(ALARM))
    for name, given in template.of_type(ALARM).items():
        assert f"docs/runbook.md, {name}." in given["AlarmDescription"]


def test_every_entry_says_what_it_means_where_to_look_and_what_to_do() -> None:
    _, *entries = re.split(r"^## ", Path("docs/runbook.md").read_text(), flags=re.MULTILINE)

    for entry in entries:
        labels = ("**It means**", "**Look at**", "**Do**")
        positions = [entry.find(label) for label in labels]
        assert positions == sorted(positions)
        assert -1 not in positions, f"{entry.splitlines()[0]} lacks a part"


def test_a_figure_that_is_watched_is_one_that_the_functions_write(template: Template) -> None:
    sources = "\n".join(path.read_text() for path in Path("layers/watchkeeper/watchkeeper").rglob("*.py"))

    for given in template.of_type(ALARM).values():
        if given["Namespace"] == "Watchkeeper":
            assert f'Metric("{given["MetricName"]}"' in sources
            ((name, service),) = [one.values() for one in given["Dimensions"]]
            assert (name, service in SERVICES) == ("service", True)


def test_the_worst_age_rings_and_so_does_silence(template: Template) -> None:
    given = alarm(template, "NewestSetAgeAlarm")

    assert (given["MetricName"], given["Statistic"]) == ("NewestSetAgeHours", "Maximum")
    assert given["Threshold"] == {"Ref": "AgeAlarmHours"}
    assert given["ComparisonOperator"] == "GreaterThanThreshold"
    assert given["TreatMissingData"] == "breaching"


def test_one_missed_run_is_made_up_for_and_does_not_ring(template: Template) -> None:
    overdue, rings = (template.parameters[name]["Default"] for name in ("OverdueHours", "AgeAlarmHours"))

    assert 24 < overdue < rings
    assert rings > 2 * 24


def test_a_stack_that_finds_nothing_for_a_day_rings(template: Template) -> None:
    given = alarm(template, "NothingFoundAlarm")

    assert (given["MetricName"], given["Statistic"]) == ("ApplicationsFound", "Maximum")
    assert given["Period"] * given["EvaluationPeriods"] == 24 * 3600
    assert (given["ComparisonOperator"], given["Threshold"]) == ("LessThanThreshold", 1)


def test_a_crash_set_rings(template: Template) -> None:
    given = alarm(template, "CrashSetsAlarm")

    assert (given["MetricName"], given["Statistic"]) == ("CrashSets", "Sum")
    assert (given["ComparisonOperator"], given["Threshold"]) == ("GreaterThanThreshold", 0)


def test_a_replacement_that_is_refused_rings(template: Template) -> None:
    given = alarm(template, "ReplacementRefusedAlarm")

    assert (given["MetricName"], given["Statistic"]) == ("Refusals", "Maximum")
    assert given["Period"] * given["EvaluationPeriods"] == 300
    assert (given["ComparisonOperator"], given["Threshold"]) == ("GreaterThanThreshold", 0)


def test_a_database_that_takes_no_writes_rings_and_one_that_is_restarted_does_not(template: Template) -> None:
    given = alarm(template, "DatabaseNotWritableAlarm")

    assert (given["MetricName"], given["Statistic"]) == ("DatabasesNotWritable", "Maximum")
    assert (given["ComparisonOperator"], given["Threshold"]) == ("GreaterThanThreshold", 0)
    assert (given["DatapointsToAlarm"], given["EvaluationPeriods"]) == (2, 3)


def test_a_database_that_is_nearly_full_rings(template: Template) -> None:
    given = alarm(template, "DatabaseFullAlarm")

    assert (given["MetricName"], given["Statistic"]) == ("DatabaseFullPercent", "Maximum")
    assert (given["ComparisonOperator"], given["Threshold"]) == ("GreaterThanThreshold", {"Ref": "DiskAlarmPercent"})


@pytest.mark.parametrize(
    ("name", "service", "condition"),
    [
        ("SweepLateAlarm", "replace_database_host", "ReplacesHosts"),
        ("PoolSweepLateAlarm", "register_web_nodes", "RegistersNodes"),
    ],
)
def test_that_nobody_looks_for_ten_minutes_rings_where_somebody_should(
    template: Template, name: str, service: str, condition: str
) -> None:
    given = alarm(template, name)

    assert (given["MetricName"], given["ComparisonOperator"], given["Threshold"]) == ("Looks", "LessThanThreshold", 1)
    assert given["TreatMissingData"] == "breaching"
    assert given["Period"] * given["EvaluationPeriods"] == 600
    assert given["Dimensions"] == [{"Name": "service", "Value": service}]
    assert template.resources[name]["Condition"] == condition


def test_the_oldest_proof_rings_and_so_does_silence_where_somebody_should_look(template: Template) -> None:
    given = alarm(template, "ProofAgeAlarm")

    assert (given["MetricName"], given["Statistic"]) == ("NewestProofAgeDays", "Maximum")
    assert (given["ComparisonOperator"], given["Threshold"]) == ("GreaterThanThreshold", {"Ref": "ProofAlarmDays"})
    assert given["TreatMissingData"] == "breaching"
    assert given["Dimensions"] == [{"Name": "service", "Value": "rehearse_restore"}]
    assert given["Period"] * given["EvaluationPeriods"] == 3 * 3600
    assert template.resources["ProofAgeAlarm"]["Condition"] == "RehearsesRestores"


def test_there_is_time_for_another_rehearsal_before_the_age_rings(template: Template) -> None:
    due, rings = (template.parameters[name]["Default"] for name in ("RehearsalDays", "ProofAlarmDays"))

    assert due + 1 < rings


def test_a_set_that_does_not_restore_rings(template: Template) -> None:
    given = alarm(template, "RehearsalFailedAlarm")

    assert (given["MetricName"], given["Statistic"]) == ("RehearsalsFailed", "Sum")
    assert (given["ComparisonOperator"], given["Threshold"]) == ("GreaterThanThreshold", 0)
    assert given["Dimensions"] == [{"Name": "service", "Value": "rehearse_restore"}]


def test_what_waits_in_the_failure_queue_rings(template: Template) -> None:
    given = alarm(template, "FailureQueueAlarm")

    assert (given["Namespace"], given["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert given["Dimensions"] == [{"Name": "QueueName", "Value": {"GetAtt": "FailureQueue.QueueName"}}]
    assert (given["ComparisonOperator"], given["Threshold"]) == ("GreaterThanThreshold", 0)


def test_the_failure_queue_keeps_what_it_has_for_a_fortnight_and_encrypted(template: Template) -> None:
    assert template.of_type("AWS::SQS::Queue") == {
        "FailureQueue": {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}
    }


def test_rules_may_send_to_the_failure_queue_what_they_could_not_deliver(template: Template) -> None:
    (policy,) = template.of_type("AWS::SQS::QueuePolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert policy["Queues"] == [{"Ref": "FailureQueue"}]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert (statement["Action"], statement["Resource"]) == ("sqs:SendMessage", {"GetAtt": "FailureQueue.Arn"})
    rules = [{"GetAtt": f"{name}.Arn"} for name in template.of_type("AWS::Events::Rule")]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": rules}}


def test_alarms_of_this_account_may_publish_and_nobody_else(template: Template) -> None:
    (policy,) = template.of_type("AWS::SNS::TopicPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert (statement["Action"], statement["Resource"]) == ("sns:Publish", {"Ref": "NoticesTopic"})
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize("key", ["Condition", "Type"])
def test_notices_go_to_the_address_if_one_is_given(template: Template, key: str) -> None:
    subscription = template.resources["NoticesByEmail"]

    assert subscription[key] == {"Condition": "HasEmail", "Type": "AWS::SNS::Subscription"}[key]
    assert subscription["Properties"] == {
        "TopicArn": {"Ref": "NoticesTopic"},
        "Protocol": "email",
        "Endpoint": {"Ref": "Email"},
    }
