"""RunInstances, where moto differs: a launch template counts as a whole, and a client token means once.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.core.types import Base64EncodedString
from moto.ec2.utils import filter_iam_instance_profiles

from region.creation import IMAGE, tags_for
from region.launch_templates import LaunchTemplates
from region.protocol import Refusal
from region.states import VISIBLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moto.ec2.models.instances import Instance, Reservation
    from moto.ec2.models.launch_templates import LaunchTemplateVersion

ROOT = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}
DEFAULT_TYPE = "m1.small"
AT_THE_INTERFACE = {"SubnetId": "subnet ID", "SecurityGroupIds": "security groups", "SecurityGroups": "security groups"}
OF_THE_REQUEST = ("ClientToken", "DryRun", "LaunchTemplate", "MaxCount", "MinCount")


@dataclass(frozen=True, slots=True)
class Launched:
    """What a client token stands for in a zone, for ever: AWS promises a day at least."""

    said: Mapping[str, Any]
    reservation: Reservation


class Launches(LaunchTemplates):
    """How instances come about."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self._launched: dict[tuple[str, str], Launched] = {}
        super().__init__(region_name, account_id)

    def run(self, asked: Mapping[str, Any]) -> Reservation:
        """RunInstances: new instances, pending. With a client token, those of the first in this zone."""
        version = self.template_version(asked.get("LaunchTemplate"))
        wanted = _merged(version.data if version else {}, asked)
        zone = self._zone(wanted)
        self._check_groups(wanted)
        said = {key: value for key, value in asked.items() if key not in ("ClientToken", "DryRun")}
        said["version"] = version.number if version else None
        key = (asked.get("ClientToken", ""), zone)
        if key in self._launched:
            return self._once_more(self._launched[key], said)
        self.make_room(wanted.get("InstanceType", DEFAULT_TYPE))
        own = {} if version is None else _template_tags(version)
        reservation = self._begin(wanted, own, zone, asked)
        if key[0]:
            self._launched[key] = Launched(said, reservation)
        return reservation

    def _zone(self, wanted: Mapping[str, Any]) -> str:
        subnets = [wanted.get("SubnetId"), *(one.get("SubnetId") for one in wanted.get("NetworkInterfaces", []))]
        for subnet in subnets:
            if subnet:
                return str(self.get_subnet(subnet).availability_zone)
        return str(wanted.get("Placement", {}).get("AvailabilityZone") or f"{self.region_name}a")

    def _check_groups(self, wanted: Mapping[str, Any]) -> None:
        """Each is there, and in the network of the subnet that it is for."""
        interfaces = wanted.get("NetworkInterfaces") or [{"Groups": wanted.get("SecurityGroupIds", []), **wanted}]
        for one in interfaces:
            network = self.get_subnet(one["SubnetId"]).vpc_id if one.get("SubnetId") else self.default_vpc.id
            for group in map(self.group, one.get("Groups", [])):
                if group.vpc_id != network:
                    message = f"Security group {group.id} and the subnet belong to different networks."
                    raise Refusal("InvalidParameter", message)

    def _once_more(self, before: Launched, said: Mapping[str, Any]) -> Reservation:
        if before.said != said:
            raise Refusal("IdempotentParameterMismatch", "The client token was used with other parameters.")
        if any(one.state == "terminated" for one in before.reservation.instances):
            raise Refusal("IdempotentInstanceTerminated", "The instance of this client token has been terminated.")
        return before.reservation

    def _begin(
        self, wanted: Mapping[str, Any], own_tags: Mapping[str, str], zone: str, asked: Mapping[str, Any]
    ) -> Reservation:
        profile = wanted.get("IamInstanceProfile") or {}
        named = {"iam_instance_profile_arn": profile.get("Arn"), "iam_instance_profile_name": profile.get("Name")}
        if profile:
            filter_iam_instance_profiles(self.account_id, self.partition, **named)
        self.building = True
        try:
            reservation = self._build(wanted, own_tags, zone, asked)
        finally:
            self.building = False
        for instance in reservation.instances:
            self.known[instance.id] = instance
            self.born(instance.id)
            if profile:
                self.associate_iam_instance_profile(instance.id, **named)
            self._come_to_be(instance, wanted)
        return reservation

    def _build(
        self, wanted: Mapping[str, Any], own_tags: Mapping[str, str], zone: str, asked: Mapping[str, Any]
    ) -> Reservation:
        made: Reservation = self.run_instances(
            wanted.get("ImageId", ""),
            int(asked.get("MinCount", 1)),
            _encoded(wanted.get("UserData")),
            list(wanted.get("SecurityGroups", [])),
            instance_type=wanted.get("InstanceType", DEFAULT_TYPE),
            is_instance_type_default=True,  # moto would look through all types
            placement=None if wanted.get("SubnetId") else zone,
            region_name=self.region_name,
            subnet_id=wanted.get("SubnetId"),
            key_name=wanted.get("KeyName"),
            security_group_ids=list(wanted.get("SecurityGroupIds", [])),
            nics=wanted.get("NetworkInterfaces", []),
            private_ip=wanted.get("PrivateIpAddress"),
            tags={"instance": {**own_tags, **tags_for("instance", wanted)}, "volume": tags_for("volume", wanted)},
            disable_api_stop=wanted.get("DisableApiStop", False),
            disable_api_termination=wanted.get("DisableApiTermination", False),
            instance_market_options=wanted.get("InstanceMarketOptions", {}).get("MarketType"),
            metadata_options=wanted.get("MetadataOptions", {}),
            client_token=asked.get("ClientToken", ""),
            instance_initiated_shutdown_behavior=wanted.get("InstanceInitiatedShutdownBehavior"),
            block_device_mappings=_devices(wanted),
        )
        return made

    def _come_to_be(self, instance: Instance, wanted: Mapping[str, Any]) -> None:
        if principal := wanted.get("Operator", {}).get("Principal"):
            self.operators[instance.id] = principal
        for _, block in instance.get_block_device_mapping:
            volume = self.volumes[block.volume_id]
            self.home.machines.create_volume(volume.id, int(volume.size), volume.snapshot_id)
        self.move(instance, "pending", "")
        failure = self.home.faults.failing_launch()
        happen = partial(self.bury, reason=failure) if failure else self.launch
        self.then("RunInstances", instance, self.home.delays.launch, happen)

    def stock_host(self, host_tags: Mapping[str, str], volume_tags: Mapping[str, str]) -> tuple[str, str]:
        """A host that has been running for an hour with one volume, for fleets: nobody hears of it; the two ids."""
        wanted = {"ImageId": IMAGE}
        zone = self._zone(wanted)
        self.building = True
        try:
            instance = self._build(wanted, host_tags, zone, {}).instances[0]
            self.known[instance.id] = instance
            volume = self.create_volume(8, zone, volume_type="gp3")
            self.attach_volume(volume.id, instance.id, "/dev/sdf")
        finally:
            self.building = False
        self.create_tags([volume.id], dict(volume_tags))
        for one in (block.volume_id for _, block in instance.get_block_device_mapping):
            self.home.machines.create_volume(one, int(self.volumes[one].size), None)
        self.bring_up(instance, self.home.clock.now() - VISIBLE_SECONDS)
        return instance.id, volume.id


