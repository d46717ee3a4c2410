"""What pruning costs: calls, CPU and memory for 1,000 and 10,000 snapshots, beside boto3's bare calls for the same."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bench.figures import Part, table
from region import Region, Simulated, hours

if TYPE_CHECKING:
    from collections.abc import Sequence

# No schedule falls due within the hour.
AFTER_THE_NIGHT = datetime(2026, 11, 22, 12, 5, tzinfo=UTC)
FUNCTION = "prune_snapshots"
NIGHTS = 100
KEPT = 13  # of a hundred nights by 7d 4w 12m 3y: seven days, three more weeks, three more months
BARE = "boto3"
WAYS = (BARE, FUNCTION)


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took to prune so many snapshots; `minutes` are the region's, at the rate that EC2 allows."""

    way: str
    snapshots: int
    deleted: int
    calls: dict[str, int]
    cpu_seconds: float
    megabytes: float
    minutes: float
    invocations: int = 0


class Anybody:
    """A caller who may do everything."""

    name = BARE

    def refusal(self, *_: Any) -> None:
        """Never."""


def part(sizes: tuple[int, ...] = (1_000, 10_000)) -> Part:
    """Prune so many in each way, each time in a process of its own, whose memory is nobody else's."""
    return write([_measured_apart(way, size) for size in sizes for way in WAYS])


def write(costs: Sequence[Cost]) -> Part:
    """The costs of all ways and sizes, as figures."""
    ours, bare = ([cost for cost in costs if cost.way == way] for way in (FUNCTION, BARE))
    beside = ours[-1].cpu_seconds / bare[-1].cpu_seconds
    each = [cost.cpu_seconds / cost.snapshots for cost in ours]
    beside_deletions = sum(ours[-1].calls.values()) - ours[-1].deleted
    few, many = f"{ours[0].snapshots:,}", f"{ours[-1].snapshots:,}"
    ratios = (
        f"Pruning {many} snapshots takes **{beside:.2f} times** the CPU of boto3's bare calls for the same; one among "
        f"{many} takes {each[-1] / each[0]:.2f} times the CPU of one among {few}.",
        f"It makes {beside_deletions} calls beside the {ours[-1].deleted:,} deletions.",
    )
    head = ("", "snapshots", "deleted", "calls", "CPU s", "CPU ms each", "memory MB", "invocations", "minutes")
    body = (
        f"Applications with {NIGHTS} nights each, of which `7d 4w 12m 3y` keeps {KEPT}, in the simulated region. What "
        "that does is in all figures, for it is the same process; memory is how much its peak grew. The minutes are "
        "the region's: EC2 takes 5 deletions a second, of which prune_snapshots uses 4, and an invocation that has no "
        "time left invokes the next.\n\n"
    )
    return Part("What pruning costs", ratios, body + table(head, *(_row(cost) for cost in costs)))


def _row(cost: Cost) -> tuple[object, ...]:
    return (
        cost.way,
        f"{cost.snapshots:,}",
        f"{cost.deleted:,}",
        f"{sum(cost.calls.values()):,}",
        f"{cost.cpu_seconds:.1f}",
        f"{cost.cpu_seconds / cost.snapshots * 1000:.1f}",
        f"{cost.megabytes:.0f}",
        cost.invocations or "",
        f"{cost.minutes:.1f}" if cost.invocations else "",
    )


def _measured_apart(way: str, snapshots: int) -> Cost:
    done = subprocess.run(
        [sys.executable, "-m", "bench.prune", way, str(snapshots)], check=True, capture_output=True, text=True
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def measure(way: str, snapshots: int) -> Cost:
    """Prune so many in one way, in this process."""
    with Region(Simulated(seed=1), seed=1, start=AFTER_THE_NIGHT) as region:
        region.deploy("template.yaml", ReplaceDatabaseHosts="false", RegisterWebNodes="false")
        ids = [one for number in range(snapshots // NIGHTS) for one in _stock(region, f"app-{number}")]
        region.calls.clear()
        began, cpu, memory = region.clock.now(), time.process_time(), _megabytes()
        if way == FUNCTION:
            region.invoke(FUNCTION, {"force": True}, asynchronous=True)
            region.run(region.quiet, at_most=hours(3))
        else:
            process = region.clock.spawn(lambda: _delete_bare(region, ids), way)
            process.caller = Anybody()
            region.run(process)
        left = len(region.world().snapshots)
        if left != snapshots // NIGHTS * KEPT:
            raise RuntimeError(f"{way} left {left} of {snapshots} snapshots")
        return Cost(
            way,
            snapshots,
            snapshots - left,
            dict(Counter(call.operation for call in region.calls if call.caller == way)),
            round(time.process_time() - cpu, 3),
            round(_megabytes() - memory, 1),
            round((region.clock.now() - began) / 60, 1),
            sum(invocation.name == FUNCTION for invocation in region.functions.invocations),
        )


def _delete_bare(region: Region, ids: list[str]) -> None:
    """The same reads and deletions by boto3 alone: the snapshots of each application but the newest."""
    ec2 = region.client("ec2")
    pages = ec2.get_paginator("describe_snapshots").paginate(
        OwnerIds=["self"],
        Filters=[{"Name": "tag:watchkeeper:role", "Values": ["snapshot"]}],
        PaginationConfig={"PageSize": 1000},
    )
    for _ in pages:
        pass
    doomed = [one for place, one in enumerate(ids) if place % NIGHTS >= KEPT]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: ec2.delete_snapshot(SnapshotId=one), doomed))


def _stock(region: Region, application: str) -> list[str]:
    """An application's volume, and a set of each of its last nights, the newest first."""
    words = {"watchkeeper:application": application, "watchkeeper:role": "database"}
    tags = [{"Key": key, "Value": value} for key, value in words.items()]
    volume = region.client("ec2").create_volume(
        AvailabilityZone="eu-central-1a", Size=8, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
    )["VolumeId"]
    ids = []
    for night in range(NIGHTS):
        started = region.clock.moment() - timedelta(days=night)
        of_the_set = {
            "watchkeeper:application": application,
            "watchkeeper:role": "snapshot",
            "watchkeeper:run": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "watchkeeper:set": f"{application} {night}",
            "watchkeeper:volumes": volume,
            "watchkeeper:consistency": "application",
            "watchkeeper:frozen-ms": "80",
        }
        ids.append(region.ec2.stock(volume, started, of_the_set).id)
    return ids


def _megabytes() -> float:
    """The most memory that this process ever had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024**2 if sys.platform == "darwin" else most / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(sys.argv[1], int(sys.argv[2])))) + "\n")
