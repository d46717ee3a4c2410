"""Real disks: one region for all tests, and in it a database of its own for each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from region.clock import Clock
from region.disks import Disks
from tests.disks import database
from tests.disks.database import BINARIES, DATA, Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from region.disks.instance import Instance

MADE = "snap-0000000000000001"
TABLES = """
CREATE TABLE ledger (writer int, number int, padding text, PRIMARY KEY (writer, number));
CREATE TABLE probe (number int GENERATED ALWAYS AS IDENTITY);
CREATE EXTENSION amcheck;
"""


@pytest.fixture(scope="session")
def machines() -> Iterator[Disks]:
    machines = Disks()
    machines.open(Clock(datetime.now(UTC), real=True))
    yield machines
    machines.close()


@pytest.fixture(scope="session")
def made(machines: Disks) -> str:
    """A snapshot of a volume with a database that was shut down, so that making one takes no time in the tests."""
    host = database.launch(machines)
    volume = database.format_volume(machines, host, "/data")
    host.call(f"install -d -o postgres -g postgres {DATA}")
    host.call(f"runuser -u postgres -- {BINARIES}/initdb --data-checksums --auth=trust -D {DATA} >/dev/null")
    db = Database(machines, host, [volume])
    db.start()
    db.sql(TABLES)
    host.call(f"runuser -u postgres -- {BINARIES}/pgbench -i -q -s 2 postgres >/dev/null 2>&1")
    db.stop()
    host.call("umount /data")
    machines.snapshot([(volume, MADE)])
    database.forget(machines, host)
    return MADE


@pytest.fixture
def new_host(machines: Disks) -> Iterator[Callable[[], Instance]]:
    """Launches hosts that are removed, volumes and all, when the test is over."""
    launched = []

    def launch() -> Instance:
        launched.append(database.launch(machines))
        return launched[-1]

    yield launch
    for host in launched:
        database.forget(machines, host)


@pytest.fixture
def stopped_db(machines: Disks, made: str, new_host: Callable[[], Instance]) -> Database:
    """A database on one volume, whose server does not run."""
    return database.make(machines, new_host(), made)


@pytest.fixture
def db(stopped_db: Database) -> Database:
    """A running database on one volume."""
    stopped_db.start()
    return stopped_db


@pytest.fixture
def split_db(stopped_db: Database) -> Database:
    """A running database whose WAL lies on a volume of its own."""
    stopped_db.volumes.append(database.format_volume(stopped_db.machines, stopped_db.host, "/wal"))
    stopped_db.move_wal()
    stopped_db.start()
    return stopped_db
