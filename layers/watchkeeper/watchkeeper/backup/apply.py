"""Makes the sets that were planned: freeze, snapshot, thaw, and say truly what came of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws import commands, freezes, hosts, snapshots
from watchkeeper.aws.freezes import Failed, Held, Released
from watchkeeper.backup import attempts
from watchkeeper.backup.attempts import Attempt, execution
from watchkeeper.errors import NotYet, Refused, Skipped
from watchkeeper.look import stamp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.aws.freezes import Target
    from watchkeeper.backup.plan import Take
    from watchkeeper.backup.settings import Settings
    from watchkeeper.look import Look


@dataclass(frozen=True, slots=True)
class Clients:
    """EC2 as usual; EC2 and SSM by clients that send once, since CreateSnapshots and SendCommand have no token."""

    ec2: EC2Client
    ec2_once: EC2Client
    ssm_once: SSMClient
    functions: LambdaClient


@dataclass(frozen=True, slots=True)
class Made:
    """A set that was made, what it truly is and why; `seconds` from the event to its instant."""

    application: str
    run: str
    consistency: str
    reason: str
    snapshots: tuple[str, ...]
    frozen_ms: int
    seconds: float
    tags_left_out: int = 0


def apply(clients: Clients, take: Take, look: Look, settings: Settings, began: datetime) -> Made:
    """Makes one set, frozen if it can be.

    Raises NotYet when another is at it or EBS wants a pause, Skipped when a set that is not frozen is not wanted,
    Refused when no set can be made, else what EC2 answers.
    """
    # Read again by the client that will send CreateSnapshots: its connection is open then, outside the freeze, and a
    # volume that came to the host since is left out.
    host = hosts.find(clients.ec2_once, [take.host.id]).get(take.host.id, take.host)
    take = replace(take, host=host)
    attempt = Attempt(take, stamp(look.time), began, look.asked or began)
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


def judge(held: Held, ids: Sequence[str], released: Released | Failed) -> tuple[str, str, int]:
    """What a set is that was answered between these two: its word, the reason, and the freeze in milliseconds; pure.

    It is `application` only if the freeze that began is the one that was found still held at the end, and ended by the
    word of this very invocation: post-script is of a run, and another delivery of the run may have sent it before.
    """
    match released:
        case Failed(reason):
            return "crash", reason, 0
        case Released(was_held=False, frozen_ms=frozen_ms):
            return "crash", f"the freeze had ended after {frozen_ms} ms, by its lease or by somebody else", frozen_ms
        case Released(freeze=freeze, frozen_ms=frozen_ms) if freeze != held.freeze:
            return "crash", "the freeze that was thawed is not the one that the snapshots were taken in", frozen_ms
        case Released(snapshots=told, frozen_ms=frozen_ms) if sorted(told) != sorted(ids):
            return "crash", "another delivery of this run had thawed the database before", frozen_ms
        case Released(frozen_ms=frozen_ms):
            return "application", "frozen from before the snapshots began until they were answered", frozen_ms


def _take_frozen(clients: Clients, attempt: Attempt, target: Target, held: Held) -> Made:
    words, left_out = attempts.words(attempt)
    taken, problem = attempts.snapshot(clients.ec2_once, attempt, words)
    seconds = attempt.seconds()
    is_answered = set(taken) >= set(attempt.take.volumes)
    released = freezes.end(clients.ssm_once, target, attempts.ids(attempt, taken) if is_answered else ())
    if not is_answered:
        taken = attempts.look_up_late(clients.ec2, attempt, problem)
        released = Failed("CreateSnapshots was not answered before the thaw")
    attempts.disown(clients.ec2, attempt, taken)
    ids = attempts.ids(attempt, taken)
    consistency, reason, frozen_ms = judge(held, ids, released)
    conclusion = {tags.FROZEN_MS: str(frozen_ms), tags.LSN: held.lsn, tags.SECONDS: f"{seconds:.1f}"}
    raised = {tags.CONSISTENCY: consistency} if consistency == "application" else {}
    snapshots.tag(clients.ec2, ids, conclusion | raised)
    attempts.tell_apart(clients.ec2, attempt.take, taken)
    return Made(attempt.take.application, attempt.run, consistency, reason, ids, frozen_ms, seconds, left_out)


def _complete(clients: Clients, attempt: Attempt, released: Released) -> Made:
    """An earlier delivery of this run was ended between thaw and tags; the host remembers what it had made."""
    found = attempts.look_up(clients.ec2, attempt.take.application, released.freeze)
    if not released.was_held or {found.get(volume) for volume in attempt.take.volumes} != set(released.snapshots):
        raise NotYet(f"EC2 does not yet show {', '.join(released.snapshots)}, which were made in this run")
    conclusion = {tags.FROZEN_MS: str(released.frozen_ms), tags.LSN: released.lsn, tags.CONSISTENCY: "application"}
    snapshots.tag(clients.ec2, released.snapshots, conclusion)
    attempts.tell_apart(clients.ec2, attempt.take, found)
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
    match attempt.take.otherwise:
        case "crash":
            return _take_as_is(clients, attempt, reason)
        case "leave":
            raise Skipped(f"it cannot be frozen, and its crash-consistent set is not overdue: {reason}")
        case "fail":
            raise Refused(f"No set was made of {attempt.take.application!r}: {reason}.")


def _take_as_is(clients: Clients, attempt: Attempt, reason: str) -> Made:
    seed = f"{execution(attempt.take.application, attempt.run)}:{attempt.began.isoformat()}"
    attempt = replace(attempt, id=str(uuid.uuid5(uuid.NAMESPACE_URL, seed)))
    words, left_out = attempts.words(attempt)
    taken, problem = attempts.snapshot(clients.ec2_once, attempt, words | {tags.FROZEN_MS: "0"})
    seconds = attempt.seconds()
    if not set(taken) >= set(attempt.take.volumes):
        taken = attempts.look_up_late(clients.ec2, attempt, problem)
    attempts.disown(clients.ec2, attempt, taken)
    attempts.tell_apart(clients.ec2, attempt.take, taken)
    ids = attempts.ids(attempt, taken)
    return Made(attempt.take.application, attempt.run, "crash", reason, ids, 0, seconds, left_out)
