"""The trials of tests/disks, repeated: what was acknowledged, what was lost, and which freeze outlived its lease."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from bench.figures import Part, table

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMES = 50
PASSES = 3  # over the kills, each of which waits until its lease has run out

# What is tried, and the tests that try it.
RESTORES = {
    "restored from a set that the document froze, on one volume": "*.test_restore.*-db]",
    "the same, with data and WAL on two volumes": "*.test_restore.*-split_db]",
    "restored from a set that snapshot_database made": "*.test_snapshot_database.test_a_set_restored*",
    "the power cut, and started again": "*.test_crashes.*-on]",
    "the power cut for good, and another host with the volume": "*.test_replace_database_host.test_after_a_power_cut*",
    "to compare: the power cut with fsync off": "*.test_crashes.*-off]",
}
CHOSEN = "restores_with_every or restored_on_another or power_cut_loses or after_a_power_cut_every"
CONTROL = tuple(RESTORES)[-1]
KILLS = {
    "the keeper, before and after each of its steps": "*.test_lease.test_the_keeper_is_killed*",
    "the function, before and after each of its writes": "*.test_snapshot_database.test_killed*",
    "hung, never thawed, waiting for a slow write, killed by the agent": "*.test_lease.*",
}

RESTORED = """\
The trials of tests/disks, with a database on real disks: four clients commit as fast as they are answered, and
pgbench beside them. On the host that it is restored on PostgreSQL starts by crash recovery, pg_amcheck is clean, and
pgbench's sums are right. Without fsync a power cut has to lose something, or these trials could see nothing: there a
trial fails if nothing is lost."""

KILLED = """\
Killed {passes} times each, while the database is written to: it has to be writable when the lease ends at the latest,
nothing of the freeze may be left, and the next run has to succeed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a test, by its name; `told` is what it counted."""

    name: str
    passed: bool
    told: Counter[str]


def part(times: int = TIMES) -> Part:
    """Try all, and write it down."""
    restores = run(CHOSEN, times)
    passes = min(times, PASSES)
    kills = [trial for _ in range(passes) for trial in run("test_lease or test_killed_at_a_write", 1)]
    checked = [one for name, some in sort(restores, RESTORES).items() if name != CONTROL for one in some]
    acknowledged, lost = (sum(one.told[word] for one in checked) for word in ("acknowledged", "lost"))
    ratios = (
        f"Of {acknowledged:,} commits that were acknowledged before a freeze or a power cut **{lost:,} were lost**, in "
        f"{len(checked)} trials under load, of which {_failed(checked)} failed.",
        f"Killed or hung at any step, {len(kills) - _failed(kills)} of {len(kills)} freezes under load ended within "
        "their lease, and left nothing behind.",
    )
    body = (RESTORED, _restores(restores), KILLED.format(passes=passes), _kills(kills))
    return Part("What is lost, and what stays frozen", ratios, "\n\n".join(body))


def run(chosen: str, times: int) -> list[Trial]:
    """The tests that pytest's -k chooses, those that are trials so often."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        options = ["-q", "-k", chosen, "--times", str(times), f"--junitxml={report}", "-o", "junit_family=xunit1"]
        subprocess.run([sys.executable, "-m", "pytest", "tests/disks", *options], stdout=sys.stderr, check=False)
        return [_trial(case) for case in ElementTree.parse(report).iter("testcase")]  # noqa: S314 pytest wrote it


def sort(trials: Sequence[Trial], patterns: dict[str, str]) -> dict[str, list[Trial]]:
    """The trials by what they try: each by the first pattern that its name has."""
    sorted_out: dict[str, list[Trial]] = {name: [] for name in patterns}
    for trial in trials:
        sorted_out[next(name for name, pattern in patterns.items() if fnmatch(trial.name, pattern))].append(trial)
    return sorted_out


def _trial(case: ElementTree.Element) -> Trial:
    told = Counter({one.attrib["name"]: int(one.attrib["value"]) for one in case.iter("property")})
    name = f"{case.attrib['classname']}.{case.attrib['name']}"
    return Trial(name, case.find("failure") is None and case.find("error") is None, told)


def _failed(trials: Sequence[Trial]) -> int:
    return sum(not trial.passed for trial in trials)


def _restores(trials: Sequence[Trial]) -> str:
    rows = []
    for name, some in sort(trials, RESTORES).items():
        told = sum((one.told for one in some), Counter[str]())
        commits = (f"{told['acknowledged']:,}", f"{told['lost']:,}") if name != CONTROL else ("", "some, each time")
        rows.append((name, len(some), _failed(some), *commits))
    return table(("tried", "trials", "failed", "commits acknowledged", "lost"), *rows)


def _kills(trials: Sequence[Trial]) -> str:
    rows = [(name, len(some), _failed(some)) for name, some in sort(trials, KILLS).items()]
    return table(("killed in a freeze", "trials", "failed"), *rows)
