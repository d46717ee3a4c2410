"""The lease: whatever dies or hangs in a freeze, the database is thawed and writable when the lease ends, or sooner."""

from __future__ import annotations

import contextlib
import subprocess
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from region.disks import kernel
from tests.disks import database
from tests.disks.database import BINARIES, BRIEF, Database, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from region.disks import Disks
    from region.disks.instance import Instance

# What the keeper runs, in its order. The session with PostgreSQL is setpriv's, the lease setsid's: these two live on.
STARTED = ["setpriv", "setsid"]
RUN = ["sync", "mkfifo", *(f"fsfreeze {what}" for what in ("-f /wal", "-f /data", "-u /data", "-u /wal")), "rm", "mv"]

PGBENCH = f"runuser -u postgres -- {BINARIES}/pgbench -n -c 2 -R 300 -T 100 postgres".split()

# Stands in a command's place. When the keeper runs it at the step that was chosen, the keeper is killed, before or
# after. Before, the command does its work all the same, late and out of reach, like one that waits in the kernel.
WRAPPER = """#!/bin/bash
real=/opt/real/${0##*/} step="${0##*/} $*"
{ read -r _ keeper </run/watchkeeper/keeper; read -r when chosen </run/chosen; } 2>/dev/null
if [ "$PPID" != "${keeper-}" ] || [[ "$step" != "$chosen"* ]]; then exec "$real" "$@"; fi
case $when in
  before) kill -KILL "$PPID"; exec /opt/real/setsid /bin/sh -c 'sleep 0.3; exec "$0" "$@"' "$real" "$@" ;;
  after) "$real" "$@"; kill -KILL "$PPID" ;;
  wait) touch /run/waits; while [ -e /run/waits ]; do sleep 0.02; done; exec "$real" "$@" ;;
esac
"""


# What the script does before its lease is armed: inspecting, and beginning a backup under load.
BEFORE = 4


@pytest.fixture(scope="module")
def db(machines: Disks, made: str) -> Iterator[Database]:
    """One database for all: each test ends by showing that it is as good as new. Its WAL lies on a second volume."""
    host = database.launch(machines)
    db = database.make(machines, host, made)
    db.volumes.append(database.format_volume(machines, host, "/wal"))
    db.move_wal()
    db.start()
    yield db
    database.forget(machines, host)


@pytest.fixture(autouse=True)
def another_run(db: Database) -> None:
    db.execution = str(uuid.uuid4())


@pytest.mark.parametrize("step", [f"before {step}" for step in STARTED + RUN] + [f"after {step}" for step in RUN])
def test_the_keeper_is_killed_at_a_step(db: Database, step: str) -> None:
    choose(db.host, step)
    with writing(db):
        began = time.monotonic()
        db.freeze(leaseSeconds=str(BRIEF))
        thawed = db.begin_thaw()
        assert db.is_writable(began + BEFORE + BRIEF + 1.5 - time.monotonic())
        thawed = thawed.outcome()

        assert thawed.code != 0 or step.endswith("mv")  # which only makes the record of a freeze that was held
        assert_all_is_well(db)


def test_the_keeper_is_killed_while_it_holds_the_freeze(db: Database) -> None:
    with writing(db):
        frozen = db.freeze()
        db.host.call(f"kill -KILL {db.keeper()}")

        assert db.is_writable()
        told = db.thaw()
        assert (told.code, words(told)["held"]) == (203, False)
        assert words(told)["freezeId"] == words(frozen)["freezeId"]
        assert_all_is_well(db)


def test_post_script_never_comes(db: Database) -> None:
    with writing(db):
        db.freeze(leaseSeconds=str(BRIEF))

        assert not db.is_writable(BRIEF - 1.5)
        assert db.is_writable(3)
        assert_all_is_well(db)


def test_the_keeper_hangs(db: Database) -> None:
    with writing(db):
        db.freeze(leaseSeconds=str(BRIEF))
        db.host.call(f"kill -STOP {db.keeper()}")

        assert db.is_writable(BRIEF + 1.5)
        assert_all_is_well(db)


def test_the_lease_is_killed_and_the_keeper_keeps_it_all_the_same(db: Database) -> None:
    with writing(db):
        db.freeze(leaseSeconds=str(BRIEF))
        db.host.call("pkill -KILL -f ' lease$'")

        assert db.is_writable(BRIEF + 1.5)
        assert_all_is_well(db)


def test_the_agent_kills_pre_script_while_it_freezes(db: Database) -> None:
    choose(db.host, "wait fsfreeze -f /data")
    hurried = database.edited(database.DOCUMENT, "timeoutSeconds", "5")
    with writing(db):
        freezing = db.begin(document=hurried, leaseSeconds=str(BRIEF + 3))
        assert freezing.outcome().status == "TimedOut"
        db.host.call("rm /run/waits")

        assert db.is_writable(BRIEF + 1.5)
        assert_all_is_well(db)


