"""A database whose host died starts on another: the one on these volumes, whole, writable, and again after a boot."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from region.disks import kernel
from tests.disks import database, starting
from tests.disks.conftest import TABLES
from tests.disks.database import BINARIES, DATA, EBS, Database, words
from tests.disks.starting import FAILED, PAYROLL, RECORD, START, UNFIT, UNFIT_HOST, move, postmaster, send
from tests.disks.writers import Writers, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from region.disks import Disks
    from region.disks.instance import Instance

    NewHost = Callable[[], Instance]

MAJOR = BINARIES.split("/")[-2]


@pytest.fixture(scope="module")
def payroll_made(machines: Disks) -> Iterator[str]:
    """A snapshot of the example's volume, recorded, while its database runs."""
    host = database.launch(machines)
    db = starting.make_payroll(machines, host)
    db.sql(TABLES)
    host.call(f"runuser -u postgres -- {BINARIES}/pgbench -i -q -s 2 postgres >/dev/null 2>&1")
    assert send(db, "record").code == 0
    machines.snapshot([(db.volumes[0], "snap-payroll")])
    host.call("chattr -i /ebs/pgsql 2>/dev/null || true")
    database.forget(machines, host)
    yield "snap-payroll"
    machines.delete_snapshot("snap-payroll")


@pytest.fixture
def payroll(machines: Disks, payroll_made: str, new_host: NewHost) -> Database:
    """The example's database, attached to a host that has never seen it."""
    volume = database.new_volume()
    host = new_host()
    machines.create_volume(volume, 2, payroll_made)
    machines.attach(volume, host.id, "/dev/sdf")
    return Database(machines, host, [volume])


@pytest.fixture
def recorded(db: Database) -> Database:
    """A running database on one volume that carries its record."""
    assert send(db, "record").code == 0
    return db


@pytest.fixture
def spread_db(split_db: Database) -> Database:
    """A running database over three volumes: data, WAL, and a tablespace on each of two."""
    starting.spread(split_db)
    return split_db


@pytest.mark.parametrize("layout", ["db", "spread_db", "payroll"])
def test_every_acknowledged_commit_is_there_on_a_new_host(
    request: pytest.FixtureRequest, new_host: NewHost, layout: str, trial: int
) -> None:
    db: Database = request.getfixturevalue(layout)
    if layout == "payroll":
        assert send(db, "start").code == 0
    recorded = send(db, "record")
    with Writers(db) as writers:
        kernel.really_sleep(1)
        db.machines.power_cut(db.host.id)
    acknowledged = writers.acknowledged_by(time.monotonic())

    moved = move(db, new_host())
    started = send(moved, "start")

    assert (recorded.code, started.code) == (0, 0), (recorded, started)
    told = words(started)
    assert (told["writable"], told["standby"], told["timeline"], told["major"]) == (True, False, 1, int(MAJOR))
    assert told["systemIdentifier"] == moved.sql("SELECT system_identifier FROM pg_control_system()")
    assert told["dataDirectory"] == moved.sql("SHOW data_directory")
    assert 0 < told["mountMs"] < 10_000
    assert 0 < told["fullPercent"] < 100
    assert len(acknowledged) > 100
    assert not missing(moved, acknowledged)


def test_mounts_are_in_fstab_by_serial_and_nothing_is_underneath(spread_db: Database, new_host: NewHost) -> None:
    assert send(spread_db, "record").code == 0
    host = new_host()
    host.call("echo 'UUID=2a7d8f6e /data xfs defaults 0 0' >>/etc/fstab; echo '# /wal is apart' >>/etc/fstab")

    moved = move(spread_db, host)
    started = send(moved, "start")

    fstab = [line.split() for line in host.path("/etc/fstab").read_text().splitlines() if not line.startswith("#")]
    points = dict(zip(["/data", "/wal", "/space"], moved.volumes, strict=True))
    options = ["xfs", "defaults,noatime,nofail", "0", "0"]
    assert sorted(fstab) == sorted([f"{EBS}{v.replace('-', '')}", p, *options] for p, v in points.items())
    assert "# /wal is apart" in host.path("/etc/fstab").read_text()
    assert moved.sql("SELECT number FROM far") == "7"
    moved.stop()
    for point in points:
        host.call(f"umount {point}")
        assert host.call(f"ls -A {point}") == ""
        with pytest.raises(OSError, match="not permitted"):
            host.call(f"mkdir {point}/main")
    assert not words(started)["warnings"]


