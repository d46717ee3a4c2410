"""replace_database_host on real disks: a host dies under four writers, and the new one has what was acknowledged."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from region import Death, Region, hours, minutes
from region.bus import once
from region.disks import Disks
from region.disks.instance import EBS
from tests.disks import starting
from tests.disks.conftest import TABLES
from tests.disks.database import BINARIES, Database
from tests.disks.payroll import VERSION
from tests.disks.test_restore import AMCHECK, BALANCED
from tests.disks.test_snapshot_database import answers, move_wal, only_host, wait
from tests.disks.writers import Writers, missing
from tests.simulated.dying import ADDRESS, EVENT, FUNCTION, volumes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.disks.writers import Recorder

HOST, REPLACED, REFUSED = "watchkeeper:host", "watchkeeper:replaced", "watchkeeper:refused"
NAMED = "i-0123456789abcdef0"  # the instance in the files of events/
MOST_DEATHS = 20
MOVE_SECONDS = 60

# A mount replays the log of an XFS; xfs_repair would throw it away. Who calls it is found out.
TRIPWIRE = r"printf '#!/bin/sh\ntouch /srv/repaired\n' >/usr/sbin/xfs_repair"
# What Debian's package leaves on the root disk where the image does not prevent it.
EMPTY_CLUSTER = "pg_ctlcluster $(pg_lsclusters -h | grep ' main ' | cut -d ' ' -f 1,2) start"
# All that a boot starts: with systemd its mounts and its clusters, and here nobody else would.
BOOT = f"mount -a || true; pg_ctlcluster {VERSION} smallpayroll start || true"


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    with Region(Disks()) as region:
        app = region.deploy("examples/smallpayroll.yaml", HostedZone="smallpayroll.internal", AddressName=ADDRESS)
        region.deploy(
            "template.yaml",
            Email="a@example.com",
            HostedZoneIds=app["HostedZone"],
            RecordNames="*.smallpayroll.internal",
            LaunchRoleArns=app["DatabaseRole"],
        )
        wait(region, lambda: answers(only_host(region)), minutes(2))
        assert region.invoke(FUNCTION, {})["applications"][0]["did"]
        launch_with(region, TRIPWIRE)
        here = database_of(region)
        here.sql(TABLES)
        here.host.call(f"runuser -u postgres -- {BINARIES}/pgbench -i -q -s 2 postgres >/dev/null 2>&1")
        yield region


@pytest.fixture
def db(region: Region) -> Iterator[Database]:
    """The database on the host that it is settled on, which has been running for an hour."""
    region.run(region.quiet, at_most=MOVE_SECONDS)
    here = database_of(region)
    here.sql("TRUNCATE ledger")
    region.ec2.get_instance(here.host.id).launch_time = region.clock.moment() - timedelta(hours=1)
    region.ec2.running_since[here.host.id] -= hours(1)
    region.client("ec2").delete_tags(Resources=here.volumes, Tags=[{"Key": REPLACED}])
    region.calls.clear()
    yield here
    region.faults.active.clear()
    region.bus.deliveries = once
    left = [one for one in region.ec2.all_instances() if one.id != settled(region) and one.state != "terminated"]
    region.client("ec2").terminate_instances(InstanceIds=[one.id for one in left])


def settled(region: Region) -> str:
    """The instance that all volumes say the database is settled on."""
    (home,) = {tag["Value"] for one in volumes(region) for tag in one["Tags"] if tag["Key"] == HOST}
    return home


def database_of(region: Region) -> Database:
    assert isinstance(region.machines, Disks)
    return Database(
        region.machines, region.machines.hosts[settled(region)], [one["VolumeId"] for one in volumes(region)]
    )


def launch_with(region: Region, *lines: str) -> None:
    """Let the user data of the launch template end in these lines, after what the example's says."""
    ec2 = region.client("ec2")
    (template,) = ec2.describe_launch_templates()["LaunchTemplates"]
    name = {"LaunchTemplateId": template["LaunchTemplateId"]}
    (first,) = ec2.describe_launch_template_versions(**name, Versions=["1"])["LaunchTemplateVersions"]
    data = first["LaunchTemplateData"]
    script = "\n".join((base64.b64decode(data["UserData"]).decode(), *lines, ""))
    changed = {**data, "UserData": base64.b64encode(script.encode()).decode()}
    made = ec2.create_launch_template_version(**name, LaunchTemplateData=changed)["LaunchTemplateVersion"]
    ec2.modify_launch_template(**name, DefaultVersion=str(made["VersionNumber"]))


