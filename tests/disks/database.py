"""A PostgreSQL on a host of real disks, and what tests do with it."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import re
import subprocess
import threading
import uuid
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from region.disks import agent, kernel
from region.disks.instance import EBS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from region.disks import Disks
    from region.disks.instance import Instance
    from region.machines import Outcome

DOCUMENT: Mapping[str, Any] = yaml.safe_load(Path("documents/freeze_database.yaml").read_text())
BINARIES = max(map(str, Path("/usr/lib/postgresql").glob("*/bin")), default="")
DATA = "/data/main"
LEASE = 5  # seconds, the shortest that a parameter admits
BRIEF = 3  # shorter still, for tests that wait for its end: the agent takes what it is given

hosts = count(1)
volumes = count(1)


def new_volume() -> str:
    return f"vol-{next(volumes):017x}"


def words(outcome: Outcome) -> dict[str, Any]:
    """The one JSON object that the document answers."""
    (line,) = outcome.stdout.splitlines()
    return json.loads(line)


@dataclass(slots=True)
class Database:
    """A server on one volume, or on two: data and WAL apart."""

    machines: Disks
    host: Instance
    volumes: list[str]
    execution: str = field(default_factory=lambda: str(uuid.uuid4()))

    def command(self, command: str, document: Mapping[str, Any] = DOCUMENT, **parameters: str) -> Outcome:
        """Run the document on the host as its agent does."""
        given = {"command": command, "executionId": self.execution, **parameters}
        return agent.run(self.host, document, given)

    def dry_run(self, **parameters: str) -> Outcome:
        return self.command("dry-run", **{"volumeIds": " ".join(self.volumes), **parameters})

    def freeze(self, **parameters: Any) -> Outcome:
        return self.command("pre-script", **{"volumeIds": " ".join(self.volumes), "leaseSeconds": "20", **parameters})

    def thaw(self, **parameters: str) -> Outcome:
        return self.command("post-script", **parameters)

    def begin_thaw(self) -> InTheBackground:
        """Send post-script without waiting for it."""
        return InTheBackground(self.thaw)

    def begin(self, **parameters: Any) -> InTheBackground:
        """Start pre-script without waiting for it."""
        return InTheBackground(lambda: self.freeze(**parameters))

    def sql(self, statement: str, port: int = 5432) -> str:
        options = f"-X -q -At -v ON_ERROR_STOP=1 -p {port} -d postgres"
        return self.host.call(f"runuser -u postgres -- {BINARIES}/psql {options} <<'END'\n{statement}\nEND")

    def configure(self, *settings: str) -> None:
        """Start the server again with these lines in its configuration."""
        self.host.call("\n".join(f'echo "{setting}" >>{DATA}/postgresql.conf' for setting in settings))
        self.restart()

    def restart(self) -> None:
        self.stop()
        self.start()

    def start(self) -> None:
        start_server(self.host)

    def stop(self) -> None:
        self.host.call(f"runuser -u postgres -- {BINARIES}/pg_ctl -D {DATA} -m fast -w stop >/dev/null")

    def is_writable(self, seconds: float = 1.0) -> bool:
        """Whether a commit is acknowledged within so many seconds. One that is not waits on, for the thaw."""
        commit = self.host.popen(
            *f"runuser -u postgres -- {BINARIES}/psql -X -q -d postgres -c".split(),
            "INSERT INTO probe VALUES (default)",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return kernel.until(lambda: commit.poll() is not None, seconds)

    def backups(self) -> int:
        """How many sessions hold a backup, or run the document's statements."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_backup_st%' AND pid <> pg_backend_pid()"
        return int(self.sql(query))

    def move_wal(self) -> None:
        """Give the WAL of a stopped server the file system at /wal."""
        self.host.call(f"mv {DATA}/pg_wal /wal/main; ln -s /wal/main {DATA}/pg_wal; chown -R postgres /wal")

    @contextlib.contextmanager
    def slow_checkpoint(self, seconds: float | None = None) -> Iterator[None]:
        """Inside, or for so many seconds, no checkpoint comes to an end, and so no backup begins."""
        self.host.call("pkill -STOP -f 'postgres: checkpointer'")
        go_on = functools.partial(self.host.call, "pkill -CONT -f 'postgres: checkpointer'")
        timer = threading.Timer(seconds or 0, go_on)
        if seconds:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
            go_on()

    def has_begun(self) -> bool:
        """Waits until the keeper's session is there."""
        return kernel.until(lambda: self.backups() > 0, seconds=10)

    def end_of_keeper(self) -> bool:
        """Waits until nothing of the document runs any more."""
        return kernel.until(lambda: not self.leftovers(), seconds=10)

    def keeper(self) -> int:
        """The process of the keeper, as it is known inside."""
        return int(self.host.path("/run/watchkeeper/keeper").read_text().split()[1])

    def leftovers(self) -> list[str]:
        """Processes of the document that still live."""
        listed = self.host.call("ps -eo pid,args").splitlines()
        return [line for line in listed if re.search(r"/run/watchkeeper/|[f]sfreeze|psql -XqAtw", line)]

    def is_frozen(self, directory: str = "/data") -> bool:
        """Asked by freezing it: what is frozen cannot be frozen. Never by writing."""
        if kernel.freeze(str(self.host.path(directory))):
            kernel.thaw(str(self.host.path(directory)))
            return False
        return True


