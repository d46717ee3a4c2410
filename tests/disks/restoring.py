"""smallpayroll on real disks, to be restored: with an archive of its WAL, on one volume or spread over two."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from region import Failed, Region, minutes
from region.disks import Disks, kernel
from region.disks.instance import EBS
from tests.disks import database, starting
from tests.disks.conftest import TABLES
from tests.disks.database import BINARIES, Database
from tests.disks.test_replace_database_host import database_of
from tests.disks.test_snapshot_database import answers, move_wal, next_run, only_host, wait
from tests.simulated.dying import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from region.disks.instance import Instance

RESTORE, REHEARSE, SNAPSHOT, SETTLE = (
    "restore_database", "rehearse_restore", "snapshot_database", "replace_database_host",
)  # fmt: skip
WORDS = "watchkeeper:"
MOST_TRIES = 60
GIB = 10

SHELF = "CREATE TABLE shelf AS SELECT number, repeat('x', 200) AS book FROM generate_series(1, 5000) AS number"
BOOKS = "SELECT count(*) FROM shelf"

# What PostgreSQL's own documentation archives with, to a disk that no snapshot is of. It can be made to wait, and what
# it refuses is kept.
ARCHIVE, REFUSED, SLOW = "/srv/archive", "/srv/refused", "/srv/slow"
ARCHIVER = (
    f"while test -e {SLOW}; do sleep 0.1; done; "
    f"test ! -f {ARCHIVE}/%f && cp %p {ARCHIVE}/%f || {{ echo %f >>{REFUSED}; false; }}"
)
RESTART = 'pg_ctlcluster "$(ls /ebs/pgsql/etc)" smallpayroll restart -m fast'
WAITING = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
PREPARE = f"install -d -o postgres -g postgres {ARCHIVE}; install -o postgres /dev/null {REFUSED}"


@contextmanager
def open_region(**parameters: str) -> Iterator[Region]:
    """The application, settled, with tables and an archive, and Watchkeeper."""
    with Region(Disks()) as region:
        app = region.deploy("examples/smallpayroll.yaml", HostedZone="smallpayroll.internal", AddressName=ADDRESS)
        region.deploy(
            "template.yaml",
            Email="a@example.com",
            HostedZoneIds=app["HostedZone"],
            RecordNames="*.smallpayroll.internal",
            LaunchRoleArns=app["DatabaseRole"],
            RegisterWebNodes="false",
            **parameters,
        )
        host = only_host(region)
        wait(region, lambda: answers(host), minutes(2))
        region.invoke(SETTLE, {"application": "smallpayroll"})
        db = database_of(region)
        db.sql(f"{TABLES};{SHELF}")
        host.call(f"runuser -u postgres -- {BINARIES}/pgbench -i -q -s 2 postgres >/dev/null 2>&1")
        archive_from(db)
        yield region


def archive_from(db: Database) -> None:
    """Let it archive from now on."""
    db.host.call(PREPARE)
    db.sql(f"ALTER SYSTEM SET archive_mode = on; ALTER SYSTEM SET archive_command = '{ARCHIVER}'")
    db.host.call(f"{RESTART} >/dev/null 2>&1")


def spread(region: Region) -> None:
    """Give the database a second volume, for its WAL and two tablespaces, with half of its tables in them."""
    db = database_of(region)
    move_wal(region, db)
    for name, table in {"near": "pgbench_accounts", "far": "ledger"}.items():
        db.host.call(f"install -d -o postgres -g postgres /wal/{name}")
        db.sql(f"CREATE TABLESPACE {name} LOCATION '/wal/{name}'")
        db.sql(f"ALTER TABLE {table} SET TABLESPACE {name}")
    region.invoke(SETTLE, {"application": "smallpayroll"})


def take(region: Region) -> str:
    """Make a set, and wait until it is finished: its run."""
    event = next_run(region)
    (made,) = region.invoke(SNAPSHOT, event)["made"]
    assert made["consistency"] == "application"
    region.run(region.quiet, at_most=minutes(1))
    return event["time"]


def restore(region: Region, **words: Any) -> Any:
    """Ask for a restore, again if its time was up: what was answered in the end."""
    for _ in range(MOST_TRIES):
        try:
            return region.invoke(RESTORE, {"application": "smallpayroll", **words})
        except Failed as failure:
            if "NotYet" not in str(failure):
                raise
    raise AssertionError("it comes to no end")


# What there is


def tags(resource: Mapping[str, Any]) -> dict[str, str]:
    """The words of a volume, a snapshot or an instance, without their prefix."""
    return {tag["Key"].removeprefix(WORDS): tag["Value"] for tag in resource.get("Tags", ())}


def of_role(region: Region, role: str) -> list[dict[str, Any]]:
    """The volumes of this role."""
    found = region.client("ec2").describe_volumes(Filters=[{"Name": f"tag:{WORDS}role", "Values": [role]}])
    return sorted(found["Volumes"], key=lambda one: str(one["VolumeId"]))


def snapshots_of(region: Region, run: str) -> list[dict[str, Any]]:
    """The set of a run."""
    found = region.client("ec2").describe_snapshots(Filters=[{"Name": f"tag:{WORDS}run", "Values": [run]}])
    return list(found["Snapshots"])


def uuid_of(host: Instance, volume: str) -> str:
    """The UUID of a volume's file system."""
    return host.call(f"blkid -p -s UUID -o value {EBS}{volume.replace('-', '')}")


