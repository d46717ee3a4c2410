"""A host dies in the simulated region and is replaced; then again, with the function killed before each write."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf
from typing import TYPE_CHECKING

from region import Death, Region, Simulated, minutes
from region.bus import once
from region.demo.cast import ADDRESS, deploy
from region.demo.drawing import HEIGHTS, SIGNS, Strip
from region.demo.outage import CLIENTS, Recorder
from region.demo.story import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from region.demo.outage import Moment, Outage
    from region.world import World

BEFORE_SECONDS, SHOWN_SECONDS = 5, 8

# So long that the alarm of a function that failed, which counts over five minutes, has rung.
AFTER_SECONDS = 285
FAILED = "ReplaceDatabaseHostErrorsAlarm"

PROMISED_SECONDS = 120


def die(name: str, kill: int | None = None) -> Outage:
    """Let the application's host die and minutes pass, the function being killed before that write of its look."""
    machines = Simulated(seed=7)
    with Region(machines=machines, seed=7) as region:
        made = deploy(region, name, RegisterWebNodes="false", RehearseRestores="false")
        old, volume = made["DatabaseHost"], made["DatabaseVolume"]
        region.run(at_most=minutes(15))
        # EventBridge promises none of EC2's events. Without the new host's own the first look is alone until a sweep.
        region.bus.deliveries = lambda event: once(event) if old in str(event) or "detail" not in event else ()
        looks = len(region.functions.invocations)
        region.run(lambda: len(region.functions.invocations) > looks, at_most=minutes(2))
        recorder = Recorder(region, machines, old, volume, ADDRESS, region.clock.now() + BEFORE_SECONDS)
        recorder.begin()
        region.run(at_most=BEFORE_SECONDS)
        if kill:
            region.faults.add(Death(before=kill))
        region.terminate(old, "Server.InternalError")
        region.run(at_most=AFTER_SECONDS)
        return recorder.end()


def kill_each(name: str, outage: Outage, progress: Callable[[str], object]) -> list[Outage]:
    """The same death again for each write of the look that replaced the host, killed before it."""
    killed = []
    for write, operation in enumerate(outage.writes, 1):
        progress(f"killed before write {write} of {len(outage.writes)}, {operation}")
        killed.append(die(name, write))
    return killed


def strips_of(outage: Outage) -> list[Strip]:
    """The outage as a picture, from before the death until shortly after its end."""
    shown = _shown(outage)
    written = [sum(one.after <= moment < one.after + 1 for moment in outage.answered) for one in shown]
    rows = {
        "old host": ("yellow", [one.old for one in shown]),
        "new host": ("green", [one.new for one in shown]),
        "volume": ("green", [one.volume for one in shown]),
        "PostgreSQL": ("green", [one.database for one in shown]),
        "its name": ("green", [one.name for one in shown]),
        "clients": ("cyan", [HEIGHTS[min(8, ceil(8 * one / CLIENTS))] for one in written]),
    }
    return [Strip(name, "".join(signs[:: _each(shown)]), colour) for name, (colour, signs) in rows.items()]


def notes_of(outage: Outage) -> dict[int, str]:
    """What is told below the picture, by column."""
    each = _each(_shown(outage))
    notes = {BEFORE_SECONDS // each: f"its power is gone; after {outage.woken:.0f} s EC2 says so"}
    if outage.back < AFTER_SECONDS:
        notes[int(BEFORE_SECONDS + outage.back) // each] = f"after {outage.back:.0f} s"
    return notes


def _shown(outage: Outage) -> list[Moment]:
    return [one for one in outage.moments if one.after <= min(outage.back, AFTER_SECONDS) + SHOWN_SECONDS]


def _each(shown: Sequence[Moment]) -> int:
    """How many seconds a column is."""
    return ceil(len(shown) / SIGNS)


def steps_of(outage: Outage) -> list[tuple[str, ...]]:
    """What the function did and why, as it answered, with the second of each step."""
    head = ("after", "it", "because")
    return [head, *((f"{step.after:3.0f} s", step.words, step.reason) for step in outage.steps)]


def rows_of(outage: Outage, killed: Sequence[Outage]) -> list[tuple[str, ...]]:
    """The end of each: at which write it was killed, and how it ended."""
    head = ("killed before", "clients write after", "people get", "and it ends")
    names = ["nothing", *(f"{number} {write}" for number, write in enumerate(outage.writes, 1))]
    return [
        head,
        *(
            (
                name,
                f"{one.back:.0f} s",
                ", ".join(["a notice"] * len(one.notices) + ["an alarm"] * (FAILED in one.alarms)),
                "the same" if _end(one) == _end(outage) else "ANOTHER WAY",
            )
            for name, one in zip(names, [outage, *killed], strict=True)
        ),
    ]


def claims_of(outage: Outage) -> tuple[Claim, ...]:
    """What is said of one death."""
    before = sum(one <= 0 for one in outage.answered)
    return (
        Claim(f"after {outage.back:.0f} s clients wrote again, under the same name", outage.back <= PROMISED_SECONDS),
        Claim(
            f"of {before} writes acknowledged before, and {len(outage.answered) - before} after it, "
            f"{outage.missing} are missing on the volume",
            outage.missing == 0,
        ),
        Claim("one host was launched, and never were there two servers on the volume", _is_single(outage)),
        Claim("the name moved once, to a server that took writes already", outage.is_led),
        Claim("people were told once, and nothing was asked of them", _is_told(outage)),
    )


def claims_of_kills(outage: Outage, killed: Sequence[Outage]) -> tuple[Claim, ...]:
    """What is said of the deaths in which the function was killed as well."""
    return (
        Claim(
            f"the function was killed before each of its {len(outage.writes)} writes, and a sweep carried on",
            bool(killed) and all(one.is_killed for one in killed) and not outage.is_killed,
        ),
        Claim(
            "each time the end is the same as undisturbed: hosts, volume, server, name, alarms",
            all(_end(one) == _end(outage) for one in killed),
        ),
        Claim("in none two servers met, or a write is missing", all(map(_is_single, killed)) and _is_whole(killed)),
        Claim(
            "each time people know: by one notice, or by the alarm of a function that failed",
            all(len(one.notices) == 1 or (not one.notices and FAILED in one.alarms) for one in killed),
        ),
    )


def _end(outage: Outage) -> World:
    """What comes of it in the end. A notice is told at most once: killed while it tells, the function rings instead."""
    return replace(outage.world, notices=())


def _is_single(outage: Outage) -> bool:
    return len(outage.new) == 1 and outage.clashes == 0


def _is_whole(outages: Sequence[Outage]) -> bool:
    return all(one.missing == 0 and one.back < inf for one in outages)


def _is_told(outage: Outage) -> bool:
    return len(outage.notices) == 1 and "Asked of you: nothing." in outage.notices[0]
