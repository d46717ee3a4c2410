"""A region with Watchkeeper, web nodes and pools in it, and what happens to them."""

from __future__ import annotations

import atexit
import json
import re
import shutil
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from region import Delays, Region, Simulated, minutes
from region.bus import drop, once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FUNCTION = "register_web_nodes"
EVENT = "events/register_web_nodes.{}.json"
ZONES = ("eu-central-1a", "eu-central-1b")
APPLICATION = "payroll"
PORT = 8080
# Not the other functions' sweeps, and no wait that a test does not ask for.
QUICK = Delays(launch=(2, 4), stop=(1, 3), abrupt_stop=(1, 3), register_target=(1, 2))
WRITES = (
    "CreateTags",
    "DeleteTags",
    "RegisterTargets",
    "DeregisterTargets",
    "RegisterInstancesWithLoadBalancer",
    "DeregisterInstancesFromLoadBalancer",
    "CreateLogStream",
    "PutLogEvents",
    "Publish",
)


@contextmanager
def open_region(
    nodes: int = 3, kinds: Sequence[str] = ("instance",), seed: int = 7, *, sweeps: bool = False, **parameters: str
) -> Iterator[Region]:
    """Nodes that have run for a while, and one pool of each kind, named after it, without members. Nothing wakes it."""
    with Region(Simulated(seed=seed), seed=seed, delays=QUICK) as region:
        region.deploy(template(), Email="a@example.com", RegisterWebNodes=str(sweeps).lower(), **parameters)
        region.bus.deliveries = drop
        for kind in kinds:
            add_pool(region, kind)
        launch(region, nodes)
        region.calls.clear()
        yield region


@cache
def template() -> Path:
    """What all functions share, and the section of this one: making all of the template takes most of a test's time."""
    text = Path("template.yaml").read_text(encoding="utf-8")
    head, _, rest = text.partition("\nResources:\n")
    sections = re.split(
        r"^  # (?=What all functions share$|[a-z_]+$)", rest.partition("\nOutputs:\n")[0], flags=re.MULTILINE
    )
    kept = [one for one in sections if one.startswith(("What all functions share\n", f"{FUNCTION}\n"))]
    lines = [line for one in kept for line in one.splitlines()[1:] if "ReplaceDatabaseHost" not in line]
    resources = re.sub(r"(CodeUri|ContentUri|Location): ", rf"\1: {Path.cwd()}/", "\n".join(lines))
    made = Path(tempfile.mkdtemp(), "template.yaml")
    atexit.register(shutil.rmtree, made.parent)
    made.write_text(f"{head}\nResources:\n{resources}\n", encoding="utf-8")
    return made


def words(application: str, role: str) -> list[dict[str, str]]:
    return [
        {"Key": "watchkeeper:application", "Value": application},
        {"Key": "watchkeeper:role", "Value": role},
    ]


def launch(
    region: Region,
    count: int = 1,
    application: str = APPLICATION,
    role: str = "web-node",
    wait: bool = True,
    ip: str | None = None,
) -> list[str]:
    """So many nodes, once their checks pass."""
    if not count:
        return []
    made = region.client("ec2").run_instances(
        ImageId="ami-0123456789abcdef0",
        MinCount=count,
        MaxCount=count,
        SubnetId=subnets(region)[0],
        TagSpecifications=[{"ResourceType": "instance", "Tags": words(application, role)}],
        **({"PrivateIpAddress": ip} if ip else {}),
    )
    if wait:
        region.run(at_most=minutes(1.5))
    return [one["InstanceId"] for one in made["Instances"]]


def subnets(region: Region) -> list[str]:
    found = {one["AvailabilityZone"]: one for one in region.client("ec2").describe_subnets()["Subnets"]}
    return [found[zone]["SubnetId"] for zone in ZONES]


def vpc(region: Region) -> str:
    return str(region.client("ec2").describe_subnets()["Subnets"][0]["VpcId"])


def nodes(region: Region, application: str = APPLICATION) -> list[str]:
    """The web nodes that are not terminated, in the order of their ids."""
    tagged = {one.id: region.ec2.tags_of(one.id) for one in region.ec2.all_instances() if one.state != "terminated"}
    own = {"watchkeeper:application": application, "watchkeeper:role": "web-node"}
    return sorted(one for one, has in tagged.items() if own.items() <= has.items())