# The archive


def archived(db: Database) -> dict[str, str]:
    """What is in the archive, once all that is written by now is: a digest of each file."""
    db.sql("SELECT pg_switch_wal()")
    assert kernel.until(lambda: db.sql(WAITING) == "0" or bool(refused(db)), seconds=20)
    return digests(db.host)


def digests(host: Instance) -> dict[str, str]:
    return {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in host.path(ARCHIVE).iterdir()}  # noqa: S324


def refused(db: Database) -> list[str]:
    """What the archiver would not write a second time."""
    return db.host.path(REFUSED).read_text().splitlines()


# What lies on volumes and in images


@contextmanager
def copied(region: Region, volumes: Sequence[str]) -> Iterator[Database]:
    """The database on volumes that are attached nowhere, started from copies of them on another host."""
    assert isinstance(region.machines, Disks)
    machines = region.machines
    copy = Database(machines, database.launch(machines), [])
    for volume in volumes:
        copy.volumes.append(database.new_volume())
        machines.snapshot([(volume, f"snap-of-{volume}")])
        machines.create_volume(copy.volumes[-1], GIB, f"snap-of-{volume}")
        machines.attach(copy.volumes[-1], copy.host.id, "/dev/sdf")
    started = starting.send(copy, "start")
    assert started.code == 0, started
    yield copy
    database.forget(machines, copy.host)


def damage_page(region: Region, db: Database, run: str) -> None:
    """Change some bytes of the second page of the table shelf in the image of its volume."""
    file = db.sql("SELECT current_setting('data_directory') || '/' || pg_relation_filepath('shelf')")
    volume = next(one for one in db.volumes if "/ebs/pgsql" in db.host.mounts_of(one))
    below = file.removeprefix("/ebs/pgsql")
    _change(region, db, _image_of(region, run, volume), f"printf damaged | dd of=/mnt/image{below} bs=1 seek=12000")


def damage_file_system(region: Region, db: Database, run: str) -> None:
    """Overwrite where the file system of its last volume's image says what it is."""
    with _file(region, _image_of(region, run, db.volumes[-1])).open("r+b") as image:
        image.write(bytes(4096))


def _image_of(region: Region, run: str, volume: str) -> str:
    (snapshot,) = [one for one in snapshots_of(region, run) if one["VolumeId"] == volume]
    return str(snapshot["SnapshotId"])


def _file(region: Region, snapshot: str) -> Any:
    assert isinstance(region.machines, Disks)
    return region.machines.volumes.mount / "snapshots" / f"{snapshot}.img"


def _change(region: Region, db: Database, snapshot: str, command: str) -> None:
    """Run a command on the host with the image mounted at /mnt/image, where it would change it."""
    machines, copy = db.machines, f"vol-{snapshot.removeprefix('snap-')}"
    machines.create_volume(copy, GIB, snapshot)
    machines.attach(copy, db.host.id, "/dev/sdz")
    disk = f"{EBS}{copy.replace('-', '')}"
    db.host.call(
        f"mkdir -p /mnt/image; mount {disk} /mnt/image; {command} conv=notrunc,fsync status=none; umount /mnt/image"
    )
    machines.detach(copy, db.host.id, force=False)
    kernel.clone(machines.volumes.mount / "volumes" / f"{copy}.img", _file(region, snapshot))
    machines.delete_volume(copy)