def test_the_examples_configuration_is_found_on_its_volume(payroll: Database) -> None:
    started = send(payroll, "start")

    assert started.code == 0, started
    assert words(started)["dataDirectory"] == f"{PAYROLL}/data"
    assert payroll.host.call(f"readlink /etc/postgresql/{MAJOR}/smallpayroll") == f"{PAYROLL}/etc/{MAJOR}"
    assert f"{MAJOR} smallpayroll 5432 online" in " ".join(payroll.host.call("pg_lsclusters -h").split())
    assert payroll.sql("SHOW config_file") == f"/etc/postgresql/{MAJOR}/smallpayroll/postgresql.conf"


def test_user_data_that_mounts_and_starts_at_the_same_time_does_no_harm(payroll: Database, trial: int) -> None:
    payroll.host.path("/srv/user-data").write_text(starting.USER_DATA)
    user_data = payroll.host.popen("bash", "/srv/user-data")
    kernel.really_sleep(trial / 10)

    started = send(payroll, "start")

    assert started.code == 0, started
    user_data.wait()
    assert starting.mounted(payroll.host) == [PAYROLL]
    assert payroll.host.call(f"grep -c {PAYROLL} /etc/fstab") == "1"
    assert words(send(payroll, "probe"))["writable"] is True


def test_the_images_empty_cluster_on_the_same_port_is_not_what_answers(payroll: Database) -> None:
    starting.start_image_cluster(payroll.host)

    started = send(payroll, "start")

    assert started.code == 0, started
    assert words(started)["stopped"] == [f"/var/lib/postgresql/{MAJOR}/main"]
    assert payroll.sql("SHOW data_directory") == f"{PAYROLL}/data"
    assert "manual" in payroll.host.path(f"/etc/postgresql/{MAJOR}/main/start.conf").read_text()


def test_a_cluster_on_another_port_is_left_alone(payroll: Database) -> None:
    payroll.host.call(f"sed -i 's/^port = 5432/port = 5433/' /etc/postgresql/{MAJOR}/main/postgresql.conf")
    starting.start_image_cluster(payroll.host)

    started = send(payroll, "start")

    assert (started.code, words(started)["stopped"]) == (0, [])
    assert payroll.sql("SHOW data_directory", port=5433) == f"/var/lib/postgresql/{MAJOR}/main"


def test_an_old_data_directory_under_the_mount_point_is_put_aside(recorded: Database, new_host: NewHost) -> None:
    host = new_host()
    host.call(f"install -d -o postgres -g postgres {DATA}")
    host.call(f"runuser -u postgres -- {BINARIES}/initdb --auth=trust -D {DATA} >/dev/null")
    database.start_server(host)

    moved = move(recorded, host)
    started = send(moved, "start")

    assert started.code == 0, started
    assert words(started)["stopped"] == [DATA]
    assert moved.sql("SELECT count(*) FROM ledger") == "0"
    moved.stop()
    assert host.call("umount /data; ls /data") == "main.before-watchkeeper"


def test_configuration_on_the_root_disk_is_copied_and_put_in_place(db: Database, new_host: NewHost) -> None:
    configuration = on_the_root_disk(db)

    recorded = send(db, "record")
    moved = move(db, new_host())
    started = send(moved, "start")

    assert recorded.code == 0, recorded
    assert "a copy is kept" in words(recorded)["warnings"][0]
    assert started.code == 0, started
    assert moved.sql("SHOW work_mem") == "5555kB"
    assert moved.sql("SHOW config_file") == f"{configuration}/postgresql.conf"
    assert moved.host.path(f"/etc/postgresql.before-watchkeeper/{MAJOR}/main/postgresql.conf").exists()
    assert f"{MAJOR} main 5432 online" in " ".join(moved.host.call("pg_lsclusters -h").split())
    moved.host.call(f"sed -i 's/5555kB/6666kB/' {configuration}/postgresql.conf")
    again = send(moved, "start")
    assert again.code == 0
    assert "6666kB" in moved.host.path(f"{configuration}/postgresql.conf").read_text()


