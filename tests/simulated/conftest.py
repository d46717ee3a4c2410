"""A region without disks, and what tests of it begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from region import Region, Simulated, minutes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from region.process import Process

ZONE = "eu-central-1a"
FREEZE = "documents/freeze_database.yaml"


@dataclass(frozen=True)
class Database:
    """A running host and the volumes of its database, the root volume not among them."""

    host: str
    volumes: tuple[str, ...]


@dataclass(frozen=True)
class Someone:
    """A caller who may do everything, from whom requests take their time and meet faults, as from a function."""

    name: str = "someone"

    def refusal(self, *_: Any) -> None:
        return None


@pytest.fixture
def region() -> Iterator[Region]:
    with Region(Simulated(seed=7), seed=7) as opened:
        yield opened


@pytest.fixture
def database(region: Region) -> Callable[..., Database]:
    """Makes a running host with volumes, in a zone, with tags on the volumes."""

    def make(volumes: int = 1, tags: Mapping[str, str] | None = None, name: str = "db-1") -> Database:
        ec2 = region.client("ec2")
        words = [{"Key": key, "Value": value} for key, value in (tags or {"Name": name}).items()]
        host = ec2.run_instances(
            ImageId="ami-0123456789abcdef0",
            MinCount=1,
            MaxCount=1,
            Placement={"AvailabilityZone": ZONE},
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
        )["Instances"][0]["InstanceId"]
        region.run(region.quiet, at_most=minutes(2))
        made = []
        for letter in "fghij"[:volumes]:
            volume = ec2.create_volume(
                AvailabilityZone=ZONE, Size=8, TagSpecifications=[{"ResourceType": "volume", "Tags": words}]
            )["VolumeId"]
            ec2.attach_volume(VolumeId=volume, InstanceId=host, Device=f"/dev/sd{letter}")
            made.append(volume)
        region.run(region.quiet, at_most=minutes(2))
        return Database(host, tuple(sorted(made)))

    return make


@pytest.fixture
def begin(region: Region) -> Callable[..., Process]:
    """Starts work as a caller whose requests take their time and meet faults; not yet run."""

    def start(work: Callable[[], object], name: str = "someone") -> Process:
        process = region.clock.spawn(work, name)
        process.caller = Someone(name)
        return process

    return start


@pytest.fixture
def call(region: Region, begin: Callable[..., Process]) -> Callable[..., Any]:
    """Runs work as such a caller to its end, and answers or raises what came of it."""

    def run(work: Callable[[], object]) -> Any:
        process = begin(work)
        region.run(process)
        if process.error:
            raise process.error
        return process.result

    return run
