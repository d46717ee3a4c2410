"""What is asked of EC2's instances: to start, to stop, to go, to be otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from region.protocol import Refusal
from region.states import USER, States

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moto.ec2.models.instances import Instance

ATTRIBUTES = {
    "DisableApiStop": "disable_api_stop",
    "DisableApiTermination": "disable_api_termination",
    "InstanceType": "instance_type",
}


class Instances(States):
    """The operations on instances that there are."""

    def start(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """StartInstances: those that are stopped become pending and then running, if there is room for their type."""

        def one(instance: Instance) -> None:
            _must_be(instance, "started", "stopped", "running", "pending")
            if instance.state == "stopped":
                self.make_room(instance.instance_type)
                self.move(instance, "pending", "")
                instance.launch_time = self.home.clock.moment()
                self.then("StartInstances", instance, self.home.delays.launch, self.boot)

        return {"StartingInstances": self._each(asked["InstanceIds"], one)}

    def stop(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """StopInstances: their volumes stay with them. A hung one takes minutes, unless it is forced.
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-stop-methods.html
        """
        force, skip = asked.get("Force", False), asked.get("SkipOsShutdown", False)

        def one(instance: Instance) -> None:
            if instance.disable_api_stop:
                raise Refusal("OperationNotPermitted", f"The instance '{instance.id}' may not be stopped.")
            _must_be(instance, "stopped", "running", "stopping", "stopped")
            if instance.state == "running":
                self.end(instance, "stopping", USER)
                self._hasten("StopInstances", instance, force, skip, self.stopped)
            elif instance.state == "stopping" and self._asks_more(instance, force, skip):
                self._hasten("StopInstances", instance, force, skip, self.stopped)

        return {"StoppingInstances": self._each(asked["InstanceIds"], one)}

    def terminate(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """TerminateInstances: only when they are terminated, their volumes leave them, or go with them."""
        force, skip = asked.get("Force", False), asked.get("SkipOsShutdown", False)

        def one(instance: Instance) -> None:
            if instance.disable_api_termination:
                raise Refusal("OperationNotPermitted", f"The instance '{instance.id}' may not be terminated.")
            if instance.state not in ("shutting-down", "terminated"):
                self.end(instance, "shutting-down", USER)
                self._hasten("TerminateInstances", instance, force, skip, self.terminated)
            elif instance.state == "shutting-down" and self._asks_more(instance, force, skip):
                self._hasten("TerminateInstances", instance, force, skip, self.terminated)

        return {"TerminatingInstances": self._each(asked["InstanceIds"], one)}

    def reboot(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """RebootInstances: they stay `running`, and what hung comes back."""

        def one(instance: Instance) -> None:
            _must_be(instance, "rebooted", "running")
            self.off(instance)
            self.then("RebootInstances", instance, self.home.delays.stop, self.boot_again)

        self._each(asked["InstanceIds"], one)
        return {}

    def make_room(self, instance_type: str) -> None:
        """Raise Refusal if EC2 has no room for an instance of this type, which it says as an error of its own."""
        if code := self.home.faults.without_room(instance_type):
            message = f"We currently do not have sufficient {instance_type} capacity in the zone you requested."
            raise Refusal(code, message, 500 if code.startswith("Insufficient") else 400)

    def modify(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """ModifyInstanceAttribute: of block devices, whether they go with the instance; protection and type."""
        instance = self.get_instance(asked["InstanceId"])
        changes = {own: asked[name]["Value"] for name, own in ATTRIBUTES.items() if name in asked}
        mappings = asked.get("BlockDeviceMappings", [])
        if not changes and not mappings:
            raise Refusal("InvalidParameterCombination", "No attributes specified that are known here.")
        for mapping in mappings:
            _block(instance, mapping)
        if "instance_type" in changes:
            _must_be(instance, "changed", "stopped")
        self.remember(instance.id, *(block.volume_id for _, block in instance.get_block_device_mapping))
        for own, value in changes.items():
            setattr(instance, own, value)
        for mapping in mappings:
            _block(instance, mapping).delete_on_termination = mapping["Ebs"]["DeleteOnTermination"]
        return {}

    def _asks_more(self, instance: Instance, force: bool, skip: bool) -> bool:
        return (force and instance.id not in self.forced) or (skip and instance.id not in self.abrupt)

    def _hasten(
        self, operation: str, instance: Instance, force: bool, skip: bool, happen: Callable[[Instance], None]
    ) -> None:
        delays = self.home.delays
        self.forced |= {instance.id} if force else set()
        self.abrupt |= {instance.id} if skip else set()
        delay = delays.abrupt_stop if skip else delays.stop
        if instance.id in self.hung:
            slow = delays.hung_stop if operation == "StopInstances" else delays.hung_termination
            delay = delays.forced_stop if force else slow
        self.then(operation, instance, delay, happen)

    def _each(self, instance_ids: Sequence[str], change: Callable[[Instance], None]) -> list[Mapping[str, Any]]:
        answer: list[Mapping[str, Any]] = []
        for instance in [self.get_instance(one) for one in instance_ids]:
            before = _state(instance)
            change(instance)
            answer.append({"InstanceId": instance.id, "CurrentState": _state(instance), "PreviousState": before})
        return answer


def _state(instance: Instance) -> Mapping[str, Any]:
    return {"Name": instance.state, "Code": instance.state_code}


def _must_be(instance: Instance, what: str, *states: str) -> None:
    if instance.state not in states:
        message = f"The instance '{instance.id}' is not in a state from which it can be {what}."
        raise Refusal("IncorrectInstanceState", message)


def _block(instance: Instance, mapping: Mapping[str, Any]) -> Any:
    block = instance.block_device_mapping.get(mapping["DeviceName"])
    named = mapping["Ebs"].get("VolumeId", block and block.volume_id)
    if block is None or block.volume_id != named:
        message = f"Instance {instance.id} does not have device '{mapping['DeviceName']}' with that volume"
        raise Refusal("InvalidInstanceAttributeValue", message)
    return block
