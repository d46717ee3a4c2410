"""The tags of load balancers and target groups as readers see them, and what the Resource Groups Tagging API finds.

https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.elb.models import elb_backends
from moto.elbv2.models import elbv2_backends

from region.bus import ACCOUNT
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from region.calls import Call
    from region.region import Region

Tags = Mapping[str, str]
PAGE = 100


class Marks:
    """What is tagged, by ARN: with the tags of now, and with those that were."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._former: dict[str, list[tuple[float, Tags | None]]] = defaultdict(list)

    def answers(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that are answered here, by name."""
        return {"GetResources": self.find}

    def born(self, arn: str) -> None:
        """It did not exist until now."""
        self._former[arn].append((self._region.clock.now(), None))

    def change(self, arn: str) -> None:
        """Keep what its tags are: they are about to change, or it is about to go."""
        self._former[arn].append((self._region.clock.now(), balanced(self._region.name, arn)))

    def seen(self, arn: str, lag: float = 0) -> Tags | None:
        """Its tags as a reader sees them who is so many seconds behind; None if it does not exist."""
        if lag:
            horizon = self._region.clock.now() - lag
            for changed, before in self._former[arn]:
                if changed > horizon:
                    return before
        return balanced(self._region.name, arn)

    def find(self, call: Call) -> Mapping[str, Any]:
        """GetResources, of EC2 and of load balancing alone, in the order of the ARNs."""
        asked = call.parameters
        if "ResourceARNList" in asked:
            raise NotImplementedError("resources are not found by their ARNs here")
        kinds, filters = asked.get("ResourceTypeFilters", []), asked.get("TagFilters", [])
        if unknown := [one for one in kinds if one.split(":")[0] not in ("ec2", "elasticloadbalancing")]:
            raise NotImplementedError(f"{unknown[0]} is not tagged here")
        after, size = asked.get("PaginationToken", ""), int(asked.get("ResourcesPerPage") or PAGE)
        if not 1 <= size <= PAGE:
            raise Refusal("InvalidParameterException", f"ResourcesPerPage must be between 1 and {PAGE}")
        page: list[tuple[str, Tags]] = []
        token = ""
        for arn, tags in sorted(self._all(self._region.lag(call))):
            if arn > after and tags and _is_of(arn, kinds) and all(_has(tags, one) for one in filters):
                if len(page) == size:
                    token = page[-1][0]
                    break
                page.append((arn, tags))
        found = [{"ResourceARN": arn, "Tags": listed(tags)} for arn, tags in page]
        return {"PaginationToken": token, "ResourceTagMappingList": found}

    def _all(self, lag: float) -> Iterable[tuple[str, Tags]]:
        """Of load balancing, and of EC2."""
        v2, classic = elbv2_backends[ACCOUNT][self._region.name], elb_backends[ACCOUNT][self._region.name]
        arns = {*v2.target_groups, *v2.load_balancers, *map(self.arn, classic.load_balancers), *self._former}
        yield from ((arn, self.seen(arn, lag) or {}) for arn in arns)
        ec2, place = self._region.ec2, self._region.place
        ids = [one for one in {*ec2.tags, *ec2.former_tags} if place.knows(one)]
        yield from ((place.ec2(one), ec2.tags_of(one, lag)) for one in ids)

    def arn(self, name: str) -> str:
        """Of a classic load balancer."""
        return f"arn:aws:elasticloadbalancing:{self._region.name}:{ACCOUNT}:loadbalancer/{name}"


def balanced(region: str, arn: str) -> Tags | None:
    """The tags of something of load balancing now; None if it does not exist."""
    name = arn.partition(":loadbalancer/")[2]
    if name and "/" not in name:
        balancer = elb_backends[ACCOUNT][region].load_balancers.get(name)
        return None if balancer is None else dict(balancer.tags)
    own = elbv2_backends[ACCOUNT][region]
    try:
        own._get_resource_by_arn(arn)
    except ServiceException:
        return None
    return dict(own.tagging_service.get_tag_dict_for_resource(arn))


def listed(tags: Tags) -> list[dict[str, str]]:
    """Tags as the services answer them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _is_of(arn: str, kinds: Iterable[str]) -> bool:
    _, _, service, _, _, resource = arn.split(":", 5)
    return not kinds or service in kinds or f"{service}:{resource.split('/')[0]}" in kinds


def _has(tags: Tags, wanted: Mapping[str, Any]) -> bool:
    values = wanted.get("Values", [])
    return wanted["Key"] in tags and (not values or tags[wanted["Key"]] in values)
