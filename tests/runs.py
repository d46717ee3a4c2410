"""Tests of snapshot_database that hold in a region of either form: those of each form import them, and give `region`.

The region has Watchkeeper and smallpayroll in it; `event` is one of a run that has no set yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import Death, Failed, LostAnswer, Throttle, minutes

if TYPE_CHECKING:
    from region import Region
    from region.world import Snapshot

FUNCTION = "snapshot_database"


def words(snapshot: Snapshot) -> dict[str, str]:
    """The tags of a snapshot, without their prefix."""
    return {key.removeprefix("watchkeeper:"): value for key, value in snapshot.tags}


def of_run(region: Region, event: dict[str, Any]) -> list[Snapshot]:
    """The snapshots of a run whose try came to a conclusion."""
    return [
        one for one in region.world().snapshots if words(one).get("run") == event["time"] and "frozen-ms" in words(one)
    ]


def is_true(snapshot: Snapshot) -> bool:
    """It says `application` only if it was taken within the freeze that it names."""
    return words(snapshot)["consistency"] == "crash" or snapshot.freeze == words(snapshot)["set"]


def test_a_run_makes_one_set_and_the_same_run_again_none(region: Region, event: dict[str, Any]) -> None:
    first = region.invoke(FUNCTION, event)
    second = region.invoke(FUNCTION, event)

    (snapshot,) = of_run(region, event)
    assert words(snapshot)["consistency"] == first["made"][0]["consistency"] == "application"
    assert is_true(snapshot)
    assert second["left"] == [{"application": "smallpayroll", "reason": "the run has its set"}]
    assert dict(region.machines.frozen()) == {}


def test_a_run_that_was_killed_after_the_thaw_is_completed_by_its_retry(region: Region, event: dict[str, Any]) -> None:
    region.faults.add(Death(after=3))
    with pytest.raises(Failed, match="killed"):
        region.invoke(FUNCTION, event)
    region.run(at_most=2)

    (made,) = region.invoke(FUNCTION, event)["made"]

    (snapshot,) = of_run(region, event)
    assert made["snapshots"] == [snapshot.id]
    assert "an earlier try made it" in made["reason"]
    assert words(snapshot)["consistency"] == "application"
    assert is_true(snapshot)


def test_a_set_whose_answer_was_lost_is_found_within_the_freeze(region: Region, event: dict[str, Any]) -> None:
    region.faults.add(LostAnswer("CreateSnapshots", at_once=True))

    (made,) = region.invoke(FUNCTION, event)["made"]

    (snapshot,) = of_run(region, event)
    assert made["consistency"] == "application"
    assert is_true(snapshot)


def test_what_ec2_refuses_is_thawed_and_raised(region: Region, event: dict[str, Any]) -> None:
    region.faults.add(Throttle("CreateSnapshots"))

    with pytest.raises(Failed):
        region.invoke(FUNCTION, event)

    assert of_run(region, event) == []
    region.run(region.quiet, at_most=minutes(1))
    assert dict(region.machines.frozen()) == {}
