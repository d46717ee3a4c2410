"""Which snapshots make a set: AWS's own facts decide, tags alone do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.builders import DATA, NOW, WAL, snapshot_set
from watchkeeper import tags
from watchkeeper.aws.snapshots import Snapshot, sort_out

WHOLE = snapshot_set(volumes=(DATA, WAL))


def retag(snapshot: Snapshot, **words: str | None) -> Snapshot:
    """The snapshot with tags replaced, or taken away with None."""
    changed = dict(snapshot.tags)
    for key, value in words.items():
        changed.pop(tags.PREFIX + key, None)
        if value is not None:
            changed[tags.PREFIX + key] = value
    return replace(snapshot, tags=changed)


def test_the_snapshots_of_one_try_make_one_set_and_those_of_another_try_another() -> None:
    again = snapshot_set(volumes=(DATA, WAL), name="a second try")

    sets, strangers = sort_out((*WHOLE.members, *again.members))

    assert [one.id for one in sets] == sorted([WHOLE.id, again.id])
    assert all(one.is_finished for one in sets)
    assert strangers == []


@pytest.mark.parametrize(
    "stranger",
    [
        replace(WHOLE.members[0], is_copy=True),
        replace(WHOLE.members[0], volume="vol-ffffffff"),
        replace(WHOLE.members[0], started=NOW + timedelta(hours=3)),
        retag(WHOLE.members[0], run="yesterday"),
        retag(WHOLE.members[0], run=None),
        retag(WHOLE.members[0], volumes=WAL),
        retag(WHOLE.members[0], set=None),
        retag(WHOLE.members[0], application=None),
    ],
)
def test_a_snapshot_that_only_claims_to_be_of_a_set_is_a_stranger(stranger: Snapshot) -> None:
    sets, strangers = sort_out([stranger, WHOLE.members[1]])

    assert strangers == [stranger]
    assert [one.is_whole for one in sets] == [False]


def test_a_snapshot_that_was_given_to_another_application_makes_no_whole_set_there() -> None:
    sets, _ = sort_out([retag(WHOLE.members[0], application="other"), WHOLE.members[1]])

    assert {one.application: one.is_whole for one in sets} == {"other": False, "payroll": False}


def test_two_snapshots_of_one_volume_make_no_whole_set() -> None:
    twice = replace(WHOLE.members[0], id="snap-copy")

    (found,), _ = sort_out([*WHOLE.members, twice])

    assert not found.is_whole


def test_a_set_is_finished_only_when_every_member_is_completed() -> None:
    pending = replace(WHOLE, members=(WHOLE.members[0], replace(WHOLE.members[1], state="pending")))
    failed = replace(WHOLE, members=(WHOLE.members[0], replace(WHOLE.members[1], state="error")))

    assert WHOLE.is_finished
    assert (pending.is_finished, pending.has_failed) == (False, False)
    assert (failed.is_finished, failed.has_failed) == (False, True)


def test_a_set_is_application_only_if_every_member_says_so_and_its_try_concluded() -> None:
    half = replace(WHOLE, members=(WHOLE.members[0], retag(WHOLE.members[1], consistency="crash")))
    killed = snapshot_set(concluded=False, consistency="application")

    assert WHOLE.consistency == "application"
    assert half.consistency == "crash"
    assert killed.consistency == "crash"
