"""Does what was planned: each write asks for a state, or AWS itself lets only one of two who try it through."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import tags
from watchkeeper.aws import groups, hosts, launches, notices, scratch, snapshots, starts, volumes
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.launches import Failure
from watchkeeper.aws.scratch import Apart
from watchkeeper.rehearsal.actions import (
    Action,
    Begin,
    Conclude,
    Copy,
    DeleteGroup,
    DeleteVolume,
    Launch,
    LetGo,
    Narrow,
    Send,
    Terminate,
)
from watchkeeper.rehearsal.scene import GONE, OUT, USER_DATA, Rehearsal
from watchkeeper.restore.actions import Attach, Tell

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.rehearsal.observe import Readers, Seen
    from watchkeeper.rehearsal.scene import Scene
    from watchkeeper.rehearsal.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Writers:
    """Clients that send once, for what has no token and for what is refused by a server's error."""

    ec2_once: EC2Client
    ssm_once: SSMClient
    sns_once: SNSClient
    logs_once: CloudWatchLogsClient


def apply(read: Readers, write: Writers, settings: Settings, scene: Scene, action: Action, seen: Seen) -> bool:
    """Does one thing. False if somebody else was there before, or it is not to be had: look again before the rest.

    What was answered and may not be seen at once is put into `seen`. Raises what AWS answers.
    """
    match action:
        case Begin(rehearsal, vpc):
            words = _words(scene, rehearsal)
            return groups.create(read.ec2, scene.name, "Of a host on which a snapshot set is tried", vpc, words)
        case Launch():
            return _launch(read, write, settings, scene, action, seen)
        case Attach(volume, host, device):
            return volumes.attach(read.ec2, volume, host, device)
        case DeleteVolume(volume):
            return volumes.delete(read.ec2, volume)
        case DeleteGroup(group):
            return groups.delete(read.ec2, group)
        case Tell(key, subject, text):
            return notices.tell(write.logs_once, write.sns_once, settings.place, key, subject, text)
        case Send():
            return _send(write, action)
        case _:
            _apply(read, scene, action, seen)
            return True


def _apply(read: Readers, scene: Scene, action: Narrow | LetGo | Copy | Conclude | Terminate, seen: Seen) -> None:
    match action:
        case Narrow(group):
            groups.narrow(read.ec2, group, OUT)
        case LetGo(host, devices):
            scratch.let_go(read.ec2, host, devices)
        case Copy(rehearsal, member, kind, zone):
            words = _words(scene, rehearsal) | {tags.RESTORED_FROM: member.id}
            volumes.restore(read.ec2, member, zone, kind, words, volumes.token(member.id, zone, rehearsal.word))
            seen.copied.setdefault(member.id, scene.now)
        case Conclude(of, words):
            snapshots.tag(read.ec2, [member.id for member in of.members], words)
        case Terminate(host):
            hosts.terminate(read.ec2, host)
        case _:
            assert_never(action)


def _send(write: Writers, action: Send) -> bool:
    """A host that SSM does not reach for a while is asked again by the next look."""
    try:
        starts.send(write.ssm_once, [action.host], action.document, action.command, action.parameters)
    except (ClientError, BotoCoreError):
        logger.warning("command not sent", extra={"instance_id": action.host, "step": action.command}, exc_info=True)
        return False
    return True


def _words(scene: Scene, rehearsal: Rehearsal) -> dict[str, str]:
    return {
        "Name": scene.name,
        tags.APPLICATION: scene.application,
        tags.ROLE: tags.REHEARSAL,
        tags.REHEARSES: rehearsal.word,
    }


def _launch(read: Readers, write: Writers, settings: Settings, scene: Scene, action: Launch, seen: Seen) -> bool:
    """Tries the template's types in their order, each with a token of its own, while AWS has no room for one."""
    apart = Apart(action.group, settings.profile, USER_DATA)
    words = _words(scene, action.rehearsal)
    seen.failure = None
    for number, token in enumerate(action.rehearsal.tokens[: len(action.template.types) + 1]):
        wish = (number, token)
        made = scratch.run(write.ec2_once, action.template, action.network, apart, wish, words)
        if isinstance(made, Failure) and made.code == launches.OTHER_PARAMETERS:
            made = hosts.find_token(read.ec2, token) or made
        if isinstance(made, Host) and made.state not in GONE:
            seen.launched[made.id] = made
            return True
        if isinstance(made, Host):
            made = Failure(launches.OF_A_TERMINATED, f"{made.id} is {made.state}")
        if made.code == groups.NOT_FOUND:  # another look has ended it meanwhile
            return False
        seen.failure = made
        if not made.is_capacity:
            break
    return False
