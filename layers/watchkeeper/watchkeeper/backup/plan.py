"""Decides for each application whether a set is to be made of it now, and why; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from watchkeeper import applications, tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.backup.observe import State
    from watchkeeper.backup.settings import Settings
    from watchkeeper.look import Look

# An application whose volume lost its tags is missed for as long as snapshots of the last 90 days tell of it.
REMEMBERED = timedelta(days=90)

# The set names its volumes in one tag, whose value takes 256 characters: eleven ids of 21 and the spaces between them.
MOST_VOLUMES = 11

# CreateSnapshots leaves out 40 volumes of a host at most.
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceSpecification.html
MOST_EXCLUDED = 40


@dataclass(frozen=True, slots=True)
class Take:
    """A set is to be made of these volumes of this host: frozen, or what is said `otherwise`.

    `types` are what it takes to make volumes like these again, one each: type, IOPS and MiB/s. `words` are the tags of
    all its snapshots, and `own` those of one volume's: people's, where they are not the same on all.
    """

    application: str
    host: Host
    volumes: tuple[str, ...]
    types: tuple[str, ...]
    words: Mapping[str, str]
    own: Mapping[str, Mapping[str, str]]
    reason: str
    is_freezable: bool = True
    otherwise: Literal["crash", "fail", "leave"] = "crash"


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing is asked of us."""

    application: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """The world contradicts itself; the reason says what a person has to do."""

    application: str
    reason: str


Verdict = Take | Leave | Wrong


def plan(state: State, look: Look, settings: Settings) -> list[Verdict]:
    """What to do for each application, with the reason; pure."""
    return [_judge(name, state, look, settings) for name in state.volumes]


def age(state: State, settings: Settings, now: datetime) -> timedelta:
    """The worst age of the newest finished `application` set; a database without any is as old as its volume.

    Paused and retired applications do not count.
    """
    ages = [timedelta(0)]
    for name, some in state.volumes.items():
        if some and name not in settings.retired and not any(tags.PAUSED in volume.tags for volume in some):
            finished = [one for one in state.sets[name] if one.is_finished]
            ages.append(now - (_newest(finished) or min(volume.created for volume in some)))
    return max(ages)


def _judge(name: str, state: State, look: Look, settings: Settings) -> Verdict:
    some, sets = state.volumes[name], state.sets[name]
    if not some:
        return _judge_lost(name, state, look, settings)
    known = [state.hosts[volume.host] for volume in some if volume.host and volume.host in state.hosts]
    words = [one.tags for one in some] + [one.tags for one in known]
    paused = [one[tags.PAUSED] for one in words if tags.PAUSED in one]
    if paused and not (look.force and all(map(tags.is_restoring, paused))):  # what is to be undone is kept before
        return Leave(name, f"paused: {paused[0]}")
    if any(one.run == look.time and one.is_whole and one.is_concluded for one in sets):
        return Leave(name, "the run has its set")
    newest = _newest([one for one in sets if not one.has_failed])  # one that is still being copied is not overdue
    if look.if_overdue and newest and look.time - newest < settings.overdue:
        return Leave(name, "the newest application set is not overdue")
    if fault := _fault_of_volumes(name, some) or _fault_of_host(name, some, known):
        return Wrong(name, fault)
    return _judge_take(some, known[0], sets, look, settings)


def _judge_lost(name: str, state: State, look: Look, settings: Settings) -> Verdict:
    if name in settings.retired:
        return Leave(name, "retired by name")
    if name in state.pauses:
        return Leave(name, f"paused: {state.pauses[name]}")
    claiming = sorted(host.id for host in state.hosts.values() if host.application == name)
    has_sets = any(look.time - one.started <= REMEMBERED for one in state.sets[name])
    if not claiming and not has_sets:
        return Leave(name, "no volume, and no set for 90 days")
    has = " and ".join((["snapshots"] if has_sets else []) + ([f"the host {', '.join(claiming)}"] if claiming else []))
    return Wrong(
        name,
        f"The application {name!r} has {has} but no volume: tag its volume watchkeeper:application={name} and "
        f"watchkeeper:role=database, or name it in the stack's parameter Retired.",
    )


