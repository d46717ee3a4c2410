"""What a power cut takes and what a set lacks: a rig that no longer sees these could not see a fault of ours either."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from region.disks import kernel
from tests.disks import database
from tests.disks.database import BRIEF, Database
from tests.disks.writers import Writers, missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from region.disks.instance import Instance
    from tests.disks.writers import Recorder

FILES = "head -c 300000 /dev/urandom >synced; sync synced; sync -f .; head -c 300000 /dev/urandom >unsynced"


@pytest.mark.parametrize("fsync", ["on", "off"])
def test_a_power_cut_loses_acknowledged_commits_only_without_fsync(
    db: Database, trial: int, fsync: str, record_property: Recorder
) -> None:
    db.configure(f"fsync = {fsync}")
    db.host.call("sync -f /data")
    with Writers(db) as writers:
        kernel.really_sleep(1)
        db.machines.power_cut(db.host.id)
    acknowledged = writers.acknowledged_by(time.monotonic())

    if fsync == "on":
        revive(db)
        assert len(acknowledged) > 100
        assert not missing(db, acknowledged, record_property)
    else:
        assert lost(db, acknowledged)


def test_an_ordered_shutdown_loses_nothing_even_without_fsync(db: Database) -> None:
    db.configure("fsync = off")
    db.sql("INSERT INTO ledger VALUES (9, 9)")

    db.machines.shutdown(db.host.id)

    revive(db)
    assert not missing(db, {(9, 9)})


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_set_has_what_was_not_synced_only_if_there_was_a_freeze(
    db: Database, new_host: Callable[[], Instance], is_frozen: bool
) -> None:
    db.host.call(f"cd /data; {FILES}")
    if is_frozen:
        assert db.freeze().code == 0
    db.machines.snapshot([(db.volumes[0], "snap-files")])
    if is_frozen:
        assert db.thaw().code == 0

    other = new_host()
    copy = database.new_volume()
    db.machines.create_volume(copy, 2, "snap-files")
    db.machines.attach(copy, other.id, "/dev/sdf")
    database.mount(other, copy, "/data")
    sizes = dict(
        line.split()
        for line in other.call("cd /data; stat -c '%n %s' synced unsynced 2>/dev/null || true").splitlines()
    )

    assert sizes.get("synced") == "300000"
    assert (sizes.get("unsynced") == "300000") is is_frozen


def test_a_kill_in_the_freeze_without_a_lease_leaves_it_frozen(db: Database) -> None:
    db.freeze(leaseSeconds=str(BRIEF))

    db.host.call(f"kill -KILL $(pgrep -f ' lease$') {db.keeper()}")

    assert not db.is_writable(BRIEF + 1)
    assert db.is_frozen()
    kernel.thaw(str(db.host.path("/data")))
    assert db.is_writable()


def revive(db: Database) -> None:
    """Switch the host on again, and the server."""
    db.machines.boot(db.host.id)
    database.mount(db.host, db.volumes[0], "/data")
    db.start()


def lost(db: Database, acknowledged: set[tuple[int, int]]) -> bool:
    """Whether commits are lost, or the whole database is: what was never written in order may not even start."""
    try:
        revive(db)
        return bool(missing(db, acknowledged))
    except OSError:
        return True
