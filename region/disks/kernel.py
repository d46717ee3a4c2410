"""What is asked of the kernel: commands, clones of files, freezes, mounts, loop devices, groups of processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from region.wall import really_sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FICLONE = 0x40049409
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
XFS_IOC_GOINGDOWN, NO_LOG_FLUSH = 0x8004587D, 2


def call(*command: str | Path) -> str:
    """What a command wrote; OSError with its complaint if it failed."""
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise OSError(f"{' '.join(map(str, command))}: {ended.stderr.strip() or ended.stdout.strip()}")
    return ended.stdout.strip()


def until(holds: Callable[[], bool], seconds: float, pause: float = 0.01) -> bool:
    """Wait for a claim to hold, in real time whatever the clock; False if it does not within so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        really_sleep(pause)
    return True


def clone(source: Path, target: Path) -> None:
    """Copy a file at one instant: the kernel holds the inode meanwhile, and waits for what is being written to it."""
    with source.open("rb") as old, target.open("wb") as new:
        fcntl.ioctl(new, FICLONE, old.fileno())


def freeze(directory: str) -> bool:
    """Freeze the file system of a directory; False if it is frozen already."""
    return _control(directory, (FIFREEZE, 0))


def thaw(directory: str) -> bool:
    """Thaw the file system of a directory; False if it was not frozen."""
    return _control(directory, (FITHAW, 0))


def lose(directory: str) -> None:
    """Shut XFS down without writing its log, as the power does, and thaw it: who waits for a thaw cannot end.

    By one descriptor: what is shut down cannot be opened any more, and frozen it would stay until the machine restarts.
    """
    _control(directory, (XFS_IOC_GOINGDOWN, struct.pack("I", NO_LOG_FLUSH)), (FITHAW, 0))


def _control(directory: str, *requests: tuple[int, int | bytes]) -> bool:
    """Whether all requests were fulfilled; each is tried."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return False
    fulfilled = 0
    for request, argument in requests:
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, request, argument)
            fulfilled += 1
    os.close(descriptor)
    return fulfilled == len(requests)


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo: the device's numbers, where it is mounted, and the kind of file system."""

    device: str
    point: str
    kind: str


def mounts(process: int | str = "self") -> list[Mount]:
    """What a process sees mounted, the latest last; nothing if it is gone."""
    with contextlib.suppress(OSError):
        lines = [line.split() for line in Path(f"/proc/{process}/mountinfo").read_text().splitlines()]
        return [Mount(f[2], f[4], f[f.index("-") + 1]) for f in lines]
    return []


def loops() -> dict[str, str]:
    """Every loop device that is set up, with the file behind it."""
    lines = call("losetup", "--noheadings", "--raw", "--list", "--output", "NAME,BACK-FILE").splitlines()
    return {name: file.replace("\\x20", " ") for name, _, file in (line.partition(" ") for line in lines)}


def number(device: str | Path) -> str:
    """A device's numbers as mountinfo writes them."""
    numbers = os.stat(device).st_rdev
    return f"{os.major(numbers)}:{os.minor(numbers)}"


def writes(device: str) -> tuple[str, ...]:
    """How many writes, discards and flushes a device has completed: while these stay, nothing on it changes."""
    fields = Path(f"/sys/block/{Path(device).name}/stat").read_text().split()
    return fields[4], fields[11], fields[15]


def groups() -> Path:
    """Where the second version of control groups is mounted: it alone can pause and kill a whole group."""
    return next(Path(mount.point) for mount in mounts() if mount.kind == "cgroup2")


class Group:
    """A control group: all processes of a host, whatever they do to hide."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def enter(self) -> list[str]:
        """The beginning of a command that shall run inside."""
        return ["/bin/sh", "-c", 'echo 0 >"$0" && exec "$@"', str(self.path / "cgroup.procs")]

    def processes(self) -> Iterator[int]:
        """Those inside and in groups below."""
        for directory, _, _ in os.walk(self.path):  # which passes over a group that systemd removes meanwhile
            with contextlib.suppress(OSError):
                yield from map(int, Path(directory, "cgroup.procs").read_text().split())

    def pause(self) -> None:
        """Stop what is inside. What sleeps in the kernel cannot be stopped, and does nothing before it leaves it."""
        (self.path / "cgroup.freeze").write_text("1")
        until(lambda: "frozen 1" in (self.path / "cgroup.events").read_text(), seconds=0.3, pause=0.002)

    def resume(self) -> None:
        """Let it run again."""
        (self.path / "cgroup.freeze").write_text("0")

    def kill(self) -> None:
        """End everything inside, at once, and the group."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "cgroup.kill").write_text("1")
            until(lambda: not any(self.processes()), seconds=30)
            for directory in sorted(self.path.glob("**/"), reverse=True):
                directory.rmdir()
