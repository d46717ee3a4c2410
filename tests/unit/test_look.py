"""What an event asks for, and in which words a wrong one is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.errors import Refused
from watchkeeper.look import Look

NOW = datetime(2026, 11, 22, 4, 30, 12, tzinfo=UTC)


def test_an_empty_event_is_a_look_at_all_in_the_current_minute() -> None:
    assert Look.from_event({}, NOW) == Look(datetime(2026, 11, 22, 4, 30, tzinfo=UTC))


def test_a_time_with_any_offset_names_the_same_run() -> None:
    utc = Look.from_event({"time": "2026-11-22T04:30:00Z"}, NOW)
    berlin = Look.from_event({"time": "2026-11-22T05:30:00+01:00"}, NOW)

    assert utc == berlin


def test_what_is_handed_on_asks_the_same_of_one_application() -> None:
    look = Look.from_event({"time": "2026-11-22T04:30:00Z", "if_overdue": True}, NOW)

    handed = Look.from_event(look.to_event("payroll"), NOW + timedelta(minutes=3))

    assert handed == Look(look.time, "payroll", if_overdue=True)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"aplication": "payroll"}, ["aplication", "application", "dry_run"]),
        ({"dry_run": "true"}, ["dry_run", "without quotes"]),
        ({"application": ""}, ["leave it out"]),
        ({"application": 7}, ["7"]),
        ({"time": "yesterday"}, ["yesterday", "2026-11-22T04:30:12Z"]),
        ({"time": "2026-11-22T04:30:00"}, ["2026-11-22T04:30:00"]),
    ],
)
def test_a_wrong_event_is_refused_in_one_sentence_that_shows_a_right_one(
    event: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(Refused) as refused:
        Look.from_event(event, NOW)

    assert [word for word in words if word not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("case", "instance"),
    [
        *(
            (one, "i-0123456789abcdef0")
            for one in ("alarm", "direct", "sns", "composite_direct", "terminated", "stopped")
        ),
        ("composite", None),  # which names two
    ],
)
def test_an_event_of_aws_is_a_look_at_the_instance_that_it_names_and_at_all_if_it_names_several(
    case: str, instance: str | None
) -> None:
    event = json.loads(Path(f"events/replace_database_host.{case}.json").read_text(encoding="utf-8"))

    assert Look.from_event(event, NOW) == Look(datetime(2026, 11, 22, 4, 30, tzinfo=UTC), instance=instance)


@pytest.mark.parametrize(("late", "is_refused"), [(59, False), (61, True), (-61, True)])
def test_a_run_of_another_hour_is_refused_as_late(late: int, is_refused: bool) -> None:
    look = Look(NOW - timedelta(minutes=late))

    if is_refused:
        with pytest.raises(Refused, match="Send the event again without a time"):
            look.refuse_late(NOW)
    else:
        look.refuse_late(NOW)
