"""README says what there is: its commands, names, files and events are the project's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.template.conftest import asked_in, understand
from watchkeeper import tags

if TYPE_CHECKING:
    from tests.template.conftest import Template

README = Path("README.md").read_text()
CODE = re.findall(r"`([^`\n]+)`", README)
OUTSIDE = (
    "Event",
    "PATH",
    "Online",
    "Success",
    "ExecutionHandler",
    "Scripts",
    "ExecutionTimeout",
    "AmazonSSMManagedInstanceCore",
)


def test_the_make_targets_that_it_names_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", Path("Makefile").read_text(), re.MULTILINE))

    named = set(re.findall(r"^(?:sudo )?make ([a-z]+)", "\n".join([*CODE, *blocks()]), re.MULTILINE))

    assert named
    assert named <= targets


def test_the_functions_that_it_invokes_exist(template: Template) -> None:
    invoked = set(re.findall(r"invoke (\w+)", README))

    assert invoked
    assert invoked <= set(template.parsed["Resources"])


def test_the_parameters_that_it_names_exist(template: Template) -> None:
    named = {word for word in CODE if re.fullmatch(r"[A-Z][a-z]+([A-Z][a-z]*)*", word)} - set(OUTSIDE)

    assert "OnFreezeFailure" in named
    assert named <= set(template.parameters) | set(template.parsed["Outputs"])


def test_the_default_values_that_it_gives_are_those_of_the_template(template: Template) -> None:
    defaults = {name: str(one["Default"]) for name, one in template.parameters.items()}

    assert f"`Keep`\n(`{defaults['Keep']}`)" in README
    assert f"`LeaseSeconds` ({defaults['LeaseSeconds']})" in README
    assert f"the last {defaults['KeepLast']} sets (`KeepLast`)" in README
    assert (defaults["SnapshotSchedule"], defaults["PruneSchedule"]) == ("cron(30 4 * * ? *)", "cron(30 6 * * ? *)")


def test_the_alarms_that_it_counts_are_those_of_the_template(template: Template) -> None:
    alarms = [one for one in template.parsed["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]

    assert f"| CloudWatch alarms | {len(alarms)} |" in README


def test_the_parameters_of_replacing_have_the_defaults_that_its_table_gives(template: Template) -> None:
    rows = re.findall(r"^\| (`[A-Z][^|]*`) \|([^|]*)\|", README, re.MULTILINE)

    given = [(name, default) for names, defaults in rows for name, default in _pairs(names, defaults)]
    assert len(given) >= 10
    for name, default in given:
        assert str(template.parameters[name]["Default"]) == default


def _pairs(names: str, defaults: str) -> list[tuple[str, str]]:
    return list(zip(re.findall(r"`(\w+)`", names), [one.strip() for one in defaults.split(",")], strict=True))


def test_clients_are_told_the_settings_that_the_example_gives_them() -> None:
    (given,) = [block.strip() for block in blocks() if "tcp_user_timeout" in block]

    example = " ".join(Path("examples/smallpayroll.yaml").read_text().split())
    assert given.replace("db.example.internal", "${AddressName}") in example


def test_the_alarms_that_it_tells_to_delete_are_those_that_the_function_makes(template: Template) -> None:
    prefix = template.functions["ReplaceDatabaseHost"]["Environment"]["Variables"]["ALARM_PREFIX"]["Sub"]

    assert f"--alarm-name-prefix {prefix.replace('${AWS::StackName}', 'watchkeeper')} " in README


@pytest.mark.parametrize(("function", "event"), asked_in(README))
def test_the_events_that_it_sends_are_understood(function: str, event: str) -> None:
    understand(function, json.loads(event))


def test_no_event_that_it_sends_is_overlooked() -> None:
    assert {event for _, event in asked_in(README)} == set(re.findall(r"--event '([^']+)'", README)) - {
        '{"format": "json"}'  # an argument by itself
    }


@pytest.mark.parametrize("given", re.findall(r"^\| `([\"{].*[\"}])` \|", README, re.MULTILINE))
def test_the_sets_that_its_table_names_can_be_asked_for(given: str) -> None:
    if given not in ('"set"', '"into"'):
        understand("RestoreDatabase", {"application": "a", "set": json.loads(given), "into": "database"})


def test_a_set_can_be_restored_into_each_place_that_it_names() -> None:
    events = [json.loads(event) for function, event in asked_in(README) if function == "RestoreDatabase"]

    assert {event.get("into", "undo") for event in events} == {"volumes", "host", "database", "undo"}


def test_the_files_that_it_points_to_exist() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r"(?:events|documents)/[\w.]+", README)

    assert [path for path in linked if not Path(path).exists()] == []


def test_the_tags_that_it_names_exist_and_all_that_people_write_are_explained() -> None:
    known = {tag.removeprefix(tags.PREFIX) for tag in (*tags.WRITTEN_BY_PEOPLE, *tags.WRITTEN_BY_WATCHKEEPER)}

    assert set(re.findall(r"watchkeeper:([a-z-]+)", README)) <= known
    assert {tag.removeprefix(tags.PREFIX) for tag in tags.WRITTEN_BY_PEOPLE} <= set(CODE)


def test_its_policy_is_one_that_a_service_control_policy_may_be() -> None:
    (policy,) = (json.loads(block) for block in blocks("json"))

    assert {statement["Effect"] for statement in policy["Statement"]} == {"Deny"}
    assert (
        len(json.dumps(policy)) <= 5120
    )  # https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html


def blocks(language: str = "") -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