class InTheBackground:
    """A command that runs while the test goes on."""

    def __init__(self, work: Any) -> None:
        self._result: list[Outcome] = []
        self._thread = threading.Thread(target=lambda: self._result.append(work()), daemon=True)
        self._thread.start()

    def outcome(self, seconds: float = 60) -> Outcome:
        self._thread.join(seconds)
        return self._result[0]


def edited(document: Mapping[str, Any], what: str, value: str) -> Mapping[str, Any]:
    """The document with another value in one place, an input of its step or a text of its script."""
    changed = copy.deepcopy(document)
    inputs = changed["mainSteps"][0]["inputs"]
    if what in inputs:
        inputs[what] = value
    else:
        (script,) = inputs["runCommand"]
        assert what in script
        inputs["runCommand"] = [script.replace(what, value)]
    return changed


def mount(host: Instance, volume: str, directory: str) -> None:
    host.call(f"mkdir -p {directory}; mount {EBS}{volume.replace('-', '')} {directory}")


def format_volume(machines: Disks, host: Instance, directory: str, *options: str) -> str:
    """A new volume with a file system, mounted."""
    volume = new_volume()
    machines.create_volume(volume, 2, None)
    machines.attach(volume, host.id, "/dev/sdf")
    host.call(f"mkfs.xfs -q {' '.join(options)} {EBS}{volume.replace('-', '')}")
    mount(host, volume, directory)
    return volume


def make(machines: Disks, host: Instance, snapshot: str) -> Database:
    """A database on one volume of a snapshot, whose server does not run."""
    volume = new_volume()
    machines.create_volume(volume, 2, snapshot)
    machines.attach(volume, host.id, "/dev/sdf")
    mount(host, volume, "/data")
    return Database(machines, host, [volume])


def start_server(host: Instance, data: str = DATA) -> None:
    log = f"{data.replace('/', '_')}.log"
    start = f"runuser -u postgres -- {BINARIES}/pg_ctl -D {data} -w -t 60 -l /tmp/{log} start"
    host.call(f"rm -f {data}/postmaster.pid; {start} >/dev/null || {{ cat /tmp/{log} >&2; exit 1; }}")


def launch(machines: Disks) -> Instance:
    name = f"i-{next(hosts):017x}"
    machines.launch(name, "")
    return machines.hosts[name]


def forget(machines: Disks, host: Instance) -> None:
    """Remove a host and its volumes."""
    held = list(host.devices)
    machines.forget(host.id)
    for volume in held:
        with contextlib.suppress(OSError):
            machines.delete_volume(volume)
