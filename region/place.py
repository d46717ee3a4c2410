"""Where this region's ARNs begin, and what it knows of the things that policies ask about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

from region.bus import ACCOUNT
from region.policies import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def place(region: str) -> Place:
    """The answers for one region, read from moto when they are asked for."""

    def tags(name: str) -> Mapping[str, str]:
        documents = ssm_backends[ACCOUNT][region]
        if name in documents._documents:
            return documents.list_tags_for_resource("Document", name)
        return dict(ec2_backends[ACCOUNT][region].tags.get(name, {}))

    def volumes(instance_id: str) -> Sequence[str]:
        instance = ec2_backends[ACCOUNT][region].get_instance(instance_id)
        return [device.volume_id for device in instance.block_device_mapping.values()]

    return Place(region, ACCOUNT, tags, volumes)
