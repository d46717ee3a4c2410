"""EC2's network interfaces, where moto differs: they come and go in a moment, and hold their address meanwhile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from region.protocol import Refusal
from region.shown import shown
from region.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.ec2.models.elastic_network_interfaces import NetworkInterface
    from moto.ec2.models.instances import Instance
    from moto.ec2.models.security_groups import SecurityGroup


class Interfaces(Snapshots):
    """moto's interfaces, that instances take and give back. `moving` are those on their way, and which."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self.known: dict[str, Instance] = {}
        self.moving: dict[str, str] = {}
        super().__init__(region_name, account_id)

    def all_groups(self) -> Mapping[str, SecurityGroup]:
        """The security groups of all VPCs, by their ids."""
        return {key: one for groups in self.groups.values() for key, one in groups.items()}

    def group(self, group_id: str) -> SecurityGroup:
        """The security group with this id."""
        found = self.all_groups().get(group_id)
        if found is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        return found

    def show(self, resource_id: str) -> Mapping[str, Any] | None:
        """What is to see of a volume, an instance, an interface or a security group now."""
        return shown(self, resource_id)

    def create_network_interface(self, *args: Any, **kwargs: Any) -> NetworkInterface:
        """An interface with an address, attached nowhere."""
        made = super().create_network_interface(*args, **kwargs)
        self.born(made.id)
        return made

    def delete_network_interface(self, eni_id: str) -> None:
        """Without this interface."""
        if self.get_network_interface(eni_id).instance:
            raise Refusal("InvalidParameterValue", f"Network interface '{eni_id}' is currently in use.")
        self.remember(eni_id)
        super().delete_network_interface(eni_id)

    def get_network_interface(self, eni_id: str) -> NetworkInterface:
        """The interface with this id."""
        return self.enis[eni_id] if eni_id in self.enis else super().get_network_interface(eni_id)

    def reached_at(self, instance_id: str) -> tuple[str, ...]:
        """The private addresses at which an instance is to be reached now."""
        nics = self.known[instance_id].nics
        held = [nic.private_ip_address for _, nic in sorted(nics.items()) if nic.id not in self.moving]
        return tuple(one for one in held if one)

    def attach_interface(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """AttachNetworkInterface: to a running or stopped instance of the same zone, in a free place."""
        nic = self.get_network_interface(asked["NetworkInterfaceId"])
        instance, place = self.get_instance(asked["InstanceId"]), int(asked["DeviceIndex"])
        if nic.instance:
            raise Refusal("InvalidNetworkInterface.InUse", f"Interface: [{nic.id}] in use.")
        if instance.state not in ("running", "stopped"):
            raise Refusal("IncorrectState", f"Instance '{instance.id}' is not 'running' or 'stopped'.")
        if nic.subnet.availability_zone != instance.availability_zone:
            message = "You may not attach a network interface to an instance if they are not in the same zone"
            raise Refusal("InvalidParameterCombination", message)
        if place in instance.nics:
            raise Refusal(
                "InvalidParameterValue", f"Instance '{instance.id}' already has an interface at device index '{place}'."
            )
        self.remember(nic.id, instance.id)
        self.moving[nic.id] = "attaching"
        attachment = instance.attach_eni(nic, place)
        if not self.home.faults.stuck("AttachNetworkInterface"):
            self.after(self.home.delays.attach_interface, partial(self._arrived, nic, attachment))
        return {"AttachmentId": attachment, "NetworkCardIndex": 0}

    def _arrived(self, nic: NetworkInterface, attachment: str) -> None:
        if nic.instance and nic.attachment_id == attachment and self.moving.get(nic.id) == "attaching":
            self.remember(nic.id, nic.instance.id)
            del self.moving[nic.id]

    def detach_interface(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DetachNetworkInterface: by the attachment's id; the first interface of an instance stays."""
        found = [nic for nic in self.enis.values() if nic.attachment_id == asked["AttachmentId"]]
        if not found:
            message = f"The networkInterface attachment ID '{asked['AttachmentId']}' does not exist"
            raise Refusal("InvalidAttachmentID.NotFound", message)
        nic = found[0]
        if nic.device_index == 0:
            message = "The network interface at device index 0 cannot be detached."
            raise Refusal("OperationNotPermitted", message)
        assert nic.instance  # noqa: S101 it has an attachment
        self.remember(nic.id, nic.instance.id)
        self.moving[nic.id] = "detaching"
        if not self.home.faults.stuck("DetachNetworkInterface"):
            self.after(self.home.delays.detach_interface, partial(self._left, nic, asked["AttachmentId"]))
        return {"Return": True}

    def _left(self, nic: NetworkInterface, attachment: str) -> None:
        if nic.instance and nic.attachment_id == attachment:
            self.remember(nic.id, nic.instance.id)
            nic.instance.detach_eni(nic)
            self.moving.pop(nic.id, None)

    def release_interfaces(self, instance: Instance) -> None:
        """Of an instance that is terminated: the first interface goes with it, the others are free."""
        for place, nic in sorted(instance.nics.items()):
            self.remember(nic.id)
            instance.detach_eni(nic)
            self.moving.pop(nic.id, None)
            if place == 0 or nic.delete_on_termination:
                nic.delete()
