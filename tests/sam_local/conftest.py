"""What a user runs, as a user runs it: the built template under `sam local invoke`, against `python -m region`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.sam_local import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sam_local.engine import Engine

IMAGE = "watchkeeper/runtime"
ARCHIVE = ".aws-sam/runtime_image.tar"
SERVE_SECONDS = 60


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has Lambda's runtime image."""
    subprocess.run(["make", "build", ARCHIVE], check=True)
    with engine.start(tmp_path_factory.mktemp("docker")) as started:
        task = "LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime LANG=C.UTF-8 PATH=/usr/bin:/bin"
        started.import_image(Path(ARCHIVE), IMAGE, "WORKDIR /var/task", f"ENV {task}")
        yield started


@pytest.fixture(scope="session")
def env_vars(docker: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file that points the functions at a served region, in which the example application runs."""
    folder = tmp_path_factory.mktemp("region")
    file, log = folder / "env.json", folder / "region.log"
    region = [sys.executable, "-m", "region", f"--host={engine.ADDRESS}", "--port=5566", f"--env-vars={file}"]
    with log.open("w") as output:
        process = subprocess.Popen(docker.command(*region), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + SERVE_SECONDS
        while not file.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield file
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def invoke(docker: Engine, env_vars: Path, tmp_path: Path) -> Callable[[Path], Any]:
    """Invokes the function that an event file is named for, and gives back what it answered."""

    def run(event: Path) -> Any:
        function = "".join(word.title() for word in event.name.split(".")[0].split("_")) + "Function"
        sam = [".venv/sam/bin/sam", "local", "invoke", function, "--event", str(event), "--env-vars", str(env_vars)]
        ended = subprocess.run(
            docker.command(*sam, "--skip-pull-image", "--invoke-image", IMAGE),
            env={**docker.environment(), "PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.stdout, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return run
