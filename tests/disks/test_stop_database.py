"""A database is stopped and unmounted so that its volumes can be detached: nothing is forced, nothing else touched."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from region.disks import agent, kernel
from region.disks.instance import ENVIRONMENT, SYSTEMD
from tests.disks import database, starting
from tests.disks.database import BINARIES, DATA, Database, InTheBackground, words
from tests.disks.starting import FAILED, UNFIT, mounted, postmaster, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from region.disks.instance import Instance
    from region.machines import Outcome

    NewHost = Callable[[], Instance]

STOP: Mapping[str, Any] = yaml.safe_load(Path("documents/stop_database.yaml").read_text())
MAJOR = BINARIES.split("/")[-2]
KILLS = 4
STOPPED = 0.6  # seconds; a stop takes a little longer


def stop(db: Database, document: Mapping[str, Any] = STOP, **parameters: str) -> Outcome:
    """Run the document on the database's host as its agent does."""
    return agent.run(db.host, document, {"volumeIds": " ".join(db.volumes), **parameters})


def stop_and_kill(db: Database, seconds: float) -> None:
    """Run it, and kill all of its group after so many seconds, as the agent does with what is over its time."""
    (script,) = agent.inputs(STOP, STOP["mainSteps"][0], {"volumeIds": " ".join(db.volumes)})["runCommand"]
    db.host.path("/srv/stop.sh").write_text(script)
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = db.host.popen("bash", "/srv/stop.sh", env=ENVIRONMENT, **silent)
    kernel.really_sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def servers(host: Instance) -> list[str]:
    """The data directories of the servers that run."""
    return sorted(host.call("pgrep -x postgres -P 1 | xargs -rI_ readlink /proc/_/cwd || true").split())


def detach(db: Database) -> bool:
    """Whether all volumes can be detached: EC2 waits for a file system that is in use."""
    return all(db.machines.detach(volume, db.host.id, force=False) for volume in db.volumes)


def await_sleeper(host: Instance) -> None:
    """Until a process that a test has started sleeps."""
    assert kernel.until(lambda: "sleep 1000" in host.call("ps -eo args").splitlines(), seconds=5)


def end_sleeper(host: Instance) -> None:
    host.call("pkill -f '^sleep 1000'")


def starts_clean(db: Database) -> bool:
    """Whether the server, on what is mounted again, has nothing to recover."""
    log = db.host.path(f"/tmp/{DATA.replace('/', '_')}.log")  # noqa: S108 (the host's own)
    log.unlink(missing_ok=True)
    db.start()
    return "not properly shut down" not in log.read_text()


@pytest.fixture
def spread_db(split_db: Database) -> Database:
    """A running database over three volumes: data, WAL, and a tablespace on each of two."""
    starting.spread(split_db)
    return split_db


def test_a_running_database_is_shut_down_and_unmounted(db: Database) -> None:
    system = db.sql("SELECT system_identifier FROM pg_control_system()")

    stopped = stop(db)

    assert stopped.code == 0, stopped
    told = words(stopped)
    assert 0 < told.pop("stopMs") < 10_000
    assert told == {"wasRunning": True, "timeline": 1, "system": system, "unmounted": ["/data"]}
    assert detach(db)


def test_what_it_leaves_needs_no_recovery(db: Database) -> None:
    db.sql("INSERT INTO ledger VALUES (1, 1)")

    assert stop(db).code == 0

    database.mount(db.host, db.volumes[0], "/data")
    assert starts_clean(db)
    assert db.sql("SELECT count(*) FROM ledger") == "1"


def test_two_tablespaces_and_wal_on_a_second_volume_are_unmounted_too(spread_db: Database) -> None:
    stopped = stop(spread_db)

    assert stopped.code == 0, stopped
    assert sorted(words(stopped)["unmounted"]) == ["/data", "/space", "/wal"]
    assert detach(spread_db)


def test_a_database_that_does_not_run_is_unmounted(db: Database) -> None:
    assert starting.send(db, "record").code == 0
    system = db.sql("SELECT system_identifier FROM pg_control_system()")
    db.stop()

    stopped = stop(db)

    assert stopped.code == 0, stopped
    expected = {"wasRunning": False, "timeline": 1, "system": system, "stopMs": 0, "unmounted": ["/data"]}
    assert words(stopped) == expected


