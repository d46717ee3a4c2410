"""What the template promises of every function."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.template.conftest import folder, understand
from watchkeeper.backup.settings import Settings as BackupSettings
from watchkeeper.look import WORDS
from watchkeeper.registration.settings import Settings as RegistrationSettings
from watchkeeper.rehearsal.settings import Settings as RehearsalSettings
from watchkeeper.replacement.settings import Settings as ReplacementSettings
from watchkeeper.restore.settings import Settings as RestoreSettings
from watchkeeper.retention.settings import Settings as RetentionSettings
from watchkeeper.status.settings import Settings as StatusSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.template.conftest import Node, Template

FUNCTIONS = (
    "SnapshotDatabase",
    "PruneSnapshots",
    "RestoreDatabase",
    "RehearseRestore",
    "ReplaceDatabaseHost",
    "RegisterWebNodes",
    "ShowStatus",
)
# What is swept each minute is not tried again by anything else.
SWEPT = ("ReplaceDatabaseHost", "RegisterWebNodes")
SETTINGS: dict[str, Callable[..., object]] = {
    "SnapshotDatabase": BackupSettings.from_env,
    "PruneSnapshots": RetentionSettings.from_env,
    "RestoreDatabase": RestoreSettings.from_env,
    "RehearseRestore": RehearsalSettings.from_env,
    "ReplaceDatabaseHost": ReplacementSettings.from_env,
    "RegisterWebNodes": RegistrationSettings.from_env,
    "ShowStatus": StatusSettings.from_env,
}
# The order within a function's section: the function, what wakes it, what permits that, its logs, its alarms.
ORDER = (
    "AWS::Serverless::Function",
    "AWS::Scheduler::Schedule",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::IAM::InstanceProfile",
    "AWS::Lambda::Permission",
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::Logs::LogGroup",
    "AWS::CloudWatch::Alarm",
)
# Powertools reads the one; SAM CLI gives the other when it runs a function on this machine.
OF_OTHERS = {"POWERTOOLS_SERVICE_NAME", "AWS_ENDPOINT_URL"}


class Recorder(dict[str, str]):
    """An environment that remembers what was asked for."""

    asked: set[str]

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)


def environment(template: Template, name: str) -> dict[str, Node]:
    return template.globals["Environment"]["Variables"] | template.functions[name]["Environment"]["Variables"]


def defaults(template: Template, name: str) -> Recorder:
    """The environment with the parameters' defaults in it, and what Lambda itself sets."""
    found = Recorder({"AWS_LAMBDA_FUNCTION_NAME": "x"})
    for key, value in environment(template, name).items():
        wanted = value["Join"][1] if isinstance(value, dict) and "Join" in value else value
        parameter = {"Default": wanted} if isinstance(wanted, str) else template.parameters.get(wanted.get("Ref"), {})
        found[key] = str(parameter.get("Default", "x"))
    found.asked = set()
    return found


