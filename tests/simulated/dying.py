"""A region with Watchkeeper and smallpayroll in it: on one volume or two, settled, and found by an address."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from region import Region, Simulated, minutes

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION = "replace_database_host"
ADDRESS = "db.smallpayroll.internal"
EVENT = "events/replace_database_host.{}.json"


@contextmanager
def open_region(seed: int = 7, *, volumes: int = 2, sweeps: bool = False, **parameters: str) -> Iterator[Region]:
    """Both, the host settled for a quarter of an hour; `sweeps` fall due each minute, and so do events wake it."""
    with Region(Simulated(seed=seed), seed=seed) as region:
        app = region.deploy("examples/smallpayroll.yaml", HostedZone="smallpayroll.internal", AddressName=ADDRESS)
        region.deploy(
            "template.yaml",
            Email="a@example.com",
            ReplaceDatabaseHosts=str(sweeps).lower(),
            HostedZoneIds=app["HostedZone"],
            RecordNames="*.smallpayroll.internal",
            LaunchRoleArns=role(region),
            **parameters,
        )
        region.run(region.quiet, at_most=minutes(10))
        for _ in range(volumes - 1):
            add_volume(region)
        look(region)
        region.run(at_most=minutes(12))
        assert look(region)["applications"] == []
        region.calls.clear()
        yield region


def role(region: Region) -> str:
    """The role that hosts are launched with."""
    (found,) = [one for one in region.client("iam").list_roles()["Roles"] if "Database" in one["RoleName"]]
    return str(found["Arn"])


def add_volume(region: Region) -> None:
    """One more volume of the database, on its host."""
    ec2 = region.client("ec2")
    words = {"watchkeeper:application": "smallpayroll", "watchkeeper:role": "database"}
    made = ec2.create_volume(
        AvailabilityZone=zone(region),
        Size=8,
        TagSpecifications=[
            {"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in words.items()]}
        ],
    )["VolumeId"]
    ec2.attach_volume(VolumeId=made, InstanceId=host(region), Device="/dev/sdg")
    region.run(region.quiet, at_most=minutes(2))


def zone(region: Region) -> str:
    return str(volumes(region)[0]["AvailabilityZone"])


def volumes(region: Region) -> list[dict[str, Any]]:
    """The database's volumes, as EC2 shows them to people."""
    mine = [{"Name": "tag:watchkeeper:role", "Values": ["database"]}]
    found = region.client("ec2").describe_volumes(Filters=mine)["Volumes"]
    return sorted(found, key=lambda one: str(one["VolumeId"]))


def host(region: Region) -> str:
    """The instance that the database was first run on."""
    return region.host("smallpayroll-database")


def look(region: Region, **event: Any) -> Any:
    """One look, to its end."""
    return region.invoke(FUNCTION, event)
