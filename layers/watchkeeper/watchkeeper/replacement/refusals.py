"""Why a host is not replaced although something is the matter: each a named value with a sentence; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from watchkeeper import applications, tags
from watchkeeper.aws.addresses import Interface, Odd
from watchkeeper.aws.hosts import GROUP
from watchkeeper.look import read_time
from watchkeeper.replacement.scene import STOPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Failure
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

DAY = timedelta(days=1)
TYPE = re.compile(r"[a-z][a-z0-9-]{1,15}\.[a-z0-9-]{2,20}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A name that never changes, for tags and metrics, and a sentence for people: what is wrong, and what to do."""

    name: str
    sentence: str


def paused(scene: Scene, host: Host | None) -> Refusal | None:
    """Somebody wants it left exactly as it is."""
    labelled = [one.tags for one in scene.volumes] + ([host.tags] if host else [])
    reasons = [one[tags.PAUSED] for one in labelled if tags.PAUSED in one]
    reasons += [one.paused for one in scene.launches if one.paused]
    if not reasons:
        return None
    return Refusal(
        "paused", f"It is paused ({reasons[0]}), so its host is not replaced: remove {tags.PAUSED} to let it be."
    )


def stopped_by_people(host: Host) -> Refusal:
    """A stop that somebody wished is no death."""
    return Refusal(
        "stopped-by-people",
        f"{host.id} was stopped by somebody ({host.reason}), and is left so: start it again, terminate it to have it "
        f"replaced, or deploy with ReplaceStoppedByPeople=true.",
    )


def detached(scene: Scene, host: Host) -> Refusal:
    """A volume is away though its host is well: somebody is at it."""
    away = ", ".join(one.id for one in scene.volumes if one.host != host.id)
    return Refusal(
        "detached-while-healthy",
        f"{away} is not attached to {host.id}, which runs and is well: somebody is at it, so nothing is done. Attach "
        f"it again, or terminate {host.id} to have it replaced.",
    )


def hanging(volumes: Sequence[Volume]) -> Refusal:
    """A volume of a host that runs stays half attached."""
    said = ", ".join(f"{one.id} is {one.attachment.state}" for one in volumes if one.attachment)
    first = volumes[0]
    return Refusal(
        "volume-hangs",
        f"{said} on {first.host}, which runs: unmount it there, which ends a detachment that is busy, or stop the host "
        f"and aws ec2 detach-volume --force --volume-id {first.id}; then attach it again.",
    )


def moved_by_hand(scene: Scene) -> Refusal:
    """The anchor is on an instance that nothing says we may use."""
    return Refusal(
        "moved-by-hand",
        f"{scene.anchor.id} is attached to {scene.holder}, and the database was settled on {scene.home}: tag "
        f"{scene.holder} {tags.APPLICATION}={scene.application} and {tags.ROLE}={tags.DATABASE_HOST} if that is its "
        f"host now, or attach the volume where it was.",
    )


def never_settled(scene: Scene) -> Refusal:
    """Nobody remembers where it ran, nor what lies where on its volumes."""
    return Refusal(
        "never-settled",
        f"{', '.join(scene.ids)} were never seen with a server that runs on them, so nobody knows where another host "
        f"would have to mount them: attach them to the instance that the database shall run on, tagged "
        f"{tags.APPLICATION}={scene.application} and {tags.ROLE}={tags.DATABASE_HOST}, and start it there.",
    )


def not_ours(scene: Scene, host: Host | None) -> Refusal | None:
    """The volumes or the host are such that fencing or moving would hurt others, or could not be finished."""
    reason = _of_volumes(scene) or (_of_host(scene, host) if host else "")
    if not reason:
        return None
    return Refusal("not-ours-to-kill", f"{reason} So the host of this database is never replaced by itself.")


def _of_volumes(scene: Scene) -> str:
    for one in scene.volumes:
        if one.is_shared:
            return f"{one.id} has Multi-Attach, so two hosts could write to it."
        if one.is_managed:
            return f"{one.id} is managed by a service of AWS."
    return ""


