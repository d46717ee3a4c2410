"""Makes the sets that were planned: freeze, snapshot, thaw, and say truly what came of it."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import tags
from watchkeeper.aws import commands, freezes, snapshots
from watchkeeper.aws.freezes import Failed, Held, Released
from watchkeeper.errors import NotYet, Refused
from watchkeeper.look import stamp
from watchkeeper.runtime import now

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.aws.freezes import Target
    from watchkeeper.backup.plan import Take
    from watchkeeper.backup.settings import Settings
    from watchkeeper.look import Look

# Besides people's own tags a snapshot carries ours: six at creation, three later, and room for `paused`.
MOST_OF_THEIRS = tags.MOST - 10

SERVER_ERROR = 500

PENDING_LIMIT = (
    "Five snapshots of a volume of {0!r} are being copied, and EBS takes no sixth: wait until one is completed, "
    "or snapshot less often. aws ec2 describe-snapshots --filters Name=status,Values=pending shows them."
)


@dataclass(frozen=True, slots=True)
class Clients:
    """EC2 as usual; EC2 and SSM by clients that send a call once, since CreateSnapshots and SendCommand have no token."""

    ec2: EC2Client
    ec2_once: EC2Client
    ssm_once: SSMClient
    functions: LambdaClient


@dataclass(frozen=True, slots=True)
class Attempt:
    """One invocation's try at a run's set; `id` tells its snapshots from those of every other try."""

    take: Take
    run: str
    began: datetime
    id: str = ""

    def seconds(self) -> float:
        """Since the invocation began."""
        return (now() - self.began).total_seconds()


@dataclass(frozen=True, slots=True)
class Made:
    """A set that was made, what it truly is and why; `seconds` from the invocation's start to its instant."""

    application: str
    run: str
    consistency: str
    reason: str
    snapshots: tuple[str, ...]
    frozen_ms: int
    seconds: float
    tags_left_out: int = 0


