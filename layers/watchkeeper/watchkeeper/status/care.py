"""Decides what is said of a host: whether another would take its place, what is refused, what is under way; pure.

Not judged anew either: it is what a look of replace_database_host would come to, as far as cheap reads tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.look import read_time
from watchkeeper.replacement import refusals
from watchkeeper.replacement.observe import NOT_THERE, sort_out
from watchkeeper.replacement.plan import plan
from watchkeeper.replacement.scene import YOUNG, Scene, retired_at
from watchkeeper.status import words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from watchkeeper.aws.volumes import Volume
    from watchkeeper.replacement.verdict import Plan
    from watchkeeper.status.observe import State
    from watchkeeper.status.settings import Settings


@dataclass(frozen=True, slots=True)
class Care:
    """How the host of a database is cared for; `lacks`, `waits_for` and `next` are sentences.

    `why_not` is why it is not replaced by itself, empty if it is. `refused` is what the last look refused, if anything;
    `replaced` are the times of the last 24 hours, `retired` the hosts that stay stopped, and since when.
    """

    why_not: str
    template: str | None = None
    settled: str | None = None
    address: str | None = None
    refused: str | None = None
    refused_since: datetime | None = None
    replaced: tuple[datetime, ...] = ()
    retired: Mapping[str, datetime] | None = None
    moving_to: str | None = None
    lacks: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


def describe(name: str, state: State, settings: Settings, now: datetime) -> Care:
    """What is told of the host of an application at the time `now`."""
    scene = _scene(name, state, now)
    if not scene.volumes or not scene.launches or name in settings.backup.retired:
        return Care("" if not scene.volumes else "it has no launch template", retired=_retired(scene))
    found = plan(scene, settings.replacement)
    refused, since, *_ = [*scene.anchor.tags.get(tags.REFUSED, "").split(" "), ""]
    target = scene.target if scene.target and scene.target.id != scene.home else None
    return Care(
        _why_not(scene, found, settings),
        scene.launches[0].id,
        scene.settled or None,
        next((one.tags[tags.ADDRESS] for one in scene.volumes if tags.ADDRESS in one.tags), None),
        refused or None,
        _time(since),
        tuple(filter(None, map(_time, refusals.entries(scene)))),
        _retired(scene),
        target.id if target else None,
        _lacks(scene, found, refused, _time(since), settings),
        _waits_for(scene, found, settings),
        _next(scene, found, settings),
    )


def _scene(name: str, state: State, now: datetime) -> Scene:
    """As replace_database_host sees it before it looks closely; where records lead is not read."""
    found = tuple(one for one in state.databases.volumes[name] if one.state not in NOT_THERE)
    around = {one.attachment.host for one in found if one.attachment} | {one.tags.get(tags.HOST, "") for one in found}
    hosts = {
        one.id: one
        for one in state.databases.hosts.values()
        if one.id in around or (one.application == name and one.tags.get(tags.ROLE) == tags.DATABASE_HOST)
    }
    launches = tuple(
        one for one in state.launches if one.application == name and one.tags.get(tags.ROLE) == tags.DATABASE_LAUNCH
    )
    led = next((state.interfaces[one.tags[tags.ADDRESS]] for one in found if _has_interface(one, state)), None)
    _, restoring = sort_out([one for one in state.volumes if one.application == name])
    return Scene(name, now, found, hosts, launches, state.impaired, led, restoring=restoring)


def _has_interface(volume: Volume, state: State) -> bool:
    return volume.tags.get(tags.ADDRESS, "") in state.interfaces


def _is_dead(scene: Scene, found: Plan) -> bool:
    """Its host is, and nothing stands in the way of another."""
    condition = scene.condition(scene.hosts.get(scene.home))
    return bool(scene.settled and found.waits and not _missing(scene)) and condition not in ("alive", "starting")


def _missing(scene: Scene) -> list[str]:
    return sorted(scene.members - set(scene.ids))


def _why_not(scene: Scene, found: Plan, settings: Settings) -> str:
    if found.is_paused or (found.refusal and found.refusal.name == "paused"):
        return "it is paused"
    if not settings.is_replacing:
        return "ReplaceDatabaseHosts is false"
    return "" if scene.settled else "it is not settled on a host yet"


def _retired(scene: Scene) -> dict[str, datetime]:
    stopped = [one for one in scene.hosts.values() if one.state == "stopped"]
    return {one.id: moment for one in stopped if (moment := retired_at(one))}


def _lacks(scene: Scene, found: Plan, refused: str, since: datetime | None, settings: Settings) -> tuple[str, ...]:
    """What the plan refuses now; else what the last look refused, for a reason that takes a closer look to see."""
    ago = f", {words.ago(scene.now - since)}" if since else ""
    if found.refusal:
        ago = ago if found.refusal.name == refused else ""
        return (f"Refused ({found.refusal.name}{ago}): {found.refusal.sentence}",)
    if refused:
        return (
            f"Refused ({refused}{ago}): the notice said why, and docs/runbook.md what to do; so does "
            f'replace_database_host, asked with {{"application": "{scene.application}", "dry_run": true}}.',
        )
    if missing := _missing(scene):
        return (f"{', '.join(missing)}, on which it was settled, is not found by its tags.",)
    if _is_dead(scene, found) and not settings.is_replacing:
        return (f"{found.waits[0]}, and nothing looks after it by itself: ReplaceDatabaseHosts is false.",)
    return ()


def _waits_for(scene: Scene, found: Plan, settings: Settings) -> tuple[str, ...]:
    target = scene.target
    if found.refusal or _missing(scene):
        return ()
    if found.waits and target and target.id != scene.home:
        return (f"its database to move to {target.id}, which is {target.state}: {found.waits[0]}.",)
    if _is_dead(scene, found) or not settings.is_replacing:
        return ()
    return tuple(f"replace_database_host, until {one}." for one in found.waits)


def _next(scene: Scene, found: Plan, settings: Settings) -> tuple[str, ...]:
    if not _is_dead(scene, found) or scene.target or not settings.is_replacing:
        return ()
    host = scene.hosts.get(scene.home)
    soon = "Within the minute" if host is None or scene.age(host) >= YOUNG else "Ten minutes after it was started"
    again = "it is tried again" if tags.REFUSED in scene.anchor.tags else "its host is replaced"
    return (f"{soon} {again}: {found.waits[0]}.",)


def _time(text: str) -> datetime | None:
    try:
        return read_time(text)
    except ValueError:
        return None
