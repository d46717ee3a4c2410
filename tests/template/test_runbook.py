"""The runbook has an entry for each reason for which a host is not replaced, a pool not kept, a set not restored."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.template.conftest import asked_in, understand
from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.template.conftest import Template

RUNBOOK = Path("docs/runbook.md").read_text()
ENTRIES = {one.split("\n", 1)[0]: one for one in re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)}
ROW = re.compile(r"^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


OUTSIDE = ("AmazonSSMManagedInstanceCore", "ERROR_MESSAGE", "InvocationType")


def nodes(*packages: str) -> Iterator[tuple[str, ast.AST]]:
    """All that the code of some use cases consists of, with where it stands."""
    for path in (path for name in packages for path in Path("layers/watchkeeper/watchkeeper", name).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            yield f"{path}:{getattr(node, 'lineno', 0)}", node


def named(kind: str, *packages: str) -> set[str]:
    """The names of all reasons of a kind, as the code makes them."""
    found = set()
    for place, node in nodes(*packages):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == kind:
            assert isinstance(node.args[0], ast.Constant), f"{place} has no name that can be read"
            found.add(str(node.args[0].value))
    return found


def text(node: ast.AST) -> str:
    """A text of the code, with … for what is put in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text(one) for one in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


def test_every_refusal_has_an_entry_that_says_what_it_means_and_what_to_do() -> None:
    found = [name for title, entry in ENTRIES.items() if title != "ProofAgeAlarm" for name, _, _ in ROW.findall(entry)]

    assert sorted(found) == sorted(named("Refusal", "replacement", "registration"))


def test_everything_that_prevents_a_rehearsal_has_an_entry() -> None:
    found = [name for name, _, _ in ROW.findall(ENTRIES["ProofAgeAlarm"])]

    assert sorted(found) == sorted(named("Trouble", "rehearsal"))


def test_what_a_restore_is_refused_with_is_what_the_code_says() -> None:
    rows = re.findall(r"^\| (\*.*\*) \| [^|]+ \|$", ENTRIES["RestoreDatabaseErrorsAlarm"], re.MULTILINE)

    said = [text(node) for _, node in nodes("restore") if isinstance(node, ast.Constant | ast.JoinedStr)]
    quoted = [one for row in rows for one in re.findall(r"\*([^*]+)\*", row)]
    assert quoted
    assert [one for one in quoted if not any(one in sentence for sentence in said)] == []


def test_the_parameters_that_it_names_exist(template: Template) -> None:
    named = set(re.findall(r"`([A-Z]\w+)(?:=\w+)?`", RUNBOOK)) - set(OUTSIDE)

    assert named <= {*template.parameters, *template.parsed["Outputs"]}


@pytest.mark.parametrize("path", ["README.md", "docs/runbook.md"])
def test_a_tag_that_a_command_writes_has_no_comma_in_its_value(path: str) -> None:
    quoted = re.findall(r"""['"](Key=[^'"\n]+)['"]""", Path(path).read_text())

    assert quoted
    assert [one for one in quoted if one.count(",") != 1] == []


@pytest.mark.parametrize("path", ["README.md", "docs/runbook.md"])
def test_the_parameters_of_documents_that_a_command_gives_are_those_of_a_document(path: str) -> None:
    given = [json.loads(one) for one in re.findall(r"--parameters[\\\s]+'({[^']+})'", Path(path).read_text())]

    known = [set(yaml.safe_load(one.read_text())["parameters"]) for one in Path("documents").glob("*.yaml")]
    assert given
    assert [one for one in given if not any(set(one) <= names for names in known)] == []


def test_the_tags_that_it_names_exist() -> None:
    known = {tag.removeprefix(tags.PREFIX) for tag in (*tags.WRITTEN_BY_PEOPLE, *tags.WRITTEN_BY_WATCHKEEPER)}

    assert set(re.findall(r"watchkeeper:([a-z-]+)", RUNBOOK)) <= known


@pytest.mark.parametrize(("function", "event"), asked_in(RUNBOOK))
def test_the_events_that_it_sends_are_understood(function: str, event: str) -> None:
    understand(function, json.loads(event))


def test_no_event_that_it_sends_is_overlooked() -> None:
    assert {event for _, event in asked_in(RUNBOOK)} == set(re.findall(r"--event '([^']+)'", RUNBOOK))
