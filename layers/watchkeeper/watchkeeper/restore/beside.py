"""Decides what to do now to have a set's volumes beside the database, mounted on an instance or not at all; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from watchkeeper import tags
from watchkeeper.aws.volumes import DEVICES
from watchkeeper.restore import choice, telling
from watchkeeper.restore.actions import Attach, Make
from watchkeeper.restore.commands import ask
from watchkeeper.restore.scene import group
from watchkeeper.restore.verdict import Plan

if TYPE_CHECKING:
    from datetime import datetime

    from watchkeeper.aws.starts import Start
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.look import Look
    from watchkeeper.restore.scene import Scene
    from watchkeeper.restore.wish import Wish

# What was mounted so short a time before a look is mounted still: Lambda tries again after one minute, and after two.
RECENT = timedelta(minutes=5)

BY_ID = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"


def purpose(wish: Wish) -> str:
    """What the volumes that are made for a wish say they were made for."""
    return f"host {wish.instance} {wish.path}" if wish.into == "host" else wish.into


def plan(scene: Scene, wish: Wish, look: Look) -> Plan:
    """What to do now; nothing of production is touched, and nothing of it is waited for."""
    zone = _zone(scene, wish)
    if refusal := _refuse_zone(scene, wish, zone) or (wish.into == "host" and _refuse_instance(scene, wish, zone)):
        return Plan(refusal=refusal)
    made = copies(scene, wish)
    there = {one.tags.get(tags.RESTORED_FROM) for one in made}
    missing = tuple(member for member in scene.set.members if member.id not in there) if scene.set else ()
    if missing and scene.is_making_late:
        return Plan(refusal=telling.unmade(missing))
    if missing and scene.set:
        at = f"{purpose(wish)} {look.time.isoformat()}"
        words = {tags.RESTORED_FOR: purpose(wish)}
        return Plan((Make(replace(scene.set, members=missing), zone, words, at, "they are not there yet"),))
    if broken := [one.id for one in made if one.state not in ("creating", "available", "in-use")]:
        return Plan(refusal=f"EBS could not make {', '.join(broken)}: delete it, and send the event again.")
    if creating := [one.id for one in made if one.state == "creating"]:
        return Plan(waits=(f"EBS has made {', '.join(creating)}",))
    return _mount(scene, wish, made) if wish.into == "host" else Plan(is_done=True)


def copies(scene: Scene, wish: Wish) -> tuple[Volume, ...]:
    """The volumes that were made for this wish, one of each snapshot, now or by the same wish before."""
    first: dict[str, Volume] = {}
    for one in scene.copies(purpose(wish)):
        if one.zone == _zone(scene, wish):
            first.setdefault(one.tags[tags.RESTORED_FROM], one)
    return tuple(sorted(first.values(), key=lambda one: one.id))


def answer(scene: Scene, wish: Wish) -> dict[str, Any]:
    """The volumes, of what each is a copy, and where it is mounted or how it can be."""
    made = copies(scene, wish)
    shown = [
        {"volume": one.id, "of": _original(scene, one), "gib": one.size_gib, "type": one.type, "zone": one.zone}
        for one in made
    ]
    words: dict[str, Any] = {
        "application": scene.application,
        "set": choice.describe(scene.set, scene.now) if scene.set else {},
        "volumes": shown,
        "note": "EBS loads their blocks when they are first read, so they are slow at first; they cost what volumes do",
    }
    if wish.into == "host":
        proof = _proof(scene, made)
        return words | {"mounted": proof.outcome.words.get("mounted", []) if proof and proof.outcome else []}
    pairs = zip(made, reversed(DEVICES), strict=False)
    return words | {"to_mount": [line for one, device in pairs for line in _commands(scene, one, device)]}


def _commands(scene: Scene, one: Volume, device: str) -> tuple[str, ...]:
    place = f"/restored/{_original(scene, one)}"
    return (
        f"aws ec2 attach-volume --volume-id {one.id} --instance-id INSTANCE --device {device}",
        f"sudo mkdir -p {place} && sudo mount -o nouuid {BY_ID}{one.id.replace('-', '')} {place}",
    )


def _original(scene: Scene, one: Volume) -> str:
    members = scene.set.members if scene.set else ()
    return next((each.volume for each in members if each.id == one.tags.get(tags.RESTORED_FROM)), "")


def _zone(scene: Scene, wish: Wish) -> str:
    recorded = scene.set.members[0].tags.get(tags.ZONE, "") if scene.set else ""
    return wish.zone or scene.zone or scene.launch_zone or recorded


def _refuse_zone(scene: Scene, wish: Wish, zone: str) -> str:
    if not zone:
        return f'Nothing says in which zone {scene.application!r} is: name one, as "zone".'
    possible = sorted({scene.zone, scene.launch_zone} - {""})
    if not wish.zone or not possible or wish.zone in possible:
        return ""
    return (
        f"The host of {scene.application!r} has no subnet in {wish.zone}, so no volume there could be its database's: "
        f'it is in {" and ".join(possible)}; leave "zone" out for that.'
    )


def _refuse_instance(scene: Scene, wish: Wish, zone: str) -> str:
    host, name = scene.hosts.get(wish.instance), scene.application
    if host is None or host.application != name:
        mine = sorted(one.id for one in scene.hosts.values() if one.application == name and one.state == "running")
        return (
            f"{wish.instance} is no instance that is tagged {tags.APPLICATION}={name}: tag it, or name another; "
            f"running are {', '.join(mine) or 'none'}."
        )
    if host.zone != zone:
        return f"{host.id} is in {host.zone}, and the volumes are made in {zone}: name an instance there."
    if host.state != "running":
        return f"{host.id} is {host.state}: start it, or name another instance."
    if host.id not in scene.reached:
        return f"SSM does not reach {host.id}: its agent must run, with AmazonSSMManagedInstanceCore."
    return ""


def _mount(scene: Scene, wish: Wish, made: tuple[Volume, ...]) -> Plan:
    host = scene.hosts[wish.instance]
    if strange := [one for one in made if one.attachment and one.attachment.host != host.id]:
        return Plan(refusal=telling.elsewhere(strange, host.id))
    free = [name for name in DEVICES if name not in host.devices.values()]
    loose = [one for one in made if one.attachment is None]
    if len(loose) > len(free):
        return Plan(refusal=f"{host.id} has no device names free for {group(loose)}, of {DEVICES[0]} to {DEVICES[-1]}.")
    steps = [Attach(one.id, host.id, name, "it is to be mounted there") for one, name in zip(loose, free, strict=False)]
    away = [one for one in made if one.attachment is None or one.attachment.state != "attached"]
    if away:
        return Plan(tuple(steps), tuple(f"{one.id} is attached to {host.id}" for one in away))
    if _proof(scene, made):
        return Plan(is_done=True)
    places = [wish.path if len(made) == 1 else f"{wish.path}/{_original(scene, one)}" for one in made]
    words = {"volumeIds": group(made), "places": " ".join(places)}
    return ask(scene, host.id, "mount", words, 0, since=_mounting_counts_from(scene, made))


def _proof(scene: Scene, made: tuple[Volume, ...]) -> Start | None:
    """The mounting that was asked for since all was attached there."""
    sent = scene.asked("mount", _mounting_counts_from(scene, made)) if made and made[0].host else []
    return next((one for one in sent if one.is_success), None)


def _mounting_counts_from(scene: Scene, made: tuple[Volume, ...]) -> datetime | None:
    """Not from long ago: no fstab names a copy, and a reboot, which EC2 does not show, unmounts it."""
    moments = (scene.began_on(scene.hosts.get(made[0].host or ""), made), scene.began and scene.began - RECENT)
    return max(filter(None, moments), default=None)
