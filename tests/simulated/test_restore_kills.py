"""A restore into the database's place, and an undo, killed at each write, not answered, doubled, and left for hours."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from region import Death, LostAnswer, minutes
from region.failure import Failed
from tests.simulated.dying import look, notices, words
from tests.simulated.restoring import (
    database,
    die,
    is_sound,
    label,
    of_role,
    open_restorable,
    restore,
    writes,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from region import Region
    from region.faults import Fault

OUT = ("DetachVolume", "DetachVolume", "CreateTags")
ARRIVE = ("CreateTags", "AttachVolume", "AttachVolume", "SendCommand")
TELL = ("CreateLogStream", "PutLogEvents", "Publish")

# All writes of one undisturbed look, in their order: paused, protected, made, stopped, out, in, told, unpaused. What is
# put back knows the highest timeline; of what was restored it is kept once it was stopped.
WRITES = {
    "database": (
        *("CreateTags", "Invoke", "CreateVolume", "CreateVolume", "SendCommand"),
        *(*OUT, *ARRIVE, *TELL, "DeleteTags", "DeleteTags"),
    ),
    "undo": (
        *("CreateTags", "CreateTags", "Invoke", "SendCommand", "CreateTags"),
        *(*OUT, *ARRIVE, *TELL, "DeleteTags", "DeleteTags", "DeleteTags"),
    ),
}

# Each look at whether all is sound writes a transaction.
PROOF = 1


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    """One region for all: each trial restores the same set, then undoes it, and leaves the world as it was."""
    with open_restorable() as opened:
        label(opened, database(opened), timeline="1")
        yield opened


def run(region: Region, case: str, *faults: Fault) -> None:
    """One operation, whatever goes wrong on the way: the same event again carries on, and once more does nothing.

    What replaces hosts looks meanwhile, and leaves it alone.
    """
    region.run(at_most=minutes(6))
    told, sets, before, event = len(notices(region)), runs(region), database(region), words_for(region, case)
    region.calls.clear()
    region.faults.add(*faults)
    for fault in faults:
        if isinstance(fault, Death):
            die(region, case, **event)
            look(region)
    answer = restore(region, case, **event)
    assert all(fault.happened for fault in faults if getattr(fault, "operation", "") not in TELL[1:])
    region.faults.remove(*faults)
    done = len(writes(region))
    look(region)
    assert restore(region, case, **event | {"force": False})["note"].startswith("it had ended before")
    assert len(writes(region)) == done
    assert (answer["volumes"], answer["put_aside"]) == (database(region), before)
    is_sound(region)
    assert len(runs(region) - sets) == 1
    assert told + (not faults) <= len(notices(region)) <= told + 1


def words_for(region: Region, case: str) -> dict[str, Any]:
    """The first set, by its run: the newest is by now of what was undone. By force, since it was restored before."""
    return {"force": True} | ({"set": min(runs(region))} if case == "database" else {})


def runs(region: Region) -> set[str]:
    """The runs of which there is a set."""
    return {words(region, one).get("run", "") for one in region.ec2.snapshots} - {""}


def there_and_back(region: Region, *faults: Sequence[Fault]) -> None:
    """A restore and its undo, each with its faults: the world is as it was, but for what was put aside."""
    before = database(region)
    lies = written(region, before)

    run(region, "database", *faults[0])

    assert written(region, database(region)) == 1 + PROOF
    assert of_role(region, "retired") == before
    restored = database(region)

    run(region, "undo", *faults[1])

    assert database(region) == before
    assert written(region, before) == lies + PROOF
    assert of_role(region, "retired") == restored
    clear_up(region)


def clear_up(region: Region) -> None:
    """What people do with what was put aside, and retention with old sets."""
    ec2, first = region.client("ec2"), min(runs(region))
    for one in of_role(region, "retired"):
        ec2.delete_volume(VolumeId=one)
    for one in [one for one in region.ec2.snapshots if words(region, one).get("run", first) != first]:
        ec2.delete_snapshot(SnapshotId=one)


def test_these_are_the_writes_of_a_restore_and_of_its_undo(region: Region) -> None:
    for case, expected in WRITES.items():
        region.run(at_most=minutes(6))
        region.calls.clear()

        restore(region, case, **words_for(region, case))

        assert tuple(writes(region)) == expected
    clear_up(region)


@pytest.mark.parametrize("number", range(1, 1 + max(map(len, WRITES.values()))))
def test_killed_before_any_write_the_same_event_carries_on(region: Region, number: int) -> None:
    there_and_back(region, *([Death(before=number)] if number <= len(one) else [] for one in WRITES.values()))


def test_killed_after_its_last_write_the_same_event_does_nothing(region: Region) -> None:
    there_and_back(region, *([Death(after=len(one))] for one in WRITES.values()))


def test_killed_again_and_again_after_two_writes_each_it_ends_all_the_same(region: Region) -> None:
    for case, done in WRITES.items():
        region.run(at_most=minutes(6))
        before, event = database(region), words_for(region, case)

        deaths = die_often(region, case, **event)

        assert deaths >= len(done) // 2
        assert restore(region, case, **event | {"force": False})["note"].startswith("it had ended before")
        assert of_role(region, "retired") == before
        is_sound(region)
    clear_up(region)


def die_often(region: Region, case: str, **event: Any) -> int:
    """Looks that each die after two writes, until one finds no two to write; how many died.

    One alone would not do: that a notice was claimed before is found by the write that claims it.
    """
    for number in range(100):
        death = Death(after=2)
        region.faults.add(death)
        with contextlib.suppress(Failed):
            restore(region, case, **event)
        region.faults.remove(death)
        if not death.happened:
            return number
        region.run(region.quiet, at_most=minutes(5))  # the set that it asked for is not to be killed
    raise AssertionError("it never ends")


@pytest.mark.parametrize("times", [1, 1000])
def test_where_no_write_is_answered_the_first_time_or_ever_it_ends_all_the_same(region: Region, times: int) -> None:
    there_and_back(region, *([LostAnswer(name, times) for name in sorted(set(one))] for one in WRITES.values()))
