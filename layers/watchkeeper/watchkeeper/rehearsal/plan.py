"""Decides what to do about an application's rehearsal now: what is over goes, what is live goes on; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper.look import stamp
from watchkeeper.rehearsal import cleanup, proofs, steps, telling
from watchkeeper.rehearsal.actions import Begin
from watchkeeper.rehearsal.scene import Rehearsal
from watchkeeper.rehearsal.verdict import Plan, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watchkeeper.rehearsal.scene import Scene
    from watchkeeper.rehearsal.settings import Settings


# A set that failed is followed by another in the next hour's look, and not in the same one.
REST = timedelta(minutes=30)

BEGINS = "a rehearsal begins"

# Hosts of rehearsals take room in the account's quota, which a replacement of production may need: so many at once.
MOST_AT_ONCE = 10


def plan(scene: Scene, settings: Settings) -> Plan:
    """What to do now; without details only whether anything is. Telling of what prevents it is part of it."""
    found = _plan(scene, settings)
    told = (
        *([telling.hindered(scene, found.trouble)] if found.trouble and found.trouble.is_told else []),
        *telling.stalled(scene),
    )
    return replace(found, actions=(*found.actions, *told))


def _plan(scene: Scene, settings: Settings) -> Plan:
    live = scene.live
    of = scene.find_set(live) if live else None
    if live and of and scene.has_outcome(live):
        found = cleanup.clean(scene, None, is_ended=True)
        at = proofs.failed_at(of)
        told = (telling.failed(scene, live, of),) if at and at >= live.since else ()
        return replace(found, actions=(*told, *found.actions))
    over = cleanup.clean(scene, live)
    if live and of:
        return cleanup.merge([over, steps.step(scene, settings, live, of)])
    if not over.is_empty:
        return replace(over, trouble=_late(scene))
    return replace(_begin(scene, settings), left=over.left, strange=over.strange)


def _late(scene: Scene) -> Trouble | None:
    """What had its time, and was at something still."""
    known = [Rehearsal.of(one.tags) for one in scene.groups]
    for one in filter(None, known):
        is_late = scene.find_set(one) is not None and not scene.has_outcome(one) and scene.is_past(one)
        if is_late and not scene.is_retired and _is_at_work(scene, one):
            sentence = (
                f"The rehearsal of {one.set} since {stamp(one.since)} was not over after six hours, and was ended."
            )
            return Trouble("took-too-long", sentence)
    return None


def _is_at_work(scene: Scene, rehearsal: Rehearsal) -> bool:
    hosts = scene.scratch_hosts(rehearsal)
    return bool(scene.copies(rehearsal)) or any(one.state != "terminated" for one in hosts)


def _begin(scene: Scene, settings: Settings) -> Plan:
    if why := _why_not(scene, settings):
        return Plan(why=why)
    of = proofs.choose(scene.sets, scene.now, is_forced=scene.forced_at is not None)
    if of is None:
        return Plan(why="no finished application set is there that did not fail of late")
    why = f"the set of {stamp(of.started)} is to be proven"
    if scene.details is None:
        return Plan(waits=(BEGINS,), why=why)
    if trouble := steps.obstacle(scene.details.network):
        return Plan(trouble=trouble)
    rehearsal = Rehearsal(of.id, scene.now.replace(microsecond=0))
    return Plan((Begin(rehearsal, scene.details.network.vpc, why),), (BEGINS,), why=why)


def _why_not(scene: Scene, settings: Settings) -> str:
    if len(scene.launches) != 1:
        return "it has no launch template" if not scene.launches else "it has several launch templates"
    if scene.is_retired:
        return "retired by name"
    if scene.paused:
        return f"paused: {scene.paused}"
    if scene.is_unsettled:
        return "its volumes do not say yet what lies on them, which replace_database_host has written there"
    if not proofs.is_due(scene.sets, settings.every, scene.now, scene.forced_at):
        last = proofs.newest(scene.sets, scene.now)
        return f"proven at {stamp(last)}" if last else "its rehearsal has an outcome"
    failed = max(filter(None, map(proofs.failed_at, scene.sets)), default=None)
    if failed and scene.now - failed < REST and scene.forced_at is None:
        return f"a set failed at {stamp(failed)}, and the next look tries another"
    return ""


def age_days(scene: Scene) -> float:
    """The age of the newest proof, of an application that is rehearsed; 0 of any other."""
    if len(scene.launches) != 1 or scene.is_retired or scene.paused:
        return 0.0
    volumes = [one.created for one in scene.volumes if Rehearsal.of(one.tags) is None]
    return proofs.age(scene.sets, min(volumes, default=None), scene.now) / timedelta(days=1)


def share_out(fleet: Sequence[Scene], plans: Mapping[str, Plan]) -> tuple[list[str], list[str]]:
    """Those with work, and those without room for a host: what begins comes first, and of that the oldest proof."""
    work = [scene for scene in fleet if not plans[scene.application].is_empty]
    wanting = sorted((one for one in work if _wants_host(one, plans[one.application])), key=_turn)
    room = max(0, MOST_AT_ONCE - sum(map(_has_host, fleet)))
    late = [one.application for one in wanting[room:]]
    return [one.application for one in work if one.application not in late], late


def _has_host(scene: Scene) -> bool:
    return any(scene.is_ours(one) and one.state != "terminated" for one in scene.hosts)


def _wants_host(scene: Scene, found: Plan) -> bool:
    """It begins, or goes on without a host: there was none to be had, or it ended."""
    return BEGINS in found.waits or (scene.live is not None and not found.actions and not _has_host(scene))


def _turn(scene: Scene) -> tuple[bool, float]:
    """Who was tried already comes last: else ten that can never be proven would keep all others from it."""
    return scene.live is not None, -age_days(scene)
