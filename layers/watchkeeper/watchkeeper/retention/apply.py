"""Deletes the sets that were planned to go, as fast as EC2 likes it and no longer than there is time."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from watchkeeper.aws import snapshots
from watchkeeper.loop import pace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ec2 import EC2Client

    from watchkeeper.aws.snapshots import Ending
    from watchkeeper.retention.judge import Delete
    from watchkeeper.retention.plan import Plan

logger = logging.getLogger(__name__)

# EC2 gives each action a bucket for an account in a Region, and a mutating one is usually refilled with five a second:
# https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html (the figure for DeleteSnapshot was not seen).
# One is left for others. Should it be less, the SDK's retries wait.
PER_SECOND = 4.0
AT_ONCE = 20.0

# Each deletes its share at its own pace: a request that hangs holds up an eighth, and only the client is shared.
LANES = 8


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a set that was to go: how many of its snapshots are gone, and why not the others."""

    delete: Delete
    ending: Ending | Literal["failed", "left"]
    deleted: int = 0
    reason: str = ""
    error: Exception | None = None


def apply(ec2: EC2Client, plans: Sequence[Plan], seconds: float) -> list[Ended]:
    """Deletes what the plans without a refusal say, the oldest sets first. What there is no time for is left.

    One failure stops no other set. A set whose snapshot is held, locked or cannot be deleted keeps its further ones,
    for a person who wants that snapshot may want the set.
    """
    wanted = [delete for plan in plans if plan.refusal is None for delete in plan.deletes]
    wanted.sort(key=lambda delete: (delete.set.started, delete.set.members[0].id))
    with ThreadPoolExecutor(LANES) as pool:
        lanes = pool.map(lambda lane: _delete_all(ec2, wanted[lane::LANES], seconds), range(LANES))
        return [one for lane in lanes for one in lane]


def _delete_all(ec2: EC2Client, deletes: Sequence[Delete], seconds: float) -> list[Ended]:
    at_once, per_second = AT_ONCE / LANES, PER_SECOND / LANES
    paced = pace(deletes, lambda one: len(one.set.members), at_once=at_once, per_second=per_second, seconds=seconds)
    ended = [_delete(ec2, delete) for delete in paced]
    return ended + [Ended(delete, "left") for delete in deletes[len(ended) :]]


def _delete(ec2: EC2Client, delete: Delete) -> Ended:
    deleted = 0
    for member in sorted(delete.set.members, key=lambda one: (one.started, one.id)):
        try:
            ending, reason = snapshots.delete(ec2, member.id)
        except Exception as error:  # raised with the others at the end
            logger.info("snapshot left", extra={"snapshot_id": member.id, "reason": str(error)})
            return Ended(delete, "failed", deleted, str(error), error)
        if ending in ("held", "locked"):
            logger.info("snapshot left", extra={"snapshot_id": member.id, "reason": reason})
            return Ended(delete, ending, deleted, reason)
        logger.info("snapshot deleted", extra={"snapshot_id": member.id, "reason": delete.reason})
        deleted += ending == "deleted"
    return Ended(delete, "deleted" if deleted else "gone", deleted)
