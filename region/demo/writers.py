"""Clients of a database that commit as fast as they are answered, and remember what was acknowledged, and when."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass, field
from itertools import count
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from types import TracebackType

    from region.disks.instance import Instance

PSQL = ("runuser", "-u", "postgres", "--", "psql", "-XqAt", "-d", "postgres")
TABLE = "CREATE TABLE payments (writer int, number int, amount numeric, PRIMARY KEY (writer, number))"
PREPARED = "PREPARE pay (int, int) AS INSERT INTO payments VALUES ($1, $2, 9.99) RETURNING number;\n"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A payment that the database said it has, with the time of the answer and how long it was waited for."""

    writer: int
    number: int
    time: float
    waited: float


@dataclass(slots=True)
class Writers:
    """So many clients on a host, each with a session of its own, at work between `with` and its end."""

    host: Instance
    number: int
    acknowledged: list[Acknowledged] = field(default_factory=list)
    _sessions: list[subprocess.Popen[str]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Writers:
        for writer in range(self.number):
            session = self.host.popen(
                *PSQL, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            thread = threading.Thread(target=self._write, args=(writer, session), name=f"writer {writer}", daemon=True)
            self._sessions.append(session)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Each ends with its session, which ends with the power of its host at the latest."""
        for session in self._sessions:
            session.kill()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int, session: subprocess.Popen[str]) -> None:
        requests, answers = cast("IO[str]", session.stdin), cast("IO[str]", session.stdout)
        requests.write(PREPARED)
        for number in count(1):
            began = time.time()
            try:
                requests.write(f"EXECUTE pay ({writer}, {number});\n")
                requests.flush()
            except OSError:
                return
            if answers.readline().strip() != str(number):
                return
            self.acknowledged.append(Acknowledged(writer, number, time.time(), time.time() - began))
