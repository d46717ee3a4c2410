"""A start is doubled, killed and sent again; PostgreSQL recovers for long; what is restored begins a timeline."""

from __future__ import annotations

import random
import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from region.disks import kernel
from region.disks.instance import SYSTEMD
from tests.disks import database, starting
from tests.disks.database import BINARIES, DATA, Database, InTheBackground, words
from tests.disks.starting import FAILED, RECOVERING, START, UNFIT, move, postmaster, restore, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from region.disks.instance import Instance

    NewHost = Callable[[], Instance]

SNAPSHOT = "snap-0123456789abcdef0"
KILLS = 4
STARTED = 1.5  # seconds; a start takes about one
# As careful archives are: what is there is not overwritten, and the segment sticks.
ARCHIVE = "archive_command = 'test ! -f /archive/%f && cp %p /archive/%f'"
NOT_SET = "SELECT count(*) FROM pg_settings WHERE name = 'restore_command' AND setting <> ''"


@pytest.fixture
def recorded(db: Database) -> Database:
    """A running database on one volume that carries its record."""
    assert send(db, "record").code == 0
    return db


def state_of(db: Database) -> str:
    """What a start sets up on a host, and what it must not leave behind."""
    left = "ls /etc/fstab.* /etc/.watchkeeper /data/.watchkeeper 2>/dev/null || true"
    return db.host.call(f"cat /etc/fstab; findmnt -rno TARGET,SOURCE /data; {left}; lsattr -d /data")


def test_a_start_on_a_running_database_changes_nothing(recorded: Database, new_host: NewHost) -> None:
    moved = move(recorded, new_host())
    first = send(moved, "start")
    before = (state_of(moved), postmaster(moved))

    again = send(moved, "start")

    assert (first.code, again.code) == (0, 0)
    assert (state_of(moved), postmaster(moved)) == before
    assert words(again)["recoveryMs"] < 500


def test_two_starts_at_once_are_one(recorded: Database, new_host: NewHost, trial: int) -> None:
    moved = move(recorded, new_host())

    begun = [InTheBackground(lambda: send(moved, "start")) for _ in range(2)]
    answers = [start.outcome() for start in begun]

    assert [answer.code for answer in answers] == [0, 0], answers
    assert len({words(answer)["timeline"] for answer in answers}) == 1
    assert starting.mounted(moved.host) == ["/data"]
    assert moved.host.call("grep -c /data /etc/fstab") == "1"
    assert len(moved.host.call(f"pgrep -f '^{BINARIES}/postgres'").split()) == 1


def test_a_start_waits_for_the_one_under_way(recorded: Database, new_host: NewHost) -> None:
    moved = move(recorded, new_host())
    moved.host.call("mkdir -p /run/watchkeeper")
    under_way = moved.host.popen("flock", "/run/watchkeeper/start.lock", "sleep", "1000")

    started = InTheBackground(lambda: send(moved, "start"))
    kernel.really_sleep(1.5)
    assert not starting.mounted(moved.host)
    under_way.kill()
    moved.host.call("pkill -f 'sleep 1000'")

    assert started.outcome().code == 0


@pytest.mark.parametrize("snapshot", ["", SNAPSHOT])
def test_a_start_that_is_killed_anywhere_ends_the_same_when_it_is_sent_again(
    recorded: Database, new_host: NewHost, snapshot: str, trial: int
) -> None:
    delays = random.Random(f"{trial} {snapshot}")
    moved = restore(recorded, new_host())
    untouched = restore(recorded, new_host())
    starting.start_image_cluster(moved.host)
    starting.start_image_cluster(untouched.host)

    for _ in range(KILLS):
        starting.send_and_kill(moved, delays.uniform(0, STARTED), newTimeline=snapshot)
    ended = send(moved, "start", newTimeline=snapshot)
    straight = send(untouched, "start", newTimeline=snapshot)

    assert (ended.code, straight.code) == (0, 0), (ended, straight)
    assert words(ended)["timeline"] == words(straight)["timeline"] == (2 if snapshot else 1)
    same = state_of(untouched).replace(untouched.volumes[0][4:], moved.volumes[0][4:])
    assert re.sub(r"/dev/\S+n1", "", state_of(moved)) == re.sub(r"/dev/\S+n1", "", same)
    assert starting.mounted(moved.host) == ["/data"]
    assert moved.sql(NOT_SET) == "0"
    assert moved.sql("SHOW data_directory") == DATA


def test_a_long_recovery_is_told_and_not_interrupted(recorded: Database, new_host: NewHost) -> None:
    recorded.sql("CREATE TABLE much AS SELECT number, repeat('x', 500) FROM generate_series(1, 50000) AS number")
    moved = move(recorded, new_host())
    starting.stop_startup(moved)

    recovering = send(moved, "start", waitSeconds="2")
    process = postmaster(moved)
    asked = words(send(moved, "probe"))
    again = send(moved, "start", waitSeconds="1")
    moved.host.call("pkill -CONT -f '^postgres: startup'")
    started = send(moved, "start")

    assert recovering.code == again.code == RECOVERING, recovering
    assert words(recovering)["recovering"] is True
    assert 1 <= words(recovering)["seconds"] <= words(again)["seconds"] < 60
    assert (asked["writable"], asked["recovering"]) == (False, True)
    assert started.code == 0, started
    assert postmaster(moved) == process
    assert moved.sql("SELECT count(*) FROM much") == "50000"


