"""What RunInstances asks IAM: about each thing that it takes, and each that it makes.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/permissions-for-launch-templates.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from region.policies import Ask, PolicyError, requested, tagged

if TYPE_CHECKING:
    from region.place import Place

# What names still more resources, and is used nowhere here.
UNKNOWN = "CapacityReservationSpecification ElasticGpuSpecifications ElasticInferenceAccelerators LicenseSpecifications"

# It names none: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CapacityReservationSpecification.html
NO_RESERVATION = {"CapacityReservationPreference": "none"}

About = Callable[..., Ask]


def run_instances(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    """Of each resource IAM hears whether the launch template names it (or nobody does), or the request itself.

    Tags ask for ec2:CreateTags, and an instance profile to pass each of its roles.
    """
    named = parameters.get("LaunchTemplate")
    template, data = place.template(named) if named else ("", {})
    wanted = {**data, **parameters}
    if wanted.get("CapacityReservationSpecification") == NO_RESERVATION:
        del wanted["CapacityReservationSpecification"]
    if unknown := set(wanted) & set(UNKNOWN.split()):
        raise PolicyError(f"{action} is not known with {', '.join(sorted(unknown))}")

    def about(resource: str, key: str, context: Mapping[str, Sequence[str]]) -> Ask:
        own = "false" if key in parameters and key != "LaunchTemplate" else "true"
        by = {"ec2:LaunchTemplate": [place.ec2(template)], "ec2:IsLaunchTemplateResource": [own]} if template else {}
        return Ask(action, resource, {**context, **by})

    tags = {kind: {**_tags(data, kind), **_tags(parameters, kind)} for kind in _kinds(data) | _kinds(parameters)}
    asks = [*_taken(place, wanted, about), *_made(place, wanted, tags, about), *_passed(place, wanted)]
    if template:
        asks.append(about(place.ec2(template), "LaunchTemplate", tagged(place.tags(template))))
    for kind, given in sorted(tags.items()):
        by = {"ec2:CreateAction": [action.partition(":")[2]]}
        asks.append(Ask("ec2:CreateTags", place.of(kind), {**_requested(given), **by}))
    return asks


def _taken(place: Place, wanted: Mapping[str, Any], about: About) -> list[Ask]:
    """What is there already. A subnet and groups that nobody names are the default ones, of which nothing is known."""
    subnets, groups = _network(wanted)
    devices = (one.get("Ebs", {}) for one in wanted.get("BlockDeviceMappings", []))
    taken = [
        ("ImageId", wanted["ImageId"]),
        *subnets,
        *groups,
        *(("BlockDeviceMappings", ebs["SnapshotId"]) for ebs in devices if "SnapshotId" in ebs),
    ]
    asks = [about(place.ec2(one), key, tagged(place.tags(one))) for key, one in taken]
    asks += [about(place.of("subnet"), "SubnetId", {})] * (not subnets)
    asks += [about(place.of("security-group"), "SecurityGroupIds", {})] * (not groups)
    if "KeyName" in wanted:
        asks.append(about(place.of("key-pair", wanted["KeyName"]), "KeyName", {}))
    if group := wanted.get("Placement", {}).get("GroupName"):
        asks.append(about(place.of("placement-group", group), "Placement", {}))
    return asks


def _network(wanted: Mapping[str, Any]) -> tuple[Sequence[tuple[str, str]], Sequence[tuple[str, str]]]:
    """The subnets and the groups, each with the parameter that names it."""
    interfaces, key = wanted.get("NetworkInterfaces", []), "NetworkInterfaces"
    subnets = [("SubnetId", wanted["SubnetId"])] if wanted.get("SubnetId") else []
    subnets += [(key, one["SubnetId"]) for one in interfaces if one.get("SubnetId")]
    groups = [("SecurityGroupIds", one) for one in wanted.get("SecurityGroupIds", [])]
    return subnets, groups + [(key, group) for one in interfaces for group in one.get("Groups", [])]


def _made(place: Place, wanted: Mapping[str, Any], tags: Mapping[str, Any], about: About) -> list[Ask]:
    """The instance, its volumes, and its interfaces if they are not there already."""
    facts = {"ec2:InstanceType": [wanted["InstanceType"]]} if "InstanceType" in wanted else {}
    if profile := wanted.get("IamInstanceProfile"):
        facts |= {"ec2:InstanceProfile": [_profile(place, profile)[0]]}
    there = [one["NetworkInterfaceId"] for one in wanted.get("NetworkInterfaces", []) if "NetworkInterfaceId" in one]
    return [
        about(place.of("instance"), "InstanceType", {**_requested(tags.get("instance", {})), **facts}),
        about(place.of("volume"), "BlockDeviceMappings", _requested(tags.get("volume", {}))),
        *(about(place.ec2(one), "NetworkInterfaces", tagged(place.tags(one))) for one in there),
        *(
            [about(place.of("network-interface"), "NetworkInterfaces", _requested(tags.get("network-interface", {})))]
            * (not there)
        ),
    ]


def _passed(place: Place, wanted: Mapping[str, Any]) -> list[Ask]:
    roles = _profile(place, wanted["IamInstanceProfile"])[1] if "IamInstanceProfile" in wanted else ()
    return [Ask("iam:PassRole", role, {"iam:PassedToService": ["ec2.amazonaws.com"]}) for role in roles]


def _profile(place: Place, named: Mapping[str, str]) -> tuple[str, Sequence[str]]:
    return place.profile(named.get("Arn") or named["Name"])


def _kinds(data: Mapping[str, Any]) -> set[str]:
    """What the tags are for; moto keeps the launch template's own among those of its data."""
    kinds = {group["ResourceType"] for group in data.get("TagSpecifications", []) if group.get("Tags")}
    return kinds - {"launch-template"}


def _tags(data: Mapping[str, Any], kind: str) -> dict[str, str]:
    groups = [group["Tags"] for group in data.get("TagSpecifications", []) if group["ResourceType"] == kind]
    return {tag["Key"]: tag.get("Value", "") for group in groups for tag in group}


def _requested(tags: Mapping[str, str]) -> dict[str, Sequence[str]]:
    return requested([{"Key": key, "Value": value} for key, value in tags.items()])
