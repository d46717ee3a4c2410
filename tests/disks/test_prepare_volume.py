"""A database on the root disk of its host is moved onto a volume: what comes along, what is kept, what is refused."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import signal
import uuid
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from region.disks import agent, kernel
from region.disks.instance import EBS, SYSTEMD
from region.wall import really_sleep
from tests.disks import database, payroll
from tests.disks.database import InTheBackground, words
from tests.disks.payroll import CONFIGURATION, DATA, DOCUMENT, POINT, QUIET, RECORD, VERSION, Payroll

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from region.disks import Disks
    from region.disks.instance import Instance

UNIT = f"postgresql@{VERSION}-payroll.service"
KEPT = [f"{DATA}.before-watchkeeper", f"/etc/postgresql.before-watchkeeper/{VERSION}/payroll"]
LAST = (2 << 30) - (1 << 20)  # the last MiB of a volume
KILLS = 4
COMMANDS = 700


@pytest.fixture
def db(machines: Disks, new_host: Callable[[], Instance]) -> Payroll:
    """A database on the root disk, and an empty volume."""
    return payroll.make(machines, new_host())


def test_data_and_configuration_move_and_the_originals_are_kept(db: Payroll) -> None:
    moved = db.prepare()

    assert moved.code == 0
    assert words(moved)["dataDirectory"] == DATA
    assert words(moved)["kept"] == KEPT
    assert_moved(db)
    clusters = db.host.call("pg_lsclusters --no-header").splitlines()
    assert [line.split()[3] for line in clusters if "payroll" in line] == ["online"]


def test_sent_again_it_answers_the_same_and_changes_nothing(db: Payroll) -> None:
    first = db.prepare()
    look = f"md5sum /etc/fstab {RECORD}/*; stat -c '%n %i %Z' /etc/fstab {RECORD}/*; head -n 1 {DATA}/postmaster.pid"
    before = db.host.call(look)

    again = db.prepare()

    assert (again.code, again.stdout) == (0, first.stdout)
    assert db.host.call(look) == before


def test_sent_twice_at_the_same_moment_it_moves_once(db: Payroll) -> None:
    both = [InTheBackground(db.prepare) for _ in range(2)]

    answers = {(sent.outcome().code, sent.outcome().stdout) for sent in both}

    assert len(answers) == 1
    assert answers.pop()[0] == 0
    assert_moved(db)


def test_the_record_is_the_one_that_start_database_writes(db: Payroll) -> None:
    db.prepare()

    assert_recorded(db)


def test_what_was_moved_can_be_frozen(db: Payroll) -> None:
    db.prepare()

    found = agent.run(db.host, database.DOCUMENT, {"command": "dry-run", "volumeIds": db.volume})

    assert found.code == 0
    assert len(words(found)["mounts"]) == 1


def test_wal_and_tablespaces_elsewhere_on_the_root_disk_come_along(db: Payroll) -> None:
    db.host.call("install -d -o postgres -g postgres /srv/space")
    db.sql("CREATE TABLESPACE space LOCATION '/srv/space'")
    db.sql("CREATE TABLE bonus TABLESPACE space AS SELECT 1 AS number")
    db.control("stop")
    db.host.call(f"mv {DATA}/pg_wal /srv/wal; ln -s /srv/wal {DATA}/pg_wal")
    db.control("start")

    moved = db.prepare()

    assert moved.code == 0
    assert words(moved)["kept"] == [*KEPT, "/srv/wal", "/srv/space"]
    assert_moved(db)
    db.host.call("rm -r /srv/wal /srv/space")
    assert db.sql("SELECT * FROM bonus") == "1"
    db.control("restart")
    assert db.sql("SELECT pg_tablespace_location(oid) LIKE '/ebs/%' FROM pg_tablespace WHERE spcname = 'space'") == "t"
    assert db.send_start("record").code == 0


def test_after_a_boot_it_is_there_again_and_without_the_volume_nothing_starts(db: Payroll) -> None:
    db.prepare()
    db.machines.shutdown(db.host.id)
    db.machines.boot(db.host.id)

    assert not db.start_if_possible()

    db.host.call("mount -a")
    assert db.start_if_possible()
    assert_moved(db)


def test_after_a_power_cut_it_starts_on_another_host(db: Payroll, new_host: Callable[[], Instance]) -> None:
    db.prepare()
    db.pay()
    db.machines.power_cut(db.host.id)
    db.machines.detach(db.volume, db.host.id, force=False)
    other = new_host()
    db.machines.attach(db.volume, other.id, "/dev/sdf")

    started = db.send_start("start", other)

    assert started.code == 0
    assert words(started)["dataDirectory"] == DATA
    assert db.payments(other) == db.paid


def test_under_systemd_the_unit_waits_for_its_mounts_and_starts_with_the_host(
    machines: Disks, new_host: Callable[[], Instance]
) -> None:
    host = new_host()
    host.call("rm -rf /etc/systemd/system/*.wants; echo >/etc/fstab")
    machines.shutdown(host.id)
    host.process_1 = SYSTEMD
    machines.boot(host.id)
    assert kernel.until(lambda: "running" in host.call("systemctl is-system-running || true"), seconds=20, pause=0.1)
    db = payroll.make(machines, host)

    moved = db.prepare()

    assert moved.code == 0
    assert_moved(db)
    assert host.call(f"systemctl is-active {UNIT}; systemctl is-enabled {UNIT}").split() == ["active", "enabled"]
    requires = host.call(f"systemctl show --property=RequiresMountsFor --value {UNIT}").split()
    assert {POINT, DATA, CONFIGURATION} <= set(requires)
    assert db.prepare().stdout == moved.stdout


def dos() -> bytes:
    """A partition table of one partition."""
    entry = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (1 << 20).to_bytes(4, "little")
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def lvm() -> bytes:
    """The label of LVM2, which pvcreate writes into the second sector."""
    checked = (32).to_bytes(4, "little") + b"LVM2 001" + b"0123456789abcdefghijklmnopqrstuv" + bytes(448)
    checksum = zlib.crc32(checked, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return b"LABELONE" + (1).to_bytes(8, "little") + checksum.to_bytes(4, "little") + checked


CONTENTS: list[tuple[str, str | tuple[int, bytes]]] = [
    ("holds xfs", "mkfs.xfs -q {}"),
    ("holds ext4", "mkfs.ext4 -q {}"),
    ("holds swap", "mkswap {}"),
    ("holds dos", (0, dos())),
    ("holds LVM2_member", (512, lvm())),
    ("the MiB at 0 is not zero", (4096, b"x")),
    (f"the MiB at {LAST} is not zero", (LAST + 1000, b"x")),
]


@pytest.mark.parametrize(("said", "content"), CONTENTS, ids=[said for said, _ in CONTENTS])
def test_a_volume_that_is_not_empty_is_refused_and_stays_as_it_is(
    db: Payroll, said: str, content: str | tuple[int, bytes]
) -> None:
    if isinstance(content, str):
        db.host.call(f"{content.format(db.disk)} {QUIET}")
    else:
        write(db, *content)

    assert_refused(db, f"{db.volume} is not empty", said)


def test_a_file_system_whose_making_was_interrupted_is_made_anew_but_not_anothers(db: Payroll) -> None:
    uuid = uuid_of(db.volume)
    for made_for in (uuid[:-1] + ("0" if uuid[-1] != "0" else "1"), uuid):
        db.host.call(f"mkfs.xfs -qf -m uuid={made_for} {db.disk}")
        write(db, 126, b"\1")  # sb_inprogress
        if made_for != uuid:
            assert_refused(db, "holds xfs")

    assert db.prepare().code == 0
    assert_moved(db)


def test_a_volume_that_is_not_attached_is_refused(db: Payroll) -> None:
    assert_refused(db, "vol-00000000000abcdef is not attached", volumeId="vol-00000000000abcdef")


@pytest.mark.parametrize(("point", "said"), [("/other", "is mounted at /other"), ("/", "is the root disk")])
def test_a_volume_that_is_in_use_is_refused(db: Payroll, point: str, said: str) -> None:
    db.host.call(f"mkfs.xfs -q {db.disk}; mkdir -p /other; mount {db.disk} {point}")

    assert_refused(db, f"{db.volume} {said}")


def test_a_database_that_lies_on_the_volume_already_is_not_moved(db: Payroll) -> None:
    db.prepare()
    other = db.add_volume()
    db.host.call(f"mkfs.xfs -q {EBS}{other.replace('-', '')}; mkdir /other")
    database.mount(db.host, other, "/other")
    db.control("stop")
    db.host.call(f"umount {DATA}; cp -aT {POINT}/data /other/data; mount --bind /other/data {DATA}")
    db.control("start")

    assert_refused(db, f"PostgreSQL in {DATA} lies on {other} already", volumeId=other)


def test_a_directory_in_use_is_no_mount_point(db: Payroll) -> None:
    other = db.add_volume()
    db.host.call("mkdir -p /used /taken; echo >/used/file; echo '/dev/sdz /listed xfs defaults 0 0' >>/etc/fstab")
    db.host.call(f"mkfs.xfs -q {EBS}{other.replace('-', '')}")
    database.mount(db.host, other, "/taken")

    assert_refused(db, "/used is not empty", mountPoint="/used")
    assert_refused(db, "Another file system is mounted at /taken", mountPoint="/taken")
    assert_refused(db, "/etc/fstab mounts /dev/sdz at /listed", mountPoint="/listed")
    assert_refused(db, f"Of {DATA} and {DATA}/ebs one contains the other", mountPoint=f"{DATA}/ebs")


def test_no_server_is_refused(db: Payroll) -> None:
    db.control("stop")

    assert_refused(db, "No PostgreSQL runs on this host")


def test_of_two_servers_the_one_that_is_named_is_moved(db: Payroll) -> None:
    db.host.call(f"pg_createcluster --port=5498 --start {VERSION} second -- --no-sync {QUIET}")

    assert_refused(db, "More than one PostgreSQL runs", DATA, f"/var/lib/postgresql/{VERSION}/second")
    assert_refused(db, "No PostgreSQL runs on this host in /srv", dataDirectory="/srv")
    assert db.prepare(dataDirectory=DATA).code == 0
    assert_moved(db)


def test_a_tablespace_of_another_owner_or_on_another_volume_is_refused(db: Payroll) -> None:
    database.format_volume(db.machines, db.host, "/other")
    db.host.call("install -d -o postgres -g postgres /srv/space /other/space")
    db.sql("CREATE TABLESPACE beside LOCATION '/other/space'")
    assert_refused(db, "lies on a file system of its own")
    db.sql("DROP TABLESPACE beside")
    db.sql("CREATE TABLESPACE within LOCATION '/srv/space'")
    db.host.call("chown root /srv/space")

    assert_refused(db, "belongs to root, and the data directory to postgres")


def test_a_host_without_xfsprogs_is_refused(db: Payroll) -> None:
    db.host.call("mv /usr/sbin/mkfs.xfs /usr/sbin/mkfs.away")

    assert_refused(db, "install the package xfsprogs")


def test_a_database_that_has_no_room_on_the_volume_is_refused(db: Payroll) -> None:
    db.host.call(f"install -o postgres /dev/null {DATA}/base/large; fallocate -l 1900M {DATA}/base/large")

    assert_refused(db, f"{db.volume} has 2048 MiB, and the database with a tenth more")


@pytest.mark.parametrize("kept", KEPT)
def test_an_original_of_an_earlier_move_is_not_overwritten(db: Payroll, kept: str) -> None:
    db.host.call(f"mkdir -p {kept}")

    assert_refused(db, f"{kept} exists already")


def test_what_is_not_a_plain_directory_of_a_debian_cluster_is_refused(db: Payroll) -> None:
    db.control("stop")
    db.host.call(f"mv {DATA} /srv/data; ln -s /srv/data {DATA}")
    db.control("start")
    assert_refused(db, f"{DATA} is a name through a link")
    db.control("stop")
    db.host.call(f"rm {DATA}; mkdir {DATA}; mount --bind /srv/data {DATA}")
    db.control("start")
    assert_refused(db, f"cannot be renamed, since this is mounted: {DATA}")
    db.control("stop")
    db.host.call(f"umount {DATA}")
    db.host.call(f"cp -a {CONFIGURATION}/. /srv/data")
    db.host.call("echo \"data_directory = '/srv/data'\" >>/srv/data/postgresql.conf; chmod 700 /srv/data")
    database.start_server(db.host, "/srv/data")
    assert_refused(db, "is not a Debian cluster: its configuration is /srv/data/postgresql.conf")


def test_a_copy_that_fails_leaves_the_service_as_it_was(db: Payroll) -> None:
    copy = 'cp -aT "$data" "$point/data"'

    failed = db.prepare(database.edited(DOCUMENT, copy, f"{copy}; ls /nowhere"))

    assert failed.code == 210
    assert "nowhere" in failed.stderr
    assert "PostgreSQL runs again where it was" in failed.stderr
    db.pay()
    assert db.prepare().code == 0
    assert_moved(db)


def test_a_server_that_runs_while_it_is_copied_is_noticed(db: Payroll) -> None:
    copy = 'cp -aT "$data" "$point/data"'

    failed = db.prepare(database.edited(DOCUMENT, copy, f"{copy}; control start; ask 'CHECKPOINT'"))

    assert failed.code == 210
    assert "PostgreSQL ran while it was copied" in failed.stderr
    assert db.prepare().code == 0
    assert_moved(db)


def test_a_server_that_does_not_start_on_the_volume_is_told_with_its_log_and_may_be_sent_again(db: Payroll) -> None:
    breaks = "put_in_place\n  serves || { echo 'port = none' >>\"$config/postgresql.conf\"; control start || true; }"
    failed = db.prepare(database.edited(DOCUMENT, "put_in_place\n  serves || control start || true", breaks))

    assert failed.code == 210
    assert "did not start" in failed.stderr
    db.host.call(f"sed -i '/port = none/d' {CONFIGURATION}/postgresql.conf")
    assert db.prepare().code == 0
    assert_moved(db)


def test_killed_before_any_command_and_sent_again_it_carries_on(db: Payroll, trial: int) -> None:
    chance = random.Random(trial)
    for _ in range(KILLS):
        if db.prepare(killed_before(chance.randrange(1, COMMANDS))).code == 0:
            break
        live_on(db, chance)

    assert db.prepare().code == 0
    assert_moved(db)
    assert_recorded(db)


def test_killed_at_any_moment_and_sent_again_it_carries_on(db: Payroll, trial: int) -> None:
    chance = random.Random(trial)
    for _ in range(KILLS):
        sent = InTheBackground(db.prepare)
        really_sleep(chance.uniform(0, 2))
        kill(db, whole_group=chance.choice([True, False]))
        sent.outcome()
        live_on(db, chance)

    assert db.prepare().code == 0
    assert_moved(db)
    assert_recorded(db)


@pytest.mark.parametrize("name", ["volumeId", "mountPoint", "dataDirectory"])
def test_no_parameter_admits_what_a_shell_would_run(name: str) -> None:
    pattern = DOCUMENT["parameters"][name]["allowedPattern"]

    for value in ("$(id)", "`id`", "'; id; '", '"', "vol-0123456789abcdef0;id", "/a b", "/a\n/b", "/../etc", "//", "-"):
        assert not re.search(pattern, value)


def live_on(db: Payroll, chance: random.Random) -> None:
    """What may happen between a kill and the next try."""
    boots = chance.choice([True, False])
    if boots:
        db.machines.power_cut(db.host.id)
        db.machines.boot(db.host.id)
        db.host.call("mount -a || true")
    if (boots or chance.choice([True, False])) and db.start_if_possible():
        db.pay()


def killed_before(command: int) -> Mapping[str, Any]:
    """The document, killed with all that it started before so many commands were begun."""
    trap = f"shopt -s nullglob; set -T; n=0; trap '((++n != {command})) || kill -KILL 0' DEBUG;"
    return database.edited(DOCUMENT, "shopt -s nullglob;", trap)


def kill(db: Payroll, *, whole_group: bool) -> None:
    """The script, with or without what it started."""
    for process in list(db.host.group.processes()):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
            if line[0] == b"/bin/bash" and b"_script.sh" in line[1]:
                if whole_group:
                    os.killpg(os.getpgid(process), signal.SIGKILL)
                os.kill(process, signal.SIGKILL)


def write(db: Payroll, place: int, what: bytes) -> None:
    with db.host.path(db.host.call(f"readlink -f {db.disk}")).open("r+b") as file:
        file.seek(place)
        file.write(what)


def uuid_of(volume: str) -> str:
    """Of the file system that the document makes."""
    return str(uuid.UUID(hashlib.md5(f"watchkeeper {volume}\n".encode(), usedforsecurity=False).hexdigest()))


def assert_refused(db: Payroll, *said: str, **parameters: str) -> None:
    """One sentence, and all is as it was."""
    running = db.host.call(f"cat {DATA}/postmaster.pid || true")
    writes = {volume: kernel.writes(loop) for volume, (_, loop) in db.host.devices.items()}

    refused = db.prepare(DOCUMENT, **parameters)

    assert refused.code == 212
    sentence, *_ = refused.stderr.splitlines()
    assert all(part in sentence for part in said), sentence
    assert words(refused) == {"volumeId": parameters.get("volumeId", db.volume), "error": sentence.strip()}
    assert db.host.call(f"cat {DATA}/postmaster.pid || true") == running
    assert {volume: kernel.writes(loop) for volume, (_, loop) in db.host.devices.items()} == writes


def assert_moved(db: Payroll) -> None:
    """It serves from the volume alone, and nothing was lost."""
    db.pay()
    assert db.payments() == db.paid
    points = [POINT, DATA, CONFIGURATION]
    assert sorted(db.host.mounts_of(db.volume)) == sorted(points)
    db.host.call(f"test /proc/{db.server()}/cwd -ef {POINT}/data")
    db.host.call(f"test -e {KEPT[0]}/PG_VERSION; test -e {KEPT[1]}/postgresql.conf")
    fstab = [line.split()[:2] for line in db.host.path("/etc/fstab").read_text().splitlines()]
    assert [line for line in fstab if line[1:] and line[1] in points] == [
        [db.disk, POINT], [f"{POINT}/data", DATA], [f"{POINT}/configuration", CONFIGURATION]
    ]  # fmt: skip


def assert_recorded(db: Payroll) -> None:
    """What is recorded is what start_database would record."""
    written = db.record()
    assert db.send_start("record").code == 0
    assert db.record() == written
