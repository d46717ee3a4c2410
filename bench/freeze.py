"""How long clients wait for a snapshot on real disks: for our function, and for other ways to take one, in turns."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.figures import Part, at, bars, table
from bench.rig import Moments, Rig, open_rig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OURS, UNFROZEN, CRON, NONE = "snapshot_database", "the same without a freeze", "the script of cron", "no snapshot"
WAYS = (OURS, UNFROZEN, CRON, NONE)
TIMES = 60
CALM_SECONDS = 2
PROMISED = 150

CONDITIONS = """\
The example application's own host on real disks: PostgreSQL on XFS on a loop device, four clients that commit 200
times a second together, and pgbench with 50 transactions a second beside them. {times} turns of each way, whose order
rotates; one before them warms up. A wait is a client's own, from sending a commit until it is acknowledged, as
pgbench logs it; of each turn the longest counts. What AWS does is done by this machine, at once, on the cores that
the database has too: on EC2 the time of CreateSnapshots comes on top for both ways that freeze, and that of SSM's
delivery for ours."""

OUR_SHARE = """\
Our own share of a freeze is `frozen-ms`, as the host measured it, less the time of CreateSnapshots, less the time
from SendCommand until the agent has post-script. All else between freeze and thaw counts as ours, also how the agent
starts the script, how the end of pre-script comes back to SSM, and the pause until the function looks for it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One turn: from when to when by the wall clock; of a run of the function its set, calls and moments."""

    way: str
    began: float
    ended: float
    made: dict[str, Any]
    calls: int
    moments: Moments

    def longest(self, waits: Sequence[tuple[float, float]]) -> float:
        """The longest wait of a commit that was under way in this turn."""
        return max(wait for when, wait in waits if when >= self.began and when - wait <= self.ended)

    # Where the milliseconds of a freeze went. The host's clock counts in steps of ten.

    @property
    def frozen(self) -> float:
        """The freeze, from its beginning to the thaw."""
        return float(self.made["frozen_ms"])

    @property
    def snapshots(self) -> float:
        """CreateSnapshots, at EC2."""
        return (self.moments.answered - self.moments.asked) * 1000

    @property
    def delivery(self) -> float:
        """Post-script's way to the agent."""
        return (self.moments.delivered - self.moments.sent) * 1000

    @property
    def function(self) -> float:
        """Until the function saw that pre-script had ended, and from EC2's answer until it had sent post-script."""
        return (self.moments.asked - self.moments.ended[0] + self.moments.sent - self.moments.answered) * 1000

    @property
    def ours(self) -> float:
        """All but CreateSnapshots and delivery."""
        return self.frozen - self.snapshots - self.delivery


def part(times: int = TIMES) -> Part:
    """Measure, and write it down."""
    with open_rig() as rig:
        trials = run(rig, times)
        time.sleep(2)  # until pgbench has written what it logs
        waits = rig.waits()
    longest = {way: [trial.longest(waits) for trial in trials if trial.way == way] for way in WAYS}
    frozen = [trial for trial in trials if trial.way == OURS]
    middle = {way: at(values, 0.5) for way, values in longest.items()}
    shares = [trial.ours for trial in frozen]
    kept = sum(share <= PROMISED for share in shares)
    ratio = {way: value / middle[OURS] for way, value in middle.items()}
    ratios = (
        f"The commit that waits longest for a snapshot waits **{ratio[CRON]:.1f} times as long** with the shell script "
        f"that people run from cron as with snapshot_database ({middle[CRON]:.2f} s and {middle[OURS]:.2f} s, medians "
        f"of {times}). Without a freeze it waits {ratio[UNFROZEN]:.2f} times as long, without a snapshot "
        f"{ratio[NONE]:.2f} times.",
        f"Our own share of a freeze is {at(shares, 0.5):.0f} ms, at most {max(shares):.0f} ms; in {kept} of {times} "
        f"runs it is within the {PROMISED} ms that are promised.",
    )
    body = (CONDITIONS.format(times=times), _waits(longest), OUR_SHARE, _shares(frozen), _runs(frozen))
    return Part("How long a commit waits for a snapshot", ratios, "\n\n".join(body))


def run(rig: Rig, times: int) -> list[Trial]:
    """So many turns of each way, after one of each that does not count."""
    ssm, versions = rig.region.client("ssm"), {OURS: "1", UNFROZEN: rig.without_freeze()}
    take: dict[str, Callable[[], dict[str, Any]]] = {OURS: rig.take, UNFROZEN: rig.take, CRON: rig.cron, NONE: _calm}
    trials = []
    for number in range(times + 1):
        for way in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
            if way in versions:
                ssm.update_document_default_version(Name=rig.document, DocumentVersion=versions[way])
            rig.region.calls.clear()
            rig.machines.moments = moments = Moments()
            began = time.time()
            made = take[way]()
            trials.append(Trial(way, began, time.time(), made, len(rig.region.calls), moments))
            rig.tidy()
    return trials[len(WAYS) :]


def _calm() -> dict[str, Any]:
    time.sleep(CALM_SECONDS)
    return {}


def _waits(longest: dict[str, list[float]]) -> str:
    ours = at(longest[OURS], 0.5)
    rows = [
        (way, f"{at(values, 0.5) / ours:.2f}", *(f"{at(values, share):.3f} s" for share in (0.5, 0.95, 1)))
        for way, values in longest.items()
    ]
    head = ("the longest wait of a turn", "median's ratio to ours", "median", "95th percentile", "longest")
    return table(head, *rows) + "\n\n" + bars({way: at(values, 0.5) for way, values in longest.items()}, "s")


def _shares(trials: Sequence[Trial]) -> str:
    shares: dict[str, Callable[[Trial], float]] = {
        "frozen": lambda trial: trial.frozen,
        "CreateSnapshots": lambda trial: trial.snapshots,
        "delivery of post-script": lambda trial: trial.delivery,
        "**ours**": lambda trial: trial.ours,
        "— until all file systems are frozen": lambda trial: trial.moments.freezing,
        "— the document's other work": lambda trial: trial.ours - trial.function - trial.moments.freezing,
        "— the function": lambda trial: trial.function,
    }
    rows = [
        (name, *(f"{at([share(trial) for trial in trials], where):.0f} ms" for where in (0.5, 0.95, 1)))
        for name, share in shares.items()
    ]
    return table(("of a freeze", "median", "95th percentile", "longest"), *rows)


def _runs(trials: Sequence[Trial]) -> str:
    to_set = [trial.made["seconds"] for trial in trials]
    to_end = [trial.ended - trial.began for trial in trials]
    true = sum(trial.made["consistency"] == "application" for trial in trials)
    return (
        f"From the event to the set: {at(to_set, 0.5):.2f} s, at most {max(to_set):.2f} s; to the end of the run "
        f"{at(to_end, 0.5):.2f} s, at most {max(to_end):.2f} s, in {at([trial.calls for trial in trials], 0.5)} calls, "
        f"most of them looks for the end of a command. {true} of {len(trials)} sets are application-consistent."
    )
