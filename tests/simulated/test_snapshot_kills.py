"""snapshot_database killed anywhere, delivered twice, met by every fault: trials, one after the other in one region.

Each begins in a minute of its own, with the database settled and no set of an earlier one there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import Death, Interleave, Lag, LostAnswer, Region, ServerError, Throttle, minutes
from region.bus import drop
from tests.simulated.test_snapshot_database import (
    FUNCTION,
    LEASE,
    concluded,
    host,
    nobody_was_lied_to,
    open_region,
    this_minute,
    words,
    writes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def opened() -> Iterator[Region]:
    with open_region() as region:
        region.bus.deliveries = drop  # no schedule makes a set beside that of a trial
        yield region


@pytest.fixture
def region(opened: Region) -> Iterator[Region]:
    """The region at the beginning of a trial."""
    opened.random.seed(7)
    yield opened
    opened.faults.remove(*opened.faults.active)
    opened.run(opened.quiet, at_most=minutes(30))
    for one in opened.world().snapshots:
        opened.client("ec2").delete_snapshot(SnapshotId=one.id)
    opened.run(at_most=minutes(1))
    opened.calls.clear()


@pytest.fixture
def event(region: Region) -> dict[str, Any]:
    return {"time": this_minute(region), "application": "smallpayroll"}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("deliveries", [2, 3])
def test_deliveries_at_the_same_moment_make_one_set(
    region: Region, event: dict[str, Any], seed: int, deliveries: int
) -> None:
    region.random.seed(seed)
    region.faults.add(Interleave(seed), Lag(1))

    for _ in range(deliveries):
        region.invoke(FUNCTION, event, asynchronous=True)
    region.run(region.quiet, at_most=minutes(15))

    assert [words(one)["consistency"] for one in region.world().snapshots] == ["application"]
    nobody_was_lied_to(region)


@pytest.mark.parametrize("seed", range(30))
def test_a_delivery_that_fails_and_thaws_what_another_froze_makes_no_set_a_lie(
    region: Region, event: dict[str, Any], seed: int
) -> None:
    region.random.seed(seed)
    region.faults.add(Interleave(seed))
    host(region).postgres = False

    for _ in range(2):
        region.invoke(FUNCTION, event, asynchronous=True)
    region.run(lambda: "SendCommand" in writes(region), at_most=minutes(2))
    region.run(at_most=0.25)
    host(region).postgres = True
    region.run(region.quiet, at_most=minutes(15))

    nobody_was_lied_to(region)


@pytest.mark.parametrize("nth", range(1, 5))
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_before_or_after_any_write_the_retry_makes_the_same_world(
    region: Region, event: dict[str, Any], nth: int, moment: str
) -> None:
    before = region.world()
    death = Death(before=nth) if moment == "before" else Death(after=nth)
    region.faults.add(death)

    region.invoke(FUNCTION, {"time": event["time"]}, asynchronous=True)
    region.run(region.quiet, at_most=minutes(20))

    assert death.happened
    settled = region.world()
    assert (settled.hosts, settled.volumes) == (before.hosts, before.volumes)
    assert [words(one)["consistency"] for one in concluded(region)] == ["application"]
    # A try that was ended between CreateSnapshots and the thaw leaves a set that says of itself that it is none.
    assert len(region.world().snapshots) - 1 == (1 if (moment, nth) in {("after", 2), ("before", 3)} else 0)
    nobody_was_lied_to(region)


@pytest.mark.parametrize("nth", range(1, 30))
def test_killed_before_any_call_at_all_nothing_stays_frozen_beyond_the_lease(region: Region, nth: int) -> None:
    death = Death(at_call=nth)
    region.faults.add(death)

    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(lambda: death.happened or region.quiet(), at_most=minutes(20))
    region.run(at_most=LEASE + 2)
    nobody_was_lied_to(region)
    region.run(region.quiet, at_most=minutes(20))

    assert [words(one)["consistency"] for one in concluded(region)] == ["application"]
    nobody_was_lied_to(region)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("operation", ["SendCommand", "CreateSnapshots", "CreateTags"])
def test_with_the_answer_of_any_write_lost_there_is_one_set_and_it_says_what_it_is(
    region: Region, operation: str, at_once: bool
) -> None:
    region.faults.add(LostAnswer(operation, at_once=at_once))

    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(region.quiet, at_most=minutes(20))

    assert len(concluded(region)) == 1
    assert len(region.world().snapshots) == 1
    nobody_was_lied_to(region)


@pytest.mark.parametrize("operation", ["SendCommand", "CreateSnapshots", "CreateTags", "DescribeSnapshots"])
@pytest.mark.parametrize("kind", [Throttle, ServerError])
def test_a_throttled_or_failing_call_is_made_up_for_by_the_retry(
    region: Region, operation: str, kind: type[Throttle]
) -> None:
    region.faults.add(kind(operation))

    region.invoke(FUNCTION, {"application": "smallpayroll"}, asynchronous=True)
    region.run(region.quiet, at_most=minutes(20))

    assert len(concluded(region)) == 1
    nobody_was_lied_to(region)
