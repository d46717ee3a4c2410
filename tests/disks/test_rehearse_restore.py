"""rehearse_restore on real disks: what restores is proven, what is damaged is not, and production notices nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from region import Region, minutes
from region.disks import Disks
from tests.disks.restoring import (
    ARCHIVE,
    PREPARE,
    REHEARSE,
    archived,
    damage_file_system,
    damage_page,
    digests,
    of_role,
    open_region,
    refused,
    snapshots_of,
    spread,
    tags,
    take,
)
from tests.disks.test_replace_database_host import database_of
from tests.disks.test_snapshot_database import next_run
from tests.disks.writers import Writers, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from region.disks.instance import Instance
    from tests.disks.database import Database
    from tests.disks.writers import Recorder

MOST_SECONDS = 180

# What a set is made of, and with each what is damaged in its image, and a word of what is told then.
DAMAGES = {
    "one volume": (damage_page, '"postgres.public.shelf"'),
    "two tablespaces and WAL on a second volume": (damage_file_system, "cannot be mounted"),
}
SERVER = "tr '\\0' ' ' </proc/$(pgrep -o -x postgres)/cmdline"


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    """Nobody but the tests looks."""
    with open_region(RehearseRestores="false", ReplaceDatabaseHosts="false", RehearsalSql="") as region:
        yield region


@pytest.fixture(scope="module", params=DAMAGES)
def shape(region: Region, request: pytest.FixtureRequest) -> str:
    """What the database lies on, and no set of it. The tests of one volume are all before those of two."""
    if request.param != "one volume":
        spread(region)
    ec2 = region.client("ec2")
    for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
        ec2.delete_snapshot(SnapshotId=one["SnapshotId"])
    return str(request.param)


@pytest.fixture
def db(region: Region, shape: str) -> Iterator[Database]:
    """The database, with an empty ledger. Afterwards nothing of a rehearsal is left, and all of production."""
    here = database_of(region)
    here.sql("TRUNCATE ledger")
    tagged = [tags(one) for one in of_role(region, "database")]
    server = here.sql("SELECT pg_postmaster_start_time()")
    yield here
    assert left(region) == []
    assert [tags(one) for one in of_role(region, "database")] == tagged
    assert here.sql("SELECT pg_postmaster_start_time()") == server
    assert region.machines.serving() == {here.host.id: frozenset(here.volumes)}


def left(region: Region) -> list[str]:
    """What a rehearsal made that is there still."""
    ec2, ours = region.client("ec2"), [{"Name": "tag:watchkeeper:role", "Values": ["rehearsal"]}]
    hosts = [one for found in ec2.describe_instances(Filters=ours)["Reservations"] for one in found["Instances"]]
    return [
        *(one["InstanceId"] for one in hosts if one["State"]["Name"] != "terminated"),
        *(one["VolumeId"] for one in of_role(region, "rehearsal")),
        *(one["GroupId"] for one in ec2.describe_security_groups(Filters=ours)["SecurityGroups"]),
    ]


def rehearse(region: Region, **event: Any) -> tuple[set[str], list[str]]:
    """Look until nothing is left to do: with which settings PostgreSQL ran on scratch hosts, and what they archived."""
    assert isinstance(region.machines, Disks)
    known, scratch = set(region.machines.hosts), {}
    settings: set[str] = set()
    archives: list[str] = []
    look = region.start(REHEARSE, event)
    end = time.monotonic() + MOST_SECONDS
    while not look.done:
        assert time.monotonic() < end
        region.run(at_most=0.5)
        scratch |= {name: host for name, host in region.machines.hosts.items() if name not in known}
        for host in scratch.values():
            watch(host, settings, archives)
            age(region, host)
    assert scratch
    return settings, archives


def age(region: Region, host: Instance) -> None:
    """Let a start that failed be two minutes ago: nobody waits here for the next."""
    for one in region.commands._sent_to[host.id]:
        is_start = "start" in one.command["Comment"]
        if is_start and one.outcome.status == "Failed" and one.command["RequestedDateTime"] > one.began - 60:
            one.command["RequestedDateTime"] -= minutes(2)


def watch(host: Instance, settings: set[str], archives: list[str]) -> None:
    """See what runs on a host, which gets an archive that it could write to."""
    if not host.is_alive:
        return
    try:
        if not host.path(ARCHIVE).exists():
            host.call(PREPARE)
        archives += digests(host)
        settings |= set(host.call(f"{SERVER} || true").split(" -c "))
    except OSError:
        assert not host.is_running  # its end has come in between


def told(region: Region) -> list[str]:
    return [text for subject, text in region.notices if subject.startswith("Watchkeeper: ")]


def word(region: Region, run: str, key: str) -> list[str]:
    """What the snapshots of a set say under this key."""
    return [tags(one).get(key, "") for one in snapshots_of(region, run)]


def test_a_damaged_set_fails_for_a_reason_that_is_told_and_is_not_proven(
    region: Region, db: Database, shape: str
) -> None:
    damage, found = DAMAGES[shape]
    run, before = take(region), len(told(region))
    damage(region, db, run)

    rehearse(region)

    assert not any(word(region, run, "proven-at"))
    (reason,) = {one.partition(" ")[2] for one in word(region, run, "failed")}
    assert found in reason
    (notice,) = told(region)[before:]
    assert reason[:60] in notice


def test_a_set_that_restores_is_proven_while_production_goes_on_and_nothing_is_archived_by_it(
    region: Region, db: Database, record_property: Recorder
) -> None:
    run = take(region)
    before = archived(db)
    with Writers(db) as writers:
        began = time.monotonic()
        settings, archives = rehearse(region, **next_run(region), force=True)  # else an hour after the last
        record_property("seconds", time.monotonic() - began)

    assert len(word(region, run, "proven-at")) == len(db.volumes)
    assert all(word(region, run, "proven-at"))
    assert all(int(one) >= 0 for one in word(region, run, "recovery-ms"))
    assert {"archive_mode=off", "listen_addresses="} <= settings
    assert archives == []
    assert before.items() <= archived(db).items()
    assert refused(db) == []
    assert not missing(db, writers.acknowledged_by(time.monotonic()))
