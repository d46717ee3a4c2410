"""EC2's instances, where moto differs: they take time to start and to stop, and say why they stopped."""

from __future__ import annotations

import base64
import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.ec2.models.instances import InstanceState, StateReason

from region import events
from region.protocol import Refusal
from region.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.ec2.models.instances import Instance, Reservation

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
START_SECONDS = (10, 30)
STOP_SECONDS = (5, 30)
# Status checks begin with a minute of "initializing":
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html
INITIALIZING_SECONDS = 60
REASONS = {
    "Client.UserInitiatedShutdown": "User initiated shutdown",
    "Server.InternalError": "Internal error on launch",
}


class Instances(Snapshots):
    """moto's instances with a machine behind each."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self.running_since: dict[str, float] = {}
        super().__init__(region_name, account_id)

    def run_instances(self, *args: Any, **kwargs: Any) -> Reservation:
        """New instances, pending; the machines boot when they are running."""
        self.building = True
        try:
            reservation = super().run_instances(*args, **kwargs)
        finally:
            self.building = False
        for instance in reservation.instances:
            for _, block in instance.get_block_device_mapping:
                volume = self.volumes[block.volume_id]
                self.home.machines.create_volume(volume.id, int(volume.size), volume.snapshot_id)
            self._move(instance, "pending")
            if not self.home.faults.stuck("RunInstances"):
                self.home.later(*START_SECONDS, partial(self._launch, instance))
        return reservation

    def _launch(self, instance: Instance) -> None:
        if instance.state != "pending":
            return
        self.home.machines.launch(instance.id, _plain(instance.user_data))
        for device, block in instance.get_block_device_mapping:
            if device != instance.root_device_name:
                self.home.machines.attach(block.volume_id, instance.id, device)
        self._run(instance)

    def _run(self, instance: Instance) -> None:
        self.running_since[instance.id] = self.home.clock.now()
        self._move(instance, "running")

    def start_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        """Stopped instances become pending and then running."""

        def start(instance: Instance) -> None:
            if instance.state not in ("stopped", "running", "pending"):
                raise Refusal(
                    "IncorrectInstanceState", f"The instance '{instance.id}' is not in a state to be started."
                )
            if instance.state == "stopped":
                self._move(instance, "pending")
                self._then("StartInstances", instance, START_SECONDS, self._boot)

        return self._each(instance_ids, start)

    def _boot(self, instance: Instance) -> None:
        if instance.state == "pending":
            self.home.machines.boot(instance.id)
            self._run(instance)

    def stop_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        """Running instances are stopping and then stopped; their volumes stay with them."""

        def stop(instance: Instance) -> None:
            if instance.state not in ("running", "stopping", "stopped"):
                raise Refusal(
                    "IncorrectInstanceState", f"The instance '{instance.id}' is not in a state to be stopped."
                )
            if instance.state == "running":
                self._move(instance, "stopping", "Client.UserInitiatedShutdown")
                self._then("StopInstances", instance, STOP_SECONDS, self._stop)

        return self._each(instance_ids, stop)

    def _stop(self, instance: Instance) -> None:
        if instance.state == "stopping":
            self.home.machines.shutdown(instance.id)
            self._move(instance, "stopped", "Client.UserInitiatedShutdown")

    def terminate_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        """Instances shut down and are terminated; only then their volumes leave them."""

        def terminate(instance: Instance) -> None:
            if instance.disable_api_termination:
                raise Refusal("OperationNotPermitted", f"The instance '{instance.id}' may not be terminated.")
            if instance.state not in ("shutting-down", "terminated"):
                was_running = instance.state == "running"
                self._move(instance, "shutting-down", "Client.UserInitiatedShutdown")
                self._then("TerminateInstances", instance, STOP_SECONDS, partial(self._terminate, was_running))

        return self._each(instance_ids, terminate)

    def _terminate(self, was_running: bool, instance: Instance) -> None:
        machines = self.home.machines
        if was_running:
            machines.shutdown(instance.id)
        if instance.id in self.running_since:
            for device, block in instance.get_block_device_mapping:
                if device != instance.root_device_name:
                    machines.detach(block.volume_id, instance.id, True)
            machines.forget(instance.id)
        instance.terminate()
        self._move(instance, "terminated", "Client.UserInitiatedShutdown")

    def fail(self, instance: Instance) -> None:
        """The hardware below an instance fails: it is stopped at once, and not by anybody."""
        self.home.machines.power_cut(instance.id)
        self._move(instance, "stopped", "Server.InternalError")

    def status_of(self, instance: Instance) -> str:
        """What both status checks say."""
        if instance.state != "running":
            return "not-applicable"
        age = self.home.clock.now() - self.running_since[instance.id]
        return "initializing" if age < INITIALIZING_SECONDS else "ok"

    def _each(
        self, instance_ids: list[str], change: Callable[[Instance], None]
    ) -> list[tuple[Instance, InstanceState]]:
        answer = []
        for instance in self.get_multi_instances_by_id(instance_ids):
            before = copy.copy(instance.instance_state)
            change(instance)
            answer.append((instance, before))
        return answer

    def _then(
        self, operation: str, instance: Instance, seconds: tuple[float, float], move: Callable[[Instance], None]
    ) -> None:
        if not self.home.faults.stuck(operation):
            self.home.later(*seconds, lambda: move(instance))

    def _move(self, instance: Instance, state: str, reason: str = "") -> None:
        instance._state = InstanceState(state, CODES[state])
        instance.state_reason = StateReason(f"{reason}: {REASONS[reason]}", reason) if reason else StateReason()
        self.home.bus.emit(events.instance_state, instance.id, state)


def _plain(user_data: Any) -> str:
    return base64.b64decode(str(user_data)).decode() if user_data else ""
