"""Where this region's ARNs begin, and what it knows of the things that policies ask about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.ssm.models import ssm_backends

from region.bus import ACCOUNT
from region.policies import PolicyError
from region.tagging import balanced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from region.policies import Tags

KINDS = {
    "ami": "image",
    "eni": "network-interface",
    "i": "instance",
    "lt": "launch-template",
    "sg": "security-group",
    "snap": "snapshot",
    "subnet": "subnet",
    "vpc": "vpc",
    "vol": "volume",
}
OF_NO_ACCOUNT = ("image", "snapshot")


def _nothing(_: Any) -> Any:
    return ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where ARNs begin, and what the region knows of a thing by its id, name or ARN.

    `tags` of it; `volumes` of an instance; `key` of a customer under which a volume or snapshot is, as () or its ARN;
    `template`: the id and the data of a launch template's version; `profile`: the ARN of an instance profile and
    those of its roles; `interface`: network interface and instance of an attachment, or () where there is none.
    """

    region: str
    account: str
    tags: Callable[[str], Tags]
    volumes: Callable[[str], Sequence[str]]
    key: Callable[[str], Sequence[str]] = _nothing
    template: Callable[[Mapping[str, Any]], tuple[str, Mapping[str, Any]]] = _nothing
    profile: Callable[[str], tuple[str, Sequence[str]]] = _nothing
    interface: Callable[[str], Sequence[str]] = _nothing

    def ec2(self, resource_id: str) -> str:
        """An EC2 resource's ARN; those of snapshots and images name no account."""
        kind = KINDS.get(resource_id.partition("-")[0])
        if kind is None:
            raise PolicyError(f"no ARN is known for {resource_id}")
        return self.of(kind, resource_id)

    def knows(self, resource_id: str) -> bool:
        """Whether it is an EC2 resource of a known kind."""
        return resource_id.partition("-")[0] in KINDS

    def of(self, kind: str, name: str = "*") -> str:
        """The ARN of an EC2 resource of this kind; one that is only to be has no name yet."""
        return f"arn:aws:ec2:{self.region}:{'' if kind in OF_NO_ACCOUNT else self.account}:{kind}/{name}"

    def arn(self, service: str, kind: str, name: str) -> str:
        """The ARN of what a request names by its name, or by its ARN."""
        return name if name.startswith("arn:") else f"arn:aws:{service}:{self.region}:{self.account}:{kind}{name}"


def place(region: str) -> Place:
    """The answers for one region, read from moto when they are asked for."""

    def ec2() -> Any:
        return ec2_backends[ACCOUNT][region]

    def tags(name: str) -> Mapping[str, str]:
        if ":elasticloadbalancing:" in name:
            return balanced(region, name) or {}
        documents = ssm_backends[ACCOUNT][region]
        if name in documents._documents:
            return documents.list_tags_for_resource("Document", name)
        return dict(ec2().tags.get(name, {}))

    def volumes(instance_id: str) -> Sequence[str]:
        instance = ec2().known.get(instance_id)
        return [device.volume_id for device in instance.block_device_mapping.values()] if instance else []

    def key(one: str) -> Sequence[str]:
        volume = ec2().snapshots[one].volume if one in ec2().snapshots else ec2().volumes.get(one)
        found = getattr(volume, "kms_key_id", None)
        return () if found in (None, "", ec2().default_kms_key_id) else (found,)

    def template(named: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        if "LaunchTemplateId" in named:
            found = ec2().get_launch_template(named["LaunchTemplateId"])
        else:
            found = ec2().get_launch_template_by_name(named["LaunchTemplateName"])
        return found.id, found.get_version(named.get("Version") or "$Default").data

    def profile(named: str) -> tuple[str, Sequence[str]]:
        for one in iam_backends[ACCOUNT]["aws"].instance_profiles.values():
            if named in (one.name, one.arn):
                return one.arn, [role.arn for role in one.roles]
        return f"arn:aws:iam::{ACCOUNT}:instance-profile/{named}", ()

    def interface(attachment_id: str) -> Sequence[str]:
        held = [one for one in ec2().enis.values() if one.attachment_id == attachment_id and one.instance]
        return [held[0].id, held[0].instance.id] if held else ()

    return Place(region, ACCOUNT, tags, volumes, key, template, profile, interface)
