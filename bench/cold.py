"""What a cold start spends in imports and a first client, beside boto3 alone, with the layer as it is built."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figures import Part, at, table

TIMES = 15
BOTO = "boto3 and a client for EC2"
CLIENT = "import boto3; boto3.client('ec2', 'eu-central-1')"
MEASURE = "import time; began = time.perf_counter(); {}; print((time.perf_counter() - began) * 1000)"

WORDS = """\
Medians of {times}, in turns, on this Python, each in a process of its own: the handler's module with all that it
imports, and a first client for EC2. Not compiled is a layer that was built where there is no Python 3.13: Lambda then
compiles all of it at each cold start. What else a cold start takes is Lambda's, and cannot be measured here."""

Measured = dict[str, dict[bool, list[float]]]
"""Milliseconds by what was imported, and whether it was compiled."""


def part(times: int = TIMES, layer: Path | None = None, functions: str = "*") -> Part | str:
    """Build the layer, unless one is given, and import what stands on it."""
    with tempfile.TemporaryDirectory() as directory:
        if layer is None:
            layer = Path(directory) / "python"
            path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
            build = ["make", "-sC", "layers/watchkeeper", "build-WatchkeeperLayer", f"ARTIFACTS_DIR={directory}"]
            if subprocess.run(build, env={**os.environ, "PATH": path}, capture_output=True, check=False).returncode:
                return "The layer cannot be built here; pip fetches its wheels for that."
        return _part(times, measure(times, layer, functions))


def measure(times: int, layer: Path, functions: str) -> Measured:
    """Import boto3 alone and each function in turns, so often."""
    folders = sorted(file.parent.resolve() for file in Path("functions").glob(f"{functions}/app.py"))
    code = {BOTO: (CLIENT, layer), **{folder.name: (f"import app; {CLIENT}", folder) for folder in folders}}
    for statement, folder in code.values():
        _milliseconds(statement, layer, folder, is_compiled=True)  # the first compiles
    measured: Measured = {name: {True: [], False: []} for name in code}
    for _ in range(times):
        for name, (statement, folder) in code.items():
            for is_compiled, taken in measured[name].items():
                taken.append(_milliseconds(statement, layer, folder, is_compiled))
    return measured


def _milliseconds(statement: str, layer: Path, folder: Path, is_compiled: bool) -> float:
    environment = {"PYTHONPATH": f"{folder}:{layer}", "PYTHONPYCACHEPREFIX": str(layer / "compiled")}
    if not is_compiled:
        environment |= {"PYTHONPYCACHEPREFIX": str(layer / "none"), "PYTHONDONTWRITEBYTECODE": "1"}
    # -S: without the packages of this environment, which are not those of the layer.
    command = [sys.executable, "-S", "-c", MEASURE.format(statement)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def _part(times: int, measured: Measured) -> Part:
    middle = {name: (at(taken[True], 0.5), at(taken[False], 0.5)) for name, taken in measured.items()}
    rows = [
        (name, f"{taken / middle[BOTO][0]:.2f}", f"{taken:.0f} ms", f"{uncompiled:.0f} ms")
        for name, (taken, uncompiled) in middle.items()
    ]
    most, slowest = max((taken / middle[BOTO][0], name) for name, (taken, _) in middle.items() if name != BOTO)
    ratio = f"To import a function takes at most {most:.2f} times what boto3 takes by itself ({slowest})."
    head = ("imported", "ratio", "compiled", "not compiled")
    return Part("Cold starts", (ratio,), f"{WORDS.format(times=times)}\n\n{table(head, *rows)}")
