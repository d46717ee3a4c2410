"""A rehearsal that is killed at each write, whose answers are lost, or after which nothing but the clean-up is left."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from region import Death, Failed, LostAnswer, hours
from tests.simulated.dying import volumes
from tests.simulated.rehearsing import (
    WRITES,
    Shared,
    asked,
    is_untouched,
    label,
    later,
    only_set,
    rehearse,
    told,
    unlabel,
    writes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from region import Region
    from region.faults import Fault

CONCLUDED = WRITES.index("CreateTags") + 1

DEATHS = [
    pytest.param(side, number, id=f"{side}-{number}-{WRITES[number - 1]}")
    for number in range(1, len(WRITES) + 1)
    for side in ("before", "after")
]


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    with ExitStack() as stack:
        yield Shared(stack)


@pytest.fixture
def region(shared: Shared) -> Region:
    return shared.fresh()


def killed(region: Region, fault: Fault) -> None:
    """A look that meets the fault, and of which nothing comes back."""
    region.faults.add(fault)
    with pytest.raises(Failed, match="killed"):
        rehearse(region)


def test_these_are_the_writes_of_a_rehearsal(region: Region) -> None:
    rehearse(region)

    assert tuple(writes(region)) == WRITES


@pytest.mark.parametrize(("side", "number"), DEATHS)
def test_a_look_that_is_killed_at_any_write_is_carried_on_by_the_next_hour(
    region: Region, side: str, number: int
) -> None:
    before = region.world()
    killed(region, Death(before=number) if side == "before" else Death(after=number))

    later(region)

    assert "proven-at" in only_set(region)
    assert "failed" not in only_set(region)
    is_untouched(region, before)
    assert len({one["ClientToken"] for one in asked(region, "RunInstances")}) == 1
    assert told(region) == []


@pytest.mark.parametrize("number", range(1, len(WRITES) + 1))
def test_what_a_function_that_died_for_good_has_left_is_gone_after_six_hours(region: Region, number: int) -> None:
    """Paused meanwhile, so that nothing begins anew, and only the clean-up is left."""
    before = region.world()
    killed(region, Death(after=number))
    data = volumes(region)[0]["VolumeId"]
    label(region, data, paused="by hand")
    region.run(at_most=hours(6.1))

    rehearse(region)

    unlabel(region, [data], "paused")
    assert ("proven-at" in only_set(region)) == (number >= CONCLUDED)
    is_untouched(region, before)


@pytest.mark.parametrize("operation", sorted(set(WRITES)))
def test_a_write_whose_answer_is_lost_is_seen_by_the_same_look_or_the_next(region: Region, operation: str) -> None:
    before = region.world()
    fault = LostAnswer(operation)
    region.faults.add(fault)

    region.invoke("rehearse_restore", {}, asynchronous=True)
    region.run(lambda: all(one.is_over for one in region.functions.invocations), at_most=hours(1))
    later(region)

    assert fault.happened
    assert "proven-at" in only_set(region)
    is_untouched(region, before)
    assert len({one["ClientToken"] for one in asked(region, "RunInstances")}) == 1


def test_where_no_write_is_ever_answered_it_is_proven_all_the_same(region: Region) -> None:
    before = region.world()
    region.faults.add(*(LostAnswer(one, times=1000, at_once=True) for one in set(WRITES)))

    for _ in range(3):
        region.invoke("rehearse_restore", {}, asynchronous=True)
        region.run(at_most=hours(1))

    assert "proven-at" in only_set(region)
    is_untouched(region, before)
