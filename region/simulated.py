"""Machines that are a few numbers: no disks and no root.

What a test must know and no API tells is kept: which volumes are frozen now, and in which freeze a snapshot was taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from region.freezing import Command, Freezing, Host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from region.clock import Clock
    from region.machines import Done


class Simulated:
    """Hosts and volumes without disks; what takes time takes one drawn from the seed."""

    real = False

    def __init__(self, seed: int = 0) -> None:
        self.hosts: dict[str, Host] = {}
        self.taken: dict[str, str] = {}
        self._freezing = Freezing(seed)

    def open(self, clock: Clock) -> None:
        """Take the region's clock."""
        self._freezing.clock = clock

    def close(self) -> None:
        """Nothing to remove."""

    def create_volume(self, volume_id: str, gib: int, snapshot_id: str | None) -> None:
        """Nothing to make: no content is simulated."""

    def delete_volume(self, volume_id: str) -> None:
        """Nothing to remove."""

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Remember which freeze holds each volume now, if any does."""
        frozen = self._freezing.frozen
        self.taken |= {snapshot: frozen[volume] for volume, snapshot in pairs if volume in frozen}

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget it."""
        self.taken.pop(snapshot_id, None)

    def launch(self, instance_id: str, user_data: str) -> None:  # noqa: ARG002 nothing here could run it
        """A host with a running PostgreSQL and an agent."""
        self.hosts[instance_id] = Host()

    def boot(self, instance_id: str) -> None:
        """The same host again; nothing of /run is left."""
        self.hosts[instance_id].on = True

    def shutdown(self, instance_id: str) -> None:
        """All that ran is gone, and with it every freeze."""
        if instance_id in self.hosts:
            self._freezing.stop(self.hosts[instance_id])

    power_cut = shutdown

    def forget(self, instance_id: str) -> None:
        """Remove the host."""
        self.hosts.pop(instance_id, None)

    def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Give a volume to a host."""
        self.hosts[instance_id].volumes[volume_id] = device

    def detach(self, volume_id: str, instance_id: str, force: bool) -> bool:
        """Take it, unless it is mounted there. A freeze ends with its mount."""
        host = self.hosts.get(instance_id)
        if host and host.on and volume_id in host.mounted and not force:
            return False
        if host:
            host.volumes.pop(volume_id, None)
            self._freezing.frozen.pop(volume_id, None)
        return True

    def has_agent(self, instance_id: str) -> bool:
        """Whether the host is on, and nobody took its agent away."""
        host = self.hosts.get(instance_id)
        return bool(host and host.on and host.agent)

    def run(self, instance_id: str, document: Mapping[str, Any], parameters: Mapping[str, str], done: Done) -> None:  # noqa: ARG002 the only one that is played
        """Play freeze_database."""
        host = self.hosts[instance_id]
        self._freezing.run(Command(host, parameters, done, host.boots))

    def frozen(self) -> Mapping[str, str]:
        """Volumes by the id of the freeze that holds them."""
        return dict(self._freezing.frozen)

    # What goes wrong on hosts

    def freeze(self, volume_id: str) -> None:
        """Somebody else freezes this volume's file system, and leaves it so."""
        self._freezing.frozen[volume_id] = "somebody"

    def thaw(self, volume_id: str) -> None:
        """Somebody thaws a file system, whoever froze it."""
        self._freezing.frozen.pop(volume_id, None)

    def kill_keeper(self, instance_id: str) -> None:
        """SIGKILL for the process that holds the freeze."""
        self._freezing.kill(self.hosts[instance_id])
