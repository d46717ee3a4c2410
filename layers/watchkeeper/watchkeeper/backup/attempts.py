"""One try at a set: its snapshots taken, tagged, looked up again, and what went wrong in words."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from watchkeeper import tags
from watchkeeper.aws import snapshots
from watchkeeper.errors import NotYet, Refused
from watchkeeper.runtime import now

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client

    from watchkeeper.backup.plan import Take

# Besides what people wrote a snapshot carries ours: nine at creation, seven later, and room for `paused`.
MOST_OF_THEIRS = tags.MOST - 17

SERVER_ERROR = 500

PENDING_LIMIT = (
    "Five snapshots of a volume of {0!r} are being copied, and EBS takes no sixth: wait until one is completed, "
    "or snapshot less often. aws ec2 describe-snapshots --filters Name=status,Values=pending shows them."
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One invocation's try at a run's set; `id` tells its snapshots from those of every other try."""

    take: Take
    run: str
    began: datetime
    asked: datetime
    id: str = ""

    def seconds(self) -> float:
        """Since the set was asked for; a restore may ask for the run of a minute that is to come."""
        return max(0.0, (now() - self.asked).total_seconds())


def execution(application: str, run: str) -> str:
    """The id that a host knows an application's run by: the same for every delivery and retry of it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"watchkeeper:{application}:{run}"))


def snapshot(once: EC2Client, attempt: Attempt, words: Mapping[str, str]) -> tuple[dict[str, str], Exception | None]:
    """What CreateSnapshots answered; where its answer was lost, what EC2 shows while a freeze would still hold.

    Raises nothing, whatever happens: a thaw has to follow.
    """
    take = attempt.take
    excluded = sorted(set(take.host.volumes) - set(take.volumes) - {take.host.root})
    try:
        return snapshots.create(once, take.host.id, excluded, words), None
    except Exception as error:  # told after the thaw
        if not _was_refused(error):
            with contextlib.suppress(Exception):
                return look_up(once, take.application, attempt.id), error
        return {}, error


def look_up(ec2: EC2Client, application: str, attempt: str) -> dict[str, str]:
    """The snapshots of one try that EC2 shows now: id by volume."""
    found = snapshots.find(ec2, [application])
    return {one.volume: one.id for one in found if one.tags.get(tags.SET) == attempt}


def look_up_late(ec2: EC2Client, attempt: Attempt, problem: Exception | None) -> dict[str, str]:
    """The set as EC2 shows it in the end. Raises when there is none, or not of every volume."""
    take = attempt.take
    if problem is not None and _was_refused(problem):
        raise _in_words(problem, take.application) from problem
    taken = look_up(ec2, take.application, attempt.id)
    if set(taken) >= set(take.volumes):
        return taken
    if problem is None:
        missing = ", ".join(sorted(set(take.volumes) - set(taken)))
        raise Refused(
            f"The set of {take.application!r} lacks {missing}, which left {take.host.id} meanwhile; it does not count."
        )
    raise NotYet(f"EC2 did not answer CreateSnapshots, and shows no set of {take.application!r} yet") from problem


def words(attempt: Attempt) -> tuple[dict[str, str], int]:
    """The tags of the snapshots at creation, ours first, and how many of people's own are left out, of each too."""
    take = attempt.take
    theirs = dict(list(take.words.items())[:MOST_OF_THEIRS])
    wanted, told = (sum(map(len, one.values())) for one in (take.own, _own(take)))
    ours = {
        tags.APPLICATION: take.application,
        tags.ROLE: tags.SNAPSHOT,
        tags.RUN: attempt.run,
        tags.SET: attempt.id,
        tags.VOLUMES: " ".join(take.volumes),
        tags.CONSISTENCY: "crash",
        tags.ZONE: take.host.zone,
        tags.TYPES: " ".join(take.types),
        tags.HOST: take.host.id,
    }
    return ours | theirs, len(take.words) - len(theirs) + wanted - told


def tell_apart(ec2: EC2Client, take: Take, taken: Mapping[str, str]) -> None:
    """Tags each snapshot with what people wrote on its volume alone, which CreateSnapshots cannot say.

    After the thaw, and when the set has said what it is: a death before costs these tags and nothing else.
    """
    for volume, words in _own(take).items():
        snapshots.tag(ec2, [taken[volume]], words)


def _own(take: Take) -> dict[str, dict[str, str]]:
    """As many of a volume's own as its snapshot takes beside what all have."""
    room = max(MOST_OF_THEIRS - len(take.words), 0)
    return {volume: dict(list(words.items())[:room]) for volume, words in take.own.items() if room}


def ids(attempt: Attempt, taken: Mapping[str, str]) -> tuple[str, ...]:
    """The snapshots of the wanted volumes, in the order of these. Raises KeyError when one is missing."""
    return tuple(taken[volume] for volume in attempt.take.volumes)


def disown(ec2: EC2Client, attempt: Attempt, taken: Mapping[str, str]) -> None:
    """A volume that came to the host after the exclusions were read is in the answer, and its snapshot has our tags."""
    extra = [taken[volume] for volume in sorted(set(taken) - set(attempt.take.volumes))]
    if extra:
        snapshots.tag(ec2, extra, {tags.ROLE: tags.NOT_OURS})


def _was_refused(error: Exception) -> bool:
    """EC2 said no, so that nothing was made; a server's error or silence says nothing about that."""
    return isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < SERVER_ERROR


def _in_words(error: Exception, application: str) -> Exception:
    match error.response["Error"]["Code"] if isinstance(error, ClientError) else "":
        case "ConcurrentSnapshotLimitExceeded" | "PendingSnapshotLimitExceeded":
            return Refused(PENDING_LIMIT.format(application))
        case "SnapshotCreationPerVolumeRateExceeded":
            return NotYet(
                f"EBS wants 15 s between two snapshots of a volume of {application!r}; the next look carries on"
            )
        case _:
            return error
