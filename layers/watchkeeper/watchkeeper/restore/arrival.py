"""Decides how volumes arrive in the database's place: tagged, attached, started, told; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws.volumes import DEVICES
from watchkeeper.restore import telling
from watchkeeper.restore.actions import Attach, Detach, Tag, Untag
from watchkeeper.restore.commands import ask
from watchkeeper.restore.scene import ago, group
from watchkeeper.restore.verdict import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from watchkeeper.restore.actions import Action
    from watchkeeper.restore.scene import Operation, Scene
    from watchkeeper.restore.settings import Settings

# "Most attach operations finish within 1-4 seconds" (aws-ebs-csi-driver); one that does not, does not at all.
STUCK = timedelta(minutes=5)

# How long the end waits for somebody to be told, should notices not be taken.
PATIENCE = timedelta(minutes=5)


def put_in(scene: Scene, operation: Operation) -> Plan | None:
    if not scene.incoming:
        return Plan(refusal=f"No volume is there that could be the database of {scene.application!r}.")
    out = [one for one in scene.incoming if one.tags.get(tags.ROLE) != tags.DATABASE]
    if scene.missing and not operation.is_undo:
        gone = ", ".join(one.id for one in scene.missing)
        return Plan(
            refusal=f"The volume made of {gone} is not there any more: {telling.undo(scene)} puts back what was."
        )
    if not out:
        return None
    words = {
        tags.ROLE: tags.DATABASE,
        tags.VOLUMES: group(scene.incoming),
        tags.HOST: scene.home,
        tags.RESTORED_FOR: operation.word,
    }
    return Plan((Tag(tuple(one.id for one in out), words | timeline(scene), "they are the database now"),), step=5)


def timeline(scene: Scene) -> dict[str, str]:
    return {tags.TIMELINE: str(scene.timeline)} if scene.timeline else {}


def attach(scene: Scene) -> Plan | None:
    """The anchor first, the others to who has it."""
    host = scene.host
    strange = [one for one in scene.incoming if one.attachment and one.attachment.host != scene.home]
    if strange:
        return Plan(refusal=telling.elsewhere(strange, scene.home), step=6)
    free = [one for one in scene.incoming if one.attachment is None]
    names = [name for name in DEVICES if host and name not in host.devices.values()]
    turn = int(scene.now.timestamp() // STUCK.total_seconds()) % max(1, len(names))
    steps: list[Action] = [
        Attach(one.id, scene.home, name, "the anchor first, the others to who has it")
        for one, name in zip(free, names[turn:] + names[:turn], strict=False)
    ]
    if free and not steps:
        return Plan(refusal=f"{scene.home} has no device name free of {DEVICES[0]} to {DEVICES[-1]}.", step=6)
    away = [one for one in scene.incoming if one.attachment is None or one.attachment.state != "attached"]
    steps += [
        Detach(one.id, scene.home, "attaching does not end; then under another name")
        for one in reversed(away)
        if one.attachment and one.attachment.state == "attaching" and _is_stuck(scene, one.attachment.since)
    ]
    waits = tuple(f"{one.id} is attached to {scene.home}" for one in away)
    return Plan(tuple(steps), waits, 6) if away else None


def _is_stuck(scene: Scene, since: datetime | None) -> bool:
    return since is not None and ago(scene, since) >= STUCK


def start(scene: Scene, settings: Settings) -> Plan:
    """It is proven by a start that was asked for once all was there, and after the last stop."""
    words = {
        "volumeIds": group(scene.incoming),
        "newTimeline": scene.incoming[0].tags.get(tags.RESTORED_FROM, ""),
        "timelineAfter": str(scene.timeline or ""),
        "allowCollationChange": settings.collation_change,
        "startCommand": settings.start_command,
    }
    stops = [one for one in scene.sent_in if one.command == "stop"]
    if any(one.outcome is None for one in stops):  # of two who wait for the lock on the host either may be first
        return Plan(waits=(f"PostgreSQL is stopped on {scene.home}",), step=7)
    began = [scene.began_on(scene.host, scene.incoming), *(one.asked for one in stops)]
    since = max(filter(None, began), default=None)
    proof = [one for one in scene.asked("start", since) if one.is_success]
    if not proof:
        return ask(scene, scene.home, "start", words, 7, since=since)
    return finish(scene, (telling.restored(scene, proof[0]),), is_late=ago(scene, proof[0].asked) > PATIENCE)


def finish(scene: Scene, told: tuple[Action, ...], *, is_late: bool = False) -> Plan:
    """It ends: people are told before nothing is left that could say so, unless notices are not taken for long."""
    marked = [(one.id, one.tags) for one in scene.incoming]
    forgotten = _untag(marked, tags.RETIRED, "they are the database again")
    over = (*forgotten, *unpause(scene))
    return Plan((*over, *told) if is_late else (*told, *over), step=8, is_done=True)


def unpause(scene: Scene) -> tuple[Action, ...]:
    """What was put aside or made in vain first; the database and its host last."""
    held = [one for one in scene.volumes if tags.is_restoring(one.tags.get(tags.PAUSED, ""))]
    last = [(one.id, one.tags) for one in held if one.tags.get(tags.ROLE) == tags.DATABASE]
    first = [(one.id, one.tags) for one in held if one.tags.get(tags.ROLE) != tags.DATABASE]
    last += [(one.id, one.tags) for one in scene.hosts.values() if tags.is_restoring(one.tags.get(tags.PAUSED, ""))]
    return (*_untag(first, tags.PAUSED, "it is done"), *_untag(last, tags.PAUSED, "it is done"))


def _untag(things: Sequence[tuple[str, Mapping[str, str]]], key: str, reason: str) -> tuple[Untag, ...]:
    values = sorted({words[key] for _, words in things if key in words})
    return tuple(
        Untag(tuple(name for name, words in things if words.get(key) == value), key, value, reason) for value in values
    )
