"""What amazon-ssm-agent does with a Command document, read off its source (agent/plugins/runscript)."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

from region.disks.instance import ENVIRONMENT
from region.machines import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from region.disks.instance import Instance

MOST_OUTPUT, MOST_ERRORS = 24_000, 8_000
CUT = "--output truncated--"
SHORTEST, LONGEST, DEFAULT = 5, 172_800, 3_600
KILLED = 137

commands = count(1)


def run(host: Instance, document: Mapping[str, Any], parameters: Mapping[str, str]) -> Outcome:
    """Run a document's steps one after the other, and wait for each: also for whoever still holds its output open."""
    outcomes = []
    for step in document["mainSteps"]:
        if step["action"] != "aws:runShellScript":
            raise ValueError(f"the agent of this region knows aws:runShellScript, not {step['action']}")
        outcomes.append(_run_script(host, inputs(document, step, parameters)))
    worst = next((outcome for outcome in outcomes if outcome.status != "Success"), outcomes[-1])
    output = "".join(outcome.stdout for outcome in outcomes)
    errors = "".join(outcome.stderr for outcome in outcomes)
    return Outcome(worst.status, worst.code, _cut(output, MOST_OUTPUT), _cut(errors, MOST_ERRORS))


def inputs(document: Mapping[str, Any], step: Mapping[str, Any], parameters: Mapping[str, str]) -> Any:
    """A step's inputs with the parameters in them, as they are: nothing is quoted."""
    known = {name: spec["default"] for name, spec in document.get("parameters", {}).items() if "default" in spec}
    return _replaced(step["inputs"], {**known, **parameters})


def _replaced(value: Any, parameters: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"{{\s*(\w+)\s*}}", lambda found: str(parameters.get(found[1], found[0])), value)
    if isinstance(value, list):
        return [_replaced(item, parameters) for item in value]
    return {key: _replaced(item, parameters) for key, item in value.items()}


def _run_script(host: Instance, inputs: Mapping[str, Any]) -> Outcome:
    seconds = int(inputs.get("timeoutSeconds", DEFAULT))
    if not SHORTEST <= seconds <= LONGEST:
        seconds = DEFAULT  # the agent does so, without a word
    directory = f"/var/lib/amazon/ssm/{host.id}/document/orchestration/{next(commands)}"
    host.path(directory).mkdir(parents=True)
    script = host.path(f"{directory}/_script.sh")
    script.write_text("\n".join(inputs["runCommand"]) + "\n")
    script.chmod(0o700)
    started = host.popen(
        "/bin/sh", "-c", f"cd /usr/bin && exec sh -c {directory}/_script.sh",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**ENVIRONMENT, "AWS_SSM_INSTANCE_ID": host.id},
    )  # fmt: skip
    late = threading.Event()
    timer = threading.Timer(seconds, _kill, (started, late))
    timer.daemon = True
    timer.start()
    output, errors = started.communicate()
    timer.cancel()
    if late.is_set():
        return Outcome("TimedOut", KILLED, output, errors)
    if code := started.returncode:
        return Outcome(
            "Failed", code if code > 0 else -1, output, f"{errors}failed to run commands: exit status {code}"
        )
    return Outcome("Success", 0, output, errors)


def _kill(started: subprocess.Popen[str], late: threading.Event) -> None:
    """The whole group of processes at once: no trap of a script runs."""
    late.set()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - len(CUT)] + CUT
