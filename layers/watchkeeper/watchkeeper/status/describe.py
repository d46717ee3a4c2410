"""Decides what is said of each application: what it has, lacks and waits for, and what comes next; pure.

What it lacks and what comes next is not judged anew: it is what the plans of the other functions would come to now.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.backup.plan import Take, Wrong
from watchkeeper.backup.plan import plan as plan_backup
from watchkeeper.look import Look
from watchkeeper.retention.observe import State as Kept
from watchkeeper.retention.plan import plan as plan_retention
from watchkeeper.status import advice, care, proof, schedules, web, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.backup.plan import Verdict
    from watchkeeper.retention.plan import Plan
    from watchkeeper.status.care import Care
    from watchkeeper.status.observe import State
    from watchkeeper.status.proof import Proof
    from watchkeeper.status.settings import Settings
    from watchkeeper.status.web import Web


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest set of an application that says what it is."""

    started: datetime
    consistency: str
    frozen_ms: int
    is_finished: bool


@dataclass(frozen=True, slots=True)
class Application:
    """An application as people know it; `lacks`, `waits_for` and `next` are sentences, those of its parts too."""

    name: str
    volumes: Mapping[str, int]
    host: str | None
    host_state: str | None
    is_reached: bool
    care: Care
    web: Web
    proof: Proof
    newest: Newest | None
    newest_application: datetime | None
    sets: int
    snapshots: int
    policy: str
    paused: str | None
    lacks: tuple[str, ...]
    waits_for: tuple[str, ...]
    next: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """All that is told, at a time, in a time zone."""

    time: datetime
    zone: ZoneInfo
    watched: tuple[str, ...]
    applications: tuple[Application, ...]
    next_snapshots: datetime | None
    next_pruning: datetime | None
    schedules: tuple[str, str]
    is_replacing: bool
    is_registering: bool
    is_rehearsing: bool
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """What the other functions would do with an application now: asked to, at the hourly look, and at the pruning."""

    asked: Verdict
    hourly: Verdict
    pruning: Plan


def describe(state: State, settings: Settings, now: datetime) -> Status:
    """What is told of a state at the time `now`."""
    zone = settings.retention.zone
    planned = _plan(state, settings, now)
    return Status(
        now,
        zone,
        settings.backup.watched,
        tuple(_describe(name, state, planned[name], settings, now) for name in state.databases.volumes),
        schedules.next_time(settings.snapshot_schedule, zone, now),
        schedules.next_time(settings.prune_schedule, zone, now),
        (settings.snapshot_schedule, settings.prune_schedule),
        settings.is_replacing,
        settings.is_registering,
        settings.is_rehearsing,
        _remarks(state, settings.backup.watched),
    )


def _plan(state: State, settings: Settings, now: datetime) -> dict[str, Planned]:
    asked, hourly = (
        {one.application: one for one in plan_backup(state.databases, look, settings.backup)}
        for look in (Look(now), Look(now, if_overdue=True))
    )
    kept = Kept(state.databases.sets, state.databases.volumes, state.strangers)
    pruning = plan_retention(kept, Look(now), settings.retention, now)
    return {one.application: Planned(asked[one.application], hourly[one.application], one) for one in pruning}


def _describe(name: str, state: State, planned: Planned, settings: Settings, now: datetime) -> Application:
    volumes, sets, hosts = state.databases.volumes[name], state.databases.sets[name], state.databases.hosts
    host = next((hosts[one.host] for one in volumes if one.host and one.host in hosts), None)
    finished = [one.started for one in sets if one.is_finished and one.consistency == "application"]
    newest = finished[-1] if finished else None
    paused = _paused(volumes, host) or state.databases.pauses.get(name)
    cared, kept = care.describe(name, state, settings, now), web.describe(name, state, settings)
    shown = proof.describe(name, state, settings, paused, now)
    is_watched = bool(volumes) and paused is None and name not in settings.backup.retired
    lacks = (*_lacks_host(host, state.reached, planned.asked), *_lacks_set(newest, settings, now)) if is_watched else ()
    return Application(
        name=name,
        volumes={one.id: one.size_gib for one in volumes},
        host=host.id if host else None,
        host_state=host.state if host else None,
        is_reached=host is not None and host.id in state.reached,
        care=cared,
        web=kept,
        proof=shown,
        newest=_newest(sets),
        newest_application=newest,
        sets=len(sets),
        snapshots=sum(len(one.members) for one in sets),
        policy=planned.pruning.policy if volumes or sets else "",
        paused=paused,
        lacks=(*cared.lacks, *kept.lacks, *shown.lacks, *_lacks_sense(planned), *lacks, *_failed(sets, now)),
        waits_for=(*cared.waits_for, *kept.waits_for, *shown.waits_for, *_waits_for(sets, now)),
        next=(*cared.next, *kept.next, *_next(planned), *shown.next),
    )


