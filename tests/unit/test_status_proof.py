"""What is said of restores: what is proven, what is tried or restored now, and what earlier ones left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import DATA, NOW, WAL, host, snapshot_set, volume
from tests.unit.test_status import SETTINGS
from watchkeeper import tags
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.launches import Launch
from watchkeeper.backup.observe import State as Databases
from watchkeeper.look import stamp
from watchkeeper.status.describe import describe
from watchkeeper.status.observe import State
from watchkeeper.status.text import to_text

if TYPE_CHECKING:
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.status.describe import Application, Status
    from watchkeeper.status.settings import Settings

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TEMPLATE = Launch("lt-1", "payroll", 1, tags={tags.APPLICATION: "payroll", tags.ROLE: tags.DATABASE_LAUNCH})
SCRATCH = Host(
    "i-9", "running", tags={tags.APPLICATION: "payroll", tags.ROLE: tags.REHEARSAL}, launched=NOW - timedelta(minutes=9)
)


def told(
    *sets: SnapshotSet,
    volumes: tuple[Volume, ...] = (),
    hosts: tuple[Host, ...] = (),
    settings: Settings = SETTINGS,
    **mine: str,
) -> Status:
    """The status of an application with these sets; `volumes` stand beside its own, which has the tags of `mine`."""
    own = volume(DATA, **mine)
    databases = Databases({"payroll": [own]}, {"i-1": host()}, {"payroll": sorted(sets, key=lambda one: one.started)})
    some = (own, *volumes)
    return describe(State(databases, (), frozenset({"i-1"}), some, hosts, (TEMPLATE,)), settings, NOW)


def one(status: Status) -> Application:
    (application,) = status.applications
    return application


def text(status: Status) -> str:
    return " ".join(to_text(status).split())


def proven(ago: timedelta, taken: timedelta, **words: str) -> SnapshotSet:
    return snapshot_set(taken, proven_at=stamp(NOW - ago), **words)


def test_the_newest_proof_is_told_with_its_age_and_what_it_was_of() -> None:
    status = told(proven(9 * DAY, 10 * DAY), proven(3 * DAY, 4 * DAY, recovery_ms="412"), snapshot_set(HOUR))

    assert "a proof from 3 days ago: the set from 4 days ago was restored, and PostgreSQL recovered in 412 ms" in text(
        status
    )
    assert one(status).proof.at == NOW - 3 * DAY


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ((snapshot_set(HOUR),), "the set from 60 min ago is rehearsed, since none is proven yet."),
        (
            (proven(8 * DAY, 9 * DAY), snapshot_set(3 * HOUR)),
            "the set from 3 h ago is rehearsed, since its newest proof is 8 days old.",
        ),
    ],
)
def test_a_proof_that_is_due_comes_within_the_hour_where_anything_sees_to_it(
    sets: tuple[SnapshotSet, ...], said: str
) -> None:
    hands_off = replace(SETTINGS, is_rehearsing=False)

    assert said in " ".join(one(told(*sets)).next)
    assert one(told(*sets, settings=hands_off)).next == ()
    assert one(told(*sets, paused="moving house")).next == ()
    assert one(told(*sets, hosts=(SCRATCH,))).next == ()
    assert "Nobody rehearses restores: RehearseRestores is false." in text(told(settings=hands_off))


def test_where_a_proof_is_new_or_no_set_can_be_tried_none_is_due() -> None:
    assert one(told(proven(DAY, 2 * DAY), snapshot_set(HOUR))).next == ()
    assert not any("rehearsed" in sentence for sentence in one(told(snapshot_set(state="pending"))).next)


def test_a_rehearsal_that_failed_is_lacking_with_its_reason_until_another_proves_a_set() -> None:
    reason = "a page of accounts is damaged"
    failed = snapshot_set(5 * HOUR, failed=f"{stamp(NOW - 4 * HOUR)} {reason}")

    assert one(told(failed, proven(9 * DAY, 10 * DAY))).proof.lacks == (
        f"The set from 5 h ago failed its rehearsal 4 h ago: {reason}.",
    )
    assert one(told(failed, proven(HOUR, 2 * HOUR))).proof.lacks == ()


def test_a_rehearsal_is_waited_for_while_its_host_is_there() -> None:
    status = told(proven(9 * DAY, 10 * DAY), hosts=(SCRATCH,))
    gone = told(proven(9 * DAY, 10 * DAY), hosts=(replace(SCRATCH, state="terminated"),))

    assert one(status).waits_for == ("rehearse_restore, which tries a set on i-9, begun 9 min ago.",)
    assert one(gone).waits_for == ()
    assert status.remarks == ()


def test_a_restore_that_is_at_it_is_waited_for_and_told_with_its_way_on_when_it_does_not_end() -> None:
    paused = "restore 2026-11-20T04:30:00Z since {}"
    now = told(snapshot_set(), paused=paused.format(stamp(NOW - timedelta(minutes=5))))
    stuck = told(snapshot_set(), paused=paused.format(stamp(NOW - 3 * HOUR)))

    assert "payroll is paused by restore_database: restore 2026-11-20T04:30:00Z since 2026-11-22T04:25:00Z" in text(now)
    assert one(now).proof.waits_for == (
        "restore_database to end what it began 5 min ago: restore 2026-11-20T04:30:00Z.",
    )
    assert one(now).lacks == ()
    assert "restore_database began 3 h ago (restore 2026-11-20T04:30:00Z), and has not ended" in text(stuck)


def test_volumes_that_are_not_its_databases_are_told_with_what_they_cost() -> None:
    aside = volume(WAL, on=None, role=tags.PUT_ASIDE, retired="2026-11-21T04:30:00Z undone")
    copy = volume("vol-9", on=None, role=tags.RESTORED, restored_for="volumes")
    others = replace(volume("vol-8", on=None, role=tags.PUT_ASIDE), application="wiki")

    status = told(snapshot_set(), volumes=(aside, copy, others))

    assert (
        "2 volumes beside those of its database (1 retired and 1 restored), 16 GiB, to be paid for until deleted: "
        f"{WAL} (2026-11-21T04:30:00Z undone), vol-9 (into volumes)" in text(status)
    )
    assert status.remarks == ()


@pytest.mark.parametrize(
    ("restored_for", "said"),
    [
        ("host i-2 /mnt/before", " (into host i-2 /mnt/before)"),
        ("database", " (into database)"),
        ("", ""),
    ],
)
def test_one_volume_is_told_as_one_with_what_it_was_restored_for(restored_for: str, said: str) -> None:
    copy = volume("vol-9", on=None, role=tags.RESTORED, restored_for=restored_for)

    beside = f"1 volume beside those of its database (1 restored), 8 GiB, to be paid for until deleted: vol-9{said}"
    assert text(told(snapshot_set(), volumes=(copy,))).partition(beside)[1]