def test_a_data_directory_behind_a_bind_mount_and_a_link_is_reached_as_before(db: Database, new_host: NewHost) -> None:
    db.stop()
    db.host.call(f"mkdir -p /srv/main; mount --bind {DATA} /srv/main; ln -s /srv/main /var/lib/cluster")
    database.start_server(db.host, "/var/lib/cluster")
    assert send(db, "record").code == 0

    host = new_host()
    host.call("mkdir /srv/main; echo 15 >/srv/main/PG_VERSION")
    moved = move(db, host)
    started = send(moved, "start")

    assert started.code == 0, started
    assert host.call("ls /srv/main.before-watchkeeper") == "PG_VERSION"
    assert starting.mounted(moved.host) == ["/data", "/srv/main"]
    assert moved.host.call("readlink /var/lib/cluster") == "/srv/main"
    assert f"{DATA} /srv/main none bind,nofail" in moved.host.path("/etc/fstab").read_text()


def test_an_owner_with_another_number_on_the_new_host_owns_the_files(recorded: Database, new_host: NewHost) -> None:
    host = new_host()
    host.call("usermod -u 777 postgres; groupmod -g 778 postgres; chown postgres:postgres /run/postgresql")

    moved = move(recorded, host)
    started = send(moved, "start")

    assert started.code == 0, started
    assert host.call(f"stat -c %u:%g {DATA}/PG_VERSION") == "777:778"
    assert "uid 777" in host.path(f"/data/{RECORD}/database").read_text()


def test_a_given_command_starts_it(recorded: Database, new_host: NewHost) -> None:
    moved = move(recorded, new_host())
    command = f"runuser -u postgres -- {BINARIES}/pg_ctl -D {DATA} -o --work_mem=4321 start"

    started = send(moved, "start", startCommand=command)

    assert started.code == 0, started
    assert moved.sql("SHOW work_mem") == "4321kB"


def test_a_copy_with_the_same_uuid_is_not_what_is_mounted(recorded: Database, new_host: NewHost) -> None:
    host = new_host()
    copy = starting.restore(recorded, host)
    recorded.sql("INSERT INTO ledger VALUES (1, 1)")

    moved = move(recorded, host)
    started = send(moved, "start")

    assert started.code == 0, started
    assert not host.mounts_of(copy.volumes[0])
    assert moved.sql("SELECT count(*) FROM ledger") == "1"


def test_a_standby_that_answers_is_a_success(recorded: Database, new_host: NewHost) -> None:
    recorded.stop()
    recorded.host.call(f"touch {DATA}/standby.signal; sync -f /data")

    moved = move(recorded, new_host())
    started = send(moved, "start")
    asked = words(send(moved, "probe"))

    assert started.code == 0, started
    assert (words(started)["standby"], words(started)["writable"]) == (True, False)
    assert (asked["standby"], asked["writable"], asked["recovering"]) == (True, False, False)


@pytest.mark.parametrize("how", ["synchronous_standby_names = 'nobody'", "default_transaction_read_only = on"])
def test_settings_that_stop_clients_do_not_stop_the_proof(recorded: Database, new_host: NewHost, how: str) -> None:
    starting.configure(recorded, how)

    moved = move(recorded, new_host())

    assert send(moved, "start").code == 0
    assert words(send(moved, "probe"))["writable"] is True


def test_only_one_of_two_volumes_means_that_nothing_is_mounted_or_started(
    split_db: Database, new_host: NewHost
) -> None:
    assert send(split_db, "record").code == 0
    moved = move(split_db, new_host())
    moved.machines.detach(moved.volumes[1], moved.host.id, force=False)
    hurried = database.edited(START, "await_devices 30", "await_devices 1")

    refused = send(moved, "start", document=hurried)

    assert refused.code == FAILED
    assert f"{moved.volumes[1]} is not attached" in refused.stderr
    assert not starting.mounted(moved.host)
    assert not moved.host.call("pgrep -x postgres || true")


def test_a_volume_that_was_left_out_is_missed(split_db: Database, new_host: NewHost) -> None:
    assert send(split_db, "record").code == 0
    moved = move(split_db, new_host())

    refused = send(moved, "start", volumeIds=moved.volumes[0])

    assert refused.code == UNFIT
    assert "needs the volume that belongs at /wal" in refused.stderr
    assert not starting.mounted(moved.host)


def test_two_databases_are_refused_by_name(recorded: Database, payroll: Database) -> None:
    moved = move(recorded, payroll.host)
    moved.volumes.extend(payroll.volumes)

    refused = send(moved, "start")

    assert refused.code == UNFIT
    assert all(volume in refused.stderr for volume in moved.volumes)
    assert not starting.mounted(moved.host)


