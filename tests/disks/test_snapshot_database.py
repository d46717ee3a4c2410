"""snapshot_database on real disks: killed at each of its writes while the database is written to, and restored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from region import Death, Failed, LostAnswer, Region, minutes
from region.disks import Disks
from region.disks.instance import EBS
from tests.disks.conftest import TABLES
from tests.disks.database import BINARIES, LEASE, Database
from tests.disks.test_restore import AMCHECK, BALANCED
from tests.disks.writers import Writers, missing
from tests.runs import (  # noqa: F401 the tests among these hold in both forms
    FUNCTION,
    of_run,
    test_a_run_makes_one_set_and_the_same_run_again_none,
    test_a_run_that_was_killed_after_the_thaw_is_completed_by_its_retry,
    test_a_set_whose_answer_was_lost_is_found_within_the_freeze,
    test_what_ec2_refuses_is_thawed_and_raised,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from region.disks.instance import Instance
    from tests.disks.writers import Recorder

USER_DATA = "/var/lib/cloud/instance/user-data"
ZONE = "eu-central-1a"

# The calls of a run that change anything, in their order.
WRITES = ["SendCommand (pre-script)", "CreateSnapshots", "SendCommand (post-script)", "CreateTags"]


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    with Region(Disks()) as region:
        region.deploy("template.yaml", LeaseSeconds=str(LEASE), ReplaceDatabaseHosts="false", RegisterWebNodes="false")
        region.deploy("examples/smallpayroll.yaml")
        wait(region, lambda: answers(only_host(region)), minutes(2))
        here = database_of(region)
        here.sql(TABLES)
        here.host.call(f"runuser -u postgres -- {BINARIES}/pgbench -i -q -s 2 postgres >/dev/null 2>&1")
        yield region


@pytest.fixture
def db(region: Region) -> Iterator[Database]:
    region.faults.active.clear()
    here = database_of(region)
    here.sql("TRUNCATE ledger")
    yield here
    region.faults.active.clear()


def wait(region: Region, claim: Callable[[], bool], seconds: float) -> None:
    """Lets time pass until a claim about a host holds, which no event of the region tells of."""
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        region.run(at_most=0.1)


def only_host(region: Region) -> Instance:
    assert isinstance(region.machines, Disks)
    return next(iter(region.machines.hosts.values()))


def answers(host: Instance) -> bool:
    try:
        return host.call("runuser -u postgres -- psql -XqAt -c 'select 1'") == "1"
    except OSError:
        return False


def database_of(region: Region) -> Database:
    host = only_host(region)
    assert isinstance(region.machines, Disks)
    return Database(region.machines, host, list(host.devices))


@pytest.fixture
def event(region: Region, db: Database) -> dict[str, Any]:
    """One of a run that has no set yet: runs have a time to the second."""
    return next_run(region)


def next_run(region: Region) -> dict[str, str]:
    """An event of a run that has no set yet: runs have a time to the second."""
    time.sleep(1)
    return {"application": "smallpayroll", "time": region.clock.moment().strftime("%Y-%m-%dT%H:%M:%SZ")}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, len(WRITES) + 1), ids=WRITES)
def test_killed_at_a_write_the_database_is_writable_within_the_lease_and_the_next_look_makes_the_set(
    region: Region, db: Database, nth: int, moment: str
) -> None:
    event = next_run(region)
    with Writers(db) as writers:
        region.run(at_most=0.3)
        region.faults.add(Death(before=nth) if moment == "before" else Death(after=nth))
        with pytest.raises(Failed, match="killed"):
            region.invoke(FUNCTION, event)

        region.run(at_most=1)  # until a command that was sent before the kill has begun
        wait(region, lambda: not db.leftovers(), LEASE + 3)
        assert db.is_writable()
        answer = region.invoke(FUNCTION, event)

    assert [one["consistency"] for one in answer["made"]] in ([], ["application"])
    assert [words(one)["consistency"] for one in of_run(region, event)] == ["application"]
    assert writers.longest_wait() < LEASE + 1
    assert (db.backups(), db.leftovers(), db.machines.frozen()) == (0, [], {})


def test_an_answer_that_never_comes_holds_the_database_no_longer_than_the_lease(region: Region, db: Database) -> None:
    event = next_run(region)
    region.faults.add(LostAnswer("CreateSnapshots"))
    with Writers(db) as writers:
        region.run(at_most=0.3)

        (made,) = region.invoke(FUNCTION, event)["made"]

    assert made["consistency"] == "application"  # seen in the one look that the freeze still has time for
    assert writers.longest_wait() < LEASE + 1
    assert (db.backups(), db.leftovers(), db.machines.frozen()) == (0, [], {})


def test_two_deliveries_at_the_same_moment_make_one_set(region: Region, db: Database) -> None:
    event = next_run(region)
    with Writers(db):
        both = [region.start(FUNCTION, event) for _ in range(2)]
        region.run(lambda: all(one.done for one in both), at_most=minutes(2))

    assert [words(one)["consistency"] for one in of_run(region, event)] == ["application"]
    assert (db.backups(), db.leftovers(), db.machines.frozen()) == (0, [], {})


def test_a_database_whose_wal_lies_elsewhere_gets_a_set_that_says_crash(region: Region, db: Database) -> None:
    data = db.sql("SHOW data_directory")
    elsewhere = "/var/lib/postgresql/wal"
    stop, start = (f'pg_ctlcluster "$(ls /ebs/pgsql/etc)" smallpayroll {word}' for word in ("stop -m fast", "start"))
    db.host.call(f"{stop}; mv {data}/pg_wal {elsewhere}; ln -s {elsewhere} {data}/pg_wal; {start}")
    try:
        (made,) = region.invoke(FUNCTION, next_run(region))["made"]
    finally:
        db.host.call(f"{stop}; rm {data}/pg_wal; mv {elsewhere} {data}/pg_wal; {start}")

    assert made["consistency"] == "crash"
    assert elsewhere in made["reason"]
    assert "outside of" in made["reason"]


def test_a_set_restored_on_another_host_has_every_commit_that_was_acknowledged_before_the_run(
    region: Region, db: Database, trial: int, record_property: Recorder
) -> None:
    with Writers(db) as writers:
        region.run(at_most=0.5)
        before = time.monotonic()
        (made,) = region.invoke(FUNCTION, next_run(region))["made"]
        region.run(at_most=0.5)
    acknowledged = writers.acknowledged_by(before)

    restored = restore(region, made["snapshots"], db.host.path(USER_DATA).read_text())

    assert made["consistency"] == "application"
    assert len(acknowledged) > 50
    assert not missing(restored, acknowledged, record_property)
    assert missing(restored, writers.acknowledged_by(time.monotonic()))  # it is that instant's set, and no later one
    assert restored.sql(BALANCED) == "t"
    assert restored.host.call(AMCHECK) == ""
    region.client("ec2").terminate_instances(InstanceIds=[restored.host.id])
    region.run(region.quiet, at_most=minutes(1))


def restore(region: Region, snapshots: list[str], user_data: str) -> Database:
    """Volumes of a set on a new host, which starts the database that it finds on them."""
    ec2: Any = region.client("ec2")
    host = ec2.run_instances(
        ImageId="ami-0123456789abcdef0",
        MinCount=1,
        MaxCount=1,
        Placement={"AvailabilityZone": ZONE},
        UserData=user_data,
    )["Instances"][0]["InstanceId"]
    region.run(region.quiet, at_most=minutes(1))
    for snapshot in snapshots:
        volume = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
        region.run(region.quiet, at_most=minutes(1))
        ec2.attach_volume(VolumeId=volume, InstanceId=host, Device="/dev/sdf")
    assert isinstance(region.machines, Disks)
    restored = Database(region.machines, region.machines.hosts[host], [])
    wait(region, lambda: answers(restored.host), minutes(1))
    return restored


def test_data_and_wal_on_two_volumes_are_one_call_within_one_freeze(region: Region, db: Database) -> None:
    move_wal(region, db)
    region.calls.clear()
    event = next_run(region)
    with Writers(db):
        (made,) = region.invoke(FUNCTION, event)["made"]

    snapshots = of_run(region, event)
    assert made["consistency"] == "application"
    assert len(snapshots) == len(made["snapshots"]) == 2
    assert {one.freeze for one in snapshots} == {words(snapshots[0])["set"]}
    assert [call.operation for call in region.calls].count("CreateSnapshots") == 1


def move_wal(region: Region, db: Database) -> None:
    """To a volume of its own, tagged as the first is. Nothing moves it back: it is the last test's."""
    ec2: Any = region.client("ec2")
    tags = [
        {"Key": "watchkeeper:application", "Value": "smallpayroll"},
        {"Key": "watchkeeper:role", "Value": "database"},
    ]
    specification = [{"ResourceType": "volume", "Tags": tags}]
    volume = ec2.create_volume(AvailabilityZone=ZONE, Size=2, TagSpecifications=specification)["VolumeId"]
    region.run(region.quiet, at_most=minutes(1))
    ec2.attach_volume(VolumeId=volume, InstanceId=db.host.id, Device="/dev/sdw")
    region.run(region.quiet, at_most=minutes(1))
    cluster, wal = '"$(ls /ebs/pgsql/etc)" smallpayroll', f"{db.sql('SHOW data_directory')}/pg_wal"
    db.host.call(
        f"disk={EBS}{volume.replace('-', '')}; mkfs.xfs -q $disk; mkdir -p /wal; mount $disk /wal; "
        f"pg_ctlcluster {cluster} stop -m fast; mv {wal} /wal/main; ln -s /wal/main {wal}; chown -R postgres /wal; "
        f"pg_ctlcluster {cluster} start"
    )
