"""A host: namespaces with a root, devices and a first process of their own. Nothing of ours runs inside."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from region.disks import kernel
from region.disks.kernel import Group, until

if TYPE_CHECKING:
    from collections.abc import Sequence

INIT = Path(__file__).with_name("init")
IDLE = ("tini", "-s", "--", "sleep", "infinity")
SYSTEMD = ("/lib/systemd/systemd", "--log-target=null")
EBS = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
SHUTDOWN_SECONDS = 20


class Instance:
    """One host. Its root is the machine's own, with what the host changes kept in `changes`."""

    def __init__(self, instance_id: str, root: Path, changes: Path, group: Group) -> None:
        self.id = instance_id
        self.root, self.changes, self.group = root, changes, group
        self.devices: dict[str, tuple[str, str]] = {}  # of each volume: the node's name and the loop device
        self.pid = 0
        self.is_hung = False
        self.process_1: Sequence[str] = IDLE
        self._started: list[subprocess.Popen[Any]] = []

    def boot(self) -> None:
        """Start it and wait until its first process is there."""
        for directory in (self.root, self.changes / "upper", self.changes / "work", self.group.path):
            directory.mkdir(parents=True, exist_ok=True)
        namespaces = ("--mount", "--propagation=private", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork")
        with (self.changes / "console").open("ab") as console:
            self._unshare = subprocess.Popen(
                [*self.group.enter(), "unshare", *namespaces, INIT, self.id, self.root, self.changes, *self.process_1],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip
        if not until(self._has_booted, seconds=20):
            raise OSError(f"{self.id} does not boot: {(self.changes / 'console').read_text()[-500:]}")
        self._first = self._inside()  # these end last: process 1 ends with its child, and takes everything along
        for volume, (node, loop) in self.devices.items():
            self._plug(volume, node, loop)

    @property
    def is_running(self) -> bool:
        """Whether it is switched on."""
        return self.pid > 0

    @property
    def is_alive(self) -> bool:
        """Whether it is switched on and anything runs."""
        return self.is_running and not self.is_hung

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a command inside, in a session of its own. Its process is one of ours that waits for it."""
        reach = (
            "nsenter",
            f"--target={self.pid}",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--cgroup",
            "--pid",
            "--root",
            "--wd",
        )
        options = {"stdin": subprocess.DEVNULL, "env": ENVIRONMENT, **options}
        started = subprocess.Popen([*self.group.enter(), *reach, "--", *command], start_new_session=True, **options)
        self._started = [other for other in self._started if other.poll() is None] + [started]
        return started

    def call(self, script: str) -> str:
        """What a bash script inside wrote; OSError with its complaint if it failed."""
        started = self.popen("/bin/bash", "-euc", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        output, complaint = started.communicate()
        if started.returncode:
            raise OSError(f"{self.id}: {complaint.strip() or output.strip() or f'exit {started.returncode}'}")
        return str(output).strip()

    def path(self, inside: str) -> Path:
        """A path inside, as it is reached from outside."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def attach(self, volume: str, loop: str) -> None:
        """Give it a volume, under the first free NVMe name as EC2 does."""
        used = {node for node, _ in self.devices.values()}
        node = next(name for number in range(1, 64) if (name := f"nvme{number}n1") not in used)
        self.devices[volume] = (node, loop)
        if self.is_alive:
            self._plug(volume, node, loop)

    def detach(self, volume: str) -> None:
        """Take a volume away."""
        node, _ = self.devices.pop(volume)
        if self.is_alive:
            self.call(f"rm -f /dev/{node} /dev/{node}p* {EBS}{volume.replace('-', '')}")

    def mounts_of(self, volume: str) -> list[str]:
        """Where a volume, or a partition of it, is mounted inside; the latest last."""
        numbers = self.numbers_of(volume)
        return [mount.point for mount in kernel.mounts(self.pid) if mount.device in numbers]

    def numbers_of(self, volume: str) -> set[str]:
        """The device numbers of a volume and of its partitions."""
        loop = self.devices[volume][1]
        return {kernel.number(device) for device in [loop, *_partitions(loop)]}

    def hang(self) -> None:
        """Stop all that runs, as a kernel that is stuck does. Killing it, or cutting its power, is still possible."""
        self.group.pause()
        self.is_hung = True

    def shut_down(self) -> None:
        """Stop it in order: everything is asked to end, then the volumes are unmounted."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self._inside() - self._first:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
            if until(lambda: self._inside() <= self._first, SHUTDOWN_SECONDS):
                break
        for volume in self.devices:
            for point in reversed(self.mounts_of(volume)):
                self.call(f"umount {point}")
        self.kill()

    def lose(self) -> None:
        """Let its file systems lose what they have not written yet."""
        for volume in self.devices:
            for point in self.mounts_of(volume)[:1]:
                kernel.lose(str(self.path(point)))

    def kill(self) -> None:
        """End it at once. Frozen file systems must have been thawed: what writes to one cannot end."""
        self.group.kill()
        for started in (*self._started, self._unshare):
            started.wait()
        self.pid, self.is_hung = 0, False

    def forget(self) -> None:
        """Remove what it kept."""
        until(self._removed, seconds=10, pause=0.1)

    def _removed(self) -> bool:
        with contextlib.suppress(OSError):
            shutil.rmtree(self.changes)
            self.root.rmdir()
        return not self.changes.exists()

    def _has_booted(self) -> bool:
        if self._unshare.poll() is not None:
            raise OSError(f"{self.id} does not boot: {(self.changes / 'console').read_text()[-500:]}")
        for process in self._children(self._unshare.pid):
            with contextlib.suppress(OSError):
                named = Path(f"/proc/{process}/comm").read_text().strip() == Path(self.process_1[0]).name
                if named and self._children(process):  # without its child it would not stay
                    self.pid = process
        return self.pid > 0

    def _children(self, process: int) -> list[int]:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]

    def _inside(self) -> set[int]:
        """Its own processes: those of ours that wait for one, nsenter and unshare, are in the group as well."""
        space = os.stat(f"/proc/{self.pid}/ns/pid").st_ino
        inside = set()
        for process in self.group.processes():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{process}/ns/pid").st_ino == space:
                    inside.add(process)
        return inside

    def _plug(self, volume: str, node: str, loop: str) -> None:
        nodes = {node: loop}
        for part in _partitions(loop):
            nodes[node + part.removeprefix(loop)] = part
        made = (f"mknod /dev/{name} b {kernel.number(device).replace(':', ' ')}" for name, device in nodes.items())
        self.call("; ".join((*made, f"ln -s ../../{node} {EBS}{volume.replace('-', '')}")))


def _partitions(loop: str) -> list[str]:
    return [str(part) for part in Path("/dev").glob(f"{Path(loop).name}p*")]
