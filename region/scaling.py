"""Auto Scaling as far as it is read: its groups, and which pools each of them keeps.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AutoScalingGroup.html
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.autoscaling import urls
from moto.autoscaling.models import AutoScalingBackend, autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse

from region.bus import ACCOUNT
from region.calls import serve
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from region.calls import Call
    from region.region import Region

PAGE, MOST = 50, 100
Source = tuple[str, str]


class Groups:
    """The Auto Scaling groups, which moto keeps but for the traffic sources that are attached to them."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._attached: dict[str, dict[Source, float]] = defaultdict(dict)
        self.born: dict[str, float] = {}

    def answers(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that are answered here, by name."""
        return {
            "AttachTrafficSources": self.attach,
            "DescribeAutoScalingGroups": self.describe,
            "DetachTrafficSources": self.detach,
        }

    def attach(self, call: Call) -> Mapping[str, Any]:
        """AttachTrafficSources."""
        group = self._group(call)
        for one in call.parameters["TrafficSources"]:
            self._attached[group.name][_source(one)] = self._region.clock.now()
        return {}

    def detach(self, call: Call) -> Mapping[str, Any]:
        """DetachTrafficSources."""
        group = self._group(call)
        for one in call.parameters["TrafficSources"]:
            self._attached[group.name].pop(_source(one), None)
        return {}

    def describe(self, call: Call) -> Mapping[str, Any]:
        """DescribeAutoScalingGroups: of those that are named, or of all; a name that is none is no error."""
        asked, horizon = call.parameters, self._region.clock.now() - self._region.lag(call)
        if "Filters" in asked:
            raise NotImplementedError("groups are not filtered here")
        named = asked.get("AutoScalingGroupNames") or self._all()
        after, size = asked.get("NextToken", ""), int(asked.get("MaxRecords") or PAGE)
        if not 1 <= size <= MOST:
            raise Refusal("ValidationError", f"MaxRecords must be between 1 and {MOST}")
        names = sorted(one for one in named if one > after and self.born.get(one, float("inf")) <= horizon)
        shown = [self._shown(self._all()[one], horizon) for one in names[:size] if one in self._all()]
        return {"AutoScalingGroups": shown, "NextToken": names[size - 1] if len(names) > size else None}

    def _all(self) -> Mapping[str, Any]:
        groups: Mapping[str, Any] = autoscaling_backends[ACCOUNT][self._region.name].autoscaling_groups
        return groups

    def _group(self, call: Call) -> Any:
        name = call.parameters["AutoScalingGroupName"]
        if name not in self._all():
            raise Refusal("ValidationError", f"AutoScalingGroup name not found - {name}")
        return self._all()[name]

    def _shown(self, group: Any, horizon: float) -> Mapping[str, Any]:
        """What comes by TargetGroupARNs and LoadBalancerNames is a traffic source too."""
        own = [("elbv2", one) for one in group.target_group_arns] + [("elb", one) for one in group.load_balancer_names]
        later = [source for source, since in self._attached[group.name].items() if since <= horizon]
        return {
            "AutoScalingGroupName": group.name,
            "MinSize": group.min_size,
            "MaxSize": group.max_size,
            "DesiredCapacity": group.desired_capacity,
            "DefaultCooldown": group.default_cooldown,
            "AvailabilityZones": group.availability_zones,
            "VPCZoneIdentifier": group.vpc_zone_identifier,
            "HealthCheckType": group.health_check_type,
            "CreatedTime": datetime.fromtimestamp(self.born[group.name], UTC),
            "LoadBalancerNames": group.load_balancer_names,
            "TargetGroupARNs": group.target_group_arns,
            "TrafficSources": [{"Type": kind, "Identifier": one} for kind, one in dict.fromkeys(own + later)],
        }


class AutoScaling(AutoScalingBackend):
    """moto's Auto Scaling."""

    home: ClassVar[Region]

    @property
    def _url_module(self) -> Any:
        return _Urls

    def create_auto_scaling_group(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A group."""
        self.home.groups.born[name] = self.home.clock.now()
        return super().create_auto_scaling_group(name, *args, **kwargs)


class _Response(AutoScalingResponse):
    def call_action(self) -> Any:
        return serve(cast("AutoScaling", self.autoscaling_backend).home, self) or super().call_action()


class _Urls:
    """What moto looks for in the module moto.autoscaling.urls."""

    url_bases = urls.url_bases
    url_paths = dict.fromkeys(urls.url_paths, _Response.dispatch)


def _source(given: Mapping[str, str]) -> Source:
    kind = given.get("Type") or ("elbv2" if given["Identifier"].startswith("arn:") else "elb")
    return kind, given["Identifier"]