def cut_under_load(region: Region, db: Database) -> set[tuple[int, int]]:
    """Cut the power of the database's host while it is written to; the commits that were acknowledged until then."""
    with Writers(db) as writers:
        region.run(at_most=1)
        region.power_cut(db.host.id)
    return writers.acknowledged_by(time.monotonic())


def moved(region: Region, old: Database) -> Database:
    """The database on another host, once it is settled there and no look is under way any more."""
    wait(region, lambda: settled(region) != old.host.id and not region.clock.processes, MOVE_SECONDS)
    return database_of(region)


def assert_is_whole(db: Database, acknowledged: set[tuple[int, int]], record: Recorder = lambda *_: None) -> None:
    assert len(acknowledged) > 50
    assert not missing(db, acknowledged, record)
    assert db.sql(BALANCED) == "t"
    assert db.host.call(AMCHECK) == ""


def assert_is_found(region: Region, db: Database) -> None:
    """One server takes writes, on all the volumes, and clients find it."""
    assert region.machines.serving() == {db.host.id: frozenset(db.volumes)}
    assert found(region) == [address(region, db.host.id)]


def told(region: Region) -> list[tuple[str, str]]:
    """The notices of the function itself: alarms of its errors go to the same topic."""
    return [one for one in region.notices if one[0].startswith("Watchkeeper: ")]


def found(region: Region) -> list[str]:
    """The addresses that Route 53 has under the database's name."""
    route53 = region.client("route53")
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    records = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    return [one["Value"] for known in records if known["Type"] == "A" for one in known["ResourceRecords"]]


def address(region: Region, host: str) -> str:
    described = region.client("ec2").describe_instances(InstanceIds=[host])
    return str(described["Reservations"][0]["Instances"][0]["PrivateIpAddress"])


def by_serial(db: Database) -> dict[str, str]:
    """The mounts of fstab: the volume of each, by its serial."""
    lines = db.host.path("/etc/fstab").read_text().splitlines()
    return {
        line.split()[1]: line.split()[0].removeprefix(f"{EBS}vol")
        for line in lines
        if line.startswith("/dev/disk/by-id")
    }


def start_words(region: Region, db: Database) -> dict[str, Any]:
    """What the start on its host answered."""
    ssm = region.client("ssm")
    sent = ssm.list_command_invocations(InstanceId=db.host.id, Details=True)["CommandInvocations"]
    (output,) = [one["CommandPlugins"][0]["Output"] for one in sent if "start" in one["Comment"]]
    return dict(json.loads(output.splitlines()[0]))


def test_after_a_power_cut_every_acknowledged_commit_is_on_the_new_host(
    region: Region, db: Database, trial: int, record_property: Recorder
) -> None:
    before = len(told(region))

    acknowledged = cut_under_load(region, db)
    new = moved(region, db)

    assert_is_whole(new, acknowledged, record_property)
    assert_is_found(region, new)
    assert by_serial(new) == {"/ebs/pgsql": db.volumes[0].removeprefix("vol-")}
    assert not new.host.path("/srv/repaired").exists()
    assert "touch /srv/repaired" in new.host.path("/usr/sbin/xfs_repair").read_text()
    assert [subject for subject, _ in told(region)[before:]] == ["Watchkeeper: smallpayroll has a new database host"]


def test_an_old_host_that_boots_again_serves_nothing_and_has_nothing_to_write_to(region: Region, db: Database) -> None:
    acknowledged = cut_under_load(region, db)
    new = moved(region, db)

    region.client("ec2").start_instances(InstanceIds=[db.host.id])
    region.run(region.quiet, at_most=minutes(1))
    db.host.call(BOOT)
    answer = region.invoke(FUNCTION, {"application": "smallpayroll"})

    assert db.host.is_running
    assert not db.host.devices
    assert not db.host.call("pgrep -x postgres || true")
    assert answer["applications"][0]["did"] == []
    assert_is_found(region, new)
    assert_is_whole(new, acknowledged)


