"""Which set a wish means, what is told where there is none, and what an event may ask for."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import DATA, NOW, WAL, snapshot_set
from watchkeeper import tags
from watchkeeper.errors import Refused
from watchkeeper.look import stamp
from watchkeeper.restore import choice
from watchkeeper.restore.wish import Wish

if TYPE_CHECKING:
    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet

HOUR = timedelta(hours=1)


def named(number: int, ago: timedelta, **more: Any) -> SnapshotSet:
    """A set whose one snapshot has an id like AWS's."""
    one = snapshot_set(ago, name=f"set-{number}", **more)
    members = tuple(replace(each, id=f"snap-{number:08x}", progress="40%") for each in one.members)
    return replace(one, members=members)


OLD = named(1, 50 * HOUR, proven_at=stamp(NOW - 49 * HOUR))
MIDDLE = named(2, 26 * HOUR)
CRASH = named(3, 3 * HOUR, consistency="crash")
PENDING = named(4, HOUR, state="pending")
OTHERS = named(5, 2 * HOUR, application="shop")
BROKEN = named(6, 30 * HOUR, state="error")
WHOLE = named(7, 31 * HOUR, volumes=(DATA, WAL))
HALF = replace(WHOLE, members=WHOLE.members[:1])
ALL = (OLD, HALF, BROKEN, MIDDLE, CRASH, OTHERS, PENDING)


def choose(wish: Wish, *sets: SnapshotSet) -> SnapshotSet:
    found = [member for one in sets or ALL for member in one.members]
    return choice.choose(found, wish, "payroll", NOW)


def why(wish: Wish, *sets: SnapshotSet) -> str:
    with pytest.raises(Refused) as refused:
        choose(wish, *sets)
    return str(refused.value)


@pytest.mark.parametrize(
    ("wish", "meant"),
    [
        (Wish(set="latest"), MIDDLE),
        (Wish(set="latest", accepts_crash=True), CRASH),
        (Wish(set="latest-proven"), OLD),
        (Wish(set=stamp(MIDDLE.run)), MIDDLE),
        (Wish(set=stamp(CRASH.run), accepts_crash=True), CRASH),
        (Wish(set=CRASH.members[0].id), CRASH),
        (Wish(before=MIDDLE.started), OLD),
        (Wish(before=MIDDLE.started + timedelta(seconds=1)), MIDDLE),
        (Wish(before=NOW, accepts_crash=True), CRASH),
    ],
)
def test_a_wish_means_one_set(wish: Wish, meant: SnapshotSet) -> None:
    assert choose(wish).id == meant.id
    assert choice.fits(wish, meant)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish(set=stamp(CRASH.run)), 'only crash-consistent: say "accept": "crash"'),
        (Wish(set=stamp(PENDING.run)), "still copying .* 40%"),
        (Wish(set=PENDING.members[0].id), "still copying .* 40%"),
        (Wish(set=stamp(BROKEN.run)), "EBS gave up on snap-00000006"),
        (Wish(set="snap-00000007"), f"it has no one snapshot of {WAL}"),
        (Wish(set=OTHERS.members[0].id), "is of the application 'shop', not of 'payroll'"),
        (Wish(set="snap-0000000f"), "is none of Watchkeeper's"),
        (Wish(set=stamp(NOW)), "There is no set of 'payroll' of the run"),
        (Wish(before=OLD.started), "There is no set of 'payroll' from before"),
    ],
)
def test_what_is_no_set_is_told_with_the_newest_that_are(wish: Wish, sentence: str) -> None:
    told = why(wish)

    assert re.search(sentence, told)
    assert stamp(PENDING.run) in told
    assert "proven" in told
    assert stamp(OTHERS.run) not in told


def test_five_of_many_sets_are_told_the_newest_first() -> None:
    many = [named(number, number * HOUR) for number in range(1, 9)]

    told = why(Wish(set="latest-proven"), *many)

    assert re.findall(r"snap-\w+", told) == [f"snap-{number:08x}" for number in range(1, 6)]