def test_a_server_that_hangs_is_not_writable_and_not_recovering(recorded: Database) -> None:
    assert words(send(recorded, "probe"))["writable"] is True
    recorded.host.call(f"kill -STOP {postmaster(recorded)}")

    began = time.monotonic()
    asked = send(recorded, "probe")
    took = time.monotonic() - began
    refused = send(recorded, "start", waitSeconds="1")

    assert asked.code == 0
    assert (words(asked)["writable"], words(asked)["recovering"]) == (False, False)
    assert words(asked)["error"]
    assert took < 8
    assert refused.code == FAILED
    assert "does not answer" in refused.stderr
    recorded.host.call(f"kill -CONT {postmaster(recorded)}")
    assert words(send(recorded, "probe"))["writable"] is True


def test_a_probe_during_a_freeze_ends_and_says_no(recorded: Database) -> None:
    recorded.host.call("fsfreeze -f /data")

    began = time.monotonic()
    asked = words(send(recorded, "probe"))
    took = time.monotonic() - began
    recorded.host.call("fsfreeze -u /data")

    assert asked["writable"] is False
    assert took < 8
    assert words(send(recorded, "probe"))["writable"] is True


def test_without_volumes_a_probe_asks_the_server_on_any_volume_and_nothing_else_runs(recorded: Database) -> None:
    asked = send(recorded, "probe", volumeIds="")
    refused = [send(recorded, command, volumeIds="").code for command in ("start", "record")]

    assert words(asked)["writable"] is True
    assert refused == [UNFIT, UNFIT]


def test_a_probe_ends_even_if_the_host_itself_hangs(recorded: Database) -> None:
    recorded.host.call("printf '#!/bin/sh\\nexec sleep 60' >/usr/sbin/df; chmod +x /usr/sbin/df")

    began = time.monotonic()
    asked = send(recorded, "probe")

    assert time.monotonic() - began < 8
    assert (asked.code, words(asked)["writable"]) == (0, False)
    assert words(asked)["error"] == "It hangs."


def test_a_probe_where_nothing_runs_starts_and_mounts_nothing(recorded: Database, new_host: NewHost) -> None:
    moved = move(recorded, new_host())
    moved.host.call("rm -rf /run/watchkeeper")

    asked = send(moved, "probe")

    assert asked.code == 0
    assert words(asked)["writable"] is False
    assert "No PostgreSQL runs" in words(asked)["error"]
    assert not starting.mounted(moved.host)
    assert words(send(moved, "probe", volumeIds="vol-0123456789abcdef0"))["error"].startswith("vol-0123456789abcdef0")


def test_a_restored_database_begins_one_timeline_for_its_snapshot(recorded: Database, new_host: NewHost) -> None:
    starting.configure(recorded, "recovery_target_time = '2020-01-01'")
    recorded.sql("INSERT INTO ledger VALUES (1, 1)")
    restored = restore(recorded, new_host())

    first = send(restored, "start", newTimeline=SNAPSHOT)
    again = send(restored, "start", newTimeline=SNAPSHOT)
    moved = move(restored, new_host())
    elsewhere = send(moved, "start", newTimeline=SNAPSHOT)
    other = send(moved, "start", newTimeline="snap-0123456789abcdef1")

    assert [answer.code for answer in (first, again, elsewhere, other)] == [0, 0, 0, 0], (first, again, elsewhere)
    assert [words(answer)["timeline"] for answer in (first, again, elsewhere, other)] == [2, 2, 2, 3]
    assert moved.sql("SELECT count(*) FROM ledger") == "1"
    assert moved.sql(NOT_SET) == "0"
    assert "watchkeeper" not in moved.host.path(f"{DATA}/postgresql.auto.conf").read_text()


def test_what_user_data_started_on_the_old_timeline_begins_a_new_one_too(recorded: Database, new_host: NewHost) -> None:
    restored = restore(recorded, new_host())
    database.mount(restored.host, restored.volumes[0], "/data")
    restored.start()

    started = send(restored, "start", newTimeline=SNAPSHOT)

    assert started.code == 0, started
    assert words(started)["timeline"] == 2


@pytest.mark.parametrize("snapshot", ["", SNAPSHOT])
def test_a_new_timeline_archives_beside_the_old_one(recorded: Database, new_host: NewHost, snapshot: str) -> None:
    recorded.host.call("install -d -o postgres /archive")
    starting.configure(recorded, "archive_mode = on", ARCHIVE)
    recorded.sql("INSERT INTO ledger VALUES (1, 1); SELECT pg_switch_wal()")
    restored = restore(recorded, new_host())
    recorded.sql("INSERT INTO ledger VALUES (2, 2); SELECT pg_switch_wal()")
    archived = "SELECT archived_count > 1 FROM pg_stat_archiver"
    assert kernel.until(lambda: recorded.sql(archived) == "t", seconds=10, pause=0.1)
    shutil.copytree(recorded.host.path("/archive"), restored.host.path("/archive"))
    restored.host.call("chown -R postgres /archive")

    assert send(restored, "start", newTimeline=snapshot).code == 0
    restored.sql("INSERT INTO ledger VALUES (3, 3); SELECT pg_switch_wal()")

    counts = "SELECT archived_count > 0, failed_count > 0 FROM pg_stat_archiver"
    expected = "t|f" if snapshot else "f|t"
    assert kernel.until(lambda: restored.sql(counts) == expected, seconds=10, pause=0.1), restored.sql(counts)


