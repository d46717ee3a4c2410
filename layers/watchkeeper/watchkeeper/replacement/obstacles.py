"""What would prevent a replacement, or do harm in it: told on a calm day already, and refused on another; pure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws.addresses import Interface, Odd
from watchkeeper.aws.hosts import GROUP
from watchkeeper.look import stamp
from watchkeeper.replacement.refusals import Refusal

if TYPE_CHECKING:
    from datetime import timedelta

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Launch
    from watchkeeper.aws.volumes import Volume
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


def is_foreign(volume: Volume, application: str) -> bool:
    """It belongs to another application, and not only as a copy beside its database."""
    is_copy = volume.tags.get(tags.ROLE) in (tags.RESTORED, tags.PUT_ASIDE)
    return volume.application not in ("", application) and not is_copy


def templates(scene: Scene) -> Refusal | None:
    """There is not exactly one launch template, in the zone of the volumes, that makes what a host is to be."""
    if len(scene.launches) > 1:
        named = ", ".join(one.id for one in scene.launches)
        return Refusal(
            "two-launch-templates",
            f"{named} are all tagged {tags.ROLE}={tags.DATABASE_LAUNCH} for it; leave the tag on one.",
        )
    return _template(scene, scene.launches[0])


def _template(scene: Scene, launch: Launch) -> Refusal | None:
    zone = scene.details.launch_zone if scene.details else scene.anchor.zone
    if zone != scene.anchor.zone:
        return Refusal(
            "launch-template-elsewhere",
            f"{launch.id} launches in {zone or 'any zone'}, and {scene.anchor.id} is in {scene.anchor.zone}: give it a "
            f"subnet in that zone, and make that its default version.",
        )
    if scene.details and scene.details.launch_role == tags.DATABASE:
        return Refusal(
            "launch-template-tags-volumes",
            f"{launch.id} tags the volumes of a new host {tags.ROLE}={tags.DATABASE}, so that its root volume would "
            f"count as the database's: make a version that does not, and make that its default.",
        )
    odd = [name for name in launch.types if not TYPE.fullmatch(name)]
    if odd:
        return Refusal("odd-instance-type", f"{odd[0]!r} in {tags.INSTANCE_TYPES} of {launch.id} is no type.")
    return None


def volumes(scene: Scene) -> Refusal | None:
    """The volumes are too many, or another host would fare no better with them, or could not have them."""
    return _too_many(scene) or _sick(scene) or _keys(scene)


def _too_many(scene: Scene) -> Refusal | None:
    if len(" ".join(scene.ids)) <= tags.LONGEST:
        return None
    return Refusal(
        "too-many-volumes",
        f"It has {len(scene.ids)} volumes, and what remembers them, the tag {tags.VOLUMES}, takes {tags.LONGEST} "
        f"characters, which are eleven: put it on fewer, larger ones.",
    )


def _sick(scene: Scene) -> Refusal | None:
    ill = scene.details.sick if scene.details else ()
    if not ill:
        return None
    return Refusal(
        "sick-volume",
        f"EBS reports {', '.join(ill)} as impaired, or has disabled its I/O; a new host would not cure that: "
        f"aws ec2 describe-volume-status --volume-ids {ill[0]} says more, aws ec2 enable-volume-io lets it be used "
        f"again, restoring the newest set replaces it.",
    )


def _keys(scene: Scene) -> Refusal | None:
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


def address_hangs(scene: Scene, after: timedelta) -> Refusal | None:
    """The interface that is its address is being attached for longer than this, though no move is under way."""
    one = scene.record
    if not isinstance(one, Interface) or one.status != "attaching" or not one.since or scene.now - one.since < after:
        return None
    return Refusal(
        "takes-long",
        f"{one.id}, its address, is {one.status} to {one.instance} since {stamp(one.since)}: aws ec2 "
        f"detach-network-interface --force --attachment-id {one.attachment}; the next look then attaches it anew.",
    )


def endings(scene: Scene, host: Host) -> Refusal | None:
    """What would go wrong only when its host is terminated, which a replacement seldom asks for: it prevents none."""
    if scene.details and scene.details.is_termination_protected:
        return Refusal(
            "protected-from-termination",
            f"{host.id} is protected from being terminated, which is all that ends a host that hangs in stopping; its "
            f"volumes would not leave it: aws ec2 modify-instance-attribute --instance-id {host.id} "
            f"--no-disable-api-termination.",
            is_advice=True,
        )
    interface = scene.record
    if isinstance(interface, Interface) and interface.is_deleted_with_host and not interface.is_first:
        return Refusal(
            "interface-goes-with-host",
            f"{interface.id}, its address, is deleted when {interface.instance} is terminated: aws ec2 "
            f"modify-network-interface-attribute --network-interface-id {interface.id} --attachment "
            f"AttachmentId={interface.attachment},DeleteOnTermination=false.",
            is_advice=True,
        )
    return None


def holds(scene: Scene, name: str) -> bool:
    """It was told that a refusal of this name began, and not that it is over."""
    return bool(scene.volumes) and scene.anchor.tags.get(tags.REFUSED, "").split(" ")[0] == name
