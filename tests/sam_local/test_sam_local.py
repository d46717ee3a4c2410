"""Every function runs on Lambda's runtime, in the layer as it was built, with each of its event files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTIONS = sorted(app.parent.name for app in Path("functions").glob("*/app.py"))
EVENTS = sorted(Path("events").glob("*.json"))
RESTORES = [one for one in EVENTS if one.name.startswith("restore_database.")]


def test_every_function_has_an_event_to_run_with() -> None:
    assert sorted({event.name.split(".")[0] for event in EVENTS}) == FUNCTIONS


@pytest.mark.parametrize("event", RESTORES, ids=lambda event: event.stem)
def test_a_restore_where_there_is_no_set_is_refused_in_a_sentence(event: Path, invoke: Callable[[Path], Any]) -> None:
    answer = invoke(event)

    # The served region's own schedule may have made a set by now.
    said = "" if "errorType" not in answer else f"{answer['errorType']}: {answer['errorMessage']}"
    assert not said or re.fullmatch(r"Refused: .*(has no set at all\.|nothing to put back: .*)", said)


@pytest.mark.parametrize("event", [one for one in EVENTS if one not in RESTORES], ids=lambda event: event.stem)
def test_a_function_answers_its_event(event: Path, invoke: Callable[[Path], Any]) -> None:
    answer = invoke(event)

    assert "errorType" not in answer, answer


def test_a_set_is_taken_of_a_region_that_is_served(invoke: Callable[[Path], Any]) -> None:
    taken = invoke(Path("events/snapshot_database.json"))
    status = invoke(Path("events/show_status.as_json.json"))

    # The served region's own schedule may have been first, in this very minute.
    assert taken["made"] or taken["left"][0]["reason"] == "the run has its set"
    assert status["applications"][0]["snapshots"]
