"""When a volume counts as lost, and what is then done: never on one look, a missing tag or a failed read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import DATA, NOW, WAL, snapshot_set
from tests.unit.scenes import NEW, OLD, SETTINGS, details, host, retired, scene, volume
from watchkeeper import tags
from watchkeeper.aws.launches import Launch
from watchkeeper.look import stamp
from watchkeeper.replacement import actions, loss
from watchkeeper.replacement.actions import Restore
from watchkeeper.replacement.plan import plan
from watchkeeper.restore import copies
from watchkeeper.restore.actions import Tag, Tell

if TYPE_CHECKING:
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.replacement.scene import Scene

RESTORING = replace(SETTINGS, is_lost_volume_restored=True)
THRICE = " ".join(stamp(NOW - timedelta(minutes=ago)) for ago in (6, 3, 1))


def lost(times: str = "", states: dict[str, str] | None = None, **more: Any) -> Scene:
    """A database of two volumes, of which none is found by its tags."""
    words = {"lost": times} if times else {}
    taken = snapshot_set(
        timedelta(hours=3),
        volumes=(DATA, WAL),
        zone="eu-central-1a",
        types="gp3/3000/125 io2/8000/0",
        host=OLD,
        **words,
    )
    last = more.pop("last_host", host(state="terminated"))
    known = details(sets=(taken,), missing=states or {DATA: "", WAL: ""}, last_host=last, **more)
    return replace(scene(volumes=(), details=known), hosts={})


def test_three_looks_over_five_minutes_make_a_loss_and_two_do_not() -> None:
    first, second = plan(lost(), RESTORING), plan(lost(stamp(NOW - timedelta(minutes=1))), RESTORING)
    early = plan(lost(" ".join(stamp(NOW - timedelta(minutes=ago)) for ago in (3, 2, 1))), RESTORING)
    third = plan(lost(THRICE), RESTORING)

    assert [type(one) for one in (*first.actions, *second.actions, *early.actions)] == [Tag] * 3
    assert [type(one) for one in third.actions] == [Restore]


def test_the_times_of_the_looks_are_remembered_on_the_set_the_first_of_them_for_good() -> None:
    (noted,) = plan(lost(" ".join(stamp(NOW - timedelta(minutes=ago)) for ago in (4, 3, 1))), RESTORING).actions

    assert isinstance(noted, Tag)
    assert noted.words[tags.LOST].split() == [stamp(NOW - timedelta(minutes=ago)) for ago in (4, 1, 0)]


def test_a_look_within_the_same_minute_does_not_count() -> None:
    assert plan(lost(stamp(NOW - timedelta(seconds=30))), RESTORING).is_empty


def test_a_volume_that_only_lost_its_tags_is_no_loss() -> None:
    found = plan(lost(THRICE, {DATA: "available", WAL: "in-use"}), RESTORING)

    assert found.refusal
    assert found.refusal.name == "volume-untagged"
    assert [type(one) for one in found.actions] == [Tell]


@pytest.mark.parametrize("words", [{"role": ""}, {"role": "retired"}, {"role": "", "application": ""}])
def test_nothing_is_restored_anew_while_volumes_of_an_earlier_restore_exist(words: dict[str, str]) -> None:
    def again(**words: str) -> Scene:
        return lost(THRICE, made=(volume("vol-restored", None, restored_from="snap-1", **words),))

    found, too_early = plan(again(**words), RESTORING), plan(again(), RESTORING)

    assert found.refusal
    assert found.refusal.name == "volume-untagged"
    assert "vol-restored exists" in found.refusal.sentence
    assert [type(one) for one in found.actions] == [Tell]
    assert (too_early.refusal, too_early.actions, len(too_early.waits)) == (None, (), 1)


def test_nothing_is_restored_while_the_last_host_runs() -> None:
    found = plan(lost(THRICE, last_host=host()), RESTORING)

    assert found.refusal
    assert found.refusal.name == "volume-missing"


@pytest.mark.parametrize("gone", [retired(host(state="stopped")), host(state="terminated")])
def test_it_is_restored_once_the_last_host_is_stopped_or_gone(gone: Any) -> None:
    (restored,) = plan(lost(THRICE, last_host=gone), RESTORING).actions

    assert isinstance(restored, Restore)
    assert restored.zone == "eu-central-1a"


def test_a_last_host_that_ec2_does_not_know_must_be_unknown_for_an_hour() -> None:
    hour = " ".join(stamp(NOW - timedelta(minutes=ago)) for ago in (61, 2, 1))

    assert [type(one) for one in plan(lost(THRICE, last_host=None), RESTORING).actions] == [Tag]
    assert [type(one) for one in plan(lost(hour, last_host=None), RESTORING).actions] == [Restore]


def test_nothing_is_restored_while_a_host_of_it_holds_what_nobody_tagged() -> None:
    other = host(NEW, volumes=("vol-that-lost-its-tags",))

    found = plan(replace(lost(THRICE), hosts={NEW: other}), RESTORING)

    assert found.refusal
    assert found.refusal.name == "volume-missing"


@pytest.mark.parametrize("minutes", [(300, 299), (300, 299, 290)])
def test_looks_of_another_day_do_not_count(minutes: tuple[int, ...]) -> None:
    times = " ".join(stamp(NOW - timedelta(minutes=ago)) for ago in minutes)

    (noted,) = plan(lost(times), RESTORING).actions

    assert isinstance(noted, Tag)
    assert noted.words == {tags.LOST: stamp(NOW)}


def test_nothing_is_restored_while_its_launch_template_is_paused() -> None:
    paused = replace(lost(THRICE), launches=(Launch("lt-1", "payroll", 1, paused="moving away"),))

    found = plan(paused, RESTORING)

    assert found.refusal
    assert found.refusal.name == "paused"
    assert [type(one) for one in found.actions] == [Tell]


def test_a_set_that_is_restored_in_part_is_restored_as_a_whole_before_anything_is_attached() -> None:
    whole = lost(THRICE)
    assert whole.details
    first, second = whole.details.sets[0].members
    one, other = (volume(name, None, restored_from=of.id, volumes="") for name, of in ((DATA, first), (WAL, second)))
    part = replace(whole, volumes=(one,), hosts={OLD: host(state="terminated")})

    (rest,) = plan(part, RESTORING).actions
    by_hand = plan(part, SETTINGS)

    assert isinstance(rest, Restore)
    assert rest.set.members == (second,)
    assert copies.types(rest.set) == [("io2", 8000, 0)]
    assert by_hand.refusal
    assert f"--snapshot-id {second.id}" in by_hand.refusal.sentence
    assert first.id not in by_hand.refusal.sentence
    assert [type(step) for step in plan(replace(part, volumes=(one, other)), RESTORING).actions] == [actions.Launch]


def test_by_default_it_is_only_told_with_the_commands_that_restore() -> None:
    found = plan(lost(THRICE), SETTINGS)

    assert found.refusal
    assert found.refusal.name == "volume-lost"
    for member in snapshot_set(timedelta(hours=3), volumes=(DATA, WAL)).members:
        assert f"--snapshot-id {member.id} --availability-zone eu-central-1a" in found.refusal.sentence


def test_one_of_two_is_never_restored_alone_since_its_wal_would_be_of_another_time() -> None:
    whole = lost(THRICE, {WAL: ""})
    found = plan(replace(whole, volumes=(volume(DATA, None),), hosts={OLD: host(state="terminated")}), RESTORING)

    assert found.refusal
    assert found.refusal.name == "volume-lost"
    made, aside = (found.refusal.sentence.index(one) for one in ("create-volume", f"--resources {DATA} --tags"))
    assert made < aside


def test_a_restored_volume_says_what_it_is_of() -> None:
    whole = lost(THRICE)
    assert whole.details
    (taken,) = whole.details.sets

    words = loss.words(whole, taken, taken.members[0].id)

    assert words[tags.HOST] == OLD
    assert words[tags.RESTORED_FROM] == taken.members[0].id
    assert copies.types(taken) == [("gp3", 3000, 125), ("io2", 8000, 0)]


def test_volumes_that_come_back_after_a_restore_are_named_and_nothing_is_moved() -> None:
    def made(name: str, volumes: str = "", **words: str) -> Volume:
        new = volume(name, None, restored_from="snap-1", volumes=volumes, **words)
        return replace(new, created=NOW - timedelta(hours=1))

    gone = host(state="terminated")
    unsettled = scene(gone, volumes=(volume(DATA, None), volume(WAL, None), made("vol-1"), made("vol-2")))
    settled = scene(gone, volumes=(volume(DATA, None), made("vol-1", "vol-1 vol-2"), made("vol-2", "vol-1 vol-2")))
    alone = scene(gone, volumes=settled.volumes[1:])
    grown = scene(gone, volumes=(*alone.volumes, volume("vol-3", None, volumes="vol-1 vol-2 vol-3")))

    for one in (unsettled, settled):
        found = plan(one, RESTORING)
        assert found.refusal
        assert found.refusal.name == "volumes-came-back"
        assert DATA in found.refusal.sentence
        assert "--resources vol-1" not in found.refusal.sentence
        assert {type(step) for step in found.actions} == {Tell, Tag}
        assert "again" not in found.refusal.sentence  # it may never have been away
    paused = replace(settled, launches=(Launch("lt-1", "payroll", 1, paused="moving"),))
    assert [one.name for one in (plan(paused, RESTORING).refusal,) if one] == ["paused"]
    assert plan(alone, RESTORING).refusal is None
    assert plan(grown, RESTORING).refusal is None


def test_the_same_set_restored_for_another_loss_makes_other_volumes() -> None:
    tokens = []
    for times in (THRICE, f"{THRICE} {stamp(NOW)}", stamp(NOW)):
        (taken,) = lost(times).details.sets  # type: ignore[union-attr]
        tokens.append(loss.token(taken.members[0], "eu-central-1a"))

    assert tokens[0] == tokens[1]
    assert tokens[0] != tokens[2]


def test_a_volume_that_is_not_settled_yet_is_no_loss_of_anything() -> None:
    nothing = replace(scene(volumes=(), details=details()), hosts={})

    assert plan(nothing, RESTORING).is_empty
