"""Measures what docs/figures.md says, and writes it anew: `python -m bench`, as root for what lies on disks."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import traceback
from pathlib import Path

from bench.figures import Machine, Part, write

FILE = Path("docs/figures.md")

# In the order of the file. What lies on disks stands on root and on these commands.
ROOMS = ("mkfs.xfs", "losetup", "unshare", "tini", "pg_createcluster")
PARTS: dict[str, tuple[str, ...]] = {
    "freeze": (*ROOMS, ".venv/awscli/bin/aws"),
    "trials": ROOMS,
    "kills": (),
    "recovery": (),
    "deaths": (),
    "prune": (),
    "cold": (),
}


def main() -> int:
    """Measure all, into the file; or some, onto the standard output. 1 if a part failed, which is then said there."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", help=f"some of {','.join(PARTS)}: shown, and not written to {FILE}")
    parser.add_argument(
        "--times", type=int, help="how often a trial is repeated (default: each part has its own number)"
    )
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    machine = Machine.now()
    parts: dict[str, Part | str] = {}
    failures = 0
    for name in chosen:
        try:
            parts[name] = measure(name, arguments.times)
        except Exception as error:  # what the others took an hour to measure is not lost
            traceback.print_exc()
            parts[name] = f"It failed: {error}"
            failures += 1
    text = write(parts, machine)
    if arguments.only:
        sys.stdout.write(text)
    else:
        FILE.write_text(text)
        for part in parts.values():
            for name, drawing in part.drawings.items() if isinstance(part, Part) else ():
                FILE.with_name(name).write_text(drawing)
    return min(failures, 1)


def measure(name: str, times: int | None) -> Part | str:
    """A part's figures, or why there are none."""
    if why := why_not(PARTS[name]):
        return why
    sys.stderr.write(f"bench: {name} …\n")
    module = importlib.import_module(f"bench.{name}")
    part: Part | str = module.part(times) if times and name != "prune" else module.part()
    return part


def why_not(commands: tuple[str, ...]) -> str:
    """What keeps this machine from a part that stands on these commands; nothing, if nothing."""
    if commands and sys.platform != "linux":
        return "It needs Linux."
    if missing := [command for command in commands if not shutil.which(command)]:
        return f"It needs {', '.join(missing)}: sudo make system && sudo make bench"
    return "It needs root: sudo make bench" if commands and os.geteuid() else ""


if __name__ == "__main__":
    sys.exit(main())
