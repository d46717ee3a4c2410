"""Snapshot sets: the snapshots of one attempt of one run, told apart by AWS's own facts and not by tags alone."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from watchkeeper import tags
from watchkeeper.look import read_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import SnapshotTypeDef

logger = logging.getLogger(__name__)

# A run is refused as late after an hour (look.LATE); Lambda's longest invocation is a quarter of one.
FARTHEST_FROM_RUN = timedelta(minutes=75)

Ending = Literal["deleted", "gone", "held", "locked"]

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
ENDINGS: dict[str, Ending] = {
    "InvalidSnapshot.NotFound": "gone",
    "InvalidSnapshot.InUse": "held",
    "SnapshotLocked": "locked",
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An EBS snapshot that carries our tags; `is_copy` where AWS says so; `progress` as AWS writes it."""

    id: str
    volume: str
    started: datetime
    state: str
    size_gib: int = 0
    is_copy: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    progress: str = ""

    @classmethod
    def from_boto(cls, snapshot: SnapshotTypeDef) -> Snapshot:
        """A snapshot as DescribeSnapshots answers it."""
        return cls(
            snapshot["SnapshotId"],
            snapshot["VolumeId"],
            snapshot["StartTime"],
            snapshot["State"],
            snapshot.get("VolumeSize", 0),
            bool(snapshot.get("TransferType")),
            tags.read(snapshot.get("Tags", [])),
            snapshot.get("Progress", ""),
        )


@dataclass(frozen=True, slots=True)
class SnapshotSet:
    """The snapshots of one attempt: one of every volume in `volumes`, if it is whole."""

    id: str
    application: str
    run: datetime
    volumes: tuple[str, ...]
    members: tuple[Snapshot, ...]

    @property
    def started(self) -> datetime:
        """When EBS took it, by AWS's clock: the earliest of its snapshots."""
        return min(member.started for member in self.members)

    @property
    def is_whole(self) -> bool:
        """Every volume that it names has exactly one snapshot in it."""
        return sorted(member.volume for member in self.members) == sorted(self.volumes)

    @property
    def is_finished(self) -> bool:
        """Whole, and EBS has copied all of it: only such a set can be restored."""
        return self.is_whole and all(member.state == "completed" for member in self.members)

    @property
    def has_failed(self) -> bool:
        """EBS gave up on one of its snapshots."""
        return any(member.state == "error" for member in self.members)

    @property
    def is_concluded(self) -> bool:
        """Its attempt ended and said what it is; one that was killed in between left no such word."""
        return all(tags.FROZEN_MS in member.tags for member in self.members)

    @property
    def consistency(self) -> str:
        """`application` if every member says so, else `crash`."""
        words = {member.tags.get(tags.CONSISTENCY) for member in self.members}
        return "application" if words == {"application"} and self.is_concluded else "crash"

    @property
    def is_proven(self) -> bool:
        """It was restored once, and PostgreSQL started on it."""
        return all(tags.PROVEN_AT in member.tags for member in self.members)

    @property
    def is_paused(self) -> bool:
        """Somebody paused one of its snapshots: it is left exactly as it is."""
        return any(tags.PAUSED in member.tags for member in self.members)


def find(ec2: EC2Client, applications: Sequence[str]) -> list[Snapshot]:
    """This account's snapshots with our role, of the applications with these names (`*` matches any text)."""
    pages = ec2.get_paginator("describe_snapshots").paginate(
        OwnerIds=["self"],
        Filters=[
            {"Name": f"tag:{tags.APPLICATION}", "Values": list(applications)},
            {"Name": f"tag:{tags.ROLE}", "Values": [tags.SNAPSHOT]},
        ],
        PaginationConfig={"PageSize": 1000},
    )
    return [Snapshot.from_boto(snapshot) for page in pages for snapshot in page["Snapshots"]]


def find_gone(ec2: EC2Client, ids: Sequence[str]) -> frozenset[str]:
    """Those of the snapshots with these ids that EC2 does not know any more, whosever they were; asked by filter.

    A filter takes 200 values at most: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
    """
    pages = ec2.get_paginator("describe_snapshots")
    known = {
        one["SnapshotId"]
        for start in range(0, len(ids), 200)
        for page in pages.paginate(Filters=[{"Name": "snapshot-id", "Values": list(ids[start : start + 200])}])
        for one in page["Snapshots"]
    }
    return frozenset(ids) - known


def sort_out(found: Iterable[Snapshot]) -> tuple[list[SnapshotSet], list[Snapshot]]:
    """The sets among snapshots, oldest first, and the snapshots that only claim to be of one.

    A copy's VolumeId is arbitrary, and tags can be edited and copied, so a snapshot belongs to a set only if its volume
    is one that the set names and EBS began it soon after the run:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
    """
    members: dict[tuple[str, ...], list[Snapshot]] = defaultdict(list)
    strangers: list[Snapshot] = []
    for snapshot in found:
        if _is_ours(snapshot):
            members[tuple(snapshot.tags[key] for key in (tags.APPLICATION, tags.SET, tags.RUN, tags.VOLUMES))].append(
                snapshot
            )
        else:
            strangers.append(snapshot)
    sets = [
        SnapshotSet(
            set_id, application, read_time(run), tuple(volumes.split()), tuple(sorted(some, key=lambda one: one.id))
        )
        for (application, set_id, run, volumes), some in members.items()
    ]
    return sorted(sets, key=lambda one: (one.started, one.id)), strangers


def _is_ours(snapshot: Snapshot) -> bool:
    words = snapshot.tags
    if not {tags.APPLICATION, tags.SET, tags.RUN, tags.VOLUMES} <= set(words) or snapshot.is_copy:
        return False
    try:
        away = abs(snapshot.started - read_time(words[tags.RUN]))
    except ValueError:
        return False
    return snapshot.volume in words[tags.VOLUMES].split() and away <= FARTHEST_FROM_RUN


def create(ec2: EC2Client, host: str, excluded: Sequence[str], words: Mapping[str, str]) -> dict[str, str]:
    """Begins a snapshot of each volume of an instance but its root and the excluded, of one instant: id by volume id.

    The instant is fixed when the call is answered; the call has no token, so `ec2` must be a client that sends it once.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html
    """
    answer = ec2.create_snapshots(
        InstanceSpecification={
            "InstanceId": host,
            "ExcludeBootVolume": True,
            "ExcludeDataVolumeIds": list(excluded),
        },
        Description=f"Watchkeeper {words[tags.APPLICATION]} {words[tags.RUN]}",
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags.write(words)}],
    )
    taken = {one["VolumeId"]: one["SnapshotId"] for one in answer["Snapshots"]}
    logger.info("snapshot set begun", extra={"instance_id": host, "snapshot_id": sorted(taken.values())})
    return taken


def tag(ec2: EC2Client, ids: Sequence[str], words: Mapping[str, str]) -> None:
    """Writes the same tags on several snapshots; writing them again changes nothing."""
    ec2.create_tags(Resources=list(ids), Tags=tags.write(words))
    logger.info("snapshots tagged", extra={"snapshot_id": sorted(ids), "tags": dict(words)})


def delete(ec2: EC2Client, snapshot: str) -> tuple[Ending, str]:
    """Deletes a snapshot: how that ended, and AWS's sentence where it did not. One that is gone is done.

    Raises ClientError for all else. Blocks that other snapshots need stay:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshot.html
    """
    try:
        ec2.delete_snapshot(SnapshotId=snapshot)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ENDINGS:
            raise
        return ENDINGS[code], error.response["Error"]["Message"]
    return "deleted", ""
