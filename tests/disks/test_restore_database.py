"""restore_database on real disks: a mistake is taken back, and that as well, and nothing acknowledged is lost by it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from region import Death, Failed, Region, minutes
from tests.disks.restoring import (
    BOOKS,
    MOST_TRIES,
    RESTORE,
    SHELF,
    SLOW,
    archived,
    copied,
    of_role,
    open_region,
    refused,
    restore,
    snapshots_of,
    spread,
    tags,
    take,
    uuid_of,
)
from tests.disks.test_replace_database_host import database_of
from tests.disks.test_restore import AMCHECK, BALANCED
from tests.disks.writers import Writers, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.disks.database import Database
    from tests.disks.writers import Recorder


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    with open_region(RehearseRestores="false") as region:
        yield region


@dataclass(frozen=True)
class Kept:
    """A set: its run, and what had been acknowledged when it was made."""

    run: str
    acknowledged: set[tuple[int, int]]


@pytest.fixture(scope="module", params=["one volume", "two tablespaces and WAL on a second volume"])
def kept(region: Region, request: pytest.FixtureRequest) -> Kept:
    """A set under load, which the archive had not all WAL of. The tests of one volume are all before those of two."""
    if request.param != "one volume":
        spread(region)
    db = database_of(region)
    db.sql(f"TRUNCATE ledger; DROP TABLE IF EXISTS shelf;{SHELF}")
    db.host.call(f"touch {SLOW}")
    with Writers(db) as writers:
        region.run(at_most=0.3)
        before = time.monotonic()
        run = take(region)
    db.host.call(f"rm {SLOW}")
    archived(db)
    return Kept(run, writers.acknowledged_by(before))


@pytest.fixture
def db(region: Region, kept: Kept) -> Iterator[Database]:
    """The database as the test before left it. The archive keeps what it has, and refuses nothing."""
    region.run(region.quiet, at_most=minutes(1))
    here = database_of(region)
    here.sql("TRUNCATE ledger")
    before = archived(here)
    yield here
    region.faults.active.clear()
    assert before.items() < archived(database_of(region)).items()
    assert refused(here) == []


def latest(writers: Writers) -> set[tuple[int, int]]:
    """All that was acknowledged to them."""
    return writers.acknowledged_by(time.monotonic())


def assert_is_whole(region: Region, db: Database, acknowledged: set[tuple[int, int]]) -> None:
    """One server, on these volumes, with what was acknowledged; nothing says any more that it is restored."""
    assert region.machines.serving() == {db.host.id: frozenset(db.volumes)}
    assert len(acknowledged) > 50
    assert not missing(db, acknowledged)
    assert db.sql(BALANCED) == "t"
    assert db.host.call(AMCHECK) == ""
    assert not [one for one in of_role(region, "database") if "paused" in tags(one)]


def test_a_table_dropped_by_mistake_is_back_and_undo_brings_back_what_was_written_since(
    region: Region, db: Database, kept: Kept, record_property: Recorder
) -> None:
    db.sql("DROP TABLE shelf; INSERT INTO ledger VALUES (9, 9)")
    with Writers(db) as writers:
        region.run(at_most=0.3)
        answer = restore(region, set=kept.run, into="database")
    restored = database_of(region)

    assert restored.sql(BOOKS) == "5000"
    assert_is_whole(region, restored, kept.acknowledged)
    assert missing(restored, {(9, 9)})  # it is that instant's set, and no later one
    assert not set(restored.volumes) & set(db.volumes)
    assert 0 < answer["seconds"] < 60
    record_property("seconds", answer["seconds"])

    restore(region, undo=True)
    undone = database_of(region)

    assert undone.volumes == db.volumes
    assert undone.sql("SELECT to_regclass('shelf')") == ""
    assert_is_whole(region, undone, latest(writers) | {(9, 9)})


def test_killed_after_each_of_its_writes_and_sent_again_it_loses_nothing_of_either(
    region: Region, db: Database, kept: Kept
) -> None:
    before = volumes(region)
    with Writers(db) as writers:
        region.run(at_most=0.3)
        killed = send_until_done(region, set=kept.run, into="database", force=True)  # it was undone before
    restored = database_of(region)

    assert {"CreateVolume", "SendCommand", "DetachVolume", "AttachVolume", "CreateTags"} < {
        one.split()[0] for one in killed
    }
    assert_is_whole(region, restored, kept.acknowledged)
    assert volumes(region) - before == set(restored.volumes)
    assert of_role(region, "restored") == []
    with copied(region, db.volumes) as aside:
        assert not missing(aside, latest(writers))


def send_until_done(region: Region, **words: object) -> list[str]:
    """Send the same event again and again, killed after its first write each time: which these were.

    After a later one where it has come to the same before: telling people begins anew each time.
    """
    writes: list[str] = []
    while len(writes) < MOST_TRIES:
        nth = writes.count(writes[-1]) if writes else 1
        region.calls.clear()
        region.faults.add(death := Death(after=nth))
        with contextlib.suppress(Failed):
            restore(region, **words)
            return writes
        assert death.happened
        region.run(region.quiet, at_most=minutes(2))
        last = [one for one in region.calls if one.write and one.caller == RESTORE][-1]
        writes.append(f"{last.operation} {last.parameters}")
    raise AssertionError(f"it comes to no end: {writes}")


def volumes(region: Region) -> set[str]:
    return {one["VolumeId"] for one in region.client("ec2").describe_volumes()["Volumes"]}


def test_a_copy_beside_production_on_its_own_host_has_another_uuid_and_changes_nothing_of_it(
    region: Region, db: Database, kept: Kept
) -> None:
    mounts, tagged = db.host.path("/etc/fstab").read_text(), [tags(one) for one in of_role(region, "database")]
    server = db.sql("SELECT pg_postmaster_start_time()")

    restore(region, set=kept.run, into="host", instance=db.host.id, path="/srv/copy")

    copies = [one["VolumeId"] for one in of_role(region, "restored")]
    uuids = {uuid_of(db.host, one) for one in [*copies, *db.volumes]}
    assert len(copies) == len(db.volumes)
    assert len(uuids) == len(copies) + len(db.volumes)
    assert db.host.call("find /srv/copy -path '*/data/PG_VERSION' | wc -l") == "1"
    assert [tags(one) for one in of_role(region, "database")] == tagged
    assert db.host.path("/etc/fstab").read_text() == mounts
    assert db.sql("SELECT pg_postmaster_start_time()") == server
    assert len(snapshots_of(region, take(region))) == len(db.volumes)  # of production's alone
    remove(region, db, copies)


def remove(region: Region, db: Database, copies: list[str]) -> None:
    """What a person does with copies that are not needed any more."""
    for copy in copies:
        db.host.call(f"umount {db.host.mounts_of(copy)[-1]}")
        region.client("ec2").detach_volume(VolumeId=copy)
        region.run(region.quiet, at_most=minutes(1))
        region.client("ec2").delete_volume(VolumeId=copy)
