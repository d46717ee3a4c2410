"""Reads one database closely, with all that bears on replacing its host."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import tags
from watchkeeper.aws import addresses, agents, checks, hosts, keys, launches, snapshots, starts, volumes
from watchkeeper.replacement import loss, obstacles
from watchkeeper.replacement.scene import STOPPED, Details, Scene, Zone, counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_route53 import Route53Client
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.aws.addresses import Interface, Odd, Record
    from watchkeeper.aws.checks import Check
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Launch
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.replacement.settings import Settings

logger = logging.getLogger(__name__)

# The volumes of a database, and those that a restore has not yet put in their place, or put aside.
ROLES = (tags.DATABASE, tags.RESTORED, tags.PUT_ASIDE)

# A volume in one of these states is not there for a database.
NOT_THERE = ("error", "deleting", "deleted")


@dataclass(frozen=True, slots=True)
class Readers:
    """The clients that an observation asks."""

    ec2: EC2Client
    ssm: SSMClient
    cloudwatch: CloudWatchClient
    route53: Route53Client
    kms: KMSClient


@dataclass(slots=True)
class Seen:
    """What one look has read and need not read again, and what its own writes were answered."""

    details: Details = field(default_factory=Details)
    launches: tuple[Launch, ...] | None = None
    launched: dict[str, Host] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    unprotected: dict[str, ClientError] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    zones: Mapping[str, str] | None = None


def observe(read: Readers, settings: Settings, name: str, now: datetime, seen: Seen) -> Scene:
    """One application with its details; what does not change within a look is read once."""
    found, restoring = sort_out(volumes.find_of(read.ec2, [name], ROLES))
    known = {one.id: one for one in hosts.find_of(read.ec2, [name], [tags.DATABASE_HOST])}
    wanted = {one.attachment.host for one in found if one.attachment} | {one.tags.get(tags.HOST, "") for one in found}
    known |= hosts.find(read.ec2, sorted(wanted - set(known) - {""}))
    for launched in seen.launched.values():  # reads may lag behind the answer of RunInstances
        known.setdefault(launched.id, launched)
    if seen.launches is None:
        seen.launches = tuple(launches.find(read.ec2, [name]))
        seen.details = _read_once(read, settings, Scene(name, now, found, known, seen.launches), seen.details)
    scene = Scene(name, now, found, known, seen.launches, details=seen.details, restoring=restoring)
    if not found:
        return scene
    scene = replace(scene, checks=_read_checks(read, scene))
    scene = replace(scene, details=replace(seen.details, zone=_read_zone(read, settings, scene)))
    scene = _ask(read, settings, scene, seen)
    return replace(scene, record=_read_address(read, settings, scene, seen))


def sort_out(tagged: Sequence[Volume]) -> tuple[tuple[Volume, ...], str]:
    """Of an application's volumes those that its database has, and by what a restore paused others; empty if none."""
    there = [one for one in tagged if one.state not in NOT_THERE]
    others = [one.tags.get(tags.PAUSED, "") for one in there if one.tags.get(tags.ROLE) != tags.DATABASE]
    found = counted([one for one in there if one.tags.get(tags.ROLE) == tags.DATABASE])
    return found, next(filter(tags.is_restoring, others), "")


def _read_once(read: Readers, settings: Settings, scene: Scene, details: Details) -> Details:
    if not scene.launches:
        return details
    recorded = set(scene.members) - set(scene.ids)
    sets: list[SnapshotSet] = []
    if recorded or not scene.volumes or any(tags.RESTORED_FROM in one.tags for one in scene.volumes):
        sets, _ = snapshots.sort_out(snapshots.find(read.ec2, [scene.application]))
        good = [one for one in sets if one.is_finished and one.consistency == "application"]
        recorded |= set(good[-1].volumes) - set(scene.ids) if good and not scene.volumes else set()
    states = volumes.find_states(read.ec2, sorted(recorded))
    last = sets[-1].members[0].tags.get(tags.HOST, "") if sets else ""
    host = scene.hosts.get(scene.home) if scene.volumes else hosts.find(read.ec2, [last]).get(last) if last else None
    zone, role = launches.find_zone_and_role(read.ec2, scene.launches[0])
    details = replace(
        details,
        launch_zone=zone,
        launch_role=role,
        sick=tuple(volumes.find_sick(read.ec2, scene.ids)) if scene.ids else (),
        foreign_keys=tuple(keys.find_foreign(read.kms, [one.key for one in scene.volumes], settings.keys)),
        sets=tuple(sets),
        missing={one: states.get(one, "") for one in sorted(recorded)},
        made=_read_made(read, scene, sets),
        last_host=host if not scene.volumes else None,
    )
    return _read_host(read, scene, host, details) if host and host.state in hosts.THERE else details