def _paused(volumes: Sequence[Volume], host: Host | None) -> str | None:
    labelled = [one.tags for one in volumes] + ([host.tags] if host else [])
    return next((one[tags.PAUSED] for one in labelled if tags.PAUSED in one), None)


def _newest(sets: Sequence[SnapshotSet]) -> Newest | None:
    concluded = [one for one in sets if one.is_whole and one.is_concluded and not one.has_failed]
    if not concluded:
        return None
    one = concluded[-1]
    frozen = one.members[0].tags[tags.FROZEN_MS]
    return Newest(one.started, one.consistency, int(frozen) if frozen.isdigit() else 0, one.is_finished)


def _lacks_sense(planned: Planned) -> tuple[str, ...]:
    """What the other functions would refuse."""
    wrong = (planned.asked.reason,) if isinstance(planned.asked, Wrong) else ()
    return (*wrong, planned.pruning.refusal) if planned.pruning.refusal else wrong


def _lacks_host(host: Host | None, reached: frozenset[str], verdict: Verdict) -> tuple[str, ...]:
    if host is None or isinstance(verdict, Wrong):
        return ()
    if host.state != "running":
        return (f"{host.id} is {host.state}: until it runs, its sets are crash-consistent only.",)
    if host.id not in reached:
        return (
            f"SSM does not reach {host.id}, so it cannot be frozen: its agent must run, with a way out to SSM and an "
            f"instance role that has AmazonSSMManagedInstanceCore.",
        )
    return ()


def _lacks_set(newest: datetime | None, settings: Settings, now: datetime) -> tuple[str, ...]:
    overdue = settings.backup.overdue
    if newest is None:
        return ("It has no finished application-consistent set yet.",)
    if now - newest >= overdue:
        old, most = words.span(now - newest), words.span(overdue)
        return (f"Its newest application-consistent set is {old} old; {most} may be.",)
    return ()


def _failed(sets: Sequence[SnapshotSet], now: datetime) -> tuple[str, ...]:
    return tuple(
        f"EBS gave up on the set from {words.ago(now - one.started)}; it does not count, and is pruned."
        for one in sets
        if one.has_failed
    )


def _waits_for(sets: Sequence[SnapshotSet], now: datetime) -> tuple[str, ...]:
    return tuple(
        f"EBS to copy the set from {words.ago(now - one.started)}: {_progress(one)}."
        for one in sets
        if one.is_whole and not one.is_finished and not one.has_failed
    )


def _progress(one: SnapshotSet) -> str:
    done = [100 if member.state == "completed" else _percent(member.progress) for member in one.members]
    return f"{sum(done) // len(done)} % of {words.count(len(done), 'snapshot')}"


def _percent(progress: str) -> int:
    digits = progress.removesuffix("%")
    return int(digits) if digits.isdecimal() else 0


def _next(planned: Planned) -> tuple[str, ...]:
    is_due = isinstance(planned.hourly, Take)
    overdue = ("Within the hour a set is made, since none is new enough.",) if is_due else ()
    going = 0 if planned.pruning.refusal else len(planned.pruning.deletes)
    return (*overdue, f"{words.count(going, 'set')} will go with the next pruning.") if going else overdue


def _remarks(state: State, watched: Sequence[str]) -> tuple[str, ...]:
    labelled = [one.tags for some in (state.volumes, state.hosts, state.launches) for one in some]
    named = {one[tags.APPLICATION] for one in labelled if tags.APPLICATION in one}
    others = sorted(name for name in named if not any(fnmatchcase(name, pattern) for pattern in watched))
    return (
        *advice.advise(state.volumes, state.hosts, state.launches),
        *(str(one) for one in state.fleet.errors),
        *(
            f"{one.id} claims to be of a set of {one.tags.get(tags.APPLICATION)!r} and is not: it is never counted, "
            f"restored or deleted."
            for one in state.strangers
        ),
        *((f"Not watched by this stack: {', '.join(others)}.",) if others else ()),
    )
