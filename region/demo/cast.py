"""Who plays: the application as the region shows it by its tags, and the functions with what wakes them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from region.demo.drawing import Application, Disk, Host, Pool, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from region import Region

APPLICATION = "watchkeeper:application"
ROLE = "watchkeeper:role"

ZONE = "smallpayroll.internal"
ADDRESS = f"db.{ZONE}"


def deploy(region: Region, name: str, **parameters: str) -> Mapping[str, str]:
    """The application, with a name for clients, and Watchkeeper, which may replace its host: the former's outputs."""
    made = region.deploy(f"examples/{name}.yaml", HostedZone=ZONE, AddressName=ADDRESS)
    region.deploy(
        "template.yaml",
        Email="you@example.com",
        HostedZoneIds=made["HostedZone"],
        RecordNames=f"*.{ZONE}",
        LaunchRoleArns=made["DatabaseRole"],
        **parameters,
    )
    return made


def find_application(region: Region, name: str) -> Application:
    """The application of this name: its hosts, all volumes that hang on them, and its pools."""
    ec2 = region.client("ec2")
    found = ec2.describe_instances(Filters=[{"Name": f"tag:{APPLICATION}", "Values": [name]}])["Reservations"]
    hosts = [host for reservation in found for host in reservation["Instances"]]
    volumes = {volume["VolumeId"]: volume for volume in ec2.describe_volumes()["Volumes"]}
    return Application(name, tuple(_host(host, volumes) for host in hosts), tuple(_pools(region, name)))


def _pools(region: Region, name: str) -> Iterator[Pool]:
    """Its target groups, with what their balancers say of each target."""
    elb, wanted = region.client("elbv2"), {APPLICATION: name, ROLE: "web-pool"}
    filters = [{"Key": key, "Values": [value]} for key, value in wanted.items()]
    found = region.client("resourcegroupstaggingapi").get_resources(TagFilters=filters)["ResourceTagMappingList"]
    for arn in [one["ResourceARN"] for one in found]:
        group = elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
        balancer = elb.describe_load_balancers(LoadBalancerArns=group["LoadBalancerArns"])["LoadBalancers"][0]
        health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        states = {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in health}
        yield Pool(group["TargetGroupName"], balancer["Type"], states)


def _host(host: Mapping[str, Any], volumes: Mapping[str, Mapping[str, Any]]) -> Host:
    tags = _tags(host)
    disks = [
        _disk(mapping["DeviceName"], volumes[mapping["Ebs"]["VolumeId"]]) for mapping in host["BlockDeviceMappings"]
    ]
    return Host(host["InstanceId"], tags.get("Name", ""), tags.get(ROLE, ""), host["State"]["Name"], tuple(disks))


def _disk(device: str, volume: Mapping[str, Any]) -> Disk:
    return Disk(volume["VolumeId"], device, volume["Size"], _tags(volume).get(ROLE) == "database")


def _tags(resource: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


def find_watches(region: Region) -> list[Watch]:
    """The deployed functions, each with its schedules in words."""
    scheduler = region.client("scheduler")
    words: dict[str, list[str]] = {}
    for listed in scheduler.list_schedules()["Schedules"]:
        schedule = scheduler.get_schedule(Name=listed["Name"])
        overdue = ", if a set is overdue" if "if_overdue" in json.loads(schedule["Target"]["Input"]) else ""
        folder = region.functions.find(schedule["Target"]["Arn"]).folder
        words.setdefault(folder, []).append(when(schedule["ScheduleExpression"]) + overdue)
    functions = [function.folder for function in region.functions.deployed.values()]
    return [Watch(name, " and ".join(sorted(words.get(name, ["when you ask"])))) for name in functions]


def when(expression: str) -> str:
    """A schedule in words, if it is a plain one."""
    if daily := re.fullmatch(r"cron\((\d+) (\d+) \* \* \? \*\)", expression):
        return f"each day at {int(daily[2]):02}:{int(daily[1]):02}"
    if hourly := re.fullmatch(r"cron\((\d+) \* \* \* \? \*\)", expression):
        return f"each hour at :{int(hourly[1]):02}"
    if expression == "rate(1 hour)":
        return "each hour"
    if expression == "rate(1 minute)":
        return "each minute, and when something happens"
    return expression
