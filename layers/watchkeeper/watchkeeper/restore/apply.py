"""Does what was planned: each write names exactly what it is done to, or AWS lets one of two who try it through."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from watchkeeper import tags
from watchkeeper.aws import hosts, notices, starts, volumes
from watchkeeper.restore import copies
from watchkeeper.restore.actions import Attach, Detach, Make, Protect, Send, Tag, Tell, Untag
from watchkeeper.runtime import now

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.restore.actions import Action
    from watchkeeper.restore.observe import Seen
    from watchkeeper.restore.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Writers:
    """Clients that send once: what is sent again by itself may arrive when somebody else is further on."""

    ec2_once: EC2Client
    ssm_once: SSMClient
    sns_once: SNSClient
    logs_once: CloudWatchLogsClient
    functions: LambdaClient


def apply(write: Writers, settings: Settings, name: str, action: Action, seen: Seen) -> bool:
    """Does one thing. False if somebody else was there before: look again before the rest. Raises what AWS answers."""
    match action:
        case Tag(ids, words):
            hosts.tag(write.ec2_once, ids, words)
        case Untag(ids, key, value):
            hosts.untag(write.ec2_once, ids, key, value)
        case Protect(run):
            _protect(write, settings, name, run, seen)
        case Make():
            _make(write, name, action, seen)
        case Send(host, command, parameters):
            reached, seen.reached = seen.reached, frozenset()  # what is not taken is asked about again
            starts.send(write.ssm_once, [host], _document(settings, action), command, parameters)
            seen.reached = reached
        case Detach(volume, host):
            volumes.detach(write.ec2_once, volume, host, force=False)
        case Attach(volume, host, device):
            return volumes.attach(write.ec2_once, volume, host, device)
        case Tell(key, subject, text):
            if notices.tell(write.logs_once, write.sns_once, settings.place, key, subject, text):
                seen.told.append(key)
        case _:
            assert_never(action)
    return True


def _document(settings: Settings, action: Send) -> str:
    own = {"stop": settings.stop_document, "mount": settings.mount_document}
    return own.get(action.command, settings.start_document)


def _protect(write: Writers, settings: Settings, name: str, run: str, seen: Seen) -> None:
    """Once in a look: Lambda delivers it again where it failed, and a run has one set however often it is asked for."""
    if run in seen.protected:
        return
    event = {"application": name, "time": run, "force": True}
    write.functions.invoke(
        FunctionName=settings.snapshot_function, InvocationType="Event", Payload=json.dumps(event).encode()
    )
    seen.protected.add(run)
    logger.info("protective set asked for", extra={"run_id": run})


def _make(write: Writers, name: str, action: Make, seen: Seen) -> None:
    for member, kind in zip(action.set.members, copies.types(action.set), strict=True):
        words = {**copies.words(name, member, tags.RESTORED), **action.words}
        token = volumes.token(member.id, action.zone, action.at)
        volumes.restore(write.ec2_once, member, action.zone, kind, words, token)
    seen.made = seen.made or now()
