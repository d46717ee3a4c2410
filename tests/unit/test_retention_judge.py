"""Which sets are kept and which go: a table of worlds, and what holds in all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import DATA, NOW, WAL, snapshot_set
from tests.unit.test_retention_policy import ENVIRONMENT
from watchkeeper import tags
from watchkeeper.look import stamp
from watchkeeper.retention.judge import Delete, Keep, Verdict, judge
from watchkeeper.retention.policy import UNITS, Policy
from watchkeeper.retention.settings import Settings

if TYPE_CHECKING:
    from random import Random

    from watchkeeper.aws.snapshots import SnapshotSet

DAY = timedelta(days=1)
KEEP_ONE = ENVIRONMENT | {"KEEP_LAST": "1", "TIME_ZONE": "UTC"}


def judged(sets: list[SnapshotSet], policy: str, zone: str = "UTC", last: int = 1) -> dict[str, Verdict]:
    """The verdicts by the names of the sets."""
    parameters = Settings.from_env(KEEP_ONE | {"TIME_ZONE": zone, "KEEP_LAST": str(last)})
    return {one.set.id: one for one in judge(sets, Policy.read(policy, "It"), parameters, NOW)}


def kept(sets: list[SnapshotSet], policy: str, zone: str = "UTC", last: int = 1) -> str:
    return " ".join(name for name, one in judged(sets, policy, zone, last).items() if isinstance(one, Keep))


def aged(*days: float, **more: object) -> list[SnapshotSet]:
    """Sets of so many days ago, each named by its age."""
    return [snapshot_set(DAY * age, name=f"{age:g}", **more) for age in days]  # type: ignore[arg-type]


# A table of worlds. NOW is Sunday 2026-11-22 04:30 UTC; a set is named by its age in days.


@pytest.mark.parametrize(
    ("ages", "policy", "keeps"),
    [
        (range(10), "3d", "2 1 0"),
        (range(10), "1d", "0"),
        ((0, 0.1, 1.0, 1.1, 2), "3d", "2 1 0.1 0"),  # 0.1 is younger than a day
        (range(40), "2w", "7 0"),  # Sundays are the last days of weeks
        (range(70), "2m", "22 0"),  # 22 days ago was October's last
        (range(0, 1000, 30), "2y", "330 0"),
        (range(40), "3d 2w 2m", "22 7 2 1 0"),
        ((2, 2.04, 2.08, 2.12), "2h", "2.04 2"),
        ((100, 200, 300), "2d", "200 100"),  # nothing new arrived: the periods are still two that hold a set
        ((), "7d", ""),
        ((500,), "1h", "500"),
    ],
)
def test_of_each_period_the_newest_set_is_kept_back_from_the_newest(ages: list[float], policy: str, keeps: str) -> None:
    assert kept(aged(*ages), policy) == keeps


def test_within_a_period_proven_goes_before_application_before_crash_then_the_newest() -> None:
    week = [
        snapshot_set(DAY * 8.0, name="crash", consistency="crash"),
        snapshot_set(DAY * 8.1, name="newer"),
        snapshot_set(DAY * 8.2, name="older"),
        snapshot_set(DAY * 8.3, name="newer proven", proven_at="2026-11-20T05:00:00Z"),
        snapshot_set(DAY * 8.4, name="older proven", proven_at="2026-11-21T05:00:00Z"),
    ]
    newest = snapshot_set(name="newest", proven_at="2026-11-22T04:00:00Z")

    orders = [kept([newest, *week[first:]], "2w") for first in (0, 3, 4)]

    assert orders == ["newer proven newest", "newer proven newest", "older proven newest"]
    assert kept([newest, *week[:3]], "2w") == "newer newest"
    assert kept([newest, *week[:1]], "2w") == "crash newest"


FAILURE = "2026-11-21T05:00:00Z a page of accounts is damaged"


def test_within_a_period_what_failed_its_rehearsal_goes_after_application_and_before_crash() -> None:
    week = [
        snapshot_set(DAY * 8.0, name="crash", consistency="crash"),
        snapshot_set(DAY * 8.1, name="newer failed", failed=FAILURE),
        snapshot_set(DAY * 8.2, name="older failed", failed=FAILURE),
        snapshot_set(DAY * 8.3, name="sound"),
        snapshot_set(DAY * 8.4, name="proven later", failed=FAILURE, proven_at="2026-11-22T04:00:00Z"),
    ]
    newest = snapshot_set(name="newest", proven_at="2026-11-22T04:00:00Z")

    assert [kept([newest, *week[:most]], "2w") for most in (2, 3, 4, 5)] == [
        "newer failed newest",
        "newer failed newest",
        "sound newest",
        "proven later newest",
    ]


def test_the_newest_set_that_has_not_failed_outlives_any_policy_however_many_fail_after_it() -> None:
    sets = [*aged(300, 200), *aged(100, 50, 0, failed=FAILURE)]

    verdicts = judged(sets, "1d")

    assert verdicts["200"] == Keep(sets[1], "newest set that has not failed its rehearsal")
    assert [name for name, one in verdicts.items() if isinstance(one, Keep)] == ["200", "0"]


def test_days_with_crash_sets_alone_use_up_no_place_of_a_better_set() -> None:
    failing = aged(*range(5), consistency="crash")
    good = aged(5, 6, 7, 8)

    # Three days keep the newest three of either kind: the crash sets for want of a better one.
    assert kept(failing + good, "3d") == "7 6 5 2 1 0"


def test_an_application_set_is_not_displaced_by_the_crash_set_that_followed_it_on_the_day() -> None:
    sets = [*aged(3.1, 4.1), *aged(3.0, 4.0, consistency="crash"), *aged(0)]

    assert kept(sets, "7d") == "4.1 3.1 0"


def test_the_last_few_are_kept_and_beside_crash_sets_the_last_few_better_ones() -> None:
    sets = [*aged(5.2, 5.3, 5.4), *aged(3.1, 3.2, 3.3, consistency="crash"), *aged(6, 7)]

    assert kept(sets, "1y", last=3) == "5.4 5.3 5.2 3.3 3.2 3.1"
    assert judged(sets, "1y", last=3)["5.4"].reason == "last 3 of 3 but for crash sets"


def test_the_newest_application_set_and_the_newest_proven_one_outlive_any_policy() -> None:
    sets = [*aged(300, proven_at="2026-02-01T00:00:00Z"), *aged(200), *aged(100, 99, consistency="crash")]

    verdicts = judged(sets, "1h")

    assert verdicts["300"] == Keep(sets[0], "newest proven set")
    assert "newest application set" in verdicts["200"].reason
    assert isinstance(verdicts["100"], Delete)


def test_what_is_younger_than_a_day_is_kept_by_the_clock_of_ebs() -> None:
    sets = aged(0.1, 0.2, 0.999, 1.0)
    claims_to_be_old = snapshot_set(DAY * 0.5, name="0.5", run=NOW - DAY * 40)

    assert kept([*sets, claims_to_be_old], "1d") == "0.999 0.5 0.2 0.1"


def test_a_paused_set_is_left_and_still_stands_for_its_day() -> None:
    paused = aged(5.0, paused="auditors ask for it")

    assert kept([*aged(0, 5.1, 20), *paused], "7d") == "20 5 0"
    assert kept([*aged(0, 1.5, 5.1), *paused], "2d") == "5 1.5 0"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (snapshot_set(DAY * 2, name="it", state="error"), "EBS failed to copy it"),
        (snapshot_set(DAY * 2, name="it", concluded=False), "its attempt was ended before it said what it is"),
    ],
)
def test_what_cannot_be_restored_counts_for_nothing_and_goes_when_a_day_old(broken: SnapshotSet, reason: str) -> None:
    verdicts = judged([broken, *aged(0, 2.1, 3)], "7d")

    assert verdicts["it"] == Delete(broken, reason)
    assert isinstance(verdicts["2.1"], Keep)


def test_what_is_left_of_a_half_deleted_set_goes_with_the_reason() -> None:
    whole = snapshot_set(DAY * 2, name="it", volumes=(DATA, WAL))
    half = replace(whole, members=whole.members[1:])

    assert judged([half, *aged(0)], "7d")["it"] == Delete(half, f"it has no snapshot of {DATA} any more")
    assert isinstance(judged([whole, *aged(0)], "7d")["it"], Keep)


def test_a_set_that_is_still_being_copied_is_left_to_ebs_and_does_not_count() -> None:
    pending = snapshot_set(DAY * 2, name="it", state="pending")

    verdicts = judged([pending, *aged(3)], "1d", last=1)

    assert verdicts["it"] == Keep(pending, "EBS is still copying it")
    assert "newest application set" in verdicts["3"].reason


def test_a_broken_set_stays_while_nothing_newer_can_be_restored() -> None:
    attempts = aged(1.5, 2, 3, concluded=False)

    assert kept(attempts, "7d") == "3 2 1.5"
    assert kept([*attempts, *aged(2.5)], "7d") == "2.5 2 1.5"


@pytest.mark.parametrize("words", [{"consistency": "application"}, {"consistency": "crash", "proven_at": "x"}])
def test_a_good_set_whose_word_of_its_end_was_taken_away_is_left_to_a_person(words: dict[str, str]) -> None:
    edited = snapshot_set(DAY * 40, name="edited", concluded=False, **words)  # type: ignore[arg-type]

    verdict = judged([edited, *aged(2, consistency="crash")], "1d")["edited"]

    assert verdict == Keep(edited, "its tags contradict each other: somebody edited them")


def test_a_set_with_two_snapshots_of_a_volume_is_left_to_a_person() -> None:
    one = snapshot_set(DAY * 5, name="it")
    doubled = replace(one, members=(*one.members, replace(one.members[0], id="snap-other")))

    verdict = judged([doubled, *aged(0)], "1d")["it"]

    assert verdict == Keep(doubled, f"it has two snapshots of {DATA}, which only a person can tell apart")


def test_every_verdict_says_why() -> None:
    sets = aged(0, 1.0, 1.1, 2, 9, 40)

    verdicts = judged(sets, "2d 2w", last=2)

    assert {name: one.reason for name, one in verdicts.items()} == {
        "40": "older than what 2d 2w keeps",
        "9": "weekly 2 of 2",
        "2": f"the set of {stamp(NOW)} stands for its week",
        "1.1": f"the set of {stamp(NOW - DAY)} stands for its day",
        "1": "daily 2 of 2, last 2 of 2",
        "0": "younger than a day, daily 1 of 2, weekly 1 of 2, newest application set, last 1 of 2",
    }


def test_days_are_those_of_the_time_zone() -> None:
    # 22:30 and 23:30 UTC are one evening in London and two days in Berlin.
    at = [datetime(2026, 11, 10, hour, 30, tzinfo=UTC) for hour in (22, 23)]
    sets = [*aged(0), *(snapshot_set(NOW - time, name=str(time.hour)) for time in at)]

    assert kept(sets, "7d", "Europe/London") == "23 0"
    assert kept(sets, "7d", "Europe/Berlin") == "22 23 0"


# What holds in all worlds.

POLICIES = st.dictionaries(st.sampled_from(UNITS), st.integers(1, 5), min_size=1).map(
    lambda counts: Policy(tuple((unit, counts[unit]) for unit in UNITS if unit in counts))
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns"])
LASTS = st.integers(1, 4)


@st.composite
def worlds(draw: st.DrawFn) -> list[SnapshotSet]:
    """Up to thirty sets of the last years, of every kind, some within hours of each other."""
    ages = draw(st.lists(st.one_of(st.integers(0, 72), st.integers(0, 24 * 900)), max_size=30, unique=True))
    return [draw(sets_of(hours, number)) for number, hours in enumerate(ages)]


@st.composite
def sets_of(draw: st.DrawFn, hours: int, number: int) -> SnapshotSet:
    often = st.sampled_from([True] * 7 + [False])
    marks = draw(st.lists(st.sampled_from(["proven_at", "paused", "failed"]), max_size=1)) if not draw(often) else []
    one = snapshot_set(
        timedelta(hours=hours),
        name=str(number),
        consistency=draw(st.sampled_from(["application", "application", "crash"])),
        state="completed" if draw(often) else draw(st.sampled_from(["pending", "error"])),
        volumes=draw(st.sampled_from([(DATA,), (DATA, WAL)])),
        concluded=draw(often),
        **dict.fromkeys(marks, "x"),
    )
    return one if draw(often) else replace(one, members=one.members[-1:])


def decide(
    sets: list[SnapshotSet], policy: Policy, zone: str = "UTC", last: int = 1, moment: datetime = NOW
) -> tuple[list[SnapshotSet], list[SnapshotSet]]:
    """What is kept, and what goes."""
    parameters = Settings.from_env(KEEP_ONE | {"TIME_ZONE": zone, "KEEP_LAST": str(last)})
    verdicts = judge(sets, policy, parameters, moment)
    assert sorted(one.set.id for one in verdicts) == sorted(one.id for one in sets)
    return (
        [one.set for one in verdicts if isinstance(one, Keep)],
        [one.set for one in verdicts if isinstance(one, Delete)],
    )


def names(sets: list[SnapshotSet]) -> set[str]:
    return {one.id for one in sets}


def restorable(sets: list[SnapshotSet]) -> list[SnapshotSet]:
    """The sets that count, newest first."""
    found = [one for one in sets if one.is_finished and one.is_concluded]
    return sorted(found, key=lambda one: one.started, reverse=True)


@given(worlds(), POLICIES, ZONES, LASTS)
def test_the_newest_application_set_the_newest_proven_one_and_the_newest_that_has_not_failed_survive(
    sets: list[SnapshotSet], policy: Policy, zone: str, last: int
) -> None:
    stays, _ = decide(sets, policy, zone, last)

    application = [one for one in restorable(sets) if one.consistency == "application"]
    proven = [one for one in restorable(sets) if one.is_proven]
    sound = [one for one in application if one.is_proven or not any(tags.FAILED in each.tags for each in one.members)]
    assert names(application[:1] + proven[:1] + sound[:1]) <= names(stays)


@given(worlds(), POLICIES, LASTS)
def test_the_last_few_survive(sets: list[SnapshotSet], policy: Policy, last: int) -> None:
    stays, _ = decide(sets, policy, last=last)

    better = [one for one in restorable(sets) if one.is_proven or one.consistency == "application"]
    assert names(restorable(sets)[:last] + better[:last]) <= names(stays)


@given(worlds(), POLICIES, ZONES, LASTS)
def test_a_plan_of_the_planned_world_is_empty(sets: list[SnapshotSet], policy: Policy, zone: str, last: int) -> None:
    stays, _ = decide(sets, policy, zone, last)

    assert decide(stays, policy, zone, last)[1] == []


@given(worlds(), POLICIES, LASTS, st.data())
def test_a_run_that_stopped_anywhere_is_completed_by_the_next(
    sets: list[SnapshotSet], policy: Policy, last: int, data: st.DataObject
) -> None:
    stays, goes = decide(sets, policy, last=last)
    done = data.draw(st.integers(0, len(goes)))

    rest = sets_without(sets, goes[:done])
    assert decide(rest, policy, last=last) == (stays, goes[done:])


def sets_without(sets: list[SnapshotSet], gone: list[SnapshotSet]) -> list[SnapshotSet]:
    return [one for one in sets if one.id not in names(gone)]


@given(worlds(), POLICIES, POLICIES, LASTS, st.integers(0, 3), ZONES)
def test_keeping_more_never_deletes_more(
    sets: list[SnapshotSet], policy: Policy, added: Policy, last: int, later: int, zone: str
) -> None:
    sum_of = {unit: dict(policy.counts).get(unit, 0) + dict(added.counts).get(unit, 0) for unit in UNITS}
    more = Policy(tuple((unit, count) for unit, count in sum_of.items() if count))

    _, fewer = decide(sets, more, zone, last + later)

    assert names(fewer) <= names(decide(sets, policy, zone, last)[1])


@given(worlds(), POLICIES, ZONES, LASTS)
def test_a_crash_set_never_displaces_a_better_one(
    sets: list[SnapshotSet], policy: Policy, zone: str, last: int
) -> None:
    is_crash = names([one for one in restorable(sets) if one.consistency == "crash" and not one.is_proven])
    without = [one for one in sets if one.id not in is_crash]
    better = names(restorable(without))

    assert names(decide(sets, policy, zone, last)[1]) & better == names(decide(without, policy, zone, last)[1]) & better


@given(worlds(), POLICIES, LASTS, st.integers(0, 2000))
def test_nothing_younger_than_a_day_and_nothing_paused_goes(
    sets: list[SnapshotSet], policy: Policy, last: int, hours: int
) -> None:
    moment = NOW - timedelta(hours=hours)

    _, goes = decide(sets, policy, last=last, moment=moment)

    assert [one for one in goes if one.started > moment - DAY or one.is_paused] == []


@given(worlds(), POLICIES, LASTS, st.randoms(use_true_random=False))
def test_the_order_of_what_was_read_does_not_matter(
    sets: list[SnapshotSet], policy: Policy, last: int, random: Random
) -> None:
    shuffled = random.sample(sets, len(sets))

    assert decide(shuffled, policy, last=last) == decide(sets, policy, last=last)


@given(worlds(), POLICIES, LASTS)
def test_time_alone_deletes_nothing_that_can_be_restored_once_it_is_a_day_old(
    sets: list[SnapshotSet], policy: Policy, last: int
) -> None:
    soon, late = (decide(sets, policy, last=last, moment=NOW + DAY * days)[1] for days in (1, 4000))

    assert soon == late


@settings(max_examples=10)
@given(st.integers(0, 10**6), POLICIES, LASTS)
def test_pruned_each_day_there_stays_what_one_pruning_at_the_end_would_keep(
    seed: int, policy: Policy, last: int
) -> None:
    """Of nights alone, all alike: with a better set late in a period another one may have stood for it meanwhile."""
    nights = [snapshot_set(DAY * age + timedelta(minutes=seed % 300), name=str(age)) for age in range(120, -1, -1)]
    left: list[SnapshotSet] = []
    for night in nights:
        left, _ = decide([*left, night], policy, last=last, moment=night.started + timedelta(hours=2))

    at_once, _ = decide(nights, policy, last=last, moment=nights[-1].started + timedelta(hours=2))
    assert names(left) == names(at_once)


def test_seven_days_four_weeks_twelve_months_and_three_years_are_22_sets() -> None:
    nights = aged(*range(1000))

    stays = kept(nights, "7d 4w 12m 3y", last=3).split()

    # A day may stand for its week, a week for its month and a month for its year.
    assert len(stays) == 7 + 3 + 11 + 1
    assert stays[-10:] == ["21", "14", "7", "6", "5", "4", "3", "2", "1", "0"]
