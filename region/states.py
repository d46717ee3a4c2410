"""EC2's instances and their states, where moto differs: each takes its time, and says why it came."""

from __future__ import annotations

import base64
import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.ec2.models.instances import InstanceState, StateReason

from region import events
from region.checks import CALM_MINUTES, Checks
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.ec2.models.instances import Instance

    from region.delays import Delay

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
# "Recently terminated instances might appear in the returned results. This interval is usually less than one hour":
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
VISIBLE_SECONDS = 3600
FROM_WITHIN = "Client.InstanceInitiatedShutdown"
USER = "Client.UserInitiatedShutdown"
BROKEN = "Server.InternalError"
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
REASONS = {
    USER: "User initiated shutdown",
    FROM_WITHIN: "Instance initiated shutdown",
    "Client.InternalError": "Client error on launch",
    BROKEN: "Internal error on launch",
    "Server.ScheduledStop": "Stopped due to a scheduled retirement",
    "Server.SpotInstanceShutdown": "Spot instance shutdown",
    "Server.SpotInstanceTermination": "Spot instance termination",
}

# In a host's user data: what it does by itself after so many minutes, unless it is booted again before.
SHUTDOWN = re.compile(r"^shutdown -h \+(\d+)$", re.MULTILINE)


class States(Checks):
    """moto's instances with a machine behind each."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self._turns: Counter[str] = Counter()
        self._on: set[str] = set()
        self.abrupt: set[str] = set()
        self.forced: set[str] = set()
        super().__init__(region_name, account_id)

    def get_instance(self, instance_id: str) -> Instance:
        """The instance with this id; moto's own looks at every one."""
        if instance_id in self.known:
            return self.known[instance_id]
        newest = next(reversed(self.reservations.values())).instances if self.building and self.reservations else ()
        for instance in newest:
            if instance.id == instance_id:
                return instance
        raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")

    def all_instances(self, filters: Any = None) -> list[Instance]:
        """Those that are to be seen."""
        return [one for one in self.known.values() if one.applies(filters)]

    def launch(self, instance: Instance) -> None:
        """The first boot of a new instance."""
        self.bring_up(instance, self.home.clock.now())
        self._run(instance)
        if planned := SHUTDOWN.search(_plain(instance.user_data)):
            happen = partial(self._shut_down, instance, self.running_since[instance.id])
            self.home.clock.after(60 * int(planned[1]), happen, background=True)

    def _shut_down(self, instance: Instance, since: float) -> None:
        is_same = self.running_since[instance.id] == since and instance.id not in self.hung
        if is_same and instance.state == "running":
            self.leave(instance, FROM_WITHIN)

    def bring_up(self, instance: Instance, since: float) -> None:
        """The machine of a new instance runs since then, with the volumes that it has from the beginning."""
        self.home.machines.launch(instance.id, _plain(instance.user_data))
        for device, block in instance.get_block_device_mapping:
            if device != instance.root_device_name:
                self.give(block.volume_id, instance.id, device)
        self._on.add(instance.id)
        self.running_since[instance.id] = since

    def boot(self, instance: Instance) -> None:
        """The same host again."""
        self.home.machines.boot(instance.id)
        self._run(instance)

    def boot_again(self, instance: Instance) -> None:
        """A reboot: nothing of it is seen from outside but the status checks."""
        self.home.machines.boot(instance.id)
        self._on.add(instance.id)
        self.running_since[instance.id] = self.home.clock.now()

    def _run(self, instance: Instance) -> None:
        self._on.add(instance.id)
        self.running_since[instance.id] = self.home.clock.now()
        self.move(instance, "running", "")
        self.report(instance.id, CALM_MINUTES)

    def end(self, instance: Instance, state: str, reason: str) -> None:
        """The instance begins to stop or to shut down, for this reason."""
        self.abrupt.discard(instance.id)
        self.forced.discard(instance.id)
        self.move(instance, state, reason)

    def leave(self, instance: Instance, reason: str) -> None:
        """It stops in order by somebody's or AWS's own wish, and not through the API of this account."""
        if instance.instance_initiated_shutdown_behavior == "terminate" and reason == FROM_WITHIN:
            self.end(instance, "shutting-down", reason)
            self.then("TerminateInstances", instance, self.home.delays.stop, self.terminated)
        else:
            self.end(instance, "stopping", reason)
            self.then("StopInstances", instance, self.home.delays.stop, self.stopped)

    def fail(self, instance: Instance) -> None:
        """The hardware below an instance fails: it is stopped at once, and not by anybody."""
        self._cut(instance)
        self.move(instance, "stopped", BROKEN)

    def kill(self, instance: Instance, reason: str) -> None:
        """It is terminated; by AWS itself its power is cut at once."""
        if reason.startswith("Server."):
            self._cut(instance)
        self.end(instance, "shutting-down", reason)
        self.then("TerminateInstances", instance, self.home.delays.abrupt_stop, self.terminated)

    def _cut(self, instance: Instance) -> None:
        self.abrupt.add(instance.id)
        self.off(instance)

    def stopped(self, instance: Instance) -> None:
        """It has stopped; its volumes stay with it."""
        self.off(instance)
        self.move(instance, "stopped")

    def off(self, instance: Instance) -> None:
        """The machine's power goes, in order if it can. One that is off already stays off."""
        if instance.id in self._on:
            abrupt = instance.id in self.abrupt | self.hung
            self._on.discard(instance.id)
            (self.home.machines.power_cut if abrupt else self.home.machines.shutdown)(instance.id)
        self.calm(instance.id)

    def terminated(self, instance: Instance) -> None:
        """It is gone."""
        self.off(instance)
        if instance.id in self.running_since:
            for _, block in instance.get_block_device_mapping:
                self.pull_out(block.volume_id)
            self.home.machines.forget(instance.id)
        self.bury(instance)

    def bury(self, instance: Instance, reason: str | None = None) -> None:
        """The instance is terminated: what was its own goes with it, and within the hour it is not seen any more."""
        blocks = [block.volume_id for _, block in instance.get_block_device_mapping]
        self.remember(*blocks)
        self.move(instance, "terminated", reason)
        self.release_interfaces(instance)
        instance.teardown_defaults()
        for subnet in (one for some in self.subnets.values() for one in some.values()):
            subnet._unused_ips.clear()  # moto gives an address out again at once, and clients would find the next host
        self.iam_instance_profile_associations.pop(instance.id, None)
        self.home.clock.after(VISIBLE_SECONDS, partial(self._vanish, instance), background=True)

    def _vanish(self, instance: Instance) -> None:
        self.remember(instance.id)
        del self.known[instance.id]
        self.delete_tags([instance.id], dict(self.tags[instance.id]))
        for reservation in [one for one in self.reservations.values() if instance in one.instances]:
            del self.reservations[reservation.id]

    def then(self, operation: str, instance: Instance, delay: Delay, happen: Callable[[Instance], None]) -> None:
        """Let something become of an instance after a while, unless it moves to another state before."""
        turn = self._turns[instance.id]
        if not self.home.faults.stuck(operation):
            self.after(delay, partial(lambda: happen(instance) if self._turns[instance.id] == turn else None))

    def move(self, instance: Instance, state: str, reason: str | None = None) -> None:
        """To another state, for another reason than it has unless that is None."""
        self.remember(instance.id)
        self._turns[instance.id] += 1
        instance._state = InstanceState(state, CODES[state])
        if reason is not None:
            instance.state_reason = StateReason(f"{reason}: {REASONS[reason]}", reason) if reason else StateReason()
            moment = self.home.clock.moment()
            instance._reason = f"User initiated ({moment:%Y-%m-%d %H:%M:%S} GMT)" if reason == USER else reason
        self.home.bus.emit(events.instance_state, instance.id, state)


def _plain(user_data: Any) -> str:
    return base64.b64decode(str(user_data)).decode() if user_data else ""
