"""Removes what a run left behind, from the outside: found by names, files and groups, never from memory.

python -m region.disks.sweep BASE      waits until its standard input ends, and sweeps: the guard of a run
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from region.disks import kernel
from region.disks.kernel import Group, call, until

MEMORY = Path("/dev/shm")  # noqa: S108 (each run makes a directory of its own there)
PREFIX = "watchkeeper-region-"
ROOMY = 6 << 30  # bytes that a run of all tests writes, and some

# What a run's guard runs: its standard input ends with the run, whatever ends that. Only then does it import anything,
# and of this package no more than it needs: all of moto would be seconds.
GUARD = """
import os, sys, types
sys.stdin.read()
if os.path.exists(sys.argv[1]):
    sys.modules["region"] = types.ModuleType("region")
    sys.modules["region"].__path__ = ["region"]
    from region.disks import sweep
    sweep.sweep(sweep.Path(sys.argv[1]))
"""


def begin() -> tuple[Path, int]:
    """A directory for a run, in memory if there is room, since nothing of it is to last; and what marks it as alive.

    Who sweeps just now may take one that is not marked yet for dead.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOMY
    while True:
        base = Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY if roomy else None))
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            alive = hold(base)
            if (base / "alive").exists():
                return base, alive
            os.close(alive)


def group_of(base: Path) -> Group:
    """The control group of a run."""
    return Group(kernel.groups() / base.name)


def hold(base: Path) -> int:
    """Mark a run as alive, while the descriptor that this answers is open. BlockingIOError: it is alive already."""
    descriptor = os.open(base / "alive", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def sweep_dead() -> None:
    """Remove all that runs left behind that are no longer alive."""
    for base in sorted(_bases()):
        base.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(BlockingIOError):
            descriptor = hold(base)
            sweep(base)
            os.close(descriptor)


def sweep(base: Path) -> None:
    """Remove what one run left: thaw, end its processes, give back its devices, delete its files."""
    group = group_of(base)
    devices = {kernel.number(device) for device, file in kernel.loops().items() if _is_of(base, file, "volumes")}
    for process in list(group.processes()):
        for mount in kernel.mounts(process):
            if mount.device in devices:
                kernel.lose(f"/proc/{process}/root{mount.point}")
    group.kill()
    _detach(base)
    if not until(lambda: not _detach(base), seconds=1, pause=0.1):
        _free_frozen(base)
    until(lambda: _unmount(base), seconds=10, pause=0.1)
    shutil.rmtree(base, ignore_errors=True)


def _bases() -> set[Path]:
    places = {MEMORY, Path(tempfile.gettempdir())}
    bases = {base for place in places for base in place.glob(f"{PREFIX}*")}
    for file in kernel.loops().values():
        bases |= {parent for parent in Path(file).parents if parent.name.startswith(PREFIX)}
    return bases


def _is_of(base: Path, file: str, part: str = "") -> bool:
    return file.startswith(f"{base}/") and f"/{part}" in file


def _detach(base: Path) -> list[str]:
    """Give back the loop devices of volumes; those that are still there."""
    left = [device for device, file in kernel.loops().items() if _is_of(base, file, "volumes")]
    for device in left:
        with contextlib.suppress(OSError):
            call("losetup", "--detach", device)
    return left


def _free_frozen(base: Path) -> None:
    """A frozen file system outlives its last mount, and nobody can reach it: mounted again, it can be thawed."""
    place = base / "frozen"
    place.mkdir(exist_ok=True)
    for device in _detach(base):
        with contextlib.suppress(OSError):
            call("mount", "-i", "-t", "xfs", "-o", "nouuid", device, place)
            kernel.lose(str(place))
            call("umount", place)
    until(lambda: not _detach(base), seconds=5, pause=0.1)


def _unmount(base: Path) -> bool:
    for point in reversed([mount.point for mount in kernel.mounts() if mount.point.startswith(f"{base}/")]):
        with contextlib.suppress(OSError):
            call("umount", point)
    for device, file in kernel.loops().items():
        with contextlib.suppress(OSError):
            if _is_of(base, file):
                call("losetup", "--detach", device)
    return not any(_is_of(base, file) for file in kernel.loops().values())
