"""restore_database end to end in a region without disks: in the place of a database, undone, doubled, failing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from region import Death, Interleave, Lag, VolumeFails, minutes
from region.failure import Failed
from tests.simulated.dying import FUNCTION as REPLACE
from tests.simulated.dying import host, hush, is_served_by, look, machine, machines, notices, rouse, settled, words
from tests.simulated.restoring import (
    FUNCTION,
    PUT_BACK,
    RESTORED,
    attachments,
    database,
    die,
    is_sound,
    is_untouched,
    label,
    of_role,
    open_restorable,
    paused,
    payload,
    refusal,
    restore,
    snapshot,
    take,
    writes,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from region import Region


@pytest.fixture
def region() -> Iterator[Region]:
    with open_restorable() as opened:
        yield opened


def test_a_restore_puts_a_set_into_the_databases_place_and_undo_puts_back_what_was(region: Region) -> None:
    before, home = database(region), host(region)
    region.run(at_most=59 - region.clock.moment().second)  # an operation is named by its minute
    began = region.clock.moment()

    made = restore(region)

    took = (region.clock.moment() - began).total_seconds()
    assert made["seconds"] == pytest.approx(took, abs=2)
    assert region.metrics["SecondsToRestore"] == [pytest.approx(took, abs=2)]
    assert f"which took {made['seconds']:.0f} s" in notices(region)[-1][1]
    assert made["volumes"] == database(region) != before
    assert made["put_aside"] == before
    assert made["undo"] == payload("undo")
    assert written(region, database(region)) == 1
    assert [attachments(region, one) for one in before] == [[], []]
    assert {words(region, one)["retired"].partition(" ")[2] for one in before} == {f"restore {made['set']['id']}"}
    assert notices(region)[-1][0] == RESTORED
    is_sound(region)
    assert look(region)["applications"] == []

    undone = restore(region, "undo")

    assert (undone["volumes"], undone["put_aside"]) == (before, made["volumes"])
    assert undone["undo"] == {**payload("undo"), "force": True}  # without, it would be a repeat of this one
    assert restore(region, "undo")["note"].startswith("it had ended before, so nothing was done")
    assert "was put aside by an undo" in refusal(region)  # a late delivery of the restore, say
    assert written(region, before) == 4
    assert notices(region)[-1][0] == PUT_BACK
    assert settled(region) == home
    is_sound(region)

    region.run(at_most=minutes(6))
    redone = restore(region, "undo", force=True)

    assert redone["volumes"] == made["volumes"]
    is_sound(region)
    assert machines(region).servers.archived == [(machines(region).servers.disks[before[0]].cluster, 2)]


def test_a_dry_run_of_an_undo_tells_what_it_puts_back_and_what_is_lost(region: Region) -> None:
    refused = restore(region, "undo", dry_run=True)["plan"]
    before = database(region)
    restore(region)

    told = restore(region, "undo", dry_run=True)["plan"]

    assert (refused["steps"], "nothing to put back" in refused["refused"]) == ([], True)
    assert [one["volume"] for one in told["volumes"]] == before
    assert "restore" in told["volumes"][0]["put_aside"]
    assert "since these were put aside" in told["lost"]
    assert "make volumes of the set" not in told["steps"]
    assert "detach them" in told["steps"]


def test_a_second_restore_begins_a_timeline_of_its_own(region: Region) -> None:
    restore(region)
    restore(region, "undo")
    region.run(at_most=minutes(6))

    restore(region, set="latest", force=True)

    assert [timeline for _, timeline in machines(region).servers.archived] == [2, 3]
    is_sound(region)


def test_what_is_restored_keeps_the_address_that_leads_to_it(region: Region) -> None:
    restore(region)

    assert {words(region, one)["address"] for one in database(region)} == {"db.smallpayroll.internal"}
    assert {words(region, one)["volumes"] for one in database(region)} == {" ".join(database(region))}


def test_undo_turns_a_restore_round_from_wherever_it_is(region: Region) -> None:
    before = database(region)
    for number in (2, 5, 6, 8, 10, 11, 14):
        region.faults.add(Death(before=number))
        die(region, "database", force=True)

        restore(region, "undo", force=True)

        assert database(region) == before
        assert paused(region) == {}
        is_served_by(region, host(region))
        assert machines(region).servers.clashes() == []
        region.run(at_most=minutes(6))


def test_a_restore_that_was_turned_round_leaves_its_volumes_to_the_next(region: Region) -> None:
    region.faults.add(Death(before=6))
    die(region, "database")
    made = of_role(region, "restored")
    restore(region, "undo")

    restore(region, force=True)

    assert database(region) == made
    is_sound(region)


def test_a_host_that_dies_after_the_swap_is_left_to_replace_database_host(region: Region) -> None:
    region.faults.add(Death(before=11))
    die(region, "database")
    old = host(region)
    region.terminate(old)
    region.run(at_most=minutes(2))

    answer = restore(region)

    assert "replace_database_host" in answer["note"]
    assert paused(region) == {}
    look(region, application="smallpayroll")
    assert settled(region) != old
    is_served_by(region, settled(region))
    assert written(region, database(region)) == 2
    assert [timeline for _, timeline in machines(region).servers.archived] == [2]


def test_a_host_that_dies_before_the_swap_ends_the_restore(region: Region) -> None:
    before = database(region)
    region.faults.add(Death(before=5))
    die(region, "database")
    region.terminate(host(region))
    region.run(at_most=minutes(2))

    told = refusal(region)

    assert "is terminated" in told
    assert paused(region) == {}
    look(region, application="smallpayroll")
    assert database(region) == before
    is_served_by(region, settled(region))


def test_while_a_restore_stands_still_the_sweeps_leave_it_alone() -> None:
    with open_restorable(sweeps=True) as region:
        for number in (5, 6, 2):
            hush(region)
            region.faults.add(Death(before=number))
            die(region, "database")
            region.calls.clear()
            rouse(region)
            region.run(at_most=minutes(3))
            assert [one for one in writes(region, REPLACE) if one != "SendCommand"] == []

        restore(region)

        is_sound(region)


@pytest.mark.parametrize("lag", [0, 4])
@pytest.mark.parametrize("case", ["database", "undo"])
def test_looks_at_once_in_any_order_of_their_calls_restore_once(region: Region, case: str, lag: int) -> None:
    if case == "undo":
        restore(region)
        region.run(at_most=minutes(6))
    before, sets = database(region), len(region.ec2.snapshots)
    region.faults.add(Interleave(lag + 1), Lag(lag, lag))

    for _ in range(2):
        region.invoke(FUNCTION, payload(case), asynchronous=True)
    region.run(region.quiet, at_most=minutes(20))
    region.faults.active.clear()

    assert len(database(region)) == 2
    assert set(database(region)).isdisjoint(before)
    assert of_role(region, "retired") == before
    assert len(region.ec2.snapshots) == sets + 2
    is_sound(region)


# What fails


def test_without_a_set_of_what_it_puts_aside_nothing_is_touched(region: Region) -> None:
    before = database(region)
    machine(region, host(region)).agent = True
    function = region.functions.find("snapshot_database")
    function.environment["FREEZE_DOCUMENT"] = ""

    told = refusal(region)

    assert "within five minutes" in told
    is_untouched(region, before)


def test_a_start_that_fails_is_told_and_stays_paused_until_the_same_event_or_its_undo(region: Region) -> None:
    before = database(region)
    machine(region, host(region)).start_fails = 6

    told = refusal(region)

    assert "could not create any TCP/IP sockets" in told
    assert '"undo": true' in told
    assert set(paused(region)) >= {host(region), *database(region)}
    assert "does not start" in refusal(region)

    restore(region, "undo")

    assert database(region) == before
    assert written(region, before) == 4
    is_served_by(region, host(region))
    assert paused(region) == {}


def test_what_holds_a_mount_is_named(region: Region) -> None:
    machine(region, host(region)).held = "bash (4711)"

    assert "in use by bash (4711)" in refusal(region)

    machine(region, host(region)).held = ""
    restore(region)
    is_sound(region)


def test_volumes_whose_key_may_not_be_used_are_told(region: Region) -> None:
    region.faults.add(VolumeFails(times=2))

    assert "may the stack use their key" in refusal(region)

    restore(region, "undo")
    is_served_by(region, host(region))
    assert paused(region) == {}


# What is refused


def test_a_database_that_is_paused_or_being_replaced_is_not_restored(region: Region) -> None:
    label(region, database(region)[:1], paused="a person")
    assert "paused by somebody else" in refusal(region)
    region.client("ec2").delete_tags(Resources=database(region), Tags=[{"Key": "watchkeeper:paused"}])

    region.stop(host(region), "Server.ScheduledStop")
    region.run(region.quiet, at_most=minutes(3))
    assert "A replacement of the host of 'smallpayroll' is under way" in refusal(region)


def test_another_restore_under_way_is_told(region: Region) -> None:
    first = snapshot(region)
    take(region)
    region.faults.add(Death(before=6))
    die(region, "database", set="latest")

    assert "Another restore is under way" in refusal(region, set=first)

    restore(region, set="latest")
    is_sound(region)


def test_a_set_that_is_still_copied_is_told_with_its_progress(region: Region) -> None:
    with pytest.raises(Failed):
        restore(region, set="snap-00000000")
    region.run(at_most=minutes(1))
    region.invoke("snapshot_database", {"application": "smallpayroll"})
    newest = max(words(region, one).get("run", "") for one in region.ec2.snapshots)

    assert "still copying" in refusal(region, set=newest)
