"""The bench does not rot: what of it needs no disks is run once, on little."""

from __future__ import annotations

import site
from dataclasses import replace
from pathlib import Path

from bench import cold, deaths, kills, prune, recovery
from bench.figures import Machine, Part, write
from region import minutes


def test_a_kill_at_any_write_is_measured_to_end_in_one_set() -> None:
    part = kills.part(times=1)

    assert "8 of 8 runs end in one application-consistent set" in part.ratios[0]


def test_a_death_is_measured_from_its_event_to_the_write_of_a_client() -> None:
    one = recovery.trial("stopped by AWS", seed=0)

    part = recovery.write_up([replace(one, kind=kind) for kind in recovery.KINDS], times=1)

    assert tuple(one.phases) == recovery.PHASES
    assert sorted(one.phases.values())[-1] == one.phases["a client has written"] == one.from_event < minutes(3)
    assert all(0 <= waited < 5 for waited in one.gaps.values())
    assert f"| a client has written | {one.from_event:.0f} s |" in part.body
    assert part.drawings["recovery.svg"].startswith("<svg")


def test_a_kill_at_a_write_of_a_replacement_is_measured_by_what_becomes_of_it() -> None:
    part = deaths.part(kinds=("terminated",), steps=slice(2, 3))

    assert "**1 of 1** end with one new host" in part.ratios[0]
    assert "| terminated: killed before write 2, RunInstances | as undisturbed |" in part.body


def test_pruning_is_measured_in_calls() -> None:
    part = prune.write([prune.measure(way, snapshots=100) for way in prune.WAYS])

    assert "| prune_snapshots | 100 | 87 | 89 |" in part.body


def test_a_cold_start_is_measured_of_each_function(tmp_path: Path) -> None:
    for package in (*Path(site.getsitepackages()[0]).iterdir(), Path("layers/watchkeeper/watchkeeper").resolve()):
        (tmp_path / package.name).symlink_to(package)

    part = cold.part(times=1, layer=tmp_path, functions="prune_snapshots")

    assert isinstance(part, Part)
    assert "| prune_snapshots |" in part.body


def test_what_was_not_run_is_said_before_what_was() -> None:
    parts = {"freeze": "It needs root.", "prune": Part("What pruning costs", ("Half of it.",), "A table.")}

    text = write(parts, Machine.now())

    assert (
        text.index("- Half of it.") < text.index("**Not run: freeze.** It needs root.") < text.index("## What pruning")
    )