def test_a_timeline_that_is_younger_than_the_latest_checkpoint_counts(db: Database) -> None:
    db.host.call(f"runuser -u postgres -- touch {DATA}/pg_wal/0000000A.history")

    assert words(stop(db))["timeline"] == 10


def test_without_a_server_or_a_record_nobody_knows_the_timeline(stopped_db: Database) -> None:
    stopped = stop(stopped_db)

    assert stopped.code == 0, stopped
    expected = {"wasRunning": False, "timeline": None, "system": None, "stopMs": 0, "unmounted": ["/data"]}
    assert words(stopped) == expected


def test_mounts_on_mounts_go_before_what_they_lie_on(stopped_db: Database) -> None:
    host = stopped_db.host
    strange = '/srv/a "b" \\c'
    host.call(f"mkdir -p /srv/main '{strange}'; mount --bind {DATA} /srv/main; mount --bind /data '{strange}'")
    host.call(f"mkdir {DATA}/within; mount --bind {DATA}/base {DATA}/within")
    database.start_server(host, "/srv/main")

    stopped = stop(stopped_db)

    assert stopped.code == 0, stopped
    assert words(stopped)["unmounted"] == [f"{DATA}/within", strange, "/srv/main", "/data"]
    assert detach(stopped_db)


def test_sent_again_it_answers_the_same_also_when_the_volumes_are_gone(spread_db: Database) -> None:
    first = stop(spread_db)
    again = stop(spread_db)
    assert spread_db.machines.detach(spread_db.volumes[2], spread_db.host.id, force=False)
    in_between = stop(spread_db)
    assert detach(Database(spread_db.machines, spread_db.host, spread_db.volumes[:2]))
    at_last = stop(spread_db)

    assert first.code == 0, first
    assert [words(answer) for answer in (again, in_between, at_last)] == [words(first)] * 3


def test_what_was_started_since_is_stopped_anew(db: Database) -> None:
    assert starting.send(db, "record").code == 0
    first = stop(db)
    db.host.call("rm -rf /run/watchkeeper/look")
    assert starting.send(db, "start", newTimeline="snap-0123456789abcdef0").code == 0

    again = stop(db)
    database.mount(db.host, db.volumes[0], "/data")
    at_last = stop(db)

    assert (first.code, again.code) == (0, 0), (first, again)
    assert [words(answer)["timeline"] for answer in (first, again, at_last)] == [1, 2, 2]
    assert [words(answer)["wasRunning"] for answer in (again, at_last)] == [True, False]
    assert not mounted(db.host)


def test_a_volume_that_is_half_gone_after_a_reboot_is_no_error(split_db: Database) -> None:
    assert stop(split_db).code == 0
    assert split_db.machines.detach(split_db.volumes[1], split_db.host.id, force=False)
    split_db.host.call("rm -rf /run/watchkeeper")

    stopped = stop(split_db)

    assert stopped.code == 0, stopped
    assert words(stopped)["unmounted"] == []


def test_volumes_of_another_host_are_refused(db: Database) -> None:
    refused = stop(db, volumeIds="vol-0123456789abcdef0")

    assert refused.code == FAILED
    assert "vol-0123456789abcdef0 is attached" in refused.stderr
    assert servers(db.host) == [DATA]


@pytest.mark.parametrize("how", ["reads", "stands", "maps"])
def test_who_uses_the_volume_is_named_and_postgresql_runs_on(db: Database, how: str) -> None:
    command = {
        "reads": f"exec sleep 1000 <{DATA}/PG_VERSION",
        "stands": "cd /data; exec sleep 1000",
        "maps": "cp /bin/sleep /data/sleep; PATH=/data exec sleep 1000",
    }[how]
    user = db.host.popen("bash", "-c", command)
    await_sleeper(db.host)

    refused = stop(db, database.edited(STOP, "SECONDS + 5", "SECONDS + 1"))

    assert refused.code == FAILED
    assert re.search(r"used by sleep \(\d+\); send this again\.", refused.stderr)
    assert "PostgreSQL runs on" in refused.stderr
    assert db.is_writable()
    end_sleeper(db.host)
    user.wait()
    assert stop(db).code == 0


