"""Runs shellcheck on every script inside the SSM documents named on the command line.

A document holds its script as a list of lines, with `{{ parameter }}` where the agent puts a value before bash sees it.
A parameter's value is bound by its allowedPattern, so that its own name is a fair stand-in.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def scripts(document: Path) -> list[str]:
    steps = yaml.safe_load(document.read_text())["mainSteps"]
    return ["\n".join(step["inputs"]["runCommand"]) for step in steps if step["action"] == "aws:runShellScript"]


def check(script: str) -> bool:
    """True when shellcheck finds nothing; it prints what it finds, counting lines from the first of runCommand."""
    command = ["shellcheck", "--shell=bash", "--color=never", "-"]
    return not subprocess.run(command, input=PLACEHOLDER.sub(r"\1", script), text=True, check=False).returncode


def main() -> None:
    for document in sys.argv[1:]:
        if not all(map(check, scripts(Path(document)))):
            sys.exit(f"shellcheck found this in {document}")


if __name__ == "__main__":
    main()