def test_there_are_no_functions_but_those_that_are_tested(template: Template) -> None:
    assert set(template.functions) == set(FUNCTIONS)
    assert {folder(name) for name in FUNCTIONS} == {path.parent.name for path in Path("functions").glob("*/app.py")}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_one_name_everywhere(template: Template, name: str) -> None:
    given = template.functions[name]

    assert given["CodeUri"] == f"functions/{folder(name)}"
    assert given["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == folder(name)
    assert list(Path("events").glob(f"{folder(name)}.json"))
    assert template.parsed["Outputs"][name]["Value"] == {"Ref": f"{name}Function"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_handler_exists(template: Template, name: str) -> None:
    module, _, handler = template.globals["Handler"].rpartition(".")

    assert callable(getattr(importlib.import_module(f"functions.{folder(name)}.{module}"), handler))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gets_what_its_settings_read_and_nothing_else(template: Template, name: str) -> None:
    given = defaults(template, name)

    SETTINGS[name](given)

    assert given.asked - {"AWS_LAMBDA_FUNCTION_NAME"} == set(given) - OF_OTHERS - {"AWS_LAMBDA_FUNCTION_NAME"}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("end", ["MinValue", "MaxValue"])
def test_the_settings_take_whatever_number_the_parameters_allow(template: Template, name: str, end: str) -> None:
    given = defaults(template, name)
    for key, value in environment(template, name).items():
        parameter = template.parameters.get(value.get("Ref", ""), {}) if isinstance(value, dict) else {}
        if end in parameter:
            given[key] = str(parameter[end])

    SETTINGS[name](given)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_json_to_a_group_of_its_own_that_forgets(template: Template, name: str) -> None:
    group = f"{name}LogGroup"

    assert template.functions[name]["LoggingConfig"] == {"LogGroup": {"Ref": group}}
    assert template.globals["LoggingConfig"]["LogFormat"] == "JSON"
    assert template.resources[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_error_of_a_function_rings(template: Template, name: str) -> None:
    alarm = template.resources[f"{name}ErrorsAlarm"]["Properties"]

    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/Lambda", "Errors", "Sum")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": f"{name}Function"}}]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")


def test_what_fails_for_good_or_comes_an_hour_late_goes_to_the_failure_queue(template: Template) -> None:
    given = template.globals["EventInvokeConfig"]

    assert given["MaximumRetryAttempts"] == 2
    assert given["MaximumEventAgeInSeconds"] == 3600
    on_failure = given["DestinationConfig"]["OnFailure"]
    assert on_failure == {"Type": "SQS", "Destination": {"GetAtt": "FailureQueue.Arn"}}
    assert [name for name, own in template.functions.items() if "EventInvokeConfig" in own] == list(SWEPT)