def _read_made(read: Readers, scene: Scene, sets: Sequence[SnapshotSet]) -> tuple[Volume, ...]:
    """Where none of its volumes is found: those that a restore made before, which no set need name yet.

    What was made for somebody to look at, for a rehearsal or for a restore that was given up is none of them.
    """
    if scene.volumes or not sets:
        return ()
    good = [one for one in sets if one.is_finished and one.consistency == "application"]
    found = volumes.find_made(read.ec2, scene.application, [one.id for some in good[-1:] for one in some.members])
    return tuple(one for one in found if one.state not in NOT_THERE and not loss.is_aside(one))


def _read_host(read: Readers, scene: Scene, host: Host, details: Details) -> Details:
    """What would hurt others if it were fenced, or be refused then; of its end it is asked once a day, or once told."""
    others = volumes.find_on(read.ec2, host.id)
    is_asked = details.is_due or obstacles.holds(scene, "protected-from-termination")
    return replace(
        details,
        is_stop_protected=hosts.is_stop_protected(read.ec2, host.id),
        is_termination_protected=is_asked and hosts.is_termination_protected(read.ec2, host.id),
        foreign=tuple(one.id for one in others if obstacles.is_foreign(one, scene.application)),
    )


def _read_checks(read: Readers, scene: Scene) -> Mapping[str, Check]:
    """Only what has run for a while can be impaired in a way that counts."""
    watched = [scene.hosts[one] for one in {scene.home, scene.holder} if one in scene.hosts]
    if not any(one.state == "running" for one in watched):
        return {}
    return read_impaired(read, scene.anchor.zone)


def read_impaired(read: Readers, zone: str | None) -> Mapping[str, Check]:
    """Where EC2 does not say, nothing that runs is impaired; what is stopped or gone is seen all the same."""
    try:
        return checks.find_impaired(read.ec2, zone, volumes=True)
    except (ClientError, BotoCoreError):
        logger.warning("status checks not read", extra={"zone": zone}, exc_info=True)
        return {}


def _read_zone(read: Readers, settings: Settings, scene: Scene) -> Zone:
    """How all managed hosts of the zone look, where one that still runs looks dead."""
    host = scene.hosts.get(scene.home)
    if host is None or scene.condition(host) != "impaired":
        return Zone()
    try:
        managed = hosts.find_databases(read.ec2, settings.watched, scene.anchor.zone).values()
    except (ClientError, BotoCoreError):
        logger.warning("hosts of the zone not read", extra={"zone": scene.anchor.zone}, exc_info=True)
        return Zone(is_read=False)
    running = [one for one in managed if one.state == "running"]
    dead = [one for one in running if one.id in scene.checks and scene.checks[one.id].is_host]
    failed = [one for one in managed if one.state in STOPPED and one.reason.startswith("Server.")]
    return Zone(len(running) + len(failed), len(dead) + len(failed))


def _ask(read: Readers, settings: Settings, scene: Scene, seen: Seen) -> Scene:
    """Asks SSM about the hosts that something is wanted of. Its silence is an answer: not reached."""
    target, home = scene.target, scene.hosts.get(scene.home)
    wanted = [one.id for one in (target,) if one and scene.has_all(one.id)]
    if home and home.state == "running" and (scene.has_all(home.id) or scene.condition(home) == "impaired"):
        wanted.append(home.id)
    if not wanted or scene.details is None:
        return scene
    try:
        reached = agents.find(read.ssm, wanted) - seen.silent
        sent = {one: tuple(starts.find(read.ssm, one, settings.document, scene.ids, scene.now)) for one in wanted}
    except (ClientError, BotoCoreError):
        logger.warning("ssm not read", extra={"instance_id": wanted}, exc_info=True)
        return scene
    details = replace(scene.details, is_reached={one: one in reached for one in wanted}, starts=sent)
    return replace(scene, details=details)


def _read_address(read: Readers, settings: Settings, scene: Scene, seen: Seen) -> Record | Odd | Interface | None:
    name = address_of(scene.volumes)
    if name.startswith("eni-"):
        return addresses.find_interface(read.ec2, name)
    # Route 53 takes five requests a second of a whole account, so it is asked only when the answer matters:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-requests
    on = scene.holder if scene.holder and scene.has_all(scene.holder) else ""
    sent = scene.details.starts.get(on, ()) if scene.details else ()
    proven = any(one.command == "start" and one.is_success for one in sent)
    if not name or not on or not (on == scene.home or proven):
        return None
    if seen.zones is None:
        seen.zones = addresses.find_zones(read.route53, settings.zones)
    zone = addresses.zone_of(seen.zones, name)
    if zone is None:
        return addresses.Odd(f"{name} is in none of the zones that the stack's parameter HostedZoneIds names.")
    return addresses.find_record(read.route53, zone, name)


def address_of(some: Sequence[Volume]) -> str:
    """The address that any of the volumes names; empty if none does."""
    return next((one.tags[tags.ADDRESS] for one in some if tags.ADDRESS in one.tags), "")
