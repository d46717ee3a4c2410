"""A pool's balancer: a HAProxy whose servers are the pool's targets, and which says itself how they are.

Its commands are in https://docs.haproxy.org/2.6/management.html#9.3, all else in
https://docs.haproxy.org/2.6/configuration.html
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
from itertools import count
from typing import TYPE_CHECKING

from region.disks.kernel import until
from region.machines import REFUSED, TIMEOUT, Check, Target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from region.disks.network import Network

POOL = "pool"
PORT = 80
PREFIX = "100.64.0"  # shared address space, RFC 6598: no subnet of the region has it
READY_SECONDS = 10

# All that is AWS's own takes a hundredth of its time where time is real; an answer, what this machine needs for it.
HASTE = 100
LEAST_TIMEOUT_SECONDS = 0.5

# Nothing hides a request that is lost: none is tried again, none goes to another target. A target's connection is used
# once, since one that is kept may be closed by its end at the moment in which it is used again.
CONFIGURATION = """
global
  maxconn 1000
  nbthread 1
  log stdout format raw daemon
  stats socket {socket} level admin
defaults
  mode {mode}
  retries 0
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend clients
  bind {address}:{port}
  default_backend {pool}
backend {pool}
  log global
  balance roundrobin
  option log-health-checks
  timeout check {timeout}ms
"""
HTTP = """
  option http-server-close
  option httpchk
  http-check send meth GET uri {path}
  http-check expect status {codes}