def test_another_file_system_on_a_volume_is_named_and_stays(db: Database) -> None:
    db.host.call("mkdir /data/over; mount -t tmpfs over /data/over")

    refused = stop(db, database.edited(STOP, "SECONDS + 5", "SECONDS + 1"))

    assert refused.code == FAILED
    assert "what is mounted at /data/over" in refused.stderr
    assert db.is_writable()
    db.host.call("umount /data/over")
    assert stop(db).code == 0


def test_what_is_mounted_on_top_of_a_volume_is_not_unmounted_in_its_place(stopped_db: Database) -> None:
    comes = "mount -t tmpfs over /data; touch /data/of-the-other"
    covered = database.edited(STOP, "read_control; remember; unmount", f"read_control; remember; {comes}; unmount")

    refused = stop(stopped_db, database.edited(covered, "SECONDS + 10", "SECONDS + 1"))

    assert refused.code == FAILED
    assert "used by what is mounted at /data" in refused.stderr
    assert stopped_db.host.call("ls /data") == "of-the-other"


def test_who_comes_in_between_is_named_and_sending_again_goes_on(split_db: Database) -> None:
    """As the shutdown ends: the WAL's volume is unmounted, the data's is not."""
    comes = "{ (cd /data; exec sleep 1000 >/dev/null 2>&1 8>&- 9>&-) & until [ /proc/$!/cwd -ef /data ]; do :; done; }"
    entered = database.edited(STOP, "read_control; remember; unmount", f"read_control; remember; {comes}; unmount")

    refused = stop(split_db, database.edited(entered, "SECONDS + 10", "SECONDS + 1"))

    assert refused.code == FAILED
    assert re.search(r"used by sleep \(\d+\); send this again\.$", refused.stderr.splitlines()[0])
    assert mounted(split_db.host) == ["/data"]
    assert servers(split_db.host) == []
    end_sleeper(split_db.host)
    stopped = stop(split_db)
    assert stopped.code == 0, stopped
    told = words(stopped)
    assert (told["wasRunning"], told["timeline"], sorted(told["unmounted"])) == (True, 1, ["/data", "/wal"])
    assert 0 < told["stopMs"] < 10_000


def test_a_mount_that_only_a_container_sees_is_in_the_way_and_its_process_named(stopped_db: Database) -> None:
    inside = stopped_db.host.popen("unshare", "--mount", "--propagation=private", "sleep", "1000")
    await_sleeper(stopped_db.host)

    refused = stop(stopped_db, database.edited(STOP, "SECONDS + 10", "SECONDS + 1"))

    assert refused.code == FAILED
    assert "used by sleep (" in refused.stderr
    end_sleeper(stopped_db.host)
    inside.wait()
    stopped = stop(stopped_db)
    assert stopped.code == 0, stopped
    assert words(stopped)["unmounted"] == ["/data"]


def test_killed_anywhere_and_sent_again_it_ends_the_same(spread_db: Database, trial: int) -> None:
    delays = random.Random(trial)

    for _ in range(KILLS):
        stop_and_kill(spread_db, delays.uniform(0, STOPPED))
    stopped = stop(spread_db)

    assert stopped.code == 0, stopped
    told = words(stopped)
    assert (told["wasRunning"], told["timeline"], sorted(told["unmounted"])) == (True, 1, ["/data", "/space", "/wal"])
    assert 0 < told["stopMs"] < 20_000
    assert told["system"]
    assert detach(spread_db)


@pytest.mark.parametrize(
    ("steps", "broken"),
    [
        ("stop_server; clock", "stop_server; exit 9"),
        ("remember; unmount", "remember; exit 9"),
        ("remember; unmount", "remember; unmount; exit 9"),
    ],
)
def test_a_stop_that_ended_after_any_step_is_carried_on(split_db: Database, steps: str, broken: str) -> None:
    killed = stop(split_db, database.edited(STOP, steps, broken))
    stopped = stop(split_db)

    assert (killed.code, stopped.code) == (9, 0), (killed, stopped)
    told = words(stopped)
    assert (told["wasRunning"], told["timeline"], sorted(told["unmounted"])) == (True, 1, ["/data", "/wal"])
    assert 0 < told["stopMs"] < 10_000
    assert told["system"]