def test_a_freeze_that_waits_for_a_slow_write_is_thawed_when_it_comes_at_last(stopped_db: Database) -> None:
    with slow_disk(stopped_db) as slow:
        stopped_db.move_wal()
        stopped_db.start()
        choose(stopped_db.host, "wait fsfreeze -f /wal")
        freezing = stopped_db.begin(leaseSeconds=str(BRIEF))
        assert kernel.until(stopped_db.host.path("/run/waits").exists, seconds=10)
        bench = stopped_db.host.popen(*PGBENCH, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kernel.freeze(slow)
        stopped_db.host.popen(
            "dd", "if=/dev/zero", "of=/wal/written", "bs=1M", "count=3", "oflag=direct", "status=none"
        )
        kernel.really_sleep(0.3)
        stopped_db.host.call("rm /run/waits")

        assert freezing.outcome().code == 201  # the lease has ended the keeper, and cannot end the freeze
        hurried = database.edited(database.DOCUMENT, "flock -w 60 9", "flock -w 1 9")
        cannot = stopped_db.thaw(document=hurried)
        assert cannot.code == 202
        assert cannot.stderr.startswith("It cannot be thawed yet")

        kernel.thaw(slow)
        assert stopped_db.is_writable(2)
        assert bench.poll() is None
        stopped_db.host.call("pkill pgbench")
        assert_all_is_well(stopped_db)


def test_keeper_and_lease_are_the_last_that_the_kernel_kills_when_memory_is_short(db: Database) -> None:
    db.freeze()

    scores = db.host.call(f"cat /proc/{db.keeper()}/oom_score_adj /proc/$(pgrep -f ' lease$')/oom_score_adj")

    # -1000, except where root itself may not lower it, as in many containers
    lowest = db.host.call("echo -1000 >/proc/self/oom_score_adj || true; cat /proc/self/oom_score_adj")
    assert scores.split() == [lowest, lowest]
    db.thaw()


def test_keeper_and_lease_hold_nothing_that_the_agent_waits_for(db: Database) -> None:
    db.freeze()

    held = db.host.call(f"ls -l /proc/{db.keeper()}/fd /proc/$(pgrep -f ' lease$')/fd")

    targets = {line.split(" -> ")[1] for line in held.splitlines() if " -> " in line}
    outside = {target for target in targets if not target.startswith(("/dev/null", "/run/watchkeeper/", "pipe:"))}
    assert not outside
    db.thaw()


def assert_all_is_well(db: Database) -> None:
    """Writable, nobody left, and the next run can freeze."""
    assert db.is_writable(2)
    assert db.end_of_keeper()
    assert kernel.until(lambda: db.backups() == 0, seconds=3)
    choose(db.host, "never at all")
    next_run = str(uuid.uuid4())
    assert db.freeze(executionId=next_run).code == 0
    assert db.thaw(executionId=next_run).code == 0


def choose(host: Instance, chosen: str) -> None:
    """Put the wrapper in the place of all that the keeper runs."""
    host.path("/run/chosen").write_text(f"{chosen}\n")
    if not host.path("/opt/real").exists():
        host.path("/opt/real").mkdir()
        for tool in sorted({step.split()[0] for step in STARTED + RUN}):
            place = host.call(f"command -v {tool}")
            host.call(f"mv $(readlink -f {place}) /opt/real/{tool}")
            host.path(place).write_text(WRAPPER)
            host.path(place).chmod(0o755)


@contextlib.contextmanager
def writing(db: Database) -> Iterator[None]:
    """PostgreSQL is written to all the while, and goes on being written to afterwards."""
    bench = db.host.popen(*PGBENCH, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield
    assert bench.poll() is None
    db.host.call("pkill pgbench")


@contextlib.contextmanager
def slow_disk(db: Database) -> Iterator[str]:
    """A volume at /wal whose disk answers nothing while the directory that this gives is frozen."""
    base = db.machines.base
    below, above = base / "slow.img", base / "slow" / "volumes" / "slow.img"
    kernel.call("truncate", "--size", "2G", below)
    kernel.call("mkfs.xfs", "-q", below)
    above.parent.mkdir(parents=True)
    kernel.call("mount", "-o", "loop", below, base / "slow")
    above.parent.mkdir()
    kernel.call("truncate", "--size", "1G", above)
    loop = kernel.call("losetup", "--direct-io=on", "--sector-size", "4096", "--find", "--show", above)
    volume = database.new_volume()
    db.volumes.append(volume)
    db.host.attach(volume, loop)
    db.host.call("mkfs.xfs -q /dev/nvme2n1")
    database.mount(db.host, volume, "/wal")
    try:
        yield str(base / "slow")
    finally:
        kernel.thaw(str(base / "slow"))
        db.stop()
        db.host.call("umount /wal")
        db.host.detach(volume)
        kernel.call("losetup", "--detach", loop)
        kernel.call("umount", base / "slow")