"""

# What HAProxy logs whenever a check finds something else than the one before, or counts on.
FOUND = re.compile(
    rf"Health check for server {POOL}/(?P<name>\S+) (?P<how>succeeded|failed), reason: (?P<reason>[^,.]+)"
    r"(, code: (?P<code>\d+))?.*, status: \d+/\d+ (?P<is>UP|DOWN)\.$"
)


class Balancer:
    """One that runs, with one check, under one address."""

    def __init__(self, address: str, check: Check) -> None:
        if check.protocol not in ("HTTP", "TCP"):
            raise NotImplementedError(f"no balancer here checks by {check.protocol}")
        self.address, self.check = address, check
        self.targets: dict[str, Target] = {}
        self._found: dict[str, str | None] = {}

    def start(self, network: Network, directory: Path) -> None:
        """Start it without a target, and wait until it listens."""
        self._socket = directory / f"{self.address}.socket"
        configuration, complaint = directory / f"{self.address}.cfg", directory / f"{self.address}.log"
        configuration.write_text(self._configuration())
        with complaint.open("wb") as errors:
            self._process = network.popen(
                "haproxy", "-db", "-f", str(configuration), stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self._reader = threading.Thread(target=self._read, name=f"balancer {self.address}", daemon=True)
        self._reader.start()
        if not until(lambda: self._listens() or self._process.poll() is not None, READY_SECONDS) or self._is_over():
            raise OSError(f"no balancer starts: {complaint.read_text()[-500:]}")

    def stop(self) -> None:
        """End it, and all requests that are under way in it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def take(self, targets: Mapping[str, Target]) -> None:
        """Have these targets from now on."""
        for name, old in list(self.targets.items()):
            new = targets.get(name)
            if new is None or (new.address, new.port) != (old.address, old.port):
                self._remove(name)
            elif new.draining and not old.draining:
                self._tell(f"set server {POOL}/{name} state drain", f"disable health {POOL}/{name}")
            elif old.draining and not new.draining:
                self._begin(name)
        for name, target in targets.items():
            if name not in self.targets:
                self._add(name, target)
        self.targets = dict(targets)

    def health(self) -> Mapping[str, str | None]:
        """What it says of each target now."""
        return {name: self._found.get(name) for name in self.targets}

    def _configuration(self) -> str:
        check, is_http = self.check, self.check.protocol == "HTTP"
        timeout = max(LEAST_TIMEOUT_SECONDS, check.timeout_seconds / HASTE)
        words = {"socket": self._socket, "address": self.address, "port": PORT, "pool": POOL}
        text = CONFIGURATION.format(mode="http" if is_http else "tcp", timeout=_ms(timeout), **words)
        return text + (HTTP.format(path=check.path, codes=check.codes) if is_http else "")

    def _add(self, name: str, target: Target) -> None:
        check = self.check
        counted = f"inter {_ms(check.interval_seconds / HASTE)}ms rise {check.well_after} fall {check.unwell_after}"
        asked = f"check port {check.port or target.port} {counted}"
        self._tell(f"add server {POOL}/{name} {target.address}:{target.port} {asked}")
        self._found[name] = None
        if target.draining:
            self._tell(f"set server {POOL}/{name} state drain")
        else:
            self._begin(name)

    def _begin(self, name: str) -> None:
        """Ask a target that gets no requests before it is found well: HAProxy takes all for well until then."""
        self._found[name] = None
        states = [f"set server {POOL}/{name} {words}" for words in ("state drain", "health down", "state ready")]
        self._tell(*states, f"enable health {POOL}/{name}")

    def _remove(self, name: str) -> None:
        """With all that it still does: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#deregistration-delay"""
        del self.targets[name]
        self._tell(f"set server {POOL}/{name} state maint", f"shutdown sessions server {POOL}/{name}")
        if not until(lambda: "deleted" in self._ask(f"del server {POOL}/{name}"), READY_SECONDS):
            raise OSError(f"{name} does not leave its balancer: {self._ask(f'del server {POOL}/{name}')}")

    def _read(self) -> None:
        """Hear what its checks find, as long as it runs."""
        with self._process.stdout or contextlib.nullcontext() as lines:
            for line in lines or ():
                if found := FOUND.match(line.strip()):
                    self._hear(found)

    def _hear(self, found: re.Match[str]) -> None:
        name, is_new = found["name"], self._found.get(found["name"]) is None
        if found["is"] == "UP":
            self._found[name] = ""
        elif found["how"] == "failed":
            status = found["code"] if "status" in found["reason"] else None
            self._found[name] = status or (TIMEOUT if "timeout" in found["reason"] else REFUSED)
        elif is_new and self.check.first_decides:
            self._ask(f"set server {POOL}/{name} health up")
            self._found[name] = ""

    def _tell(self, *commands: str) -> None:
        for command in commands:
            answer = self._ask(command)
            if answer not in ("", "New server registered."):
                raise OSError(f"{command}: {answer}")

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket))
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(4096), b"")).decode().strip()

    def _listens(self) -> bool:
        try:
            return bool(self._ask("show info"))
        except OSError:
            return False

    def _is_over(self) -> bool:
        return self._process.poll() is not None


class Balancers:
    """All balancers of a region by the names of their pools, each under an address of its own, which it keeps."""

    def __init__(self, network: Network, directory: Path) -> None:
        self._network, self._directory = network, directory
        self._running: dict[str, Balancer] = {}
        self._addresses: dict[str, str] = {}
        self._numbers = count(1)

    def balance(self, pool: str, check: Check, targets: Mapping[str, Target]) -> None:
        """Let a pool's balancer have these targets. With another check it is another one."""
        known = self._running.get(pool)
        if known and (known.check != check or not targets):
            self._running.pop(pool).stop()
            known = None
        if known is None and targets:
            known = self._running[pool] = Balancer(self.address(pool), check)
            known.start(self._network, self._directory)
        if known:
            known.take(targets)

    def health(self, pool: str) -> Mapping[str, str | None]:
        """What a pool's balancer says of its targets now."""
        return self._running[pool].health() if pool in self._running else {}

    def address(self, pool: str) -> str:
        """Where clients on the network find the pool, on PORT."""
        if pool not in self._addresses:
            self._addresses[pool] = f"{PREFIX}.{next(self._numbers)}"
            self._network.have(self._addresses[pool])
        return self._addresses[pool]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