def test_two_at_once_are_one(db: Database) -> None:
    begun = [InTheBackground(lambda: stop(db)) for _ in range(2)]

    answers = [one.outcome() for one in begun]

    assert [answer.code for answer in answers] == [0, 0], answers
    assert words(answers[0]) == words(answers[1])


@pytest.mark.parametrize("lock", ["start.lock", "session"])
def test_a_start_or_a_freeze_under_way_is_waited_for(db: Database, lock: str) -> None:
    db.host.call("mkdir -p /run/watchkeeper")
    under_way = db.host.popen("flock", f"/run/watchkeeper/{lock}", "sleep", "1000")

    stopped = InTheBackground(lambda: stop(db))
    kernel.really_sleep(1)
    assert servers(db.host) == [DATA]
    under_way.kill()
    end_sleeper(db.host)

    assert stopped.outcome().code == 0


def test_a_server_that_does_not_end_is_ended_at_once_and_loses_nothing(db: Database) -> None:
    db.sql("INSERT INTO ledger VALUES (1, 1)")
    db.host.call("pkill -STOP -f 'postgres: checkpointer'")

    began = time.monotonic()
    stopped = stop(db, database.edited(STOP, "ends 60", "ends 1"))
    took = time.monotonic() - began

    assert stopped.code == 0, stopped
    assert 1_000 < words(stopped)["stopMs"] < took * 1_000
    database.mount(db.host, db.volumes[0], "/data")
    assert not starts_clean(db)
    assert db.sql("SELECT count(*) FROM ledger") == "1"


def test_a_server_that_is_stuck_is_told_and_nothing_is_unmounted(db: Database) -> None:
    process = postmaster(db)
    db.host.call(f"kill -STOP {process}")
    hurried = database.edited(database.edited(STOP, "ends 60", "ends 1"), "ends 15", "ends 1")

    refused = stop(db, hurried)

    assert refused.code == FAILED
    assert f"PostgreSQL in {DATA} does not end" in refused.stderr
    assert mounted(db.host) == ["/data"]
    db.host.call(f"kill -CONT {process}")
    stopped = stop(db)
    assert stopped.code == 0, stopped
    assert words(stopped)["wasRunning"] is True


def test_other_servers_of_the_host_are_not_touched(db: Database, new_host: NewHost) -> None:
    db.host.call(f"sed -i 's/^port = 5432/port = 5433/' /etc/postgresql/{MAJOR}/main/postgresql.conf")
    starting.start_image_cluster(db.host)
    other = restore(db, db.host)
    db.host.call("mkdir /other")
    database.mount(db.host, other.volumes[0], "/other")
    db.host.call("rm -f /other/main/postmaster.pid; echo 'port = 5434' >>/other/main/postgresql.conf")
    database.start_server(db.host, "/other/main")
    before = postmaster(db, "/other/main")

    stopped = stop(db)

    assert stopped.code == 0, stopped
    assert servers(db.host) == ["/other/main", f"/var/lib/postgresql/{MAJOR}/main"]
    assert mounted(db.host) == ["/other"]
    assert postmaster(db, "/other/main") == before


def test_another_servers_tablespace_on_a_volume_is_in_the_way(db: Database) -> None:
    db.host.call(f"sed -i 's/^port = 5432/port = 5433/' /etc/postgresql/{MAJOR}/main/postgresql.conf")
    starting.start_image_cluster(db.host)
    db.host.call("install -d -o postgres -g postgres /data/guest")
    db.host.call("runuser -u postgres -- psql -qX -p 5433 -c \"CREATE TABLESPACE guest LOCATION '/data/guest'\"")
    uses = "CREATE TEMP TABLE of_guest TABLESPACE guest AS SELECT 1; SELECT pg_sleep(1000)"
    guest = db.host.popen("runuser", "-u", "postgres", "--", "psql", "-qX", "-p", "5433", "-c", uses)
    assert kernel.until(lambda: "/data/guest/" in db.host.call("ls -l /proc/[0-9]*/fd 2>/dev/null || true"), seconds=5)

    refused = stop(db, database.edited(STOP, "SECONDS + 5", "SECONDS + 1"))

    assert refused.code == FAILED
    assert "used by postgres (" in refused.stderr
    assert db.is_writable()
    guest.kill()


