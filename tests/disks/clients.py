"""Clients of a pool that ask all the time, and remember what each request came to."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from region.disks import kernel
from region.disks.balancer import PORT

if TYPE_CHECKING:
    from region.disks import Disks

# Four of them ask, each for itself: nine requests of ten on a connection that is kept, and nothing is tried again. They
# tell of each in a line: when it began and ended, the node that its page names, and the failure, if it is one.
PROGRAM = """
import http.client, sys, threading, time

address, port, path, timeout = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
over = threading.Event()

def ask(connection):
    connection.request("GET", path)
    answer = connection.getresponse()
    node = answer.read().decode().split()[0]
    return ("-", str(answer.status)) if answer.status != 200 else (node, "")

def run():
    connection, asked = None, 0
    while not over.is_set():
        if connection is None or asked % 10 == 0:
            connection and connection.close()
            connection = http.client.HTTPConnection(address, port, timeout=timeout)
        asked += 1
        began = time.monotonic()
        try:
            node, failure = ask(connection)
        except (OSError, http.client.HTTPException) as error:
            node, failure, connection = "-", repr(error).replace(" ", "_"), None
        sys.stdout.write(f"{began} {time.monotonic()} {node} {failure}\\n")
        sys.stdout.flush()
        over.wait(PAUSE)

PAUSE = 0.005
threads = [threading.Thread(target=run) for _ in range(4)]
for thread in threads:
    thread.start()
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
"""
TIMEOUT_SECONDS = 10
MOST_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request came to; `failure` is empty if it was answered as it should be."""

    began: float
    ended: float
    node: str
    failure: str


class Clients:
    """In a `with` block they ask until its end, and then end what they have begun."""

    def __init__(self, machines: Disks, pool: str, path: str = "/", timeout: float = TIMEOUT_SECONDS) -> None:
        self.answers: list[Answer] = []
        where = (machines.balancers.address(pool), str(PORT), path, str(timeout))
        self._process = machines.network.popen(
            sys.executable, "-c", PROGRAM, *where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._thread.join()
        self._process.wait()

    @property
    def failed(self) -> list[Answer]:
        return [one for one in self.answers if one.failure]

    @property
    def served(self) -> set[str]:
        """The nodes that answered."""
        return self.served_since(0)

    def served_since(self, moment: float) -> set[str]:
        """The nodes that answered requests which began later."""
        return {one.node for one in self.answers if one.began > moment and not one.failure}

    def now(self) -> float:
        """The moment, on the clock of the answers."""
        return time.monotonic()

    def wait(self, number: int) -> None:
        """Let so many more requests come to an end."""
        enough = len(self.answers) + number
        assert kernel.until(lambda: len(self.answers) >= enough, MOST_SECONDS), self.answers[-9:]

    def _read(self) -> None:
        for line in self._process.stdout:
            began, ended, node, failure = line.rstrip("\n").split(" ", 3)
            self.answers.append(Answer(float(began), float(ended), node, failure))
        self._process.stdout.close()
