"""What people do to a database while it is restored, before, and after: what then is meant, made again, or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import DATA, NOW, WAL
from tests.unit.scenes import OLD
from tests.unit.test_restore_plan import (
    KNOWN,
    NEW,
    RESTORE,
    SET,
    STOPPED,
    UNDO,
    aside,
    host,
    new,
    old,
    planned,
    put_in,
    scene,
    sent,
    shape,
)
from watchkeeper import tags
from watchkeeper.aws.hosts import BY_PEOPLE
from watchkeeper.look import stamp
from watchkeeper.restore.actions import Make, Protect, Send, Tag, Untag
from watchkeeper.restore.scene import Operation
from watchkeeper.restore.wish import Wish

if TYPE_CHECKING:
    from watchkeeper.aws.volumes import Volume

BACK = Wish(is_undo=True)
EARLIER = Operation(NOW - timedelta(hours=3), "another")
PART = replace(SET, members=SET.members[:1])


def test_an_undo_that_left_everything_attached_is_not_begun_again_by_its_second_delivery() -> None:
    there = put_in(OLD, paused="", restored_for=UNDO.word)
    older = aside(EARLIER, paused="")

    assert planned(scene(older, there, of=None), BACK).is_done
    assert "the last that was done" in planned(scene(older, there, of=None, now=NOW + timedelta(hours=2)), BACK).refusal


def test_what_an_older_restore_put_aside_is_put_back_where_nothing_says_what_was_last() -> None:
    world = scene(aside(EARLIER, paused=""), put_in(OLD, paused="", restored_for=""), of=None)

    assert shape(planned(world, BACK).actions[0]) == (Tag, (DATA, WAL))


def test_a_volume_that_is_recorded_and_not_tagged_is_no_part_of_a_restore() -> None:
    world = scene(old(of=None)[:1], of=None)

    assert f"{WAL} is recorded as a volume" in planned(world).refusal


@pytest.mark.parametrize("words", [UNDO.word, ""])
def test_what_an_undo_left_in_its_place_or_no_restore_put_in_has_a_set_made_of_it(words: str) -> None:
    first, second = old(restored_for=UNDO.word if words else EARLIER.word), old(restored_for=words)

    found = planned(scene(first[:1], second[1:], sets=(SET,)))

    assert shape(found.actions[0]) == (Protect, stamp(NOW))


def test_copies_that_somebody_deleted_are_made_again_before_anything_leaves() -> None:
    assert [shape(one) for one in planned(scene(old(**KNOWN), **STOPPED)).actions] == [(Make, "eu-central-1a")]
    assert [shape(one) for one in planned(scene(old(None, **KNOWN), **STOPPED)).actions] == [(Make, "eu-central-1a")]


@pytest.mark.parametrize("groups", [(old(),), (aside(), new())])
def test_of_a_part_of_a_set_nothing_is_put_in(groups: tuple[tuple[Volume, ...], ...]) -> None:
    assert "is not there any more" in planned(scene(*groups, set=PART, **STOPPED)).refusal


def test_what_is_in_already_starts_though_its_set_was_deleted_in_part() -> None:
    found = planned(scene(aside(), put_in(OLD), set=PART, **STOPPED))

    assert [shape(one) for one in found.actions] == [(Send, "start")]


def test_an_undo_of_which_a_volume_is_gone_ends_before_anything_is_stopped() -> None:
    back = aside(paused=UNDO.word, restored_for=UNDO.word)[:1]

    found = planned(scene(back, put_in(OLD, paused=UNDO.word), of=UNDO), BACK)

    assert f"together with {WAL}, which is not there" in found.refusal
    assert [type(one) for one in found.actions] == [Untag, Untag]


@pytest.mark.parametrize("reason", BY_PEOPLE)
def test_a_host_that_somebody_stopped_in_the_middle_is_waited_for(reason: str) -> None:
    off = replace(host("stopped"), reason=reason)
    fenced = replace(off, tags={**off.tags, tags.RETIRED: "2026-11-22T04:00:00Z dead"})

    for groups in ((aside(), put_in()), (aside(), new()), (old(None, **KNOWN), new())):
        found = planned(scene(*groups, hosts={OLD: off}))
        assert "start it again, or terminate it" in found.refusal
        assert found.actions == ()
    assert planned(scene(aside(), put_in(), hosts={OLD: fenced})).is_done
    assert "nothing was put" in planned(scene(old(), new(), hosts={OLD: off})).refusal


def test_what_takes_the_place_of_a_database_is_found_and_kept_as_that_is_now() -> None:
    (make,) = planned(scene(old(address="moved.payroll.internal", keep="30d"))).actions

    assert isinstance(make, Make)
    assert (make.words[tags.ADDRESS], make.words[tags.KEEP]) == ("moved.payroll.internal", "30d")


def test_what_was_put_aside_in_another_zone_does_not_say_where_a_database_is() -> None:
    elsewhere = tuple(
        replace(one, id=f"vol-00000000000000{one.id[-3:]}", zone="eu-central-1b") for one in aside(EARLIER, paused="")
    )

    found = planned(scene(elsewhere, aside(), new(), **STOPPED))

    assert [shape(one) for one in found.actions] == [(Tag, NEW)]


def test_an_undo_that_does_not_start_offers_no_undo() -> None:
    back = old(OLD, of=UNDO, restored_for=UNDO.word)
    out = put_in(None, of=UNDO, role="retired", retired=UNDO.retired, restored_for=RESTORE.word)

    told = planned(scene(back, out, of=UNDO, sent_in=sent("start", code=212)), BACK).refusal

    assert "restore a set" in told
    assert '"undo"' not in told
