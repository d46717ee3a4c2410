"""Thirty nights in the simulated region: the real functions, woken by their schedules, and two nights that go wrong."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from region import Death, hours, minutes
from region.demo.story import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from region import Region, Simulated
    from region.host import Host
    from region.world import Snapshot

NIGHTS = 30
REFUSED, KILLED = 11, 18
"""The nights, counted from 0, in which PostgreSQL refuses the backup, and in which the function is killed."""

# Of a run: freeze, CreateSnapshots, thaw, tags. Before the fourth all is done, and nothing has been said of it.
BEFORE_TAGS = 4


@dataclass(frozen=True, slots=True)
class Set:
    """A snapshot set. `is_true`: it says that it was frozen if, and only if, it was."""

    id: str
    run: datetime
    started: datetime
    consistency: str
    frozen_ms: int
    is_true: bool


@dataclass(frozen=True, slots=True)
class Month:
    """What came of the nights: the sets of each, oldest first, why some are still there, and what was checked."""

    first: date
    nights: tuple[tuple[Set, ...], ...]
    kept: Mapping[str, str]
    mails: tuple[tuple[str, ...], ...]
    calls: int
    claims: tuple[Claim, ...]

    def figures(self) -> dict[str, str]:
        """What it took, in words."""
        sets = [one for night in self.nights for one in night]
        frozen = sorted(one.frozen_ms for one in sets if one.consistency == "application")
        waits = [(one.started - one.run).total_seconds() for one in sets if one.consistency == "application"]
        return {
            "sets made, pruned, kept": f"{len(sets)}, {len(sets) - len(self.kept)}, {len(self.kept)}",
            "frozen for": f"{frozen[0]} to {frozen[-1]} ms, {statistics.median(frozen):.0f} ms in the middle",
            "from the event to the set": f"{statistics.median(waits):.1f} s in the middle",
            "calls to AWS": f"{self.calls / NIGHTS:.0f} a day, 24 looks for what is overdue among them",
        }


def live(region: Region, machines: Simulated, progress: Callable[[str], object]) -> Month:
    """Let the nights pass, and check what came of them. The region has an application and the project's stack."""
    first, calls, deaths = region.clock.moment(), len(region.calls), 0
    made: dict[str, Set] = {}
    mails: list[tuple[str, ...]] = []
    for night in range(NIGHTS):
        progress(f"night {night + 1} of {NIGHTS}, {region.clock.moment():%d %B}")
        old = len(region.bus.mail())
        deaths += _pass_night(region, list(machines.hosts.values()), night)
        mails.append(tuple(_alarm(region, mail["message"]) for mail in region.bus.mail()[old:]))
        made |= {one.id: one for one in _sets(region.world().snapshots)}
    calls = len(region.calls) - calls
    sets = sorted(made.values(), key=lambda one: one.started)
    nights = tuple(tuple(one for one in sets if (one.run - first).days == night) for night in range(NIGHTS))
    answer = region.invoke("prune_snapshots", {"dry_run": True})
    kept = _kept(region, answer)
    claims = (
        *_claims_of_sets(nights, deaths),
        Claim("from the second day on, those two nights sent a mail each, and no other night did", _is_told(mails)),
        Claim("what is left is what the rules keep: pruned again, nothing goes", _is_settled(region, answer, kept)),
        Claim("nothing stays frozen, and no invocation failed for good", _is_calm(region)),
    )
    return Month(first.date(), nights, kept, tuple(mails), calls, claims)


def _claims_of_sets(nights: Sequence[Sequence[Set]], deaths: int) -> list[Claim]:
    words = [[one.consistency for one in night] for night in nights]
    return [
        Claim(f"each of the {NIGHTS} nights has a set that was frozen", all("application" in night for night in words)),
        Claim(
            "the night that could not be frozen has a crash set, and within hours a frozen one",
            words[REFUSED] == ["crash", "application"],
        ),
        Claim(
            "the run whose function was killed has one set, which its retry completed",
            deaths == 1 and words[KILLED] == ["application"],
        ),
        Claim(
            "every set says truly whether it was frozen",
            all(one.is_true for night in nights for one in night),
        ),
    ]


def _is_settled(region: Region, answer: Mapping[str, Any], kept: Mapping[str, str]) -> bool:
    left = {one.id for one in _sets(region.world().snapshots)}
    return left == set(kept) and all(one["would_delete"] == 0 for one in answer["applications"].values())


def _is_told(mails: Sequence[Sequence[str]]) -> bool:
    """On the first day nothing is measured yet, of which an alarm may tell."""
    told = {night: list(some) for night, some in enumerate(mails) if some and night > 0}
    return told == {REFUSED: ["CrashSetsAlarm"], KILLED: ["SnapshotDatabaseErrorsAlarm"]}


def _is_calm(region: Region) -> bool:
    return not region.machines.frozen() and not region.queue("FailureQueue")


def _pass_night(region: Region, hosts: Sequence[Host], night: int) -> int:
    """A day, beginning before its set is made; how many functions died. PostgreSQL refuses until somebody is awake."""
    for host in hosts:
        host.refuses = (201, "PostgreSQL refused the backup: too many connections") if night == REFUSED else None
    death = Death(before=BEFORE_TAGS)
    if night == KILLED:
        region.faults.add(death)
    region.run(at_most=hours(1) + minutes(30))
    for host in hosts:
        host.refuses = None
    region.faults.remove(death)
    region.run(at_most=hours(22) + minutes(30))
    return int(death.happened)


def _alarm(region: Region, message: str) -> str:
    """The alarm that a mail tells of, as the template calls it."""
    return region.stacks.logical(json.loads(message)["AlarmName"])


def _sets(snapshots: Iterable[Snapshot]) -> list[Set]:
    """The sets that there are now, with the truth about each."""
    members: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots:
        members.setdefault(dict(snapshot.tags)["watchkeeper:set"], []).append(snapshot)
    return [_set(name, some) for name, some in members.items()]


def _set(name: str, members: Sequence[Snapshot]) -> Set:
    tags = dict(members[0].tags)
    word = tags["watchkeeper:consistency"]
    return Set(
        name,
        datetime.fromisoformat(tags["watchkeeper:run"]),
        min(member.started for member in members),
        word,
        int(tags.get("watchkeeper:frozen-ms", "0")),
        all(member.was_frozen == (word == "application") for member in members),
    )


def _kept(region: Region, answer: Mapping[str, Any]) -> dict[str, str]:
    """Why each set is kept, by the set's id, in the words of prune_snapshots."""
    owners = {one.id: dict(one.tags)["watchkeeper:set"] for one in region.world().snapshots}
    return {owners[one["snapshots"][0]]: one["reason"] for one in answer["sets"] if one["would"] == "keep"}
