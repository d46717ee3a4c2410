"""The runbook has an entry for each reason for which a host is not replaced, or a pool not kept."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.template.conftest import asked_in, understand
from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.template.conftest import Template

RUNBOOK = Path("docs/runbook.md").read_text()
PACKAGES = [Path("layers/watchkeeper/watchkeeper", name) for name in ("replacement", "registration")]


def refusals() -> Iterator[str]:
    """The names of all refusals, as the code makes them."""
    for path in (path for package in PACKAGES for path in package.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno} has no name that can be read"
                yield str(node.args[0].value)


def test_every_refusal_has_an_entry_that_says_what_it_means_and_what_to_do() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \|$", RUNBOOK, re.MULTILINE)

    named = [name for name, _, _ in rows]
    assert sorted(named) == sorted(set(refusals()))


def test_the_parameters_that_it_names_exist(template: Template) -> None:
    named = set(re.findall(r"`([A-Z]\w+)(?:=\w+)?`", RUNBOOK)) - {"AmazonSSMManagedInstanceCore", "ERROR_MESSAGE"}

    assert named <= {*template.parameters, *template.parsed["Outputs"]}


def test_the_tags_that_it_names_exist() -> None:
    known = {tag.removeprefix(tags.PREFIX) for tag in (*tags.WRITTEN_BY_PEOPLE, *tags.WRITTEN_BY_WATCHKEEPER)}

    assert set(re.findall(r"watchkeeper:([a-z-]+)", RUNBOOK)) <= known


@pytest.mark.parametrize(("function", "event"), asked_in(RUNBOOK))
def test_the_events_that_it_sends_are_understood(function: str, event: str) -> None:
    understand(function, json.loads(event))


def test_no_event_that_it_sends_is_overlooked() -> None:
    assert {event for _, event in asked_in(RUNBOOK)} == set(re.findall(r"--event '([^']+)'", RUNBOOK))
