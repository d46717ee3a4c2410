"""Machines that are a few numbers: no disks and no root.

What a test must know and no API tells is kept: which volumes are frozen now, in which freeze a snapshot was taken,
which server runs on which volumes, and what was ever acknowledged.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from region.balancing import Balancers
from region.freezing import Freeze, Freezing
from region.host import Command, Disk, Host
from region.restoring import Restoring
from region.servers import Servers, is_deceived
from region.starting import Starting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from region.clock import Clock
    from region.machines import Check, Done, Target

# From `running` to an agent that answers. It starts about when sshd does, which in the example of
# https://www.daemonology.net/blog/2021-08-12-EC2-boot-time-benchmarking.html is 17.2 + 5.6 s.
BOOT_SECONDS_TO_AGENT = (10.0, 30.0)


class Simulated:
    """Hosts and volumes without disks; what takes time takes one drawn from the seed.

    `launched_with` are words of `Host` for those that are launched from now on.
    """

    real = False

    def __init__(self, seed: int = 0) -> None:
        self.hosts: dict[str, Host] = {}
        self.taken: dict[str, str] = {}
        self.launched_with: Mapping[str, Any] = {}
        self.boot_seconds_to_agent = BOOT_SECONDS_TO_AGENT
        self.servers = Servers()
        self._random = random.Random(f"agents {seed}")
        self._freezing = Freezing(seed)
        self._starting = Starting(seed, self.servers, self._freezing.frozen)
        self._restoring = Restoring(seed, self.servers)
        self._balancers = Balancers(self.hosts)
        self._copies: dict[str, Disk] = {}
        self._instants = 0

    def open(self, clock: Clock) -> None:
        """Take the region's clock."""
        self._clock = self._freezing.clock = self._starting.clock = self.servers.clock = self._balancers.clock = clock
        self._restoring.clock = clock

    def close(self) -> None:
        """Nothing to remove."""

    def create_volume(self, volume_id: str, gib: int, snapshot_id: str | None) -> None:  # noqa: ARG002 no size matters
        """A volume that never had a database, or what was on another when the snapshot was taken."""
        self.servers.disks[volume_id] = replace(self._copies.get(snapshot_id or "", Disk()))

    def delete_volume(self, volume_id: str) -> None:
        """Forget it."""
        self.servers.disks.pop(volume_id, None)

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Remember what each volume holds now, and which freeze holds it, if any does."""
        frozen = self._freezing.frozen
        self._instants += 1
        self._copies |= {
            snapshot: replace(self.servers.disks[volume], taken=self._instants) for volume, snapshot in pairs
        }
        self.taken |= {snapshot: frozen[volume] for volume, snapshot in pairs if volume in frozen}

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget it."""
        self.taken.pop(snapshot_id, None)
        self._copies.pop(snapshot_id, None)

    def launch(self, instance_id: str, user_data: str) -> None:  # noqa: ARG002 nothing here could run it
        """A host whose agent answers after a while, and which makes a database on empty volumes that it gets."""
        host = self.hosts[instance_id] = Host(instance_id, **self.launched_with)
        self._bring_agent(host)

    def boot(self, instance_id: str) -> None:
        """The same host again; nothing of /run is left."""
        host = self.hosts[instance_id]
        host.on = True
        host.mounted = set(host.enabled & set(host.volumes))
        self._bring_agent(host)
        self.servers.boot(host)

    def shutdown(self, instance_id: str) -> None:
        """All that ran is gone, and with it every freeze."""
        if host := self.hosts.get(instance_id):
            self.servers.stop(host)
            self._freezing.stop(host)
            host.lose_processes()
            host.places, host.stops = {}, {}
            host.on = host.hung = host.online = host.starting = False
            host.boots += 1

    power_cut = shutdown  # no less is on the volumes: nothing else here is acknowledged

    def hang(self, instance_id: str) -> None:
        """The operating system stops. What is mounted or frozen stays so until the host's power is gone."""
        host = self.hosts[instance_id]
        self.servers.stop(host)
        self._freezing.hang(host)
        host.lose_processes()
        host.hung = True
        host.boots += 1

    def forget(self, instance_id: str) -> None:
        """Remove the host."""
        self.shutdown(instance_id)
        self.hosts.pop(instance_id, None)

    def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Give a volume to a host."""
        host = self.hosts[instance_id]
        host.volumes[volume_id] = device
        if host.is_alive:
            self.servers.make(host)

    def detach(self, volume_id: str, instance_id: str, force: bool) -> bool:
        """Take it, unless it is mounted there. A freeze ends with its mount, and a server with its volume."""
        host = self.hosts.get(instance_id)
        if host and host.on and volume_id in host.mounted and not force:
            return False
        if host:
            host.volumes.pop(volume_id, None)
            host.mounted.discard(volume_id)
            host.places.pop(volume_id, None)
            host.lose_processes(volume_id)
            self._freezing.frozen.pop(volume_id, None)
            if volume_id in host.served:
                self.servers.stop(host)
        return True

    def has_agent(self, instance_id: str) -> bool:
        """Whether the host has booted and runs, and nobody took its agent away."""
        host = self.hosts.get(instance_id)
        return bool(host and host.is_alive and host.online and host.agent)

    def run(self, instance_id: str, document: Mapping[str, Any], parameters: Mapping[str, str], done: Done) -> None:
        """Play a document, known by its parameters: freeze_database has an executionId, start_database has commands."""
        host = self.hosts[instance_id]
        command = Command(host, parameters, done, host.boots)
        if "executionId" in parameters:
            self._freezing.run(Freeze(host, parameters, done, host.boots))
        elif parameters.get("command") in self._starting.roles:
            self._starting.run(command)
        elif role := self._restoring.role(parameters):
            self._restoring.run(command, role)
        else:
            raise NotImplementedError(f"nobody plays this document here: {document.get('description')}")

    def frozen(self) -> Mapping[str, str]:
        """Volumes by the id of the freeze that holds them."""
        return dict(self._freezing.frozen)

    def serving(self) -> Mapping[str, frozenset[str]]:
        """The hosts whose PostgreSQL takes writes now, with its volumes: none, if it is an image's empty cluster."""
        hosts = self.hosts.values()
        return {one.id: one.served for one in hosts if self.servers.takes_writes(one) or is_deceived(one)}

    def balance(self, pool: str, check: Check, targets: Mapping[str, Target]) -> None:
        """Let a balancer have these targets."""
        self._balancers.balance(pool, check, targets)

    def health(self, pool: str, ago: float = 0) -> Mapping[str, str | None]:
        """What it found of them."""
        return self._balancers.health(pool, ago)

    # Clients

    def write(self, instance_id: str) -> bool:
        """A client's transaction on a host; whether it is acknowledged."""
        host = self.hosts.get(instance_id)
        return bool(host and not host.served & set(self._freezing.frozen) and self.servers.write(host))

    def acknowledged(self, volume_id: str) -> int:
        """How many acknowledged transactions are on a volume."""
        return self.servers.disks[volume_id].acknowledged

    @property
    def queries(self) -> list[tuple[str, str]]:
        """The SQL that checks have asked, each with its host."""
        return self._restoring.queries

    # What goes wrong on hosts

    def freeze(self, volume_id: str) -> None:
        """Somebody else freezes this volume's file system, and leaves it so."""
        self._freezing.frozen[volume_id] = "somebody"

    def thaw(self, volume_id: str) -> None:
        """Somebody thaws a file system, whoever froze it."""
        self._freezing.frozen.pop(volume_id, None)

    def damage(self, snapshot_id: str, reason: str, *, mountable: bool = True) -> None:
        """What is made of this snapshot from now on fails its check, or is not even to be mounted, for this reason."""
        copy = self._copies.setdefault(snapshot_id, Disk())
        copy.damage, copy.mountable = reason, mountable

    def kill_keeper(self, instance_id: str) -> None:
        """SIGKILL for the process that holds the freeze."""
        self._freezing.kill(self.hosts[instance_id])

    def unmount(self, instance_id: str) -> None:
        """Somebody stops PostgreSQL and unmounts its volumes."""
        host = self.hosts[instance_id]
        self.servers.stop(host)
        host.lose_processes()
        host.mounted.clear()
        host.places.clear()

    def _bring_agent(self, host: Host) -> None:
        """It comes online later; in real time a hundred times as soon, as all that is AWS's own."""
        boots, seconds = host.boots, self._random.uniform(*self.boot_seconds_to_agent)

        def come() -> None:
            host.online = host.boots == boots or host.online

        self._clock.after(seconds / 100 if self._clock.real else seconds, come)
