"""Classic load balancers, where moto differs: an instance comes into service and goes out of it in time.

https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-healthchecks.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.elb.models import elb_backends

from region import pools
from region.bus import ACCOUNT
from region.machines import Check
from region.pools import Pool
from region.protocol import Refusal
from region.tagging import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from region.calls import Call
    from region.region import Region

PAGE = 400
MOST_TAGGED = 20  # https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeTags.html
FAILED = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."
NOT_REGISTERED = ("OutOfService", "Instance", "Instance is not currently registered with the LoadBalancer.")
# https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_InstanceState.html
SAID: Mapping[str, tuple[str, str, str]] = {
    "": ("InService", "N/A", "N/A"),
    pools.REGISTERING: ("OutOfService", "ELB", "Instance registration is still in progress."),
    pools.CHECKING: (
        "OutOfService",
        "Instance",
        "Instance has not passed the configured HealthyThreshold number of health checks consecutively.",
    ),
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-conn-drain.html
    pools.DRAINING: ("InService", "N/A", "Instance deregistration currently in progress."),
    pools.ELSEWHERE: (
        "OutOfService",
        "ELB",
        "Instance is in the EC2 Availability Zone for which LoadBalancer is not configured to route traffic to.",
    ),
    pools.STOPPED: ("OutOfService", "Instance", "Instance is in stopped state."),
}


class Classic:
    """What Elastic Load Balancing (2012-06-01) answers."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._pools = region.pools
        self._marks = region.marks
        region.pools.kinds.append(self)

    def answers(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that are answered here, by name."""
        return {
            "AddTags": self.tag,
            "DeregisterInstancesFromLoadBalancer": self.deregister,
            "DescribeInstanceHealth": self.health,
            "DescribeLoadBalancers": self.describe,
            "DescribeTags": self.tags,
            "RegisterInstancesWithLoadBalancer": self.register,
            "RemoveTags": self.untag,
        }

    def read(self) -> Iterable[Pool]:
        """All of them as pools."""
        return map(self.pool, self._all().values())

    def state(self, _: str, found: str) -> str:
        """How DescribeInstanceHealth calls it."""
        return SAID.get(found, ("OutOfService",))[0]

    def pool(self, balancer: Any) -> Pool:
        """A load balancer as a pool."""
        ec2 = self._region.ec2
        zones = {*balancer.availability_zones, *(ec2.get_subnet(one).availability_zone for one in balancer.subnets)}
        draining = balancer.attributes["connection_draining"]
        is_on = str(draining.get("enabled", draining.get("Enabled"))).lower() == "true"
        seconds = float(draining.get("Timeout", draining.get("timeout", 300))) if is_on else 0.0
        port = int(balancer.listeners[0].instance_port) if balancer.listeners else 80
        return Pool(balancer.name, f"classic-{balancer.name}", _check(balancer), port, frozenset(zones), seconds)

    def register(self, call: Call) -> Mapping[str, Any]:
        """RegisterInstancesWithLoadBalancer: all or none, of running instances in its network."""
        own = self._find(call)
        for one in call.parameters["Instances"]:
            seen = self._region.ec2.seen(one["InstanceId"], 0)
            if seen is None or seen["State"]["Name"] != "running":
                raise Refusal("InvalidInstance", f"The instance ID '{one['InstanceId']}' is not valid or not running")
            if seen["VpcId"] != own.vpc_id:
                raise Refusal("InvalidInstance", f"EC2 instance {one['InstanceId']} is not in the same VPC as ELB.")
        pool = self.pool(own)
        self._pools.add(pool, [(one["InstanceId"], pool.port) for one in call.parameters["Instances"]])
        return {"Instances": self._instances(own.name)}

    def deregister(self, call: Call) -> Mapping[str, Any]:
        """DeregisterInstancesFromLoadBalancer."""
        own = self._find(call)
        for one in call.parameters["Instances"]:
            if not one["InstanceId"].startswith("i-"):
                raise Refusal("InvalidInstance", f"Could not find EC2 instance {one['InstanceId']}.")
        pool, ids = self.pool(own), [one["InstanceId"] for one in call.parameters["Instances"]]
        self._pools.drop(pool, [(one.id, one.port) for one in self._pools.members(own.name).values() if one.id in ids])
        return {"Instances": self._instances(own.name)}

    def health(self, call: Call) -> Mapping[str, Any]:
        """DescribeInstanceHealth: of all, or of those that are asked for, but of none that is terminated."""
        own, lag = self._find(call), self._region.lag(call)
        pool, members = self.pool(own), {one.id: one for one in self._pools.members(own.name, lag).values()}
        asked = [one["InstanceId"] for one in call.parameters.get("Instances", [])]
        states = []
        for one in asked or members:
            found = self._pools.find(pool, members[one], lag) if one in members else None
            state, reason, text = (
                NOT_REGISTERED if found is None else SAID.get(found, ("OutOfService", "Instance", FAILED))
            )
            if found != pools.TERMINATED:
                states.append({"InstanceId": one, "State": state, "ReasonCode": reason, "Description": text})
        return {"InstanceStates": states}

    def describe(self, call: Call) -> Mapping[str, Any]:
        """DescribeLoadBalancers."""
        asked, lag = call.parameters, self._region.lag(call)
        names = asked.get("LoadBalancerNames") or sorted(self._all())
        found = [self._all()[one] for one in names if self._marks.seen(self._marks.arn(one), lag) is not None]
        if len(found) < len(asked.get("LoadBalancerNames", [])):
            raise _not_found(", ".join(names))
        first, size = int(asked.get("Marker") or 0), min(int(asked.get("PageSize") or PAGE), PAGE)
        shown = [self._described(one, lag) for one in found[first : first + size]]
        more = {"NextMarker": str(first + size)} if first + size < len(found) else {}
        return {"LoadBalancerDescriptions": shown, **more}

    def tags(self, call: Call) -> Mapping[str, Any]:
        """DescribeTags."""
        names, lag = call.parameters["LoadBalancerNames"], self._region.lag(call)
        if len(names) > MOST_TAGGED:
            raise Refusal("ValidationError", f"Number of load balancers must be between 1 and {MOST_TAGGED}")
        found = {one: self._marks.seen(self._marks.arn(one), lag) for one in names}
        if missing := [one for one, seen in found.items() if seen is None]:
            raise _not_found(missing[0])
        return {
            "TagDescriptions": [{"LoadBalancerName": one, "Tags": listed(seen or {})} for one, seen in found.items()]
        }

    def tag(self, call: Call) -> Mapping[str, Any]:
        """AddTags."""
        for name in call.parameters["LoadBalancerNames"]:
            balancer = self._named(name)
            self._marks.change(self._marks.arn(name))
            for one in call.parameters["Tags"]:
                balancer.add_tag(one["Key"], one.get("Value", ""))
        return {}

    def untag(self, call: Call) -> Mapping[str, Any]:
        """RemoveTags."""
        for name in call.parameters["LoadBalancerNames"]:
            balancer = self._named(name)
            self._marks.change(self._marks.arn(name))
            for one in call.parameters["Tags"]:
                balancer.remove_tag(one["Key"])
        return {}

    def _all(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = elb_backends[ACCOUNT][self._region.name].load_balancers
        return found

    def _named(self, name: str) -> Any:
        if name not in self._all():
            raise _not_found(name)
        return self._all()[name]

    def _find(self, call: Call) -> Any:
        """The load balancer that a call is about, if its reader sees it."""
        name = call.parameters["LoadBalancerName"]
        lag = 0 if call.write else self._region.lag(call)
        if self._marks.seen(self._marks.arn(name), lag) is None:
            raise _not_found(name)
        return self._named(name)

    def _instances(self, name: str, lag: float = 0) -> list[dict[str, str]]:
        return [{"InstanceId": one.id} for one in self._pools.members(name, lag).values() if one.until is None]

    def _described(self, one: Any, lag: float) -> Mapping[str, Any]:
        listeners = [
            {
                "Listener": {
                    "Protocol": listener.protocol,
                    "LoadBalancerPort": int(listener.load_balancer_port),
                    "InstanceProtocol": listener.protocol,
                    "InstancePort": int(listener.instance_port),
                },
                "PolicyNames": listener.policy_names,
            }
            for listener in one.listeners
        ]
        return {
            "LoadBalancerName": one.name,
            "DNSName": one.dns_name,
            "ListenerDescriptions": listeners,
            "AvailabilityZones": sorted(self.pool(one).zones or ()),
            "Subnets": one.subnets,
            "VPCId": one.vpc_id,
            "Instances": self._instances(one.name, lag),
            "HealthCheck": _shown(one),
            "SecurityGroups": one.security_groups,
            "CreatedTime": one.created_time,
            "Scheme": one.scheme,
        }


def _check(balancer: Any) -> Check:
    """`TCP:80` or `HTTP:80/path`; what it is of a new one is in CreateLoadBalancer's examples."""
    shown = _shown(balancer)
    protocol, _, rest = shown["Target"].partition(":")
    port, _, path = rest.partition("/")
    return Check(
        protocol="HTTP" if protocol.upper().startswith("HTTP") else "TCP",
        port=int(port),
        path=f"/{path}",
        interval_seconds=float(shown["Interval"]),
        timeout_seconds=float(shown["Timeout"]),
        well_after=int(shown["HealthyThreshold"]),
        unwell_after=int(shown["UnhealthyThreshold"]),
        first_decides=False,
    )


def _shown(balancer: Any) -> Mapping[str, Any]:
    own = balancer.health_check
    port = balancer.listeners[0].instance_port if balancer.listeners else 80
    return {
        "Target": own.target if own else f"TCP:{port}",
        "Interval": int(own.interval) if own else 30,
        "Timeout": int(own.timeout) if own else 5,
        "UnhealthyThreshold": int(own.unhealthy_threshold) if own else 2,
        "HealthyThreshold": int(own.healthy_threshold) if own else 10,
    }


def _not_found(name: str) -> Refusal:
    return Refusal("LoadBalancerNotFound", f"There is no ACTIVE Load Balancer named '{name}'")
