"""What replacing hosts knows of restores: they are left alone and no loss, and a copy is no database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import DATA, NOW, WAL, snapshot_set
from tests.unit.scenes import HOSTING, NEW, OLD, SETTINGS, away, details, host, replacement, retired, scene, volume
from watchkeeper import tags
from watchkeeper.look import stamp
from watchkeeper.replacement import loss, obstacles
from watchkeeper.replacement.actions import Detach
from watchkeeper.replacement.observe import sort_out
from watchkeeper.replacement.plan import plan
from watchkeeper.replacement.verdict import Plan
from watchkeeper.restore.actions import Attach, Send, Tell

if TYPE_CHECKING:
    from watchkeeper.replacement.scene import Scene

RESTORING = replace(SETTINGS, is_lost_volume_restored=True)
LEFT = Plan(is_paused=True)
SET = "2026-11-20T04:30:00Z"
COPY = "vol-0aaaaaaaaaaaaaaa9"


def at_it(ago: timedelta = timedelta(minutes=5), word: str = f"restore {SET}") -> str:
    return f"{word} since {stamp(NOW - ago)}"


def between(words: dict[str, str] | None = None, restoring: str = "") -> Scene:
    """No volume of the database is found, each that was is there no more, and all looks that it takes have seen so."""
    thrice = " ".join(stamp(NOW - timedelta(minutes=ago)) for ago in (70, 3, 1))
    taken = snapshot_set(timedelta(hours=3), volumes=(DATA, WAL), zone="eu-central-1a", lost=thrice)
    known = details(sets=(taken,), missing={DATA: "", WAL: ""})
    seen = host(state="terminated", tags=HOSTING | (words or {}))
    return replace(scene(seen, volumes=(), details=known), restoring=restoring)


@pytest.mark.parametrize("word", [f"restore {SET}", "undo"])
@pytest.mark.parametrize("state", ["running", "terminated"])
def test_while_a_restore_has_the_volumes_off_their_host_nothing_is_done_told_or_remembered(
    word: str, state: str
) -> None:
    off = scene(host(state=state, volumes=()), volumes=away(None, paused=at_it(word=word)))

    assert plan(off, SETTINGS) == plan(replace(off, details=None), SETTINGS) == LEFT


def test_volumes_that_a_restore_takes_away_are_no_loss_as_their_host_or_they_themselves_remember() -> None:
    assert plan(between({tags.PAUSED: at_it()}), RESTORING) == LEFT
    assert plan(between(restoring=at_it()), RESTORING) == LEFT
    assert len(plan(between(), RESTORING).actions) == 1


def test_one_of_two_volumes_that_a_restore_has_put_in_is_no_loss_of_the_other() -> None:
    put_in = volume(DATA, None, restored_from="snap-1")

    half = replace(scene(host(volumes=()), volumes=(put_in,)), restoring=at_it())

    assert plan(half, RESTORING) == LEFT
    assert plan(replace(half, restoring=""), RESTORING) != LEFT


@pytest.mark.parametrize("paused", [at_it(timedelta(minutes=61)), f"restore {SET}", "restore it since yesterday"])
def test_a_restore_that_does_not_end_within_an_hour_is_told_with_its_way_on(paused: str) -> None:
    for stuck in (scene(host(), volumes=away(None, paused=paused)), between({tags.PAUSED: paused})):
        found = plan(stuck, RESTORING)

        assert found.refusal
        assert found.refusal.name == "paused"
        assert "send restore_database the same event again" in found.refusal.sentence
        assert isinstance(found.actions[0], Tell)


def test_where_no_volume_is_left_a_host_that_a_person_paused_is_told_and_nothing_restored() -> None:
    by_hand = between({tags.PAUSED: "moving house"})
    long_gone = replace(by_hand, hosts={OLD: retired(by_hand.hosts[OLD])})  # of which the pause is its own

    found = plan(by_hand, RESTORING)

    assert found.refusal
    assert found.refusal.name == "paused"
    assert [type(one) for one in found.actions] == [Tell]
    assert plan(long_gone, RESTORING).refusal is None


def test_a_person_s_pause_beside_that_of_a_restore_is_told() -> None:
    both = scene(host(volumes=()), volumes=(volume(DATA, None, paused=at_it()), volume(WAL, None, paused="by me")))

    assert plan(both, SETTINGS).refusal


def test_a_copy_that_stayed_paused_keeps_no_whole_database_from_being_moved() -> None:
    dead = replace(scene(host(state="terminated"), volumes=away(None)), restoring=at_it())

    assert plan(dead, SETTINGS) == plan(replace(dead, restoring=""), SETTINGS)
    assert plan(dead, SETTINGS).actions


def test_only_the_volumes_with_the_role_are_the_databases_and_the_pause_of_the_others_is_a_restores_alone() -> None:
    mine = away(OLD)
    others = [volume(COPY, None, role=role, paused="by me") for role in ("restored", "retired")]
    gone = replace(volume(COPY, None, role="retired", paused=at_it()), state="deleting")

    assert sort_out([*mine, *others, gone]) == (mine, "")
    assert sort_out([*others, volume(COPY, None, role="retired", paused=at_it())]) == ((), at_it())


def test_a_database_that_was_restored_begins_a_timeline_beyond_all_that_were_known() -> None:
    def start(**words: str) -> dict[str, str]:
        arrived = away(NEW, **words)
        moved = scene(retired(host(state="stopped", volumes=())), replacement(volumes=(DATA, WAL)), volumes=arrived)
        (send,) = [one for one in plan(moved, SETTINGS).actions if isinstance(one, Send)]
        return {key: send.parameters[key] for key in ("newTimeline", "timelineAfter")}

    assert start(restored_from="snap-1", timeline="4") == {"newTimeline": "snap-1", "timelineAfter": "4"}
    assert start(restored_from="snap-1") == {"newTimeline": "snap-1", "timelineAfter": ""}
    assert start(timeline="4") == {"newTimeline": "", "timelineAfter": ""}  # put back by an undo: it goes on in its own


def test_a_copy_on_the_host_stays_where_it_is_when_the_database_moves() -> None:
    stopped = retired(host(state="stopped", volumes=(DATA, WAL, COPY)))
    freed = plan(scene(stopped, replacement(), volumes=away(OLD)), SETTINGS).actions
    attached = plan(scene(stopped, replacement(volumes=(COPY,)), volumes=away(None)), SETTINGS).actions

    taken = [one for one in (*freed, *attached) if isinstance(one, Attach | Detach)]
    assert {one.volume for one in taken} == {DATA, WAL}
    assert len([one for one in attached if isinstance(one, Attach) and one.device != "/dev/sdf"]) == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"role": "restored", "volumes": ""}, True),
        ({"role": "rehearsal", "volumes": ""}, True),
        ({"role": "retired", "retired": "2026-11-22T04:00:00Z undone"}, True),
        ({"role": "retired"}, False),  # by a person, of whom nobody knows what was meant
        ({"role": "restored"}, False),  # it was the database's: somebody edited its role
        ({"role": "", "volumes": ""}, False),
        ({}, False),
    ],
)
def test_what_was_made_of_a_snapshot_and_never_was_the_databases_detains_no_restore(
    words: dict[str, str], expected: bool
) -> None:
    assert loss.is_aside(volume(COPY, None, restored_from="snap-1", **words)) is expected


@pytest.mark.parametrize(
    ("role", "expected"), [("database", True), ("", True), ("restored", False), ("retired", False)]
)
def test_a_copy_of_anothers_database_does_not_make_a_host_one_that_is_not_ours_to_stop(
    role: str, expected: bool
) -> None:
    held = replace(volume(COPY, OLD, role=role), application="wiki")

    assert obstacles.is_foreign(held, "payroll") is expected
    assert not obstacles.is_foreign(held, "wiki")
