"""What would prevent a replacement, or do harm in it: told on a calm day already, and refused on another; pure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws.addresses import Interface, Odd
from watchkeeper.aws.hosts import GROUP
from watchkeeper.replacement.refusals import Refusal

if TYPE_CHECKING:
    from watchkeeper.aws.hosts import Host
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

TYPE = re.compile(r"[a-z][a-z0-9-]{1,15}\.[a-z0-9-]{2,20}")


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