def execution(application: str, run: str) -> str:
    """The id that a host knows an application's run by: the same for every delivery and retry of it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"watchkeeper:{application}:{run}"))


def apply(clients: Clients, take: Take, look: Look, settings: Settings, began: datetime) -> Made:
    """Makes one set, frozen if it can be.

    Raises NotYet when another is at it or EBS wants a pause, Refused when no set can be made, else what EC2 answers.
    """
    attempt = Attempt(take, stamp(look.time), began)
    if not take.is_freezable:
        return _take_as_is(clients, attempt, f"{take.host.id} is {take.host.state}: nothing runs that could be frozen")
    try:
        version = commands.version(clients.ssm_once, settings.document)
    except clients.ssm_once.exceptions.InvalidDocument:
        return _fall_back(clients, attempt, f"SSM has no document {settings.document}: deploy the stack again")
    target = freezes.Target(
        take.host.id,
        (settings.document, version),
        execution(take.application, attempt.run),
        take.volumes,
        settings.lease_seconds,
    )
    match freezes.begin(clients.ssm_once, target):
        case Held() as held:
            return _take_frozen(clients, replace(attempt, id=held.freeze), target, held)
        case Released() as released:
            return _complete(clients, attempt, released)
        case Failed(reason):
            freezes.end(clients.ssm_once, target, ())
            return _fall_back(clients, attempt, reason)


def judge(held: Held, released: Released | Failed) -> tuple[str, str, int]:
    """What a set is that was answered between these two: its word, the reason, and the freeze in milliseconds; pure.

    It is `application` only if the freeze that began is the one that was found still held at the end.
    """
    match released:
        case Failed(reason):
            return "crash", reason, 0
        case Released(was_held=False, frozen_ms=frozen_ms):
            return "crash", f"the lease ended the freeze after {frozen_ms} ms, before the thaw came", frozen_ms
        case Released(freeze=freeze, frozen_ms=frozen_ms) if freeze != held.freeze:
            return "crash", "the freeze that was thawed is not the one that the snapshots were taken in", frozen_ms
        case Released(frozen_ms=frozen_ms):
            return "application", "frozen from before the snapshots began until they were answered", frozen_ms


def _take_frozen(clients: Clients, attempt: Attempt, target: Target, held: Held) -> Made:
    words, left_out = _words(attempt)
    taken, problem = _snapshot(clients.ec2_once, attempt, words)
    seconds = attempt.seconds()
    is_answered = set(taken) >= set(attempt.take.volumes)
    released = freezes.end(clients.ssm_once, target, _ids(attempt, taken) if is_answered else ())
    if not is_answered:
        taken = _look_up_late(clients.ec2, attempt, problem)
        released = Failed("CreateSnapshots was not answered before the thaw")
    _disown(clients.ec2, attempt, taken)
    consistency, reason, frozen_ms = judge(held, released)
    ids = _ids(attempt, taken)
    conclusion = {tags.FROZEN_MS: str(frozen_ms), tags.LSN: held.lsn}
    raised = {tags.CONSISTENCY: consistency} if consistency == "application" else {}
    snapshots.tag(clients.ec2, ids, conclusion | raised)
    return Made(attempt.take.application, attempt.run, consistency, reason, ids, frozen_ms, seconds, left_out)


def _complete(clients: Clients, attempt: Attempt, released: Released) -> Made:
    """An earlier delivery of this run was ended between thaw and tags; the host remembers what it had made."""
    found = _look_up(clients.ec2, attempt.take.application, released.freeze)
    if not set(released.snapshots) <= set(found.values()):
        raise NotYet(f"EC2 does not yet show {', '.join(released.snapshots)}, which were made in this run")
    conclusion = {tags.FROZEN_MS: str(released.frozen_ms), tags.LSN: released.lsn, tags.CONSISTENCY: "application"}
    snapshots.tag(clients.ec2, released.snapshots, conclusion)
    reason = "an earlier try made it and was ended before it could say so; the host remembers the freeze"
    return Made(
        attempt.take.application,
        attempt.run,
        "application",
        reason,
        released.snapshots,
        released.frozen_ms,
        attempt.seconds(),
    )


def _fall_back(clients: Clients, attempt: Attempt, reason: str) -> Made:
    if not attempt.take.may_be_crash:
        raise Refused(f"No set was made of {attempt.take.application!r}: {reason}.")
    return _take_as_is(clients, attempt, reason)


def _take_as_is(clients: Clients, attempt: Attempt, reason: str) -> Made:
    seed = f"{execution(attempt.take.application, attempt.run)}:{attempt.began.isoformat()}"
    attempt = replace(attempt, id=str(uuid.uuid5(uuid.NAMESPACE_URL, seed)))
    words, left_out = _words(attempt)
    taken, problem = _snapshot(clients.ec2_once, attempt, words | {tags.FROZEN_MS: "0"})
    seconds = attempt.seconds()
    if not set(taken) >= set(attempt.take.volumes):
        taken = _look_up_late(clients.ec2, attempt, problem)
    _disown(clients.ec2, attempt, taken)
    ids = _ids(attempt, taken)
    return Made(attempt.take.application, attempt.run, "crash", reason, ids, 0, seconds, left_out)


def _snapshot(once: EC2Client, attempt: Attempt, words: Mapping[str, str]) -> tuple[dict[str, str], Exception | None]:
    """What CreateSnapshots answered; where its answer was lost, what EC2 shows while a freeze would still hold."""
    take = attempt.take
    excluded = sorted(set(take.host.volumes) - set(take.volumes) - {take.host.root})
    try:
        return snapshots.create(once, take.host.id, excluded, words), None
    except (ClientError, BotoCoreError) as error:
        if _was_refused(error):
            return {}, error
        with contextlib.suppress(ClientError, BotoCoreError):
            return _look_up(once, take.application, attempt.id), error
        return {}, error


def _look_up(ec2: EC2Client, application: str, attempt: str) -> dict[str, str]:
    found = snapshots.find(ec2, [application])
    return {one.volume: one.id for one in found if one.tags.get(tags.SET) == attempt}


def _look_up_late(ec2: EC2Client, attempt: Attempt, problem: Exception | None) -> dict[str, str]:
    """The set as EC2 shows it in the end. Raises when there is none, or not of every volume."""
    take = attempt.take
    if problem is not None and _was_refused(problem):
        raise _in_words(problem, take.application) from problem
    taken = _look_up(ec2, take.application, attempt.id)
    if set(taken) >= set(take.volumes):
        return taken
    if problem is None:
        missing = ", ".join(sorted(set(take.volumes) - set(taken)))
        raise Refused(
            f"The set of {take.application!r} lacks {missing}, which left {take.host.id} meanwhile; it does not count."
        )
    raise NotYet(f"EC2 did not answer CreateSnapshots, and shows no set of {take.application!r} yet") from problem


def _words(attempt: Attempt) -> tuple[dict[str, str], int]:
    """The tags of the snapshots at creation, ours first, and how many of people's own were left out."""
    take = attempt.take
    theirs = dict(list(take.words.items())[:MOST_OF_THEIRS])
    ours = {
        tags.APPLICATION: take.application,
        tags.ROLE: tags.SNAPSHOT,
        tags.RUN: attempt.run,
        tags.SET: attempt.id,
        tags.VOLUMES: " ".join(take.volumes),
        tags.CONSISTENCY: "crash",
    }
    return ours | theirs, len(take.words) - len(theirs)


def _ids(attempt: Attempt, taken: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(taken[volume] for volume in attempt.take.volumes)


def _disown(ec2: EC2Client, attempt: Attempt, taken: Mapping[str, str]) -> None:
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