def test_an_empty_cluster_of_the_image_is_not_what_answers(region: Region, db: Database) -> None:
    system = db.sql("SELECT system_identifier FROM pg_control_system()")
    launch_with(region, TRIPWIRE, EMPTY_CLUSTER)
    acknowledged = cut_under_load(region, db)

    new = moved(region, db)
    launch_with(region, TRIPWIRE)

    assert new.sql("SELECT system_identifier FROM pg_control_system()") == system
    assert [Path(one).name for one in start_words(region, new)["stopped"]] == ["main"]
    assert new.host.call("pgrep -c -f '/postgres -D'") == "1"
    assert_is_found(region, new)
    assert_is_whole(new, acknowledged)


@pytest.mark.parametrize("nth", [1, 2])
def test_looks_that_die_after_so_many_writes_each_come_to_the_same_end(region: Region, db: Database, nth: int) -> None:
    region.bus.deliveries = lambda event: (0.0,) if db.host.id in json.dumps(event) else ()
    deaths = [Death(after=nth)]
    region.faults.add(*deaths)
    before = len(told(region))
    acknowledged = cut_under_load(region, db)
    wait(region, lambda: deaths[0].happened, MOVE_SECONDS)

    while settled(region) == db.host.id and len(deaths) < MOST_DEATHS:
        deaths.append(Death(after=nth))
        region.faults.add(deaths[-1])
        region.run(region.start(FUNCTION, {}), at_most=MOVE_SECONDS)
    region.faults.active.clear()
    region.invoke(FUNCTION, {})
    new = moved(region, db)

    assert len([one for one in deaths if one.happened]) > 1
    assert len(told(region)[before:]) <= 1
    assert [one.id for one in region.ec2.all_instances() if one.state == "running"] == [new.host.id]
    assert_is_found(region, new)
    assert_is_whole(new, acknowledged)


def test_a_database_that_another_glibc_sorted_is_not_started_and_that_is_told(region: Region, db: Database) -> None:
    mine = db.host.call("getconf GNU_LIBC_VERSION | cut -d ' ' -f 2")
    starting.edit_record(db, "glibc", "glibc 2.28", directory="/ebs/pgsql")
    before, led = len(told(region)), found(region)

    acknowledged = cut_under_load(region, db)
    wait(region, lambda: "start-refused" in region.ec2.tags_of(db.volumes[0]).get(REFUSED, ""), MOVE_SECONDS)
    region.run(region.quiet, at_most=MOVE_SECONDS)

    assert isinstance(region.machines, Disks)
    (launched,) = [one for one in region.machines.hosts.values() if one.is_running]
    ((subject, text),) = told(region)[before:]
    assert "start-refused" in subject
    assert "sorted by glibc 2.28" in text
    assert not launched.call("pgrep -x postgres || true")
    assert not starting.mounted(launched)
    assert found(region) == led

    disk = EBS + db.volumes[0].replace("-", "")
    record = "/mnt/.watchkeeper/database"
    launched.call(f"mount {disk} /mnt; sed -i 's/^glibc.*/glibc {mine}/' {record}; umount /mnt")
    region.invoke(FUNCTION, {"application": "smallpayroll", "force": True})
    new = moved(region, db)

    assert new.host is launched
    assert_is_found(region, new)
    assert_is_whole(new, acknowledged)


def test_data_and_wal_on_two_volumes_move_together(region: Region, db: Database) -> None:
    move_wal(region, db)
    region.invoke(FUNCTION, {"application": "smallpayroll"})
    both = database_of(region)
    acknowledged = cut_under_load(region, both)

    new = moved(region, both)

    places = {"/ebs/pgsql": db.volumes[0], "/wal": next(one for one in both.volumes if one not in db.volumes)}
    assert by_serial(new) == {place: volume.removeprefix("vol-") for place, volume in places.items()}
    assert new.host.call("realpath /ebs/pgsql/data/pg_wal").startswith("/wal/")
    assert_is_found(region, new)
    assert_is_whole(new, acknowledged)


def test_a_host_that_hangs_is_fenced_before_the_volume_leaves_it(region: Region, db: Database) -> None:
    with Writers(db) as writers:
        region.run(at_most=1)
        region.hang(db.host.id)
        region.ec2.troubles[db.host.id][-1].since -= minutes(3)
        region.put(json.loads(Path(EVENT.format("alarm")).read_text().replace(NAMED, db.host.id)))
        new = moved(region, db)
    acknowledged = writers.acknowledged_by(time.monotonic())

    made = [call.operation for call in region.calls if call.write]
    assert made.index("RunInstances") < made.index("StopInstances") < made.index("DetachVolume")
    assert not db.host.is_running
    assert_is_found(region, new)
    assert_is_whole(new, acknowledged)
