"""Freezes: a database held still on its host, through the document freeze_database.

The exit codes are those of AWS Data Lifecycle Manager's pre and post scripts, so that the document serves DLM as well:
https://docs.aws.amazon.com/ebs/latest/userguide/automate-app-consistent-backups.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from watchkeeper import loop
from watchkeeper.aws import commands
from watchkeeper.errors import NotYet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_ssm import SSMClient

EXPIRED, BUSY, THAWED = 203, 204, 205

THROTTLED = ("ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException")

# What a host has for pre-script: 30 s until it is delivered and 75 s until the document ends it, and a margin.
PRE_SECONDS, POST_SECONDS = 120, 70

# The pause before the look that sees pre-script's end is frozen time: with 0.1 s our own share of a freeze was above
# the 0.15 s that are promised in half of the runs (docs/figures.md). Post-script ends after the thaw.
PRE_PAUSE, POST_PAUSE = 0.05, 0.5

# Sent again the host answers the same, and nothing else may keep a file system frozen until the lease ends.
POST_PAUSES = (0, 1, 3)


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be frozen: a database's volumes on a host, under an id that stands for application and run."""

    host: str
    document: tuple[str, str]
    execution: str
    volumes: tuple[str, ...]
    lease_seconds: int


@dataclass(frozen=True, slots=True)
class Held:
    """The database is frozen under this id, until it is released or the lease ends."""

    freeze: str
    lsn: str


@dataclass(frozen=True, slots=True)
class Released:
    """The database is thawed. `was_held` if the freeze lasted until then; `snapshots` were answered within it."""

    freeze: str
    was_held: bool
    frozen_ms: int
    lsn: str = ""
    snapshots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The database could not be frozen; the reason is a sentence."""

    reason: str


def begin(ssm: SSMClient, target: Target) -> Held | Released | Failed:
    """Freezes the database: Held; Released if this very execution ended before, with its snapshots; else Failed.

    Raises NotYet while a freeze lives there (another's, or an earlier delivery of this one) and when SSM throttles.
    `ssm` must be a client that sends once.
    """
    parameters = {
        "executionId": target.execution,
        "command": "pre-script",
        "volumeIds": " ".join(target.volumes),
        "leaseSeconds": str(target.lease_seconds),
    }
    try:
        outcome = commands.run(ssm, target.host, target.document, parameters, seconds=PRE_SECONDS, pause=PRE_PAUSE)
    except ssm.exceptions.InvalidInstanceId:
        return Failed(
            f"SSM does not reach {target.host}: its agent must run, with a way out to SSM and an instance role with "
            "AmazonSSMManagedInstanceCore"
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in THROTTLED:
            raise NotYet(
                f"SSM throttles commands, and none was sent to {target.host}; the next look carries on"
            ) from error
        return Failed(f"SSM refused pre-script: {error}")
    except Exception as error:  # whatever it was, post-script has to follow
        return Failed(f"SSM did not answer: {error!r}")
    words = outcome.words
    if outcome.status == "Success" and "freezeId" in words:
        return Held(words["freezeId"], words.get("lsn", ""))
    if outcome.code == BUSY and words.get("finished"):
        return _released(words, was_held=True)
    if outcome.code == BUSY:
        raise NotYet(f"A freeze is under way on {target.host}: {outcome.error or 'the next look carries on'}")
    return Failed(_sentence(outcome, target.host))


def end(ssm: SSMClient, target: Target, snapshots: Sequence[str]) -> Released | Failed:
    """Thaws the database, or makes sure that it is; the host remembers `snapshots` as those answered within the freeze.

    Sent up to three times, since the host answers the same again; after that the lease on the host thaws it.
    """
    parameters = {"executionId": target.execution, "command": "post-script", "snapshotIds": " ".join(snapshots)}
    reason = ""
    for wait in POST_PAUSES:
        loop.pause(wait)
        try:
            outcome = commands.run(
                ssm, target.host, target.document, parameters, seconds=POST_SECONDS, pause=POST_PAUSE
            )
        except Exception as error:  # told in the set's reason, if the other tries fail as well
            reason = f"post-script was not sent: {error!r}"
            continue
        if outcome.status == "Success" or outcome.code == EXPIRED:
            return _released(outcome.words, was_held=outcome.status == "Success")
        reason = _sentence(outcome, target.host)
        if outcome.code in (BUSY, THAWED):
            break
    return Failed(reason)


def _released(words: Mapping[str, Any], *, was_held: bool) -> Released:
    return Released(
        words.get("freezeId", ""),
        was_held and words.get("held") is True,
        int(words.get("frozenMs") or 0),
        words.get("lsn", ""),
        tuple(words.get("snapshotIds", "").split()),
    )


def _sentence(outcome: commands.Outcome, host: str) -> str:
    lines = outcome.error.splitlines()
    said = lines[0] if lines else "it said nothing"
    return f"{host} answered {outcome.status}{f' ({outcome.code})' if outcome.code > 0 else ''}: {said}"
