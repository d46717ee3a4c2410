"""Restored volumes are mounted, also beside their originals, and nothing of production is touched."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from region.disks import agent, kernel
from region.disks.instance import ENVIRONMENT
from tests.disks import database, starting
from tests.disks.database import EBS, Database, InTheBackground, words
from tests.disks.starting import FAILED, UNFIT, mounted, postmaster
from tests.disks.test_prepare_volume import dos, lvm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from region.disks import Disks
    from region.disks.instance import Instance
    from region.machines import Outcome

    NewHost = Callable[[], Instance]

COPY: Mapping[str, Any] = yaml.safe_load(Path("documents/mount_copy.yaml").read_text())
KILLS = 4
MOUNTED = 0.4  # seconds; a copy takes about as long


def mount(copy: Database, *places: str, document: Mapping[str, Any] = COPY) -> Outcome:
    """Run the document on the copy's host as its agent does."""
    return agent.run(copy.host, document, {"volumeIds": " ".join(copy.volumes), "places": " ".join(places)})


def mount_and_kill(copy: Database, place: str, seconds: float, due: Callable[[], bool] = lambda: False) -> None:
    """Run it, and kill all of its group after so many seconds or when it is due, as the agent does in the end."""
    given = {"volumeIds": " ".join(copy.volumes), "places": place}
    (script,) = agent.inputs(COPY, COPY["mainSteps"][0], given)["runCommand"]
    copy.host.path("/srv/mount.sh").write_text(script)
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = copy.host.popen("bash", "/srv/mount.sh", env=ENVIRONMENT, **silent)
    kernel.until(due, seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def beside(db: Database) -> Database:
    """A copy of a database on the very host."""
    return starting.restore(db, db.host)


def uuid(db: Database, number: int = 0) -> str:
    device = f"{EBS}{db.volumes[number].replace('-', '')}"
    return db.host.call(f"wipefs --no-act --noheadings --output UUID {device}")


def fill(db: Database, content: bytes) -> Database:
    """A new volume that begins with this, beside the database."""
    volume = database.new_volume()
    db.machines.create_volume(volume, 2, None)
    with Path(db.machines.volumes.device_of(volume)).open("r+b") as disk:
        disk.write(content)
    db.machines.attach(volume, db.host.id, "/dev/sdf")
    return Database(db.machines, db.host, [volume])


def md() -> bytes:
    """The superblock of MD's version 1.2: the kernel's include/uapi/linux/raid/md_p.h."""
    words = [0] * 64
    words[0], words[1], words[36] = 0xA92B4EFC, 1, 8  # magic, version, and where it lies: sector 8
    words[54] = sum(words)  # its checksum
    return b"".join(word.to_bytes(4, "little") for word in words)


@pytest.fixture
def stopped_db(machines: Disks, made: str, new_host: NewHost) -> Database:
    """A database on a host whose kernel refuses, as every real one does, a second file system of the same UUID."""
    host = new_host()
    host.call("rm /sbin/mount.xfs")
    return database.make(machines, host, made)


@pytest.fixture
def copy(stopped_db: Database, new_host: NewHost) -> Database:
    """A copy on a host of its own, of a database that does not run."""
    return starting.restore(stopped_db, new_host())


def test_beside_its_original_the_copy_gets_a_uuid_and_production_keeps_its_own(db: Database) -> None:
    db.sql("INSERT INTO ledger VALUES (1, 1)")
    copy = beside(db)
    db.host.call("mkdir /restored")
    before = (uuid(db), postmaster(db), db.host.path("/etc/fstab").read_text())
    assert uuid(copy) == uuid(db)

    done = mount(copy, "/restored/db")

    assert done.code == 0, done
    assert words(done) == {"mounted": [{"volume": copy.volumes[0], "path": "/restored/db", "uuid": uuid(copy)}]}
    assert uuid(copy) != uuid(db)
    assert (uuid(db), postmaster(db), db.host.path("/etc/fstab").read_text()) == before
    assert (db.host.mounts_of(db.volumes[0]), db.host.mounts_of(copy.volumes[0])) == (["/data"], ["/restored/db"])
    assert db.is_writable()


def test_what_was_only_in_the_log_of_the_file_system_is_there(db: Database) -> None:
    db.sql("CREATE TABLE late AS SELECT 7 AS number")
    copy = beside(db)

    assert mount(copy, "/copy").code == 0

    db.host.call("rm -f /copy/main/postmaster.pid; echo 'port = 5433' >>/copy/main/postgresql.conf")
    database.start_server(db.host, "/copy/main")
    assert db.sql("SELECT number FROM late", port=5433) == "7"


def test_without_a_replayed_log_the_copy_would_get_no_uuid(db: Database) -> None:
    copy = beside(db)
    hasty = database.edited(COPY, 'mount -t xfs -o nouuid "$1" "$2" && umount "$2"', ":")

    refused = mount(copy, "/copy", document=hasty)

    assert refused.code == FAILED
    assert "be replayed" in refused.stderr
    assert mounted(db.host) == ["/data"]


def test_two_volumes_are_mounted_at_two_places(split_db: Database) -> None:
    copy = beside(split_db)

    done = mount(copy, "/copy/one", "/copy/two")

    assert done.code == 0, done
    assert [(one["volume"], one["path"]) for one in words(done)["mounted"]] == [
        (copy.volumes[0], "/copy/one"),
        (copy.volumes[1], "/copy/two"),
    ]
    assert mounted(split_db.host) == ["/copy/one", "/copy/two", "/data", "/wal"]
    assert len({uuid(db, number) for db in (split_db, copy) for number in (0, 1)}) == 4
    assert split_db.is_writable()


def test_sent_again_it_changes_nothing(copy: Database) -> None:
    first = mount(copy, "/copy")
    copy.host.call("touch /copy/mine")
    again = mount(copy, "/copy")

    assert (first.code, again.code) == (0, 0), (first, again)
    assert words(again) == words(first)
    assert copy.host.mounts_of(copy.volumes[0]) == ["/copy"]


def test_two_at_once_are_one(db: Database) -> None:
    copy = beside(db)
    begun = [InTheBackground(lambda: mount(copy, "/copy")) for _ in range(2)]

    answers = [one.outcome() for one in begun]

    assert [answer.code for answer in answers] == [0, 0], answers
    assert words(answers[0]) == words(answers[1])


def test_killed_anywhere_and_sent_again_it_ends_the_same(db: Database, trial: int) -> None:
    delays = random.Random(trial)
    copy = beside(db)

    for _ in range(KILLS):
        mount_and_kill(copy, "/copy", delays.uniform(0, MOUNTED))
    done = mount(copy, "/copy")

    assert done.code == 0, done
    assert mounted(db.host) == ["/copy", "/data"]
    assert uuid(copy) != uuid(db)
    db.host.call("umount /copy")
    assert db.host.call(f"xfs_repair -n {EBS}{copy.volumes[0].replace('-', '')} 2>&1 | grep -ci uuid || true") == "0"


def test_a_kill_does_not_reach_what_writes_the_uuid(db: Database) -> None:
    """Between the log's new UUID and the file system's, XFS would not mount it any more."""
    copy = beside(db)
    log = db.host.path("/run/written")
    slow = "#!/bin/sh\necho begun >>/run/written\nsleep 1\n/srv/xfs_admin $*\necho ended >>/run/written\n"
    db.host.call("cp /usr/sbin/xfs_admin /srv")
    db.host.path("/usr/sbin/xfs_admin").write_text(slow)

    mount_and_kill(copy, "/copy", 10, log.exists)
    done = mount(copy, "/copy")

    assert done.code == 0, done
    assert log.read_text().split() == ["begun", "ended"] * 2


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ("mkdir -p /copy; touch /copy/file", "/copy is not an empty directory"),
        ("touch /copy", "/copy is not an empty directory"),
        ("mkdir /copy; mount -t tmpfs other /copy", "Another file system is mounted at /copy"),
        ("mkdir /srv/real; ln -s /srv/real /copy", "/copy is a name through a link"),
        ("echo 'UUID=2a7d8f6e /copy xfs defaults 0 0' >>/etc/fstab", "/etc/fstab mounts UUID=2a7d8f6e at /copy"),
    ],
)
def test_a_place_that_is_taken_is_refused(copy: Database, taken: str, said: str) -> None:
    before = uuid(copy)
    copy.host.call(taken)

    refused = mount(copy, "/copy")

    assert refused.code == UNFIT
    assert said in refused.stderr
    assert not mounted(copy.host)
    assert uuid(copy) == before


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("/data/copy", "/data/copy lies on a database's volume, which is mounted at /data"),
        ("/link/copy", "/link/copy is a name through a link"),
        ("/var/lib/postgresql/copy", "Others than root can change /var/lib/postgresql"),
        ("/dev/shm/copy", "Others than root can change /dev/shm"),  # noqa: S108
    ],
)
def test_a_place_where_others_have_a_say_is_refused(db: Database, place: str, said: str) -> None:
    assert starting.send(db, "record").code == 0
    copy = beside(db)
    db.host.call("ln -s /srv /link")

    refused = mount(copy, place)

    assert refused.code == UNFIT
    assert said in refused.stderr
    assert mounted(db.host) == ["/data"]
    assert not db.host.path(place).exists()


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["/copy"], "2 volumes, and 1 places"),
        (["/copy", "/copy"], "named twice"),
        (["/copy", "/copy/wal"], "/copy/wal lies in /copy"),
    ],
)
def test_places_that_do_not_match_the_volumes_are_refused(split_db: Database, places: list[str], said: str) -> None:
    copy = beside(split_db)

    refused = mount(copy, *places)

    assert refused.code == UNFIT
    assert said in refused.stderr
    assert mounted(split_db.host) == ["/data", "/wal"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no file system"),
        (bytes(512) + lvm(), "holds LVM2_member"),
        (dos(), "holds dos"),
        (bytes(1024 + 56) + b"\x53\xef" + bytes(900), "holds ext"),
        (bytes(4096) + md(), "holds linux_raid_member"),
    ],
)
def test_what_is_not_one_xfs_is_refused_by_name_and_the_others_are_not_mounted(
    db: Database, content: bytes, said: str
) -> None:
    copy = beside(db)
    before = uuid(copy)
    other = fill(db, content)
    copy.volumes.extend(other.volumes)

    refused = mount(copy, "/copy/one", "/copy/two")

    assert refused.code == UNFIT
    assert f"{other.volumes[0]} {said}" in refused.stderr
    assert "and not one XFS on the whole volume" in refused.stderr
    assert mounted(db.host) == ["/data"]
    assert uuid(copy) == before


