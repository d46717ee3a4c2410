"""How a policy is written, whose calendar it counts by, and in which words a wrong one is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import DATA, WAL, volume
from watchkeeper.errors import Refused
from watchkeeper.retention.plan import read_policy
from watchkeeper.retention.policy import UNITS, Policy, Unit, period
from watchkeeper.retention.settings import Settings

ENVIRONMENT = {
    "APPLICATIONS": "*",
    "KEEP": "7d 4w 12m 3y",
    "KEEP_LAST": "3",
    "TIME_ZONE": "Europe/Berlin",
    "AWS_LAMBDA_FUNCTION_NAME": "prune",
}
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("7d", (("d", 7),)),
        ("24h 7d 4w 12m 3y", (("h", 24), ("d", 7), ("w", 4), ("m", 12), ("y", 3))),
        ("  3y\t12m 7d ", (("d", 7), ("m", 12), ("y", 3))),
        ("9999h", (("h", 9999),)),
    ],
)
def test_a_policy_is_any_of_the_units_in_any_order(text: str, counts: tuple[tuple[Unit, int], ...]) -> None:
    assert Policy.read(text, "It").counts == counts


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it keeps nothing"),
        ("   ", "it keeps nothing"),
        ("0d", "'0d' is no number from 1 to 9999"),
        ("7d 00w", "'00w' is no number"),
        ("-1d", "'-1d' is no number"),
        ("7", "'7' is no number"),
        ("d7", "'d7' is no number"),
        ("7D", "'7D' is no number"),
        ("7d,4w", "'7d,4w' is no number"),
        ("7 d", "'7' is no number"),
        ("7days", "'7days' is no number"),
        ("1.5w", "'1.5w' is no number"),
        ("99999d", "'99999d' is no number"),
        ("٣d", "'٣d' is no number"),
        ("7d 4w 7d", "it counts days twice"),
    ],
)
def test_a_wrong_policy_is_refused_with_what_is_wrong_and_how_one_looks(text: str, fault: str) -> None:
    with pytest.raises(Refused) as refused:
        Policy.read(text, "The tag watchkeeper:keep of vol-1")

    assert str(refused.value).startswith(f"The tag watchkeeper:keep of vol-1 is {text!r}, and {fault}")
    assert "write it like 24h 7d 4w 12m 3y" in str(refused.value)


@given(st.dictionaries(st.sampled_from(UNITS), st.integers(1, 9999), min_size=1))
def test_a_policy_is_written_as_it_is_read(counts: dict[Unit, int]) -> None:
    policy = Policy.read(" ".join(f"{count}{unit}" for unit, count in counts.items()), "It")

    assert dict(policy.counts) == counts
    assert Policy.read(str(policy), "It") == policy


@pytest.mark.parametrize(
    ("unit", "one", "other", "is_same"),
    [
        # In Berlin the day begins at 22:00 or 23:00 UTC.
        ("d", "2026-11-21T22:59Z", "2026-11-21T23:00Z", False),
        ("d", "2026-11-21T23:00Z", "2026-11-22T22:59Z", True),
        ("d", "2026-07-21T21:59Z", "2026-07-21T22:00Z", False),
        # The day of 25 hours and that of 23.
        ("d", "2026-10-24T22:00Z", "2026-10-25T22:59Z", True),
        ("d", "2026-10-25T22:59Z", "2026-10-25T23:00Z", False),
        ("d", "2026-03-28T23:00Z", "2026-03-29T21:59Z", True),
        ("d", "2026-03-29T21:59Z", "2026-03-29T22:00Z", False),
        # Two o'clock comes twice: these are two hours.
        ("h", "2026-10-25T00:30Z", "2026-10-25T01:30Z", False),
        ("h", "2026-10-25T01:00Z", "2026-10-25T01:59Z", True),
        # ISO weeks begin on Monday, and the first of a year has its first Thursday.
        ("w", "2026-11-22T12:00Z", "2026-11-23T12:00Z", False),
        ("w", "2026-12-28T12:00Z", "2027-01-03T12:00Z", True),
        ("w", "2027-01-03T12:00Z", "2027-01-04T12:00Z", False),
        ("w", "2025-12-29T12:00Z", "2026-12-28T12:00Z", False),
        ("w", "2025-11-22T12:00Z", "2026-11-22T12:00Z", False),
        ("m", "2026-11-30T22:59Z", "2026-11-30T23:00Z", False),
        ("m", "2025-11-22T12:00Z", "2026-11-22T12:00Z", False),
        ("y", "2025-12-31T22:59Z", "2025-12-31T23:00Z", False),
        ("y", "2026-01-01T12:00Z", "2026-12-31T12:00Z", True),
    ],
)
def test_periods_are_those_of_the_calendar_of_the_time_zone(unit: Unit, one: str, other: str, is_same: bool) -> None:
    first, second = (datetime.fromisoformat(time).astimezone(BERLIN) for time in (one, other))

    assert (period(unit, first) == period(unit, second)) is is_same


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"])
@given(
    time=st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    unit=st.sampled_from(UNITS),
)
def test_a_period_lies_within_the_coarser_ones_but_for_weeks(zone: str, time: datetime, unit: Unit) -> None:
    local = time.astimezone(ZoneInfo(zone))
    coarser = {"h": "dmy", "d": "my", "w": "", "m": "y", "y": ""}[unit]
    start = local.replace(minute=0, second=0, microsecond=0)

    assert period("h", start) == period("h", local) or start.utcoffset() != local.utcoffset()
    for wider in (one for one in UNITS if one in coarser):
        assert period(wider, start) == period(wider, local)


def test_the_stack_has_its_policy_and_a_volume_overrides_it() -> None:
    stacks = Policy.read("7d", "KEEP")

    assert read_policy("payroll", [volume()], stacks) == stacks
    assert str(read_policy("payroll", [volume(), volume(WAL, keep="12m 4w")], stacks)) == "4w 12m"
    assert read_policy("payroll", [], stacks) == stacks


def test_two_volumes_may_say_the_same_in_other_words_but_not_two_things() -> None:
    stacks = Policy.read("7d", "KEEP")
    agreeing = [volume(DATA, keep="4w 12m"), volume(WAL, keep="12m 4w")]
    at_odds = [volume(DATA, keep="4w"), volume(WAL, keep="5w")]

    assert str(read_policy("payroll", agreeing, stacks)) == "4w 12m"
    with pytest.raises(Refused, match=f"'payroll'.*{DATA} says 4w, {WAL} says 5w"):
        read_policy("payroll", at_odds, stacks)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KEEP", "7x", ["KEEP", "'7x'"]),
        ("KEEP", "", ["KEEP"]),
        ("KEEP_LAST", "0", ["KEEP_LAST", "from 1"]),
        ("TIME_ZONE", "Europe/Bärlin", ["TIME_ZONE", "Europe/Berlin"]),
        ("TIME_ZONE", "Europe", ["TIME_ZONE", "Europe/Berlin"]),
        ("TIME_ZONE", "../etc/passwd", ["TIME_ZONE", "Europe/Berlin"]),
        ("APPLICATIONS", "", ["APPLICATIONS"]),
    ],
)
def test_a_parameter_that_is_wrong_is_named(name: str, value: str, words: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        Settings.from_env(ENVIRONMENT | {name: value})

    assert [word for word in words if word not in str(refused.value)] == []
