"""Runs shellcheck on every script inside the SSM documents named on the command line.

An SSM document holds its script as a list of lines, with `{{ parameter }}` where the agent puts a value before bash sees it.
A parameter's value is bound by its allowedPattern, so that its own name is a fair stand-in.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def scripts(document: Path) -> dict[str, str]:
    """The scripts of a document by the name of their step."""
    steps = yaml.safe_load(document.read_text())["mainSteps"]
    return {
        step["name"]: "\n".join(step["inputs"]["runCommand"])
        for step in steps
        if step["action"] == "aws:runShellScript"
    }


def check(name: str, script: str) -> bool:
    """True when shellcheck finds nothing; what it finds is printed under the name of the step."""
    found = subprocess.run(
        ["shellcheck", "--shell=bash", "--color=never", "-"],
        input=PLACEHOLDER.sub(r"\1", script),
        text=True,
        check=False,
    )
    if found.returncode:
        print(f"in {name}", file=sys.stderr)
    return not found.returncode


def main() -> int:
    named = {
        f"{path}, step {step}": script for path in map(Path, sys.argv[1:]) for step, script in scripts(path).items()
    }
    return 0 if named and all([check(name, script) for name, script in named.items()]) else 1


if __name__ == "__main__":
    sys.exit(main())
