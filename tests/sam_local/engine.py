"""A Docker engine for the tests alone, which leaves nothing behind, whatever ends them.

It lives in mounts, a network and a process tree of its own, with all that it stores in memory: they end when their
first process does, and that one is killed with the tests. Its cgroups are removed here, or by the next run.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator

# The parent's death is the child's: of what a killed run started, nothing runs on.
ENDS_WITH_US = ("setpriv", "--pdeathsig=KILL")
CGROUP = "watchkeeper_sam_local"
# docker0's address, as dockerd chooses it where no other network is in the way: none is, in a network of its own.
ADDRESS = "172.17.0.1"
START_SECONDS = 30
START = f"""
mount -t tmpfs engine /run
ip link set lo up
exec dockerd --host="unix://$1" --data-root=/run/data --cgroup-parent={CGROUP} --exec-opt=native.cgroupdriver=cgroupfs
"""


class Connection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, unix_socket: Path) -> None:
        super().__init__("localhost")
        self.unix_socket = unix_socket

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.unix_socket))


@dataclass(frozen=True)
class Engine:
    """A running engine, by the process that all of it ends with."""

    socket: Path
    pid: int

    def command(self, *command: str) -> list[str]:
        """The command as it is to be run: in the engine's network, where containers are reached, and ending with us."""
        return [*ENDS_WITH_US, "nsenter", f"--target={self.pid}", "--net", "--", *command]

    def environment(self) -> dict[str, str]:
        """What programs that use the engine have in their environment."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def import_image(self, archive: Path, name: str, *changes: str) -> None:
        """Makes an image of the archive of a root. By the API: on Debian 13 the docker command is another package."""
        query = urlencode([("fromSrc", "-"), ("repo", name), *(("changes", change) for change in changes)])
        with contextlib.closing(Connection(self.socket)) as connection, archive.open("rb") as content:
            connection.request("POST", f"/images/create?{query}", content)
            answer = connection.getresponse()
            assert answer.status == http.HTTPStatus.OK, answer.read()


@contextlib.contextmanager
def start(folder: Path) -> Iterator[Engine]:
    """An engine whose socket and log lie in the folder."""
    remove_cgroups()
    unix_socket, log = folder / "docker.sock", folder / "dockerd.log"
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec", START]
    with log.open("w") as output:
        process = subprocess.Popen([*ENDS_WITH_US, *command, "sh", str(unix_socket)], stdout=output, stderr=output)
    try:
        yield Engine(unix_socket, wait_for(process, unix_socket, log))
    finally:
        for child in children(process):
            os.kill(child, signal.SIGKILL)
        process.wait()
        remove_cgroups()


def wait_for(process: subprocess.Popen[bytes], unix_socket: Path, log: Path) -> int:
    """The engine's first process, as soon as its socket answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), contextlib.closing(Connection(unix_socket)) as connection:
            connection.request("GET", "/_ping")
            assert connection.getresponse().read() == b"OK"
            return children(process)[0]
        time.sleep(0.1)
    raise AssertionError(f"no Docker engine after {START_SECONDS} s: {log.read_text()[-2000:]}")


def children(process: subprocess.Popen[bytes]) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def remove_cgroups() -> None:
    """Removes what an engine leaves: its containers' cgroup, one in version 2, one in each hierarchy of version 1."""
    tops = Path("/sys/fs/cgroup")
    for top in [*tops.glob(CGROUP), *tops.glob(f"*/{CGROUP}")]:
        for folder in sorted(top.glob("**/"), reverse=True):
            folder.rmdir()
