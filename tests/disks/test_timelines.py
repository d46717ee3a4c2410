"""A set is restored twice, undone and restored again into one WAL archive: each time a timeline that is nobody's."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest

from region.disks import kernel
from tests.disks import database, starting
from tests.disks.database import DATA, Database, words
from tests.disks.starting import START, send

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SET = "snap-0123456789abcdef0"
# As careful archives are: what is there is not overwritten, and the segment sticks. While there is a /hold it is slow.
ARCHIVE = (
    "archive_command = 'while [ -e /hold ]; do sleep 0.1; done; test ! -f /archive/%f && cp %p /archive/%f.new"
    " && mv /archive/%f.new /archive/%f'"
)
LAST = '[ ${#each} != 24 ] || : >"archive_status/$each.done"'
WAITING = "pg_wal/archive_status/*.ready"


@pytest.fixture
def archived(db: Database) -> Database:
    """A running, recorded database that archives its WAL. SET was taken while a segment waited for the archive."""
    db.host.call("install -d -o postgres /archive")
    starting.configure(db, "archive_mode = on", ARCHIVE, "wal_keep_size = 64MB")  # as replicas want it
    assert send(db, "record").code == 0
    db.sql("INSERT INTO ledger VALUES (1, 1)")
    db.host.call("touch /hold")
    waits = db.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")  # a backup begins with another segment
    assert db.freeze().code == 0
    db.machines.snapshot([(db.volumes[0], SET)])
    assert db.thaw().code == 0
    db.host.call("rm /hold")
    assert is_archived(db, waits)
    return db


def test_a_set_restored_again_and_again_overwrites_nothing_in_the_archive(archived: Database) -> None:
    before = work(archived)
    restored = put_in(archived, restore(archived), newTimeline=SET, timelineAfter="1")
    after = work(archived)
    again = put_in(archived, restore(archived), newTimeline=SET, timelineAfter="2")
    later = work(archived)
    undone = put_in(archived, again["old"])
    latest = work(archived)
    once_more = put_in(archived, restore(archived), newTimeline=SET, timelineAfter="12")
    last = work(archived)

    assert [start["timeline"] for start in (restored, again, undone, once_more)] == [2, 3, 2, 13]
    assert before.items() <= after.items() <= later.items() <= latest.items() <= last.items()
    assert {"00000002.history", "00000003.history", "0000000D.history"} <= last.keys()
    assert "00000004.history" not in last
    assert not [name for name in last if "partial" in name]
    assert archived.host.path("/archive/0000000D.history").read_text().startswith("1\t")
    assert "Only the server that wrote it archives" in restored["warnings"][0]
    assert archived.sql("SHOW restore_command") == ""


@pytest.mark.parametrize(
    ("edits", "known", "stuck"),
    [
        ({}, "", "00000002.history"),
        ({LAST: ":"}, "2", ".partial"),
        ({WAITING: "", LAST: f'[ -e "archive_status/$each.ready" ] || {LAST}'}, "2", "000000010000"),
    ],
    ids=["a known timeline", "the last segment", "what waited for the archive"],
)
def test_without_any_one_of_its_precautions_the_archive_would_stick(
    archived: Database, edits: Mapping[str, str], known: str, stuck: str
) -> None:
    document = START
    for before, after in edits.items():
        document = database.edited(document, before, after)

    put_in(archived, restore(archived), document, newTimeline=SET, timelineAfter="1")
    wait_for_archiver(archived)
    put_in(archived, restore(archived), document, newTimeline=SET, timelineAfter=known)

    assert kernel.until(lambda: stuck in failed(archived), seconds=10, pause=0.1), failed(archived)


def test_what_is_started_again_does_not_begin_another_timeline(archived: Database) -> None:
    first = put_in(archived, restore(archived), newTimeline=SET, timelineAfter="4")

    again = send(archived, "start", newTimeline=SET, timelineAfter="4")
    later = send(archived, "start", newTimeline=SET, timelineAfter="5")
    archived.stop()
    archived.host.call(f"echo \"restore_command = 'false' # watchkeeper\" >>{DATA}/postgresql.auto.conf")
    moved = send(archived, "start")

    assert [first["timeline"], *(words(answer)["timeline"] for answer in (again, later, moved))] == [5, 5, 5, 5]
    assert "watchkeeper" not in archived.host.path(f"{DATA}/postgresql.auto.conf").read_text()


def test_a_database_that_can_have_no_archive_starts_on_its_timeline(db: Database) -> None:
    starting.configure(db, "wal_level = minimal", "max_wal_senders = 0")
    assert send(db, "record").code == 0
    db.machines.snapshot([(db.volumes[0], SET)])

    restored = put_in(db, restore(db), newTimeline=SET, timelineAfter="1")

    assert (restored["timeline"], restored["writable"]) == (1, True)


@pytest.mark.parametrize("value", ["$(id)", "1;id", "1 2", "1\n2", "0", "-1", "1000000"])
def test_the_highest_known_timeline_is_a_number(value: str) -> None:
    pattern = START["parameters"]["timelineAfter"]["allowedPattern"]

    assert re.search(pattern, "12")
    assert not re.search(pattern, value)


def switch(db: Database) -> str:
    """End a WAL segment that is not empty, and name it."""
    return db.sql("INSERT INTO probe DEFAULT VALUES; SELECT pg_walfile_name(pg_switch_wal())")


def is_archived(db: Database, segment: str) -> bool:
    return kernel.until(db.host.path(f"/archive/{segment}").exists, seconds=10, pause=0.1)


def failed(db: Database) -> str:
    """What the archiver failed at last."""
    return db.sql("SELECT last_failed_wal FROM pg_stat_archiver")


def wait_for_archiver(db: Database) -> None:
    """Wait until it has archived, or tried to archive, what there was."""
    switch(db)
    tried = "SELECT archived_count + failed_count > 0 FROM pg_stat_archiver"
    assert kernel.until(lambda: db.sql(tried) == "t", seconds=10, pause=0.1)


def work(db: Database) -> Mapping[str, str]:
    """Write more than a segment, and give what the archive holds once it has it: names and contents."""
    assert is_archived(db, switch(db)), failed(db)
    assert is_archived(db, switch(db)), failed(db)
    assert db.sql("SELECT failed_count FROM pg_stat_archiver") == "0", failed(db)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in db.host.path("/archive").iterdir()}


def restore(db: Database) -> Sequence[str]:
    """A new volume made of SET."""
    volume = database.new_volume()
    db.machines.create_volume(volume, 2, SET)
    return [volume]


def put_in(
    db: Database, volumes: Sequence[str], document: Mapping[str, Any] = START, **parameters: str
) -> dict[str, Any]:
    """Put volumes in the place of the database's, and start it. What `start` answered, and the `old` volumes."""
    db.stop()
    db.host.call("umount /data")
    old, db.volumes = db.volumes, list(volumes)
    for volume in old:
        db.machines.detach(volume, db.host.id, force=False)
    for volume in volumes:
        db.machines.attach(volume, db.host.id, "/dev/sdf")
    started = send(db, "start", document, **parameters)
    assert started.code == 0, started
    return {**words(started), "old": old}
