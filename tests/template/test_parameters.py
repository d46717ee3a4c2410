"""What people may set: described, grouped, bounded, and used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

import pytest
import yaml

from tests.template.conftest import folder, refs
from watchkeeper.retention.policy import Policy

if TYPE_CHECKING:
    from tests.template.conftest import Template


def allows(template: Template, name: str, value: str) -> bool:
    """Whether CloudFormation takes a value; of a list it checks each member."""
    rule = template.parameters[name]
    members = [one.strip() for one in value.split(",")] if rule["Type"] == "CommaDelimitedList" else [value]
    return all(re.fullmatch(rule["AllowedPattern"], one) is not None for one in members)


def test_every_parameter_is_described(template: Template) -> None:
    for name, rule in template.parameters.items():
        assert rule["Description"].endswith("."), name


def test_every_parameter_stands_in_one_group_under_a_title(template: Template) -> None:
    groups = template.parsed["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(template.parameters)
    assert all(group["Label"]["default"] for group in groups)


def test_every_parameter_has_bounds_and_a_default_within_them(template: Template) -> None:
    for name, rule in template.parameters.items():
        default = rule["Default"]
        if "AllowedValues" in rule:
            assert default in rule["AllowedValues"]
        elif rule["Type"] == "Number":
            assert rule["MinValue"] <= default <= rule["MaxValue"]
        else:
            assert allows(template, name, default)
            assert rule["ConstraintDescription"]


def test_every_parameter_is_used(template: Template) -> None:
    used = refs([template.parsed[part] for part in ("Conditions", "Globals", "Resources")])

    assert set(template.parameters) <= used


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Applications", "*"),
        ("Applications", "smallpayroll, shop-*"),
        ("Retired", ""),
        ("Retired", "oldshop,older.shop"),
        ("Email", "ops+db@example.com"),
        ("SnapshotSchedule", "cron(30 4,16 * * ? *)"),
        ("SnapshotSchedule", "rate(6 hours)"),
        ("PruneSchedule", "cron(0 12 ? * SUN *)"),
        ("Keep", "24h 7d 4w 12m 3y"),
        ("Keep", "1y"),
        ("LaunchRoleArns", ""),
        ("LaunchRoleArns", "arn:aws:iam::123456789012:role/team/db,arn:aws-cn:iam::123456789012:role/db"),
        ("KeyArns", "arn:aws:kms:eu-central-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"),
        ("HostedZoneIds", "Z0123456789ABCDEFGHIJ, Z0987654321"),
        ("RecordNames", "db.example.internal,*.db.example.internal"),
        ("StartCommand", ""),
        ("StartCommand", "/usr/bin/systemctl start patroni.service"),
        ("RehearsalSql", ""),
        ("RehearsalSql", "\\c payroll \\\\ SELECT count(*) > 0\nFROM \"Löhne\" WHERE paid <> 'no';"),
    ],
)
def test_a_parameter_takes(template: Template, name: str, value: str) -> None:
    assert allows(template, name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Applications", ""),
        ("Applications", "pay roll"),
        ("Applications", "a,,b"),
        ("Retired", "old*"),
        ("Email", "nobody"),
        ("SnapshotSchedule", "30 4 * * *"),
        ("SnapshotSchedule", "at(2026-11-22T04:30:00)"),
        ("TimeZone", "UTC+1 "),
        ("TimeZone", "../etc"),
        ("Keep", "7 days"),
        ("Keep", "0d"),
        ("Keep", ""),
        ("LaunchRoleArns", "*"),
        ("LaunchRoleArns", "arn:aws:iam::123456789012:role/*"),
        ("KeyArns", "alias/database"),
        ("KeyArns", "arn:aws:kms:eu-central-1:123456789012:key/*"),
        ("HostedZoneIds", "*"),
        ("HostedZoneIds", "/hostedzone/Z0123456789ABCDEFGHIJ"),
        ("RecordNames", "*"),
        ("RecordNames", "db.example.internal."),
        ("RecordNames", "DB.example.internal"),
        ("StartCommand", "systemctl start x; reboot"),
        ("StartCommand", "sh -c 'x'"),
        ("StartCommand", "x $(y)"),
        ("StartCommand", "-x"),
        ("RehearsalSql", "x" * 2001),
    ],
)
def test_a_parameter_refuses(template: Template, name: str, value: str) -> None:
    assert not allows(template, name, value)


def test_every_time_zone_is_taken(template: Template) -> None:
    zones = {zone for zone in available_timezones() if zone[0].isupper()}

    assert len(zones) > 400
    assert [zone for zone in zones if not allows(template, "TimeZone", zone)] == []


def test_what_is_kept_by_default_can_be_read(template: Template) -> None:
    assert str(Policy.read(template.parameters["Keep"]["Default"], "Keep")) == "7d 4w 12m 3y"


def test_nothing_has_a_name_that_two_stacks_would_share(template: Template) -> None:
    names = ("FunctionName", "QueueName", "TopicName", "RoleName", "AlarmName", "LogGroupName", "LayerName", "Name")

    for resource in template.resources.values():
        if resource["Type"] != "AWS::Lambda::Permission":  # whose function has a name, and it has none
            assert not set(names) & set(resource["Properties"])


def test_every_output_is_described_and_refers_to_something(template: Template) -> None:
    for output in template.parsed["Outputs"].values():
        assert output["Description"].endswith(".")
        assert refs(output["Value"]) <= set(template.resources)


# The documents


def test_a_document_is_included_and_a_new_one_becomes_its_next_version(template: Template) -> None:
    documents = template.of_type("AWS::SSM::Document")

    names = ["FreezeDatabase", "StartDatabase", "StopDatabase", "MountCopy", "CheckDatabase", "PrepareVolume"]
    assert list(documents) == [f"{name}Document" for name in names]
    for name, given in documents.items():
        location = given["Content"]["Fn::Transform"]["Parameters"]["Location"]
        content: dict[str, Any] = yaml.safe_load(Path(location).read_text())
        assert content["schemaVersion"] == "2.2"
        assert Path(location).stem == folder(name.removesuffix("Document"))
        assert given["DocumentType"] == "Command"
        assert given["TargetType"] == "/AWS::EC2::Instance"
        assert given["UpdateMethod"] == "NewVersion"


def test_every_document_of_the_project_is_deployed(template: Template) -> None:
    assert len(template.of_type("AWS::SSM::Document")) == len(list(Path("documents").glob("*.yaml")))


def test_data_lifecycle_manager_may_run_the_document_that_keeps_its_contract_and_no_other(template: Template) -> None:
    tagged = {name: given.get("Tags") for name, given in template.of_type("AWS::SSM::Document").items()}

    assert tagged.pop("FreezeDatabaseDocument") == [{"Key": "DLMScriptsAccess", "Value": "true"}]
    assert set(tagged.values()) == {None}


def test_a_command_that_the_parameter_allows_is_one_that_the_document_allows(template: Template) -> None:
    content: dict[str, Any] = yaml.safe_load(Path("documents/start_database.yaml").read_text())

    for command in ("", "systemctl start postgresql@16-main", "/usr/bin/env PGDATA=/x,y:z+@ pg_ctl -w start"):
        assert allows(template, "StartCommand", command)
        assert re.fullmatch(content["parameters"]["startCommand"]["allowedPattern"], command)


@pytest.mark.parametrize("name", ["SnapshotDatabase", "ReplaceDatabaseHost", "RegisterWebNodes"])
def test_all_of_an_accounts_concurrency_is_left_alone_unless_somebody_asks(template: Template, name: str) -> None:
    reserved = template.functions[name]["ReservedConcurrentExecutions"]

    assert reserved == {"If": ["HasReservedConcurrency", {"Ref": "ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]}
    assert template.parameters["ReservedConcurrency"]["Default"] == 0
