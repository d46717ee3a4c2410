"""Does what was planned: each write asks for a state, or AWS itself lets only one of two who try it through."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import tags
from watchkeeper.aws import addresses, hosts, launches, notices, starts, volumes
from watchkeeper.aws.hosts import Host
from watchkeeper.replacement import loss
from watchkeeper.replacement.actions import (
    Action,
    Detach,
    Launch,
    MoveInterface,
    Point,
    Protect,
    Rehearse,
    Restore,
    StartAgain,
    Stop,
    Terminate,
    Untag,
)
from watchkeeper.replacement.scene import GONE, MOST_REPLACEMENTS
from watchkeeper.restore import copies
from watchkeeper.restore.actions import Attach, Send, Tag, Tell

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.aws.launches import Failure
    from watchkeeper.replacement.observe import Readers, Seen
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

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
        case Launch():
            return _launch(read, write, scene, action, seen)
        case Detach():
            return _detach(read, action)
        case Attach(volume, host, device):
            return volumes.attach(read.ec2, volume, host, device)
        case Send():
            return _send(write, settings, action, seen)
        case Point():
            return _point(read, settings, action, seen)
        case StartAgain(host):
            return hosts.start(write.ec2_once, host)
        case Protect():
            return _protect(read, action, seen)
        case Terminate(host):
            return _terminate(read, host, seen)
        case Tell(key, subject, text):
            if notices.tell(write.logs_once, write.sns_once, settings.place, key, subject, text):
                seen.told.append(key)
            return True
        case _:
            _apply(read, write, scene, action, seen)
            return True


def _apply(
    read: Readers,
    write: Writers,
    scene: Scene,
    action: Tag | Untag | Stop | MoveInterface | Restore | Rehearse,
    seen: Seen,
) -> None:
    match action:
        case Tag():
            _tag(read, action, seen)
        case Untag(ids, key):
            hosts.untag(read.ec2, ids, key)
        case Stop(host, force=force):
            hosts.stop(read.ec2, host, force=force)
        case MoveInterface(interface, host):
            if host is None:
                addresses.detach_interface(read.ec2, interface)
            else:
                addresses.attach_interface(read.ec2, interface.id, host)
        case Restore(restored, zone):
            for member, kind in zip(restored.members, copies.types(restored), strict=True):
                words, token = loss.words(scene, restored, member.id), loss.token(member, zone)
                volumes.restore(read.ec2, member, zone, kind, words, token)
        case Rehearse(template):
            found = launches.run(write.ec2_once, template, 0, "", _words(scene), dry_run=True)
            refused = None if isinstance(found, Host) or found.code == "DryRunOperation" else found
            seen.details = replace(seen.details, is_due=False, failure=refused)
        case _:
            assert_never(action)


def _tag(read: Readers, action: Tag, seen: Seen) -> None:
    hosts.tag(read.ec2, action.ids, action.words)
    if tags.LOST in action.words:
        seen.launches = None  # what was read once has changed


def _launch(read: Readers, write: Writers, scene: Scene, action: Launch, seen: Seen) -> bool:
    """Goes on to the next number only when AWS says that there is no room.

    A token whose instance is gone, though nothing shows it any more, was a replacement: the next one is planned anew.
    """
    if action.replaced is not None:
        hosts.tag(read.ec2, [scene.anchor.id], {tags.REPLACED: action.replaced})
    failure: Failure | None = None
    types = len(action.template.types) + 1
    for number in range(action.number, MOST_REPLACEMENTS):
        token = launches.token(scene.anchor.id, scene.home, number)
        made = launches.run(write.ec2_once, action.template, number, token, _words(scene))
        if not isinstance(made, Host) and made.code == launches.OTHER_PARAMETERS:
            made = hosts.find_token(read.ec2, token) or made
        if isinstance(made, Host) and made.state not in GONE:
            seen.launched[made.id] = made
            return True
        if isinstance(made, Host) or made.code in (launches.OF_A_TERMINATED, launches.OTHER_PARAMETERS):
            seen.details = replace(seen.details, last_gone=number)
            return False
        failure, types = made, types - 1
        if not made.is_capacity or types == 0:
            break
    gone = launches.Failure(launches.OF_A_TERMINATED, f"{MOST_REPLACEMENTS} replacements of {scene.home} are gone")
    seen.details = replace(seen.details, failure=failure or gone)
    return False


def _words(scene: Scene) -> dict[str, str]:
    return {tags.APPLICATION: scene.application, tags.ROLE: tags.DATABASE_HOST, tags.REPLACES: scene.home}


def _detach(read: Readers, action: Detach) -> bool:
    """By force only from a host that is seen stopped a second time: that a person started it may be a moment old."""
    if action.force:
        again = hosts.find(read.ec2, [action.host]).get(action.host)
        if again and again.state not in ("stopped", "terminated"):
            return False
    volumes.detach(read.ec2, action.volume, action.host, force=action.force)
    return True


def _protect(read: Readers, action: Protect, seen: Seen) -> bool:
    """What is refused here prevents no stop, which deletes nothing, and every end of the host: see `_terminate`."""
    try:
        hosts.protect(read.ec2, action.host, action.devices)
    except ClientError as error:
        seen.unprotected[action.host] = error
        return False
    seen.unprotected.pop(action.host, None)
    return True


def _terminate(read: Readers, host: str, seen: Seen) -> bool:
    if host in seen.unprotected:
        return False
    hosts.terminate(read.ec2, host)
    return True


def _send(write: Writers, settings: Settings, action: Send, seen: Seen) -> bool:
    """SSM is not needed to fence: where it cannot ask a host, that host is silent."""
    try:
        starts.send(write.ssm_once, [action.host], settings.document, action.command, action.parameters)
    except (ClientError, BotoCoreError):
        logger.warning("command not sent", extra={"instance_id": action.host, "step": action.command}, exc_info=True)
        if action.command == "probe":
            seen.silent.add(action.host)
        return False
    return True


def _point(read: Readers, settings: Settings, action: Point, seen: Seen) -> bool:
    zone = addresses.zone_of(seen.zones or {}, action.name)
    if zone is None:
        return False
    return addresses.move(read.route53, action.observed, zone, action.name, action.ip, settings.ttl_seconds)
