"""A region with Watchkeeper and smallpayroll in it: on one volume or two, settled, and found by an address."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from region import Delays, Region, Simulated, minutes
from region.bus import drop, once

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION = "replace_database_host"
ADDRESS = "db.smallpayroll.internal"
EVENT = "events/replace_database_host.{}.json"

# For tests of what happens and not of when: a look that waits asks ten questions a second.
QUICK = Delays(launch=(2, 4), stop=(1, 3), abrupt_stop=(1, 3), forced_stop=(1, 3), hung_termination=(1, 3))
QUICK_AGENT = (1.0, 3.0)


@contextmanager
def open_region(
    seed: int = 7, *, volumes: int = 2, sweeps: bool = False, quick: bool = False, **parameters: str
) -> Iterator[Region]:
    """Both, the host settled for a quarter of an hour; `sweeps` fall due each minute, and so do events wake it.

    Not before that quarter is over: they would find nothing to do, and are the most of what it costs.
    """
    hosts = Simulated(seed=seed)
    hosts.boot_seconds_to_agent = QUICK_AGENT if quick else hosts.boot_seconds_to_agent
    with Region(hosts, seed=seed, delays=QUICK if quick else None) as region:
        hush(region)
        app = region.deploy("examples/smallpayroll.yaml", HostedZone="smallpayroll.internal", AddressName=ADDRESS)
        region.deploy(
            "template.yaml",
            Email="a@example.com",
            ReplaceDatabaseHosts=str(sweeps).lower(),
            RegisterWebNodes="false",
            HostedZoneIds=app["HostedZone"],
            RecordNames="*.smallpayroll.internal",
            LaunchRoleArns=app["DatabaseRole"],
            **{"RehearseRestores": "false", **parameters},
        )
        region.run(region.quiet, at_most=minutes(10))
        for _ in range(volumes - 1):
            add_volume(region)
        look(region)
        region.run(at_most=minutes(12))
        assert look(region)["applications"] == []
        rouse(region)
        region.calls.clear()
        yield region


def add_volume(region: Region, application: str = "smallpayroll", device: str = "/dev/sdg", **more: Any) -> str:
    """One more volume of the database, or of another's, on its host; its id."""
    ec2 = region.client("ec2")
    words = {"watchkeeper:application": application, "watchkeeper:role": "database"}
    made = ec2.create_volume(
        AvailabilityZone=zone(region),
        Size=8,
        TagSpecifications=[
            {"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in words.items()]}
        ],
        **more,
    )["VolumeId"]
    ec2.attach_volume(VolumeId=made, InstanceId=host(region), Device=device)
    region.run(region.quiet, at_most=minutes(2))
    return str(made)


def zone(region: Region) -> str:
    return str(volumes(region)[0]["AvailabilityZone"])


def volumes(region: Region) -> list[dict[str, Any]]:
    """The database's volumes, as EC2 shows them to people."""
    mine = [
        {"Name": "tag:watchkeeper:application", "Values": ["smallpayroll"]},
        {"Name": "tag:watchkeeper:role", "Values": ["database"]},
    ]
    found = region.client("ec2").describe_volumes(Filters=mine)["Volumes"]
    return sorted(found, key=lambda one: str(one["VolumeId"]))


def host(region: Region) -> str:
    """The instance that the database was first run on."""
    return region.host("smallpayroll-database")


def look(region: Region, /, **event: Any) -> Any:
    """One look, to its end."""
    return region.invoke(FUNCTION, event)


# What happens


def payload(case: str, instance: str) -> dict[str, Any]:
    """An event of events/, about this instance in the place of the file's."""
    text = Path(EVENT.format(case)).read_text(encoding="utf-8")
    event: dict[str, Any] = json.loads(text.replace("i-0123456789abcdef0", instance))
    return event


def wake(region: Region, case: str, instance: str) -> None:
    """Such an event on the bus, though the bus loses all others."""
    before, region.bus.deliveries = region.bus.deliveries, once
    region.put(payload(case, instance))
    region.bus.deliveries = before


def hush(region: Region) -> None:
    """From now on nothing wakes anything: neither schedules nor events."""
    region.bus.deliveries = drop


def rouse(region: Region) -> None:
    """Schedules and events as usual."""
    region.bus.deliveries = once


def die(region: Region, death: str) -> None:
    """The settled host dies, or seems to, until it would be replaced; nothing hears of it."""
    instance = settled(region)
    hush(region)
    if death == "terminated":
        region.terminate(instance)
    elif death == "stopped":
        region.stop(instance)
    elif death == "retirement":
        region.stop(instance, "Server.ScheduledStop")
    elif death == "hung":
        region.hang(instance)
    else:
        machine(region, instance).agent = False
        region.impair(instance, death)
    region.run(at_most=minutes(4.5) if death in ("hung", "instance", "system") else 40)


def wait(region: Region, at_most: float = minutes(15)) -> str:
    """Lets time pass until the next notice of Watchkeeper's own, and the look that told it is over; its subject."""
    before = len(notices(region))
    region.run(lambda: len(notices(region)) > before, at_most=at_most)
    told = notices(region)[-1][0]
    region.run(lambda: all(one.is_over for one in region.functions.invocations), at_most=minutes(2))
    return told


# What came of it


def machines(region: Region) -> Simulated:
    assert isinstance(region.machines, Simulated)
    return region.machines


def machine(region: Region, instance: str) -> Any:
    """The simulated machine of an instance."""
    return machines(region).hosts[instance]


def words(region: Region, resource: str) -> dict[str, str]:
    """Watchkeeper's tags of something, by their short names."""
    return {
        key.removeprefix("watchkeeper:"): value
        for key, value in region.ec2.tags_of(resource).items()
        if key.startswith("watchkeeper:")
    }


def settled(region: Region) -> str:
    """The host that the volumes remember; asked of no API, since it is waited for."""
    tagged = [words(region, one) for one in region.ec2.volumes]
    mine = [one for one in tagged if (one.get("application"), one.get("role")) == ("smallpayroll", "database")]
    (found,) = {one["host"] for one in mine if "host" in one}
    return found


def notices(region: Region) -> list[tuple[str, str]]:
    """Subject and text of what Watchkeeper itself told, without the stack's own alarms."""
    return [(subject, text) for subject, text in region.notices if subject.startswith("Watchkeeper: ")]


def refusals(region: Region) -> list[str]:
    """The names of the refusals that were told."""
    found = [re.search(r"is not replaced \((.+)\)$", subject) for subject, _ in notices(region)]
    return [one[1] for one in found if one]


def refused(region: Region) -> str:
    """The refusal that the anchor remembers; empty if it remembers none."""
    return words(region, volumes(region)[0]["VolumeId"]).get("refused", "").partition(" ")[0]


def writes(region: Region) -> list[str]:
    """What the function did to the world, oldest first."""
    return [call.operation for call in region.calls if call.write and call.caller == FUNCTION]


def state(region: Region, instance: str) -> str:
    return str(region.ec2.get_instance(instance).state)


def launched(region: Region, of: str) -> list[str]:
    """The instances that were launched in the place of one, dead or alive."""
    return [one.id for one in region.ec2.all_instances() if words(region, one.id).get("replaces") == of]


def is_served_by(region: Region, instance: str) -> None:
    """Whatever happened: one database, on this host, found by its address, and never a second server of it."""
    ids = [one["VolumeId"] for one in volumes(region)]
    held = [(one["InstanceId"], one["State"]) for volume in volumes(region) for one in volume["Attachments"]]
    assert held == [(instance, "attached")] * len(ids)
    assert settled(region) == instance
    serving = {one: on for one, on in machines(region).serving().items() if not on or on & set(ids)}
    assert serving == {instance: frozenset(ids)}
    assert machines(region).servers.clashes() == []
    assert machines(region).write(instance)
    leads_to = region.ec2.get_instance(instance).private_ip
    region.run(lambda: region.resolve(ADDRESS) == leads_to, at_most=minutes(1.2))