def test_what_a_user_data_script_still_does_is_waited_for(recorded: Database, new_host: NewHost) -> None:
    moved = move(recorded, new_host())
    moved.host.call("printf '#!/bin/sh\\necho status: $(cat /srv/status)' >/usr/bin/cloud-init")
    moved.host.call("chmod +x /usr/bin/cloud-init; echo running >/srv/status")

    started = InTheBackground(lambda: send(moved, "start"))
    kernel.really_sleep(1.5)
    assert not starting.mounted(moved.host)
    moved.host.call("echo done >/srv/status")

    assert started.outcome().code == 0


def test_what_is_unfit_while_user_data_still_runs_may_be_tried_again(recorded: Database, new_host: NewHost) -> None:
    starting.edit_record(recorded, "major", "major 14")
    moved = move(recorded, new_host())
    moved.host.call("printf '#!/bin/sh\\necho status: running' >/usr/bin/cloud-init; chmod +x /usr/bin/cloud-init")

    refused = send(moved, "start", document=database.edited(START, "clock + 120000", "clock + 100"))

    assert refused.code == FAILED
    assert "user data" in refused.stderr


def test_under_systemd_the_unit_waits_for_the_volume_and_comes_back_when_it_dies(
    recorded: Database, new_host: NewHost
) -> None:
    major = BINARIES.split("/")[-2]
    unit = f"postgresql@{major}-main.service"
    host = new_host()
    with_systemd(recorded, host)
    recorded.stop()
    recorded.host.call(
        f"cd /etc/postgresql/{major}; sed -i \"s|^data_directory.*|data_directory = '{DATA}'|\" main/postgresql.conf"
        f"; pg_ctlcluster {major} main start"
    )
    assert send(recorded, "record").code == 0
    moved = move(recorded, host)

    started = send(moved, "start")

    assert started.code == 0, started
    assert kernel.until(lambda: host.call(f"systemctl is-active {unit} || true") == "active", seconds=10, pause=0.2)
    assert host.call(f"systemctl is-enabled {unit}").startswith("enabled")  # by Debian's generator
    process = postmaster(moved)
    host.call(f"kill -KILL {process}")
    assert kernel.until(lambda: postmaster_or_none(moved) not in (None, process), seconds=20, pause=0.2)
    assert kernel.until(lambda: words(send(moved, "probe"))["writable"], seconds=20, pause=0.2)

    moved.machines.power_cut(host.id)
    moved.machines.boot(host.id)
    assert kernel.until(lambda: "running" in host.call("systemctl is-system-running || true"), seconds=60, pause=0.5)
    host.call(f"mount -a; systemctl start {unit}")  # with /sys read-only, systemd itself passes over fstab's devices
    assert starting.mounted(host) == ["/data"]
    assert words(send(moved, "probe"))["writable"] is True

    host.call(f"systemctl stop {unit}; umount /data")
    moved.machines.detach(moved.volumes[0], host.id, force=False)
    host.call(f"systemctl start {unit} || true")
    assert not host.call("pgrep -x postgres || true")


def test_under_systemd_a_server_without_a_unit_outlives_the_agent(recorded: Database, new_host: NewHost) -> None:
    host = new_host()
    with_systemd(recorded, host)
    moved = move(recorded, host)

    started = send(moved, "start")

    assert started.code == 0, started
    assert "watchkeeper-postgresql.service" in host.call(f"cat /proc/{postmaster(moved)}/cgroup")


@pytest.mark.parametrize("name", ["volumeIds", "newTimeline", "startCommand", "waitSeconds"])
def test_no_parameter_admits_what_a_shell_would_run(name: str) -> None:
    pattern = START["parameters"][name]["allowedPattern"]

    for value in ("$(id)", "`id`", "'; id; '", '"', "vol-0123456789abcdef0;id", "20\n20", "a\nb", "a|b", "a>b", "a&b"):
        assert not re.search(pattern, value)


def with_systemd(db: Database, host: Instance) -> None:
    """Boot a host again, with a systemd that starts nothing by itself."""
    host.call("rm -rf /etc/systemd/system/*.wants; echo >/etc/fstab")
    db.machines.shutdown(host.id)
    host.process_1 = SYSTEMD
    db.machines.boot(host.id)
    assert kernel.until(lambda: "running" in host.call("systemctl is-system-running || true"), seconds=20, pause=0.1)


def postmaster_or_none(db: Database) -> str | None:
    try:
        return postmaster(db)
    except (OSError, IndexError):
        return None
