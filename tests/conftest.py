"""The grounds: one that this machine lacks is left out and named at the end; with CI=true that is a failure."""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from region import needs

# A ground is a folder beside this file; the commands are what its tests, run by root, stand on.
GROUNDS: dict[str, tuple[str, ...]] = {
    "unit": (),
    "template": (),
    "simulated": (),
    "disks": needs.DISKS,
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
    asked = {ground(item.nodeid) for item in items}
    lacks = {name: needs.find_lack(commands) for name, commands in GROUNDS.items() if commands and name in asked}
    left_out = {
        name: f"needs {lack}; on Debian: sudo make system && sudo make test" for name, lack in lacks.items() if lack
    }
    if hasattr(config, "workeroutput"):
        config.workeroutput["left out"] = left_out
    config.stash[LEFT_OUT] = left_out
    config.hook.pytest_deselected(items=[item for item in items if ground(item.nodeid) in left_out])
    items[:] = [item for item in items if ground(item.nodeid) not in left_out]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of several processes is done: what it left out is told by the one that gave it its work."""
    node.config.stash.setdefault(LEFT_OUT, {}).update(getattr(node, "workeroutput", {}).get("left out", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash.get(LEFT_OUT, {}) and os.environ.get("CI") == "true":
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the garbage collector looks at no model of a service again, test after test."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name in GROUNDS:
        if ended := how_ended(name, terminalreporter):
            terminalreporter.write_line(f"tests/{name}: {ended}")
    for name, why in config.stash.get(LEFT_OUT, {}).items():
        terminalreporter.write_line(f"left out: tests/{name} {why}", yellow=True)
    if config.stash.get(LEFT_OUT, {}) and os.environ.get("CI") == "true":
        terminalreporter.write_line("with CI=true nothing may be left out", red=True)


def ground(nodeid: str) -> str:
    return Path(nodeid.partition("::")[0]).parts[1]


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
