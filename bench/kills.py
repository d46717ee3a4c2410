"""snapshot_database in the simulated region: what a run takes, and what comes of one that is killed at a write."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.figures import Part, at, table
from region import Death, Region, Simulated, minutes

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION = "snapshot_database"
TIMES = 50
LOOK = "GetCommandInvocation"
ONE_SET = "1 application"

UNDISTURBED = """\
In the simulated region, where requests, commands and freezes take about what they take on AWS, {times} runs of the
schedule, each with other delays, take {middle:.1f} s from the event to the end (95th percentile {late:.1f} s),
{calls:.0f} calls, and {looks:.0f} looks for the end of a command. Killed at a write, with Lambda's own retry a minute
later:"""

LEFTOVERS = """\
Snapshots left without a word are of a try that was ended between CreateSnapshots and the thaw. They do not count as a
set anywhere, and are pruned when they are a day old."""


def part(times: int = TIMES) -> Part:
    """Run it so often undisturbed, and once killed before and after each of its writes."""
    seconds, calls, writes = [], Counter[str](), list[str]()
    for seed in range(times):
        with _region(seed) as region:
            region.invoke(FUNCTION, _event(region))
            seconds.append(region.seconds)
            calls.update(call.operation for call in region.calls)
            writes = [call.operation for call in region.calls if call.write]
    looks = calls.pop(LOOK)
    rows = [
        (f"{moment} {write} ({number})", *killed(Death(before=number) if moment == "before" else Death(after=number)))
        for number, write in enumerate(writes, 1)
        for moment in ("before", "after")
    ]
    well = sum(row[1] == ONE_SET for row in rows)
    ratio = (
        f"Killed before and after each of its {len(writes)} writes, {well} of {len(rows)} runs end in one "
        "application-consistent set."
    )
    undisturbed = UNDISTURBED.format(
        times=times, middle=at(seconds, 0.5), late=at(seconds, 0.95), calls=calls.total() / times, looks=looks / times
    )
    head = ("killed", "sets", "left without a word", "invocations", "concluded after", "still frozen")
    body = "\n\n".join((undisturbed, table(head, *rows), LEFTOVERS))
    return Part("What a run takes, and what becomes of one that is killed", (ratio,), body)


def killed(death: Death) -> tuple[object, ...]:
    """What became of such a run: sets, other snapshots, invocations, seconds until the tags, volumes still frozen."""
    with _region(7) as region:
        region.faults.add(death)
        began = region.clock.now()
        region.invoke(FUNCTION, _event(region), asynchronous=True)
        region.run(region.quiet, at_most=minutes(20))
        snapshots = [dict(one.tags) for one in region.world().snapshots]
        concluded = [one["watchkeeper:consistency"] for one in snapshots if "watchkeeper:frozen-ms" in one]
        tagged = max((call.time for call in region.calls if call.operation == "CreateTags"), default=began)
        return (
            ", ".join(f"{number} {word}" for word, number in Counter(concluded).items()) or "none",
            len(snapshots) - len(concluded),
            len(region.functions.invocations),
            f"{tagged - began:.0f} s",
            sum(bool(volume.frozen) for volume in region.world().volumes),
        )


def _event(region: Region) -> dict[str, str]:
    """What the schedule sends: a retry has the same time, and so it is of the same run."""
    return {"time": region.clock.moment().isoformat(timespec="minutes")}


@contextmanager
def _region(seed: int) -> Iterator[Region]:
    with Region(Simulated(seed=seed), seed=seed) as region:
        region.deploy("template.yaml", ReplaceDatabaseHosts="false", RegisterWebNodes="false")
        region.deploy("examples/smallpayroll.yaml")
        region.run(region.quiet, at_most=minutes(10))
        region.run(at_most=minutes(3))
        region.calls.clear()
        region.functions.invocations.clear()
        yield region