def test_a_copy_is_no_set_whatever_its_tags_say() -> None:
    copied = replace(MIDDLE, members=tuple(replace(one, is_copy=True) for one in MIDDLE.members))

    assert "is a copy" in why(Wish(set=MIDDLE.members[0].id), copied)
    assert "has no set at all" in why(Wish(set="latest"), copied)


def test_of_a_run_that_was_tried_twice_the_better_set_is_meant() -> None:
    better = replace(named(8, CRASH_AGE), run=CRASH.run)
    members = tuple(replace(one, tags={**one.tags, tags.RUN: stamp(CRASH.run)}) for one in better.members)
    better = replace(better, members=members)

    assert choose(Wish(set=stamp(CRASH.run), accepts_crash=True), better, CRASH).id == better.id


CRASH_AGE = 3 * HOUR + timedelta(minutes=2)


def test_a_failed_rehearsal_is_told_of_a_set() -> None:
    failed = named(9, HOUR, failed=f"{stamp(NOW)} a page is damaged")

    assert choice.describe(failed, NOW)["rehearsal_failed"].endswith("a page is damaged")
    assert "its rehearsal failed" in why(Wish(set="latest-proven"), failed)


@pytest.mark.parametrize(("proven", "is_told"), [(timedelta(), False), (-HOUR, True)])
def test_a_set_that_was_proven_since_it_failed_is_told_as_proven(proven: timedelta, is_told: bool) -> None:
    words = {"failed": f"{stamp(NOW - HOUR / 2)} a page is damaged", "proven_at": stamp(NOW + proven)}
    one = named(9, HOUR, **words)

    assert ("rehearsal_failed" in choice.describe(one, NOW)) is is_told
    assert ("its rehearsal failed" in choice.newest([one], "payroll", NOW)) is is_told


@given(
    st.lists(st.sampled_from(ALL), unique_by=lambda one: one.id), st.booleans(), st.sampled_from(["latest", "before"])
)
def test_what_is_chosen_unasked_is_finished_ours_and_the_newest(
    sets: list[SnapshotSet], accepts: bool, how: str
) -> None:
    wish = Wish(before=NOW, accepts_crash=accepts) if how == "before" else Wish(set=how, accepts_crash=accepts)
    words = ("application", "crash") if accepts else ("application",)
    good = [one for one in sets if one.is_finished and one.application == "payroll" and one.consistency in words]
    found: list[Snapshot] = [member for one in sets for member in one.members]
    try:
        chosen = choice.choose(found, wish, "payroll", NOW)
    except Refused:
        assert good == []
    else:
        assert chosen.started == max(one.started for one in good)


@pytest.mark.parametrize(("span", "words"), [(26 * HOUR, "1 days 2 h"), (3 * HOUR, "3 h 0 min"), (HOUR / 4, "15 min")])
def test_ages_are_words(span: timedelta, words: str) -> None:
    assert choice.age(span) == words


@pytest.mark.parametrize(
    "event",
    [
        {"set": "latest", "into": "volumes", "zone": 1},
        {"set": "latest"},
        {"into": "database"},
        {"set": {"before": "yesterday"}, "into": "database"},
        {"set": {"after": "2026-11-20T12:00:00Z"}, "into": "database"},
        {"set": "latest", "into": "host", "instance": "i-0123456789abcdef0"},
        {"set": "latest", "into": "host", "instance": "i-0123456789abcdef0", "path": "/a/.b"},
        {"set": "latest", "into": "host", "instance": "i-0123456789abcdef0", "path": "/a b"},
        {"set": "latest", "into": "host", "instance": "i-0123456789abcdef0", "path": "/" + "a" * 300},
        {"set": "latest", "into": "database", "undo": True},
        {"undo": 1},
    ],
)
def test_what_an_event_cannot_mean_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        Wish.from_event({"application": "payroll", **event})


def test_a_run_is_meant_however_its_time_is_written() -> None:
    wish = Wish.from_event({"application": "payroll", "set": "2026-11-20T04:00:00+01:00", "into": "database"})

    assert wish == Wish(set="2026-11-20T03:00:00Z")