def _fault_of_volumes(name: str, some: Sequence[Volume]) -> str | None:
    if not applications.NAME.fullmatch(name):
        return f"{name!r} is no name of an application: {applications.WHAT_A_NAME_IS}."
    if len({volume.host for volume in some}) > 1 or some[0].host is None:
        where = ", ".join(f"{volume.id} is on {volume.host or 'none'}" for volume in some)
        return f"The volumes of {name!r} must all be attached to one instance: {where}."
    if len(some) > MOST_VOLUMES:
        return f"{name!r} has {len(some)} volumes tagged as its database's; a set takes {MOST_VOLUMES} at most."
    return None


def _fault_of_host(name: str, some: Sequence[Volume], known: Sequence[Host]) -> str | None:
    if not known:
        return f"EC2 does not describe {some[0].host}, which holds the volumes of {name!r}; the next look tries again."
    host = known[0]
    if host.root in {volume.id for volume in some}:
        return f"{host.root} is the root volume of {host.id}: move the database of {name!r} to a volume of its own."
    if host.application != name:
        return (
            f"{host.id} holds the volumes of {name!r}: tag it watchkeeper:application={name} and "
            f"watchkeeper:role=database-host."
        )
    if len(set(host.volumes) - {volume.id for volume in some} - {host.root}) > MOST_EXCLUDED:
        return (
            f"{host.id} has more than {MOST_EXCLUDED} volumes beside those of {name!r}, which is all EC2 can leave out."
        )
    return None


def _judge_take(
    some: Sequence[Volume], host: Host, sets: Sequence[SnapshotSet], look: Look, settings: Settings
) -> Verdict:
    name = some[0].application
    recent = any(one.is_whole and one.is_concluded and look.time - one.started < settings.overdue for one in sets)
    is_running = host.state == "running"
    if look.if_overdue and recent and not is_running:
        return Leave(name, f"{host.id} is {host.state}, and there is a crash-consistent set of it")
    otherwise: Literal["crash", "fail", "leave"] = "crash"
    if is_running and settings.on_freeze_failure == "skip":
        otherwise = "fail"
    elif is_running and look.if_overdue and recent:
        otherwise = "leave"  # it is overdue each hour, and its crash set has rung; another when that is overdue too
    shared = _shared(some)
    return Take(
        name,
        host,
        tuple(volume.id for volume in some),
        tuple(f"{volume.type}/{volume.iops}/{volume.throughput}" for volume in some),
        shared,
        _own(some, shared),
        "overdue" if look.if_overdue else "asked for",
        is_running,
        otherwise,
    )


def _shared(some: Sequence[Volume]) -> dict[str, str]:
    """What all volumes of a restore have again: the database's address and policy, then what people wrote on all."""
    words = {key: value for volume in reversed(some) for key, value in volume.tags.items()}
    kept = {key: words[key] for key in (tags.ADDRESS, tags.KEEP) if key in words}
    theirs = _theirs(some[0]).items()
    return kept | {key: value for key, value in theirs if all(one.tags.get(key) == value for one in some)}


def _own(some: Sequence[Volume], shared: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What people wrote on one volume and not, or not alike, on all: of those that have any."""
    own = {one.id: {key: value for key, value in _theirs(one).items() if key not in shared} for one in some}
    return {volume: words for volume, words in own.items() if words}


def _theirs(volume: Volume) -> dict[str, str]:
    """People's own tags: `aws:` is reserved, and what else is ours has a meaning on snapshots."""
    return {key: value for key, value in volume.tags.items() if not key.startswith(("aws:", tags.PREFIX))}


def _newest(sets: Sequence[SnapshotSet]) -> datetime | None:
    return max((one.started for one in sets if one.is_whole and one.consistency == "application"), default=None)