def test_a_volume_that_is_mounted_already_is_left_there(db: Database) -> None:
    refused = mount(db, "/copy")

    assert refused.code == UNFIT
    assert f"{db.volumes[0]} is mounted at /data" in refused.stderr
    assert mounted(db.host) == ["/data"]


def test_a_copy_that_somebody_mounted_under_its_originals_uuid_is_refused(db: Database) -> None:
    copy = beside(db)
    db.host.call(f"mkdir /copy; mount -o nouuid {EBS}{copy.volumes[0].replace('-', '')} /copy")

    refused = mount(copy, "/copy")

    assert refused.code == UNFIT
    assert f"under the UUID of {db.volumes[0]}" in refused.stderr


def test_a_volume_that_is_not_there_is_waited_for_and_told(copy: Database) -> None:
    volume = copy.volumes[0]
    copy.machines.detach(volume, copy.host.id, force=False)

    refused = mount(copy, "/copy", document=database.edited(COPY, "SECONDS + 30", "SECONDS + 1"))
    late = InTheBackground(lambda: mount(copy, "/copy"))
    kernel.really_sleep(0.5)
    copy.machines.attach(volume, copy.host.id, "/dev/sdf")

    assert refused.code == FAILED
    assert f"{volume} is not attached" in refused.stderr
    assert late.outcome().code == 0


def test_damage_is_told_in_the_kernels_words_and_nothing_is_mounted(copy: Database) -> None:
    with Path(copy.machines.volumes.device_of(copy.volumes[0])).open("r+b") as disk:
        disk.seek(4096)  # the free space of the first allocation group
        disk.write(b"x" * 4096)

    refused = mount(copy, "/copy")

    assert refused.code == FAILED
    assert f"{copy.volumes[0]} cannot be mounted: " in refused.stderr
    assert not mounted(copy.host)


@pytest.mark.parametrize("name", ["volumeIds", "places"])
def test_no_parameter_admits_what_a_shell_would_run(name: str) -> None:
    pattern = COPY["parameters"][name]["allowedPattern"]

    for value in (
        "$(id)",
        "`id`",
        "'; id; '",
        '"',
        "",
        "/a;id",
        "/a\nb",
        "/a|b",
        "/a>b",
        "/a/../b",
        "/a/.b",
        "a",
        "/a  /b",
    ):
        assert not re.search(pattern, value)
    assert re.search(COPY["parameters"]["places"]["allowedPattern"], "/restored/vol-0123456789abcdef0 /b")
