"""Clients that commit all the time, and remember outside the host what was acknowledged to them, and when."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.disks.database import BINARIES

if TYPE_CHECKING:
    from tests.disks.database import Database

Recorder = Callable[[str, object], None]

PSQL = f"stdbuf -oL runuser -u postgres -- {BINARIES}/psql -X -q -At -v ON_ERROR_STOP=1 -d postgres".split()
PGBENCH = f"runuser -u postgres -- {BINARIES}/pgbench -n -c 2 -R 500 -T 1000 postgres".split()
COMMIT = "INSERT INTO ledger VALUES ({writer}, {number}, repeat('x', 200));\n\\echo {number}\n"
SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Writers:
    """Four of them, and pgbench beside. In a `with` block they write until its end, or that of the host."""

    def __init__(self, db: Database) -> None:
        self.acknowledged: list[tuple[float, int, int]] = []
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self._clients = [db.host.popen(*PSQL, bufsize=1, **pipes) for _ in range(4)]
        self._bench = db.host.popen(*PGBENCH, **SILENT)
        self._threads = [threading.Thread(target=self._write, args=pair) for pair in enumerate(self._clients)]
        self._over = False

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._over = True
        for client in self._clients if kind else ():  # of a host that hangs they would never end
            os.killpg(client.pid, signal.SIGKILL)
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.communicate()
        self._bench.kill()

    def acknowledged_by(self, moment: float) -> set[tuple[int, int]]:
        """Writer and number of each commit that was acknowledged by then, by time.monotonic()."""
        return {(writer, number) for when, writer, number in self.acknowledged if when <= moment}

    def longest_wait(self) -> float:
        """The longest that any of them waited for an acknowledgement, in seconds."""
        waits = [0.0]
        for writer in range(4):
            moments = [when for when, who, _ in self.acknowledged if who == writer]
            waits += [later - sooner for sooner, later in itertools.pairwise(moments)]
        return max(waits)

    def _write(self, writer: int, client: subprocess.Popen[str]) -> None:
        number = 0
        with contextlib.suppress(OSError):
            while not self._over:
                number += 1
                client.stdin.write(COMMIT.format(writer=writer, number=number))
                if client.stdout.readline().strip() != str(number):
                    break
                self.acknowledged.append((time.monotonic(), writer, number))


def missing(
    db: Database, acknowledged: set[tuple[int, int]], record: Recorder = lambda *_: None
) -> set[tuple[int, int]]:
    """Those of the acknowledged commits that the database does not have. `record` tells the bench both numbers."""
    rows = db.sql("SELECT writer, number FROM ledger").splitlines()
    lost = acknowledged - {(int(writer), int(number)) for writer, number in (row.split("|") for row in rows)}
    record("acknowledged", len(acknowledged))
    record("lost", len(lost))
    return lost