@pytest.mark.parametrize(
    ("key", "other", "code"),
    [
        ("major", "14", UNFIT_HOST),
        ("architecture", "aarch64", UNFIT_HOST),
        ("glibc", "2.28", UNFIT_HOST),
        ("owner", "nobodys", UNFIT_HOST),
        ("system", "7000000000007", UNFIT),
    ],
)
def test_what_does_not_fit_is_refused_with_both_sides(
    recorded: Database, new_host: NewHost, key: str, other: str, code: int
) -> None:
    (here,) = re.findall(rf"^{key} (.+)", recorded.host.path(f"/data/{RECORD}/database").read_text(), re.MULTILINE)
    starting.edit_record(recorded, key, f"{key} {other}")
    moved = move(recorded, new_host())

    refused = send(moved, "start")

    assert refused.code == code
    assert other in refused.stderr
    assert key == "owner" or here in refused.stderr
    assert not moved.host.call("pgrep -x postgres || true")


def test_another_glibc_is_accepted_if_a_person_says_so(recorded: Database, new_host: NewHost) -> None:
    starting.edit_record(recorded, "glibc", "glibc 2.28")

    started = send(move(recorded, new_host()), "start", allowCollationChange="true")

    assert started.code == 0
    assert "2.28" in words(started)["warnings"][0]


@pytest.mark.parametrize(
    "line", ["data $(touch /run/done-by-root)", "port 5432]+a[$(touch /run/done-by-root)", "unknown 1", "data ../etc"]
)
def test_a_record_is_never_run_and_a_strange_line_is_refused(recorded: Database, new_host: NewHost, line: str) -> None:
    recorded.host.call(f"echo '{line}' >>/data/{RECORD}/database; sync -f /data")
    moved = move(recorded, new_host())

    refused = send(moved, "start")

    assert refused.code == UNFIT
    assert line in refused.stderr
    assert not moved.host.path("/run/done-by-root").exists()
    assert not starting.mounted(moved.host)


@pytest.mark.parametrize(("what", "said"), [("", "carries no record"), ("/database", "holds the data directory")])
def test_a_record_that_is_not_roots_is_none(recorded: Database, new_host: NewHost, what: str, said: str) -> None:
    recorded.host.call(f"chown postgres /data/{RECORD}{what}; sync -f /data")

    refused = send(move(recorded, new_host()), "start")

    assert refused.code == UNFIT
    assert said in refused.stderr


def test_damaged_data_is_told_in_postgresqls_words_and_not_repaired(recorded: Database, new_host: NewHost) -> None:
    recorded.stop()
    recorded.host.call(f"rm {DATA}/pg_wal/0*; sync -f /data")
    moved = move(recorded, new_host())

    refused = send(moved, "start")

    assert refused.code == FAILED
    assert "could not locate a valid checkpoint record" in refused.stderr
    assert moved.host.call(f"{BINARIES}/pg_controldata {DATA} | grep -c 'shut down'") == "1"
    assert not moved.host.call(f"ls {DATA}/pg_wal | grep ^0 || true")


@pytest.mark.parametrize("what", ["no_server", "unused_volume", "tablespace", "strange_path"])
def test_record_refuses_what_could_not_be_started(db: Database, what: str) -> None:
    if what == "no_server":
        db.stop()
    elif what == "unused_volume":
        db.volumes.append(database.format_volume(db.machines, db.host, "/other"))
    elif what == "tablespace":
        db.host.call("install -d -o postgres /srv/space")
        db.sql("CREATE TABLESPACE elsewhere LOCATION '/srv/space'")
    else:
        db.stop()
        db.host.call('mkdir "/a b"; umount /data; mount /dev/nvme1n1 "/a b"; ln -s "/a b/main" /srv/main')
        database.start_server(db.host, "/srv/main")

    refused = send(db, "record")

    assert refused.code == (FAILED if what == "no_server" else UNFIT), refused
    assert not db.host.call("find /data /srv /other '/a b' -path '*/.watchkeeper/database' 2>/dev/null || true")


def on_the_root_disk(db: Database) -> str:
    """Make the data directory a Debian cluster whose configuration is where Debian puts it."""
    configuration = f"/etc/postgresql/{MAJOR}/main"
    db.stop()
    settings = f"data_directory = '{DATA}'\nwork_mem = 5555kB\nhba_file = '{configuration}/pg_hba.conf'\n"
    db.host.path(f"{configuration}/postgresql.conf").write_text(settings)
    db.host.call(f"cp {DATA}/pg_hba.conf {configuration}; rm {DATA}/postgresql.conf; pg_ctlcluster {MAJOR} main start")
    assert postmaster(db)
    return configuration
