"""The network of the hosts: a namespace of its own, to which each is wired, and in which balancers and clients run."""

from __future__ import annotations

import contextlib
import os
import subprocess
from itertools import count
from typing import TYPE_CHECKING, Any

from region.disks.kernel import until

if TYPE_CHECKING:
    from region.disks.instance import Instance
    from region.disks.kernel import Group

# Where nothing answers, what is sent is lost: one end of a cable, at whose other end nobody has the address.
VOID = """
ip link set lo up
ip link add void type veth peer name nobody
ip link set nobody up
ip link set void up
ip route add default dev void
"""


class Network:
    """Routes to the hosts, each by its own cable. It ends with the group's processes, of which one keeps it."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._addresses: dict[str, list[str]] = {}
        self._cables: dict[str, str] = {}
        self._numbers = count(1)
        self._started: list[subprocess.Popen[Any]] = []

    def open(self) -> None:
        """Make it, with nobody on it."""
        self._group.path.mkdir()
        command = [*self._group.enter(), "unshare", "--net", "sleep", "infinity"]
        self._keeper = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        self._started.append(self._keeper)
        ours = os.readlink("/proc/self/ns/net")
        if not until(lambda: os.readlink(f"/proc/{self._keeper.pid}/ns/net") != ours, seconds=10):
            raise OSError("no network namespace was made")
        self._call(VOID)

    def close(self) -> None:
        """End all that runs on it."""
        self._group.kill()
        for started in self._started:
            started.wait()

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a command on it, of the machine's own root."""
        reach = ("nsenter", f"--net=/proc/{self._keeper.pid}/ns/net", "--")
        options = {"stdin": subprocess.DEVNULL, **options}
        started = subprocess.Popen([*self._group.enter(), *reach, *command], start_new_session=True, **options)
        self._started = [other for other in self._started if other.poll() is None] + [started]
        return started

    def have(self, address: str) -> None:
        """Take an address for those that run on it. What hosts send there comes here."""
        self._call(f"ip address add {address}/32 dev lo")

    def connect(self, host: Instance, address: str) -> None:
        """Let a host be found under an address from now on, whenever it is on."""
        known = self._addresses.setdefault(host.id, [])
        if address not in known:
            known.append(address)
            self.plug(host)

    def plug(self, host: Instance) -> None:
        """Plug the cable of a host in, if it runs and has an address."""
        addresses = self._addresses.get(host.id)
        if not addresses or not host.is_alive:
            return
        if host.id not in self._cables:
            self._cables[host.id] = name = f"host{next(self._numbers)}"
            self._call(f"ip link add {name} type veth peer name eth0 netns {host.pid}; ip link set {name} up")
            host.call("ip link set eth0 up; ip route add default dev eth0")
        for address in addresses:
            host.call(f"ip address replace {address}/32 dev eth0")
            self._call(f"ip route replace {address} dev {self._cables[host.id]}")

    def unplug(self, host: Instance) -> None:
        """Pull the cable of a host: nothing more is heard of it, not even that its connections end."""
        if cable := self._cables.pop(host.id, None):
            with contextlib.suppress(OSError):  # it goes with the host's end of it
                self._call(f"ip link delete {cable}")

    def forget(self, host: Instance) -> None:
        """Pull its cable for ever."""
        self.unplug(host)
        self._addresses.pop(host.id, None)

    def _call(self, script: str) -> None:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started = self.popen("/bin/sh", "-euc", script, **pipes)
        output, _ = started.communicate()
        if started.returncode:
            raise OSError(f"{script.strip()}: {output.strip()}")
