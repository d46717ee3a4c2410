"""Nothing is left behind, whatever kills a run, and in whatever state."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from region.disks import kernel, sweep

# A run with a balancer, a database's file system frozen, and somebody who waits for the thaw and cannot be killed.
RUN = """
import os, time
from datetime import UTC, datetime
from region.clock import Clock
from region.disks import Disks
from region.machines import Check, Target

machines = Disks()
machines.open(Clock(datetime.now(UTC), real=True))
machines.launch("i-left", "")
host = machines.hosts["i-left"]
for volume in ("vol-one", "vol-two"):
    machines.create_volume(volume, 1, None)
    machines.attach(volume, host.id, "/dev/sdf")
host.call("for n in 1 2; do mkfs.xfs -q /dev/nvme${n}n1; mkdir /data$n; mount /dev/nvme${n}n1 /data$n; done")
host.call("fsfreeze -f /data1")
host.popen("touch", "/data1/waits")
machines.balance("web", Check(), {"one": Target("172.31.0.9", 80, host.id)})
print(machines.base, machines.guard.pid, os.readlink(f"/proc/{host.pid}/ns/mnt"), flush=True)
time.sleep(100)
"""


@pytest.fixture
def run() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_a_run_that_is_killed_is_swept_by_its_guard(run: subprocess.Popen[str]) -> None:
    base, _, space = started(run)
    assert left_of(base)
    assert space in namespaces()

    run.kill()
    run.wait()

    assert kernel.until(lambda: not left_of(base), seconds=60), left_of(base)
    assert space not in namespaces()


def test_a_run_that_is_killed_with_its_guard_is_swept_by_the_next(run: subprocess.Popen[str]) -> None:
    base, guard, space = started(run)
    for process in (guard, run.pid):
        os.kill(process, signal.SIGKILL)
    run.wait()
    assert left_of(base)

    sweep.sweep_dead()

    assert not left_of(base)
    assert space not in namespaces()


def started(run: subprocess.Popen[str]) -> tuple[Path, int, str]:
    """A run's place, the process of its guard, and the mount namespace of its host."""
    base, guard, space = run.stdout.readline().split()
    run.stdout.close()
    return Path(base), int(guard), space


def left_of(base: Path) -> list[str]:
    """All that a run has: devices, mounts, control groups with their processes, files."""
    left = [f"{device} {file}" for device, file in kernel.loops().items() if str(base) in file]
    left += [mount.point for mount in kernel.mounts() if str(base) in mount.point]
    left += [str(path) for path in (sweep.group_of(base).path, base) if path.exists()]
    return left + [process.name for process in Path("/proc").glob("[0-9]*") if str(base) in command(process)]


def command(process: Path) -> str:
    with contextlib.suppress(OSError):
        return (process / "cmdline").read_text()
    return ""


def namespaces() -> set[str]:
    """Every mount namespace that a process lives in."""
    spaces = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            spaces.add(str((process / "ns/mnt").readlink()))
    return spaces