def test_what_is_swept_each_minute_is_not_tried_again_and_an_event_of_the_last_minute_is_none(
    template: Template,
) -> None:
    for name in SWEPT:
        given = template.functions[name]
        assert given["EventInvokeConfig"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    for target in (*woken_each_minute(template), *(one for _, rule in rules(template) for one in rule["Targets"])):
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
        assert target["DeadLetterConfig"] == {"Arn": {"GetAtt": "FailureQueue.Arn"}}


def test_a_look_that_is_swept_has_time_to_end_by_itself(template: Template) -> None:
    assert all(60 < template.functions[name]["Timeout"] <= 120 for name in SWEPT)


def test_functions_run_on_the_python_and_the_processor_that_are_promised(template: Template) -> None:
    assert template.globals["Runtime"] == "python3.13"
    assert template.globals["Architectures"] == [{"Ref": "Architecture"}]
    assert template.globals["Layers"] == [{"Ref": "WatchkeeperLayer"}]
    assert template.parameters["Architecture"]["Default"] == "x86_64"


def test_the_layer_is_built_from_its_folder_by_its_makefile(template: Template) -> None:
    layer = template.resources["WatchkeeperLayer"]

    assert layer["Metadata"] == {"BuildMethod": "makefile"}
    assert "build-WatchkeeperLayer:" in (Path(layer["Properties"]["ContentUri"]) / "Makefile").read_text()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_section_is_in_the_order_of_every_other(template: Template, name: str) -> None:
    names = list(template.resources)
    start = names.index(f"{name}Function")
    others = [names.index(f"{other}Function") for other in FUNCTIONS if names.index(f"{other}Function") > start]
    section = [template.resources[one]["Type"] for one in names[start : min(others, default=len(names))]]

    assert section == sorted(section, key=ORDER.index)
    assert {ORDER[0], *ORDER[-2:]} <= set(section)


@pytest.mark.parametrize("path", sorted(Path("events").iterdir()), ids=lambda path: path.name)
def test_an_event_file_is_for_a_function_and_has_words_that_it_knows(path: Path) -> None:
    event = json.loads(path.read_text())

    (name,) = [name for name in FUNCTIONS if folder(name) == path.name.split(".")[0]]
    understand(name, event)


# Schedules and rules


def schedules(template: Template) -> Iterator[tuple[str, Node]]:
    yield from template.of_type("AWS::Scheduler::Schedule").items()


def rules(template: Template) -> Iterator[tuple[str, Node]]:
    yield from template.of_type("AWS::Events::Rule").items()


def woken_each_minute(template: Template) -> list[Node]:
    return [given["Target"] for _, given in schedules(template) if given["ScheduleExpression"] == "rate(1 minute)"]


def test_what_is_done_by_itself_has_a_schedule_and_what_a_person_asks_for_has_none(template: Template) -> None:
    woken = sorted((given["Target"]["Arn"]["GetAtt"], name) for name, given in schedules(template))

    assert woken == [
        ("PruneSnapshotsFunction.Arn", "PruneSnapshotsDaily"),
        ("RegisterWebNodesFunction.Arn", "RegisterWebNodesEachMinute"),
        ("RehearseRestoreFunction.Arn", "RehearseRestoreHourly"),
        ("ReplaceDatabaseHostFunction.Arn", "ReplaceDatabaseHostEachMinute"),
        ("SnapshotDatabaseFunction.Arn", "SnapshotDatabaseDaily"),
        ("SnapshotDatabaseFunction.Arn", "SnapshotDatabaseHourly"),
    ]


def test_a_schedule_tells_the_time_that_the_run_is_named_for(template: Template) -> None:
    for _, given in schedules(template):
        event = json.loads(given["Target"]["Input"])
        assert event.pop("time") == "<aws.scheduler.scheduled-time>"
        assert set(event) <= set(WORDS)


def test_hourly_only_what_is_overdue_is_made(template: Template) -> None:
    schedule = template.resources["SnapshotDatabaseHourly"]["Properties"]

    assert json.loads(schedule["Target"]["Input"])["if_overdue"] is True
    assert re.fullmatch(r"cron\(\d+ \* \* \* \? \*\)", schedule["ScheduleExpression"])
    daily = json.loads(template.resources["SnapshotDatabaseDaily"]["Properties"]["Target"]["Input"])
    assert "if_overdue" not in daily


def test_a_schedule_is_exact_in_the_time_zone_of_the_stack(template: Template) -> None:
    for _, given in schedules(template):
        assert given["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert given["ScheduleExpressionTimezone"] == {"Ref": "TimeZone"}


def test_an_event_that_cannot_be_delivered_within_the_hour_goes_to_the_failure_queue(template: Template) -> None:
    for target in (given["Target"] for _, given in schedules(template)):
        if target not in woken_each_minute(template):
            assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 3600}
        assert target["DeadLetterConfig"] == {"Arn": {"GetAtt": "FailureQueue.Arn"}}


def test_a_schedule_may_wake_its_function_and_tell_of_failure_and_nothing_else(template: Template) -> None:
    for _, given in schedules(template):
        role = given["Target"]["RoleArn"]["GetAtt"].removesuffix(".Arn")
        allowed = [(one["Action"], one["Resource"]) for name, one in template.statements if name == role]
        assert allowed == [
            ("lambda:InvokeFunction", given["Target"]["Arn"]),
            ("sqs:SendMessage", {"GetAtt": "FailureQueue.Arn"}),
        ]


def test_the_default_times_are_none_that_the_clocks_skip(template: Template) -> None:
    for name in ("SnapshotSchedule", "PruneSchedule"):
        match = re.fullmatch(r"cron\((\d+) (\d+) \* \* \? \*\)", template.parameters[name]["Default"])
        assert match
        assert int(match[2]) >= 4


def test_the_hourly_look_has_a_minute_of_its_own(template: Template) -> None:
    hourly = template.resources["SnapshotDatabaseHourly"]["Properties"]["ScheduleExpression"]
    minute = hourly.removeprefix("cron(").split()[0]

    for name in ("SnapshotSchedule", "PruneSchedule"):
        assert not template.parameters[name]["Default"].startswith(f"cron({minute} ")