def _template_tags(version: LaunchTemplateVersion) -> Mapping[str, str]:
    return {
        "aws:ec2launchtemplate:id": version.template.id,
        "aws:ec2launchtemplate:version": str(version.number),
    }


def _merged(template: Mapping[str, Any], asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the request says counts, and of tags both do."""
    own = {key: value for key, value in asked.items() if key not in OF_THE_REQUEST}
    tags: Sequence[Any] = [*template.get("TagSpecifications", []), *asked.get("TagSpecifications", [])]
    wanted = {**template, **own, "TagSpecifications": tags}
    for name, called in AT_THE_INTERFACE.items():
        if wanted.get(name) and wanted.get("NetworkInterfaces"):
            message = f"Network interfaces and an instance-level {called} may not be specified on the same request"
            raise Refusal("InvalidParameterCombination", message)
    return wanted


def _devices(wanted: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    mapped = [one for one in wanted.get("BlockDeviceMappings", []) if "Ebs" in one]
    root = [one for one in mapped if one["DeviceName"] == ROOT["DeviceName"]]
    # A mapping of the root changes what it names, and no more.
    ebs = {**ROOT["Ebs"], **(root[0]["Ebs"] if root else {})}  # type: ignore[dict-item]
    return [{**ROOT, "Ebs": ebs}, *(one for one in mapped if one not in root)]


def _encoded(user_data: Any) -> Base64EncodedString | None:
    return Base64EncodedString(str(user_data)) if user_data else None
