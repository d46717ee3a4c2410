"""The grounds: one that this machine lacks is left out and named at the end; with CI=true that is a failure."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

# A ground is a folder beside this file; the commands are what its tests, run by root, stand on.
GROUNDS: dict[str, tuple[str, ...]] = {
    "unit": (),
    "template": (),
    "simulated": (),
    "disks": ("mkfs.xfs", "losetup", "ip", "unshare", "tini", "pg_createcluster"),
    "sam_local": ("dockerd", "debootstrap", "ip", "unshare"),
}
LEFT_OUT = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", type=int, default=3, help="how often a repeated trial is repeated (default: 3)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `trial` is repeated `--times`: the number of the trial is its seed."""
    if "trial" in metafunc.fixturenames:
        metafunc.parametrize("trial", range(metafunc.config.getoption("--times")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    grounds = {ground(item.nodeid) for item in items}
    left_out = {name: why for name, commands in GROUNDS.items() if name in grounds and (why := why_not(commands))}
    if left_out and os.environ.get("CI") == "true":
        raise pytest.UsageError(
            f"with CI=true nothing may be left out, and {', '.join(map(' '.join, left_out.items()))}"
        )
    config.stash[LEFT_OUT] = left_out
    config.hook.pytest_deselected(items=[item for item in items if ground(item.nodeid) in left_out])
    items[:] = [item for item in items if ground(item.nodeid) not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name in GROUNDS:
        if ended := how_ended(name, terminalreporter):
            terminalreporter.write_line(f"tests/{name}: {ended}")
    for name, why in config.stash.get(LEFT_OUT, {}).items():
        terminalreporter.write_line(f"left out: tests/{name} {why}", yellow=True)


def ground(nodeid: str) -> str:
    return Path(nodeid.partition("::")[0]).parts[1]


def why_not(commands: tuple[str, ...]) -> str | None:
    """Why a ground that stands on these commands cannot be had here, and what adds it."""
    if not commands:
        return None
    if sys.platform != "linux":
        return "needs Linux; on a Debian machine: sudo make system && sudo make test"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # root's, where it is not ours
    if missing := [command for command in commands if not shutil.which(command, path=path)]:
        return f"needs {', '.join(missing)}: sudo make system && sudo make test"
    return "needs root: sudo make test" if os.geteuid() else None


def how_ended(name: str, terminalreporter: pytest.TerminalReporter) -> str:
    """The counts of one ground in pytest's words, and its share of the time."""
    reports = [
        (outcome, report)
        for outcome, reports in terminalreporter.stats.items()
        for report in reports
        if isinstance(report, pytest.TestReport) and ground(report.nodeid) == name
    ]
    # A test that passed has a nameless report for its set-up and one for its end.
    counts = Counter(outcome for outcome, _ in reports if outcome)
    seconds = sum(report.duration for _, report in reports)
    return f"{', '.join(f'{n} {outcome}' for outcome, n in counts.items())} in {seconds:.0f} s" if counts else ""
