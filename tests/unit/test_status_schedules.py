"""When a schedule comes next, as EventBridge Scheduler reads cron expressions."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.status.schedules import next_time

AFTER = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)  # a Sunday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(30 4 * * ? *)", "2026-11-23 04:30"),
        ("cron(31 4 * * ? *)", "2026-11-22 04:31"),
        ("cron(0/15 * * * ? *)", "2026-11-22 04:45"),
        ("cron(0 6,18 * * ? *)", "2026-11-22 06:00"),
        ("cron(0 8-10 * * ? *)", "2026-11-22 08:00"),
        ("cron(0 1 ? * MON-FRI *)", "2026-11-23 01:00"),
        ("cron(0 5 ? * 1 *)", "2026-11-22 05:00"),
        ("cron(0 3 1 * ? *)", "2026-12-01 03:00"),
        ("cron(0 3 1 JAN ? 2028)", "2028-01-01 03:00"),
        ("cron(0 0 29 2 ? *)", "2028-02-29 00:00"),
    ],
)
def test_a_cron_expression_comes_next_at(expression: str, expected: str) -> None:
    assert next_time(expression, ZoneInfo("UTC"), AFTER) == datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize(
    "expression",
    ["rate(1 day)", "cron(0 4 L * ? *)", "cron(0 4 ? * 2#1 *)", "cron(0 4 3W * ? *)", "cron(99 4 * * ? *)", "daily"],
)
def test_what_cannot_be_told_is_none(expression: str) -> None:
    assert next_time(expression, ZoneInfo("UTC"), AFTER) is None


def test_a_year_that_is_over_comes_no_more() -> None:
    assert next_time("cron(0 4 * * ? 2025)", ZoneInfo("UTC"), AFTER) is None


def test_the_time_is_that_of_the_zone_in_winter_and_in_summer() -> None:
    berlin = ZoneInfo("Europe/Berlin")

    assert next_time("cron(30 4 * * ? *)", berlin, AFTER) == datetime(2026, 11, 23, 3, 30, tzinfo=UTC)
    assert next_time("cron(30 4 1 7 ? *)", berlin, AFTER) == datetime(2027, 7, 1, 2, 30, tzinfo=UTC)


def test_a_time_that_the_clocks_skip_is_skipped() -> None:
    before = datetime(2027, 3, 27, 12, tzinfo=UTC)  # in the next night 02:00 becomes 03:00

    found = next_time("cron(30 2 * * ? *)", ZoneInfo("Europe/Berlin"), before)

    assert found == datetime(2027, 3, 29, 0, 30, tzinfo=UTC)


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_a_daily_time_is_later_within_two_days_and_at_that_time(
    minute: int, hour: int, name: str, after: datetime
) -> None:
    zone = ZoneInfo(name)

    found = next_time(f"cron({minute} {hour} * * ? *)", zone, after)

    assert found is not None
    assert 0 < (found - after).total_seconds() <= 49 * 3600
    local = found.astimezone(zone)
    assert (local.hour, local.minute, local.second) == (hour, minute, 0)