def add_pool(
    region: Region, kind: str = "instance", name: str = "", application: str = APPLICATION, used: bool = True
) -> str:
    """A pool with the tags of one, with a load balancer before it; its ARN, or a classic one's name."""
    name = name or kind
    if kind == "classic":
        return _add_classic(region, name, application)
    elb = region.client("elbv2")
    made = elb.create_target_group(
        Name=name,
        Protocol="TCP" if kind == "network" else "HTTP",
        Port=PORT,
        VpcId=vpc(region),
        TargetType="ip" if kind == "ip" else "instance",
        HealthCheckIntervalSeconds=10,
        HealthCheckTimeoutSeconds=5,
        UnhealthyThresholdCount=2,
        Tags=words(application, "web-pool"),
    )["TargetGroups"][0]["TargetGroupArn"]
    drain = {"Key": "deregistration_delay.timeout_seconds", "Value": "30"}
    elb.modify_target_group_attributes(TargetGroupArn=made, Attributes=[drain])
    if used:
        balancer = elb.create_load_balancer(
            Name=f"front-{name}", Type="network" if kind == "network" else "application", Subnets=subnets(region)
        )["LoadBalancers"][0]["LoadBalancerArn"]
        forward = [{"Type": "forward", "TargetGroupArn": made}]
        protocol = "TCP" if kind == "network" else "HTTP"
        elb.create_listener(LoadBalancerArn=balancer, Protocol=protocol, Port=80, DefaultActions=forward)
    return str(made)


def _add_classic(region: Region, name: str, application: str) -> str:
    elb = region.client("elb")
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": PORT}
    elb.create_load_balancer(
        LoadBalancerName=name, Listeners=[listener], Subnets=subnets(region), Tags=words(application, "web-pool")
    )
    check = {
        "Target": f"HTTP:{PORT}/", "Interval": 10, "Timeout": 5, "UnhealthyThreshold": 2, "HealthyThreshold": 2
    }  # fmt: skip
    elb.configure_health_check(LoadBalancerName=name, HealthCheck=check)
    drain = {"ConnectionDraining": {"Enabled": True, "Timeout": 30}}
    elb.modify_load_balancer_attributes(LoadBalancerName=name, LoadBalancerAttributes=drain)
    return name


def arn(region: Region, name: str) -> str:
    """The ARN of a target group."""
    (found,) = region.client("elbv2").describe_target_groups(Names=[name])["TargetGroups"]
    return str(found["TargetGroupArn"])


def register(region: Region, name: str, *targets: str, port: int = PORT) -> None:
    """As a person does it."""
    described = [{"Id": one, "Port": port} for one in targets]
    region.client("elbv2").register_targets(TargetGroupArn=arn(region, name), Targets=described)


def deregister(region: Region, name: str, *targets: str) -> None:
    described = [{"Id": one, "Port": PORT} for one in targets]
    region.client("elbv2").deregister_targets(TargetGroupArn=arn(region, name), Targets=described)


def label(region: Region, resource: str, **tags: str) -> None:
    """Tags of Watchkeeper's, written by a person on a node, or on a target group by its ARN."""
    named = [{"Key": f"watchkeeper:{key.replace('_', '-')}", "Value": value} for key, value in tags.items()]
    if resource.startswith("i-"):
        region.client("ec2").create_tags(Resources=[resource], Tags=named)
    else:
        region.client("elbv2").add_tags(ResourceArns=[resource], Tags=named)


def remembered(region: Region, node: str) -> dict[str, str]:
    """What a node remembers of Watchkeeper's."""
    return {
        key.removeprefix("watchkeeper:"): value
        for key, value in region.ec2.tags_of(node).items()
        if key in ("watchkeeper:registered", "watchkeeper:registered-ip")
    }


def look(region: Region, **event: Any) -> Any:
    """One look, to its end: what it did with each application."""
    return {one["application"]: one for one in region.invoke(FUNCTION, event)["applications"]}


def settle(region: Region, *pools: str) -> None:
    """A look, then time until its balancers have asked all, then another look."""
    look(region)
    region.run(lambda: all(is_settled(region, one) for one in pools or names(region)), at_most=minutes(3))
    look(region)
    region.calls.clear()


def is_settled(region: Region, pool: str) -> bool:
    return set(region.pool(pool).values()) <= {"healthy", "InService"} and bool(region.pool(pool))


def names(region: Region) -> list[str]:
    return [one.name for one in region.pools.all().values()]


def address(region: Region, node: str) -> str:
    return str(region.ec2.get_instance(node).private_ip)


def payload(case: str, instance: str) -> dict[str, Any]:
    """An event of events/, about this instance in the place of the file's."""
    text = Path(EVENT.format(case)).read_text(encoding="utf-8")
    event: dict[str, Any] = json.loads(text.replace("i-0123456789abcdef1", instance))
    return event


def rouse(region: Region) -> None:
    """From now on schedules and events come."""
    region.bus.deliveries = once


def writes(region: Region) -> list[str]:
    """What the function did to the world, oldest first."""
    return [call.operation for call in region.calls if call.write and call.caller == FUNCTION]


def asked(region: Region) -> list[str]:
    """Every call that the function made."""
    return [call.operation for call in region.calls if call.caller == FUNCTION]


def notices(region: Region) -> list[tuple[str, str]]:
    """Subject and text of what Watchkeeper itself told."""
    return [(subject, text) for subject, text in region.notices if subject.startswith("Watchkeeper: ")]


def web(region: Region, node: str, answers: bool | int) -> None:
    """Whether the node's web server answers, or with which status."""
    assert isinstance(region.machines, Simulated)
    region.machines.hosts[node].web = answers