def test_two_servers_on_the_volumes_are_refused(db: Database) -> None:
    db.host.call(f"cd /data; runuser -u postgres -- {BINARIES}/pg_basebackup -D /tmp/second -c fast")
    db.host.call("mv /tmp/second /data/second; echo 'port = 5433' >>/data/second/postgresql.conf")
    database.start_server(db.host, "/data/second")

    refused = stop(db)

    assert refused.code == UNFIT
    assert f"More than one PostgreSQL runs on {db.volumes[0]}" in refused.stderr
    assert servers(db.host) == [DATA, "/data/second"]


def test_what_starts_it_again_at_once_is_told(db: Database) -> None:
    start = f"runuser -u postgres -- {BINARIES}/pg_ctl -D {DATA} -w start >/dev/null 2>&1"
    again = f"while [ -e /proc/{postmaster(db)} ]; do :; done; {start}"
    supervisor = db.host.popen("bash", "-c", again)
    slow = database.edited(STOP, "  find_server\n  [ -z", "  sleep 2; find_server\n  [ -z")

    refused = stop(db, slow)

    supervisor.wait()
    assert refused.code == FAILED
    assert "was started again" in refused.stderr
    assert mounted(db.host) == ["/data"]


def test_a_volume_with_partitions_is_refused_by_name(db: Database) -> None:
    volume = database.new_volume()
    db.machines.create_volume(volume, 1, None)
    db.machines.attach(volume, db.host.id, "/dev/sdf")
    kernel.call("addpart", db.machines.volumes.device_of(volume), "1", "2048", "8192")
    db.volumes.append(volume)

    refused = stop(db)

    assert refused.code == UNFIT
    assert f"{volume} is not one file system" in refused.stderr
    assert servers(db.host) == [DATA]


@pytest.mark.parametrize("state", ["starting", "running", "restarting"])
def test_under_systemd_its_unit_is_stopped_and_does_not_come_back(db: Database, new_host: NewHost, state: str) -> None:
    unit = f"postgresql@{MAJOR}-main.service"
    configure_cluster(db)
    assert starting.send(db, "record").code == 0
    moved = starting.move(db, under_systemd(db, new_host()))
    always = f"/etc/systemd/system/{unit}.d/zz-always.conf"
    moved.host.call(f"mkdir -p $(dirname {always}); printf '[Service]\nRestart=always\n' >{always}")
    assert starting.send(moved, "start").code == 0
    if state != "starting":
        is_active = f"systemctl is-active {unit} || true"
        assert kernel.until(lambda: moved.host.call(is_active) == "active", seconds=20, pause=0.1)
    if state == "restarting":
        moved.host.call(f"kill -KILL {postmaster(moved)}")
        waiting = f"systemctl show -p SubState --value {unit}"
        assert kernel.until(lambda: moved.host.call(waiting) == "auto-restart", seconds=20, pause=0.1)

    stopped = stop(moved)

    assert stopped.code == 0, stopped
    assert moved.host.call(f"systemctl is-active {unit} || true") in ("inactive", "failed", "deactivating")
    kernel.really_sleep(6)  # its unit would start it again after five seconds
    assert servers(moved.host) == []
    assert detach(moved)


@pytest.mark.parametrize(
    "value", ["$(id)", "`id`", "'; id; '", '"', "", "vol-0123456789abcdef0;id", "vol-0123456789abcdef0\nid", "vol-a|b"]
)
def test_no_parameter_admits_what_a_shell_would_run(value: str) -> None:
    assert not re.search(STOP["parameters"]["volumeIds"]["allowedPattern"], value)


def configure_cluster(db: Database) -> None:
    """Start it as the Debian cluster of the package's name, which has a unit."""
    db.stop()
    db.host.call(
        f"cd /etc/postgresql/{MAJOR}; sed -i \"s|^data_directory.*|data_directory = '{DATA}'|\" main/postgresql.conf"
        f"; pg_ctlcluster {MAJOR} main start"
    )


def under_systemd(db: Database, host: Instance) -> Instance:
    """The host booted again, with a systemd that starts nothing by itself."""
    host.call("rm -rf /etc/systemd/system/*.wants; echo >/etc/fstab")
    db.machines.shutdown(host.id)
    host.process_1 = SYSTEMD
    db.machines.boot(host.id)
    assert kernel.until(lambda: "running" in host.call("systemctl is-system-running || true"), seconds=20, pause=0.1)
    return host
