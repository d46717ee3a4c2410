"""A set restored on another host: PostgreSQL starts by crash recovery, and nothing that was acknowledged is missing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from region.disks import kernel
from tests.disks import database
from tests.disks.database import BINARIES, DATA, Database, words
from tests.disks.writers import Writers, missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from region.disks.instance import Instance
    from tests.disks.writers import Recorder

BALANCED = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT coalesce(sum(delta), 0) FROM pgbench_history)"
AMCHECK = f"runuser -u postgres -- {BINARIES}/pg_amcheck -d postgres --heapallindexed"


@pytest.mark.parametrize("kind", ["db", "split_db"])
def test_a_set_taken_under_load_restores_with_every_commit_acknowledged_before_the_freeze(
    request: pytest.FixtureRequest, new_host: Callable[[], Instance], kind: str, trial: int, record_property: Recorder
) -> None:
    db: Database = request.getfixturevalue(kind)
    taken = [(volume, f"snap-of-{volume}") for volume in db.volumes]
    with Writers(db) as writers:
        kernel.really_sleep(0.5)
        before = time.monotonic()
        frozen = db.freeze()
        db.machines.snapshot(taken)
        thawed = db.thaw()
        kernel.really_sleep(0.5)
    acknowledged = writers.acknowledged_by(before)

    restored = restore(db, new_host(), taken)

    assert (frozen.code, thawed.code) == (0, 0)
    assert len(acknowledged) > 50
    assert not missing(restored, acknowledged, record_property)
    assert missing(restored, writers.acknowledged_by(time.monotonic()))  # it is that instant's set, and no later one
    assert restored.sql(BALANCED) == "t"
    assert restored.host.call(AMCHECK) == ""
    assert words(thawed)["frozenMs"] < 1000


def restore(db: Database, host: Instance, taken: list[tuple[str, str]]) -> Database:
    """Volumes made of a set, on another host, with the server started on them."""
    restored = Database(db.machines, host, [])
    for (_, snapshot), directory in zip(taken, ("/data", "/wal"), strict=False):
        volume = database.new_volume()
        db.machines.create_volume(volume, 2, snapshot)
        db.machines.attach(volume, host.id, "/dev/sdf")
        database.mount(host, volume, directory)
        restored.volumes.append(volume)
    assert "in production" in host.call(f"{BINARIES}/pg_controldata {DATA} | grep 'cluster state'")
    assert not host.path(f"{DATA}/backup_label").exists()
    restored.start()
    return restored