def _of_host(scene: Scene, host: Host) -> str:
    details = scene.details
    reasons = {
        f"{host.root} is the root volume of {host.id}, which cannot be moved.": host.root in scene.ids,
        f"{host.id} belongs to the Auto Scaling group {host.tags.get(GROUP)}, which would replace it as well.": GROUP
        in host.tags,
        f"{host.id} is a spot instance.": host.is_spot,
        f"{host.id} is managed by a service of AWS.": host.is_managed,
        f"{host.id} is not tagged {tags.APPLICATION}={scene.application} and {tags.ROLE}={tags.DATABASE_HOST}.": (
            host.tags.get(tags.ROLE) != tags.DATABASE_HOST or host.application != scene.application
        ),
        f"{host.id} holds volumes of another application as well.": bool(details and details.foreign),
        f"{host.id} is protected from being stopped (DisableApiStop).": bool(details and details.is_stop_protected),
    }
    return next((reason for reason, is_so in reasons.items() if is_so), "")


def templates(scene: Scene) -> Refusal | None:
    """There is not exactly one launch template, in the zone of the volumes, with types that are types."""
    if len(scene.launches) > 1:
        named = ", ".join(one.id for one in scene.launches)
        return Refusal(
            "two-launch-templates",
            f"{named} are all tagged {tags.ROLE}={tags.DATABASE_LAUNCH} for it; leave the tag on one.",
        )
    zone = scene.details.launch_zone if scene.details else scene.anchor.zone
    if zone != scene.anchor.zone:
        return Refusal(
            "launch-template-elsewhere",
            f"{scene.launches[0].id} launches in {zone or 'any zone'}, and {scene.anchor.id} is in "
            f"{scene.anchor.zone}: give it a subnet in that zone, and make that its default version.",
        )
    odd = [name for name in scene.launches[0].types if not TYPE.fullmatch(name)]
    if odd:
        return Refusal(
            "odd-instance-type", f"{odd[0]!r} in {tags.INSTANCE_TYPES} of {scene.launches[0].id} is no type."
        )
    return None


def sick(scene: Scene) -> Refusal | None:
    """EBS itself says that a volume is not well: on another host it would be as sick."""
    ill = scene.details.sick if scene.details else ()
    if not ill:
        return None
    return Refusal(
        "sick-volume",
        f"EBS reports {', '.join(ill)} as impaired, or has disabled its I/O; a new host would not cure that: "
        f"aws ec2 describe-volume-status --volume-ids {ill[0]} says more, aws ec2 enable-volume-io lets it be used "
        f"again, restoring the newest set replaces it.",
    )


def keys(scene: Scene) -> Refusal | None:
    """A volume is under a key that the function may not use: found out after the fence it would be too late."""
    foreign = scene.details.foreign_keys if scene.details else ()
    if not foreign:
        return None
    return Refusal(
        "key-not-usable",
        f"Its volumes are under {', '.join(foreign)}, which the stack's parameter KeyArns does not name, so no other "
        f"host can have them: deploy with it, and let the key's policy allow its use.",
    )


def zone(scene: Scene, host: Host) -> Refusal | None:
    """Many hosts of the zone look dead at once."""
    found = scene.details.zone if scene.details else None
    if found is None or not found.is_in_trouble:
        return None
    seen = (
        f"{found.dead} of {found.hosts} database hosts"
        if found.is_read
        else "an unknown number of hosts (EC2 does not say)"
    )
    return Refusal(
        "zone-looks-dead",
        f"{seen} in {host.zone} look dead at once, so {host.id}, which still runs, is left alone: see the health of "
        f"the zone; hosts that are stopped or terminated are replaced all the same.",
    )


