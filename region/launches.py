"""RunInstances and launch templates, where moto differs: a template counts as a whole, and a client token means once.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.core.types import Base64EncodedString
from moto.ec2.utils import filter_iam_instance_profiles

from region.instances import Instances
from region.protocol import Refusal
from region.states import VISIBLE_SECONDS
from region.volumes import IMAGE, tags_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moto.ec2.models.instances import Instance, Reservation
    from moto.ec2.models.launch_templates import LaunchTemplateVersion

ROOT = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}
DEFAULT_TYPE = "m1.small"
OF_THE_REQUEST = ("ClientToken", "DryRun", "LaunchTemplate", "MaxCount", "MinCount")


@dataclass(frozen=True, slots=True)
class Launched:
    """What a client token stands for in a zone, for ever: AWS promises a day at least."""

    said: Mapping[str, Any]
    reservation: Reservation


class Launches(Instances):
    """How instances come about."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self._launched: dict[tuple[str, str], Launched] = {}
        super().__init__(region_name, account_id)

    def run(self, asked: Mapping[str, Any]) -> Reservation:
        """RunInstances: new instances, pending. With a client token, those of the first in this zone."""
        version = self._version(asked.get("LaunchTemplate"))
        wanted = _merged(version.data if version else {}, asked)
        zone = self._zone(wanted)
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

    def _version(self, named: Mapping[str, Any] | None) -> LaunchTemplateVersion | None:
        if not named:
            return None
        by_id = named.get("LaunchTemplateId")
        found = (
            self.get_launch_template(by_id) if by_id else self.get_launch_template_by_name(named["LaunchTemplateName"])
        )
        return found.get_version(named.get("Version") or "$Default")

    def _zone(self, wanted: Mapping[str, Any]) -> str:
        subnets = [wanted.get("SubnetId"), *(one.get("SubnetId") for one in wanted.get("NetworkInterfaces", []))]
        for subnet in subnets:
            if subnet:
                return str(self.get_subnet(subnet).availability_zone)
        return str(wanted.get("Placement", {}).get("AvailabilityZone") or f"{self.region_name}a")

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

    # Templates

    def template_versions(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DescribeLaunchTemplateVersions, in pages; without a template, of all templates those that are named."""
        found = self.describe_launch_template_versions(
            asked.get("LaunchTemplateName", ""),
            asked.get("LaunchTemplateId", ""),
            asked.get("Versions", []),
            int(asked.get("MinVersion") or 0),
            int(asked.get("MaxVersion") or 0),
            1_000_000,
        )
        first, size = int(asked.get("NextToken") or 0), int(asked.get("MaxResults") or 200)
        more = len(found) > first + size
        page = [_shown(version) for _, version in found[first : first + size]]
        return {"LaunchTemplateVersions": page, "NextToken": str(first + size) if more else None}

    def add_version(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """CreateLaunchTemplateVersion: of a source, if one is named, all that the request does not say otherwise; moto
        leaves that out. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html
        """
        by_id = asked.get("LaunchTemplateId")
        template = (
            self.get_launch_template(by_id) if by_id else self.get_launch_template_by_name(asked["LaunchTemplateName"])
        )
        source = template.get_version(asked["SourceVersion"]).data if "SourceVersion" in asked else {}
        made = template.create_version({**source, **asked["LaunchTemplateData"]}, asked.get("VersionDescription", ""))
        return {"LaunchTemplateVersion": _shown(made)}

    def show_template(self, template_id: str) -> Mapping[str, Any] | None:
        """As DescribeLaunchTemplates answers it; None if it does not exist."""
        if template_id not in self.launch_templates:
            return None
        one = self.launch_templates[template_id]
        return {
            "LaunchTemplateId": one.id,
            "LaunchTemplateName": one.name,
            "CreateTime": one.create_time,
            "CreatedBy": f"arn:aws:iam::{self.account_id}:root",
            "DefaultVersionNumber": one.default_version_number,
            "LatestVersionNumber": one.latest_version_number,
        }


def _shown(version: LaunchTemplateVersion) -> Mapping[str, Any]:
    # moto puts the template's own tags among those that it gives to instances.
    tags = [one for one in version.data.get("TagSpecifications", []) if one["ResourceType"] != "launch-template"]
    return {
        "LaunchTemplateId": version.template.id,
        "LaunchTemplateName": version.template.name,
        "VersionNumber": version.number,
        "VersionDescription": version.description,
        "CreateTime": version.create_time,
        "DefaultVersion": version.template.is_default(version),
        "LaunchTemplateData": {**version.data, "TagSpecifications": tags or None},
    }


def _template_tags(version: LaunchTemplateVersion) -> Mapping[str, str]:
    return {
        "aws:ec2launchtemplate:id": version.template.id,
        "aws:ec2launchtemplate:version": str(version.number),
    }


def _merged(template: Mapping[str, Any], asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the request says counts, and of tags both do."""
    if "SubnetId" in asked and template.get("NetworkInterfaces"):
        message = "Network interfaces and an instance-level subnet ID may not be specified on the same request"
        raise Refusal("InvalidParameterCombination", message)
    own = {key: value for key, value in asked.items() if key not in OF_THE_REQUEST}
    tags: Sequence[Any] = [*template.get("TagSpecifications", []), *asked.get("TagSpecifications", [])]
    return {**template, **own, "TagSpecifications": tags}


def _devices(wanted: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    mapped = [one for one in wanted.get("BlockDeviceMappings", []) if "Ebs" in one]
    root = [one for one in mapped if one["DeviceName"] == ROOT["DeviceName"]]
    # A mapping of the root changes what it names, and no more.
    ebs = {**ROOT["Ebs"], **(root[0]["Ebs"] if root else {})}  # type: ignore[dict-item]
    return [{**ROOT, "Ebs": ebs}, *(one for one in mapped if one not in root)]


def _encoded(user_data: Any) -> Base64EncodedString | None:
    return Base64EncodedString(str(user_data)) if user_data else None
