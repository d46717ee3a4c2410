"""The machines of a region on real disks."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from region.disks import agent, kernel, servers, sweep
from region.disks.balancer import Balancers
from region.disks.instance import Instance
from region.disks.kernel import Group
from region.disks.network import Network
from region.disks.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from region.clock import Clock
    from region.machines import Check, Done, Target

USER_DATA = "/var/lib/cloud/instance/user-data"
USER_DATA_LOG = "/var/log/cloud-init-output.log"
FREEZING = "/run/watchkeeper/freezing"

# As images have it: https://docs.cloud-init.io/en/latest/howto/status.html
CLOUD_INIT = "/usr/bin/cloud-init"
STATUS = "#!/bin/sh\nif [ -e /run/user-data ]; then echo 'status: running'; else echo 'status: done'; fi\n"


class Disks:
    """Volumes are XFS on loop devices, hosts are namespaces in which a real PostgreSQL runs. See `Machines`."""

    real = True

    def __init__(self) -> None:
        self.hosts: dict[str, Instance] = {}
        self.taken: dict[str, str] = {}

    def open(self, clock: Clock | None = None) -> None:
        """Sweep what dead runs left, and make this run's place, with a guard that sweeps it should we be killed."""
        sweep.sweep_dead()
        self._clock = clock
        self.base, self._alive = sweep.begin()
        self.guard = subprocess.Popen(
            [sys.executable, "-c", sweep.GUARD, self.base],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._group = sweep.group_of(self.base)
        self._group.path.mkdir()
        self.volumes = Volumes(self.base)
        self.volumes.open()
        self.network = Network(Group(self._group.path / "network"))
        self.network.open()
        self.balancers = Balancers(self.network, self.base)

    def close(self) -> None:
        """Cut the power of what still runs, and remove everything."""
        for host in self.hosts.values():
            if host.is_running:
                host.lose()
        self.network.close()
        sweep.sweep(self.base)
        os.close(self._alive)
        self.guard.communicate()

    def create_volume(self, volume_id: str, gib: int, snapshot_id: str | None) -> None:
        """An empty volume, or one with a snapshot's content."""
        self.volumes.create(volume_id, gib, snapshot_id)

    def delete_volume(self, volume_id: str) -> None:
        """Forget a volume that is attached nowhere."""
        self.volumes.delete(volume_id)

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Take (volume, snapshot) pairs at one instant, with the hosts paused if they write to several of them."""
        taken, frozen = {volume for volume, _ in pairs}, self.frozen()
        groups = [host.group for host in self.hosts.values() if host.is_alive and taken & set(host.devices)]

        def pause() -> None:
            for group in groups:
                group.pause()

        try:
            self.volumes.snapshot(pairs, pause)
        finally:
            for group in groups:
                group.resume()
        self.taken |= {snapshot: frozen[volume] for volume, snapshot in pairs if volume in frozen}

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot."""
        self.volumes.delete_snapshot(snapshot_id)

    def launch(self, instance_id: str, user_data: str) -> None:
        """Boot a new host. Its user data runs once, while others use the host already, as root's script or as bash;
        cloud-init says whether it still does."""
        changes = self.volumes.mount / "hosts" / instance_id
        group = Group(self._group.path / instance_id)
        self.hosts[instance_id] = host = Instance(instance_id, self.base / "roots" / instance_id, changes, group)
        host.boot()
        if user_data:
            script = host.path(USER_DATA)
            script.parent.mkdir(parents=True)
            script.write_text(user_data)
            shell = "" if user_data.startswith("#!") else "bash "
            script.chmod(0o700)
            host.path(CLOUD_INIT).write_text(STATUS)
            host.path(CLOUD_INIT).chmod(0o755)
            host.path("/run/user-data").touch()
            host.popen("/bin/sh", "-c", f"{shell}{USER_DATA} >{shlex.quote(USER_DATA_LOG)} 2>&1; rm /run/user-data")

    def boot(self, instance_id: str) -> None:
        """Start a stopped host; what was attached is there again."""
        host = self.hosts[instance_id]
        for volume, (node, _) in host.devices.items():
            host.devices[volume] = (node, self.volumes.device_of(volume))
        host.boot()
        self.network.plug(host)

    def shutdown(self, instance_id: str) -> None:
        """Stop a host in order. One that hangs does not hear it: EC2 ends it in the end, as the power would."""
        host = self.hosts[instance_id]
        if host.is_hung:
            self.power_cut(instance_id)
        elif host.is_running:
            host.shut_down()
            self.network.unplug(host)
            self._release(host)

    def power_cut(self, instance_id: str) -> None:
        """Stop a host as a failing power supply does. It is paused first: after the instant nothing is acknowledged."""
        host = self.hosts[instance_id]
        self.network.unplug(host)
        if host.is_running:
            host.group.pause()
            self.volumes.cut(host.devices)
            host.lose()
            host.kill()
        self._release(host)

    def hang(self, instance_id: str) -> None:
        """Stop all of a host's processes, PostgreSQL's and the agent's among them, and nobody takes its packets."""
        self.network.unplug(self.hosts[instance_id])
        self.hosts[instance_id].hang()

    def forget(self, instance_id: str) -> None:
        """Remove a host that is terminated."""
        host = self.hosts.pop(instance_id)
        self.network.forget(host)
        if host.is_running:
            host.lose()
            host.kill()
        self._release(host)
        host.forget()

    def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Give a volume to a host. The name asked for is only a request: on Nitro a volume is known by its serial."""
        del device
        self.hosts[instance_id].attach(volume_id, self.volumes.device_of(volume_id))

    def detach(self, volume_id: str, instance_id: str, force: bool) -> bool:
        """Take a volume from a host. False: it is mounted there. Forced, it is pulled out whatever it is used for."""
        host = self.hosts[instance_id]
        mounted = host.mounts_of(volume_id) if host.is_running else []
        if mounted and not force:
            return False
        if mounted:
            self.volumes.cut([volume_id])
            kernel.lose(str(host.path(mounted[0])))
        host.detach(volume_id)
        self.volumes.release(volume_id)
        return True

    def has_agent(self, instance_id: str) -> bool:
        """Whether the host's SSM agent answers."""
        return instance_id in self.hosts and self.hosts[instance_id].is_alive

    def run(self, instance_id: str, document: Mapping[str, Any], parameters: Mapping[str, str], done: Done) -> None:
        """Run a document on the host, in a thread; `done` is called in the kernel."""
        host = self.hosts[instance_id]
        process_1 = host.pid

        def work() -> None:
            outcome = agent.run(host, document, parameters)
            if host.pid == process_1:
                self._clock.post(lambda: done(outcome)) if self._clock else done(outcome)

        threading.Thread(target=work, name=f"agent of {instance_id}", daemon=True).start()

    def frozen(self) -> Mapping[str, str]:
        """The volumes whose file systems a keeper has set out to freeze, each with the freeze's id."""
        frozen = {}
        for host in self.hosts.values():
            with contextlib.suppress(OSError):
                first, *points = host.path(FREEZING).read_text().splitlines()
                for volume in host.devices:
                    if set(points) & set(host.mounts_of(volume)):
                        frozen[volume] = first.split()[0]
        return frozen

    def serving(self) -> Mapping[str, frozenset[str]]:
        """By asking: each server that answers on a socket of Debian's is given a write, and says where it lies."""
        answers = {host.id: asked for host in self.hosts.values() if host.is_alive and (asked := servers.ask(host))}
        return {name: servers.volumes_below(self.hosts[name], numbers) for name, numbers in answers.items()}

    def balance(self, pool: str, check: Check, targets: Mapping[str, Target]) -> None:
        """Let the balancer of this name have these targets; a target's host is wired to the network for it."""
        for target in targets.values():
            if host := self.hosts.get(target.host or ""):
                self.network.connect(host, target.address)
        self.balancers.balance(pool, check, targets)

    def health(self, pool: str, ago: float = 0) -> Mapping[str, str | None]:  # noqa: ARG002 what it said is not kept
        """What a balancer says of its targets now."""
        return self.balancers.health(pool)

    def _release(self, host: Instance) -> None:
        for volume in host.devices:
            self.volumes.release(volume)