def answers(host: Host) -> Refusal:
    """EC2 holds the host for dead, and its database answers."""
    return Refusal(
        "host-answers",
        f"EC2 says that {host.id} is impaired, and its database takes writes all the same, so it is left alone: "
        f"look at its network and its status checks, or terminate it to have it replaced.",
    )


def budget(scene: Scene, settings: Settings) -> Refusal | None:
    """So many replacements in a day mean that something else is wrong."""
    spent = entries(scene)
    if len(spent) < settings.budget or f"{scene.home}.{scene.next_number}" in spent.values():
        return None
    return Refusal(
        "budget-spent",
        f"Its host was replaced {len(spent)} times within 24 hours, which is all that ReplacementsPerDay allows: find "
        f"out what ends its hosts; remove {tags.REPLACED} from {scene.anchor.id} to let it be replaced again.",
    )


def entries(scene: Scene) -> dict[str, str]:
    """The replacements of the last 24 hours that the anchor remembers: by time, which host and which number."""
    found = (one.partition("=") for one in scene.anchor.tags.get(tags.REPLACED, "").split())
    return {time: of for time, _, of in found if _is_recent(time, scene)}


def _is_recent(time: str, scene: Scene) -> bool:
    try:
        return scene.now - read_time(time) < DAY
    except ValueError:
        return False


def launch(scene: Scene, failure: Failure, host: Host | None) -> Refusal:
    """AWS makes no instance now."""
    again = ""
    if host and host.state in (*STOPPED, "running", "pending"):
        again = f" Meanwhile {host.id} is stopped and started again, on other hardware."
    if failure.is_capacity:
        tried = " ".join(("its own type", *scene.launches[0].types))
        return Refusal(
            "no-capacity",
            f"AWS has no room for {tried} in {scene.anchor.zone} now ({failure.code}). It is tried again each minute; "
            f"name other types in {tags.INSTANCE_TYPES} of {scene.launches[0].id}.{again}",
        )
    return Refusal(
        "launch-refused",
        f"AWS refuses to launch {scene.launches[0].id}: {failure.message} ({failure.code}). Mend the template, or the "
        f"stack's parameters LaunchRoleArns and KeyArns; it is tried again each minute.{again}",
    )


def address(scene: Scene, name: str, settings: Settings) -> Refusal | None:
    """The address is not one that may be moved."""
    labelled = {one.tags[tags.ADDRESS] for one in scene.volumes if tags.ADDRESS in one.tags}
    if len(labelled) > 1:
        return Refusal(
            "odd-address", f"Its volumes name {len(labelled)} addresses ({', '.join(sorted(labelled))}): leave one."
        )
    if name.startswith("eni-"):
        reason = _of_interface(scene, name)
        return Refusal("odd-address", reason) if reason else None
    if not any(fnmatchcase(name.lower(), pattern.lower()) for pattern in settings.names):
        return Refusal(
            "odd-address",
            f"{name} is not among the names that the stack's parameter RecordNames allows "
            f"({','.join(settings.names) or 'none'}), so it is not moved: deploy with it, or correct {tags.ADDRESS}.",
        )
    if isinstance(scene.record, Odd):
        return Refusal("odd-address", f"{scene.record.reason} So it is not moved: make it one plain A record.")
    return None


def _of_interface(scene: Scene, name: str) -> str:
    if scene.record is None:
        return f"There is no network interface {name}: correct {tags.ADDRESS}."
    if isinstance(scene.record, Interface) and scene.record.is_first:
        return f"{name} is the first interface of {scene.record.instance}, which cannot leave it: name a second one."
    if isinstance(scene.record, Interface) and scene.record.application != scene.application:
        return f"{name} is not tagged {tags.APPLICATION}={scene.application}, so it is not moved: tag it."
    return ""


def name(scene: Scene) -> Refusal | None:
    """Its name is none, so that nothing may be done with it."""
    if applications.NAME.fullmatch(scene.application):
        return None
    return Refusal("odd-name", f"{scene.application!r} is no name of an application: {applications.WHAT_A_NAME_IS}.")
