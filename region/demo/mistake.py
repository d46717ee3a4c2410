"""A mistake in the simulated region: a set that was rehearsed takes the database's place, and then that is undone."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING

from region import Region, Simulated, hours
from region.demo.cast import deploy
from region.demo.drawing import HEIGHTS, SIGNS, Strip
from region.demo.rescue import Recorder
from region.demo.story import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from region.demo.rescue import Moment, Rescue

BEFORE_SECONDS, THOUGHT_SECONDS, AFTER_SECONDS = 10, 40, 10
PROMISED_SECONDS = 120

# What the functions do, each by the write that does it.
REHEARSES = {
    "CreateSecurityGroup": "makes a security group: nothing comes in, HTTPS alone goes out",
    "RunInstances": "launches a host from the database's template, with no user data of its own",
    "CreateVolume": "makes a volume of the set",
    "AttachVolume": "attaches it",
    "start": "has PostgreSQL started, on a socket alone",
    "check": "has every table and index checked",
    "CreateTags proven-at": "writes down that the set is proven",
    "TerminateInstances": "terminates the host",
    "DeleteVolume": "deletes the volume",
    "DeleteSecurityGroup": "deletes the security group",
}
RESTORES = {
    "CreateTags paused": "has everything else of Watchkeeper leave the database alone",
    "Invoke": "has a set made of what is there now",
    "CreateVolume": "makes a volume of the proven set",
    "stop": "has PostgreSQL stopped and its volume unmounted",
    "DetachVolume": "detaches the volume",
    "CreateTags retired": "puts it aside, as it is",
    "CreateTags database": "makes the other volume the database's",
    "AttachVolume": "attaches it",
    "start": "has PostgreSQL started on it",
    "Publish": "tells people",
    "DeleteTags paused": "lets everything else go on",
}


def live(name: str, progress: Callable[[str], object]) -> Rescue:
    """Let a set be made and rehearsed; then a mistake happens, the set is restored into place, and that is undone."""
    machines = Simulated(seed=7)
    with Region(machines=machines, seed=7) as region:
        made = deploy(region, name, RegisterWebNodes="false")
        recorder = Recorder(region, machines, made["DatabaseVolume"])
        recorder.begin()
        progress("a set is made, and rehearsed")
        region.run(at_most=hours(1))
        region.run(recorder.is_proven, at_most=hours(2))
        region.run(at_most=THOUGHT_SECONDS)
        progress("a mistake, and the way back")
        restored = recorder.swap(set="latest-proven", into="database")
        region.run(at_most=THOUGHT_SECONDS)
        undone = recorder.swap(undo=True)
        region.run(at_most=AFTER_SECONDS)
        return recorder.end(restored, undone)


def strips_of(rescue: Rescue) -> list[Strip]:
    """The restore and its undo as a picture."""
    shown = _shown(rescue)
    most = max(one.rows for one in shown)
    return [
        Strip("volume", "".join(one.first for one in shown), "yellow"),
        Strip("restored", "".join(one.second for one in shown), "green"),
        Strip("PostgreSQL", "".join(one.database for one in shown), "green"),
        Strip("its rows", "".join(HEIGHTS[ceil(8 * one.rows / most)] for one in shown), "cyan"),
    ]


def notes_of(rescue: Rescue) -> dict[int, str]:
    """What is told below the picture, by column."""
    moments = _moments(rescue)
    each, first = _each(moments), moments[0].time
    restored, undone = rescue.restored.job, rescue.undone.job
    words = {
        restored.began: "restore",
        restored.began + restored.seconds: f"done after {restored.seconds:.0f} s",
        undone.began: "undo",
        undone.began + undone.seconds: f"done after {undone.seconds:.0f} s",
    }
    return {int((time - first) / each): text for time, text in words.items()}


def _moments(rescue: Rescue) -> list[Moment]:
    return [one for one in rescue.moments if one.time >= rescue.restored.job.began - BEFORE_SECONDS]


def _each(moments: Sequence[Moment]) -> int:
    """How many seconds a column is."""
    return ceil(len(moments) / SIGNS)


def _shown(rescue: Rescue) -> list[Moment]:
    moments = _moments(rescue)
    return moments[:: _each(moments)]


def rehearsed(rescue: Rescue) -> list[tuple[str, ...]]:
    """What the rehearsal did, and when."""
    steps = rescue.rehearsal.steps
    return [
        ("after", "it"),
        *((f"{steps[step]:3.0f} s", words) for step, words in REHEARSES.items() if step in steps),
    ]


def steps_of(rescue: Rescue) -> list[tuple[str, ...]]:
    """What the restore and its undo did, and when."""
    both = [one.job.steps for one in (rescue.restored, rescue.undone)]
    head = ("restored after", "undone after", "it")
    return [
        head,
        *(
            (*(f"{steps[step]:.0f} s" if step in steps else "" for steps in both), words)
            for step, words in RESTORES.items()
        ),
    ]


def clock_of(time: float) -> str:
    """A time of the region's clock, in hours and minutes."""
    return f"{datetime.fromtimestamp(time, UTC):%H:%M}"


def claims_of(rescue: Rescue) -> tuple[Claim, ...]:
    """What is said of all that."""
    restored, undone = rescue.restored, rescue.undone
    return (
        Claim(
            f"the set was proven by a rehearsal: its recovery took {rescue.recovery_ms} ms, and no page is damaged",
            rescue.is_proven,
        ),
        Claim("of the rehearsal nothing is left: no host, no volume, no security group", not rescue.left),
        Claim(
            f"after {restored.job.seconds:.0f} s the {rescue.kept} rows of the set were the database's again",
            restored.job.seconds <= PROMISED_SECONDS and rescue.kept == rescue.copied <= restored.found,
        ),
        Claim(
            f"the {restored.aside - rescue.kept} rows that were written since stayed on the volume put aside",
            restored.aside > restored.found >= rescue.copied,
        ),
        Claim(
            f"undo brought them back after {undone.job.seconds:.0f} s; {undone.aside - rescue.kept} newer are aside",
            undone.job.seconds <= PROMISED_SECONDS and undone.found >= restored.aside and undone.aside > rescue.copied,
        ),
        Claim("before each of the two, a set was made of what it would put aside", rescue.sets == 3),
        Claim(
            "each minute's sweep left the database alone; never were there two servers",
            not rescue.did and not rescue.clashes,
        ),
        Claim("people were told of both", len(rescue.notices) == 2),
    )
