"""What snapshots are measured on: a host of real disks, its database under load, the region's API on its loopback."""

from __future__ import annotations

import contextlib
import ctypes
import json
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from bench.figures import NEWEST_POSTGRES
from region import Region
from region.disks import Disks
from region.disks.instance import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from region.calls import Call
    from region.disks.instance import Instance
    from region.machines import Done, Outcome

APPLICATION, MOUNT, PORT = "smallpayroll", "/ebs/pgsql", 5566
CLI = Path(".venv/awscli/bin").resolve()
CLONE_NEWNET = 0x40000000

# Busy, and not so busy that nothing but the lack of cores is measured.
PREPARE = f"""
as() {{ runuser -u postgres -- {NEWEST_POSTGRES}/"$@"; }}
cd /tmp
as psql -qX -c 'CREATE TABLE ledger (number bigserial PRIMARY KEY, padding text)' postgres
as pgbench -iq -s 10 postgres 2>/dev/null
echo "INSERT INTO ledger (padding) VALUES (repeat('x', 200));" >commit.sql
"""  # noqa: S608
WRITERS = "-c 4 -R 200 -l --log-prefix=/tmp/commits -f /tmp/commit.sql"
OTHERS = "-c 2 -R 50"


@dataclass(slots=True)
class Moments:
    """When things happened in one run, by the monotonic clock, as EC2, SSM and the agent saw them."""

    asked: float = 0  # for the snapshots
    answered: float = 0
    sent: float = 0  # the last command, which is post-script
    delivered: float = 0
    ended: list[float] = field(default_factory=list)  # each script
    freezing: float = 0  # milliseconds until all is frozen, as the host measured them


class Watched(Disks):
    """Disks that remember when the agent was given a command, and when its script had ended."""

    moments = Moments()

    def run(self, instance_id: str, document: Mapping[str, Any], parameters: Mapping[str, str], done: Done) -> None:
        """Run it as Disks does."""
        moments = self.moments
        moments.delivered = time.monotonic()

        def ended(outcome: Outcome) -> None:
            moments.ended.append(time.monotonic())
            moments.freezing = json.loads(outcome.stdout).get("freezeMs", moments.freezing)
            done(outcome)

        super().run(instance_id, document, parameters, ended)

    def note(self, answer: Callable[[Call], Any]) -> Callable[[Call], Any]:
        """An operation of EC2 or SSM that remembers when it was asked for and answered."""

        def operation(call: Call) -> Any:
            moments, before = self.moments, time.monotonic()
            answered = answer(call)
            if call.service == "ssm":
                moments.sent = before
            else:
                moments.asked, moments.answered = before, time.monotonic()
            return answered

        return operation


@dataclass(frozen=True, slots=True)
class Rig:
    """The region, and the host of its only application."""

    region: Region
    machines: Watched
    host: Instance

    @property
    def document(self) -> str:
        """The document's name, as the function knows it."""
        return self.region.functions.find("snapshot_database").environment["FREEZE_DOCUMENT"]

    def without_freeze(self) -> str:
        """Another version of the document, which freezes and thaws nothing; its number."""
        ssm = self.region.client("ssm")
        content = ssm.get_document(Name=self.document)["Content"].replace("fsfreeze -", "true -")
        made = ssm.update_document(Name=self.document, Content=content, DocumentVersion="$LATEST")
        return str(made["DocumentDescription"]["DocumentVersion"])

    def take(self) -> dict[str, Any]:
        """Run the function for an event of this second, and answer the set that it made."""
        run = datetime.now(UTC).isoformat(timespec="seconds")
        (made,) = self.region.invoke("snapshot_database", {"application": APPLICATION, "time": run})["made"]
        return dict(made)

    def cron(self) -> dict[str, Any]:
        """Run the shell script on the host, as cron does."""
        environment = {
            **ENVIRONMENT,
            "PATH": f"{CLI}:{ENVIRONMENT['PATH']}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
            "AWS_DEFAULT_REGION": self.region.name,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }
        script = str(Path("bench/cron_snapshot.sh").resolve())
        if code := self.host.popen("/bin/bash", script, self.host.id, MOUNT, env=environment).wait():
            raise OSError(f"the shell script ended with {code}")
        return {}

    def tidy(self) -> None:
        """Delete all snapshots: a volume's next one may then come at once, and its file stays quick to clone."""
        self.region.run(at_most=1)  # until they are completed
        for one in list(self.region.ec2.snapshots.values()):
            if one.volume.id in self.host.devices:
                self.region.client("ec2").delete_snapshot(SnapshotId=one.id)

    def waits(self) -> list[tuple[float, float]]:
        """Of every commit: when it was acknowledged, and how long its client had waited for that, in seconds.

        With a rate, pgbench counts from when a transaction was due; how late it began is its last column.
        """
        (log,) = self.host.path("/tmp").glob("commits.*")  # noqa: S108 the host's own
        lines = (line.split() for line in log.read_text().splitlines()[:-1])  # the last may be half a line
        return [(int(one[4]) + int(one[5]) / 1e6, (int(one[2]) - int(one[6])) / 1e6) for one in lines]


@contextlib.contextmanager
def open_rig() -> Iterator[Rig]:
    """The example application from its own template, the project beside it, and clients that write to its database."""
    machines = Watched()
    with Region(machines) as region:
        region.deploy("examples/smallpayroll.yaml")
        region.deploy("template.yaml", ReplaceDatabaseHosts="false", RegisterWebNodes="false")
        for schedule in region.client("scheduler").list_schedules()["Schedules"]:  # time is real: one may fall due
            region.client("scheduler").delete_schedule(Name=schedule["Name"])
        _wait(region, lambda: bool(machines.hosts))
        (host,) = machines.hosts.values()
        _wait(region, lambda: f"{APPLICATION} 5432 online" in " ".join(host.call("pg_lsclusters").split()))
        host.call(PREPARE)
        for operation in (("ec2", "CreateSnapshots"), ("ssm", "SendCommand")):
            region.wire.answers[operation] = machines.note(region.wire.answers[operation])
        for load in (WRITERS, OTHERS):
            script = f"cd /tmp; exec runuser -u postgres -- {NEWEST_POSTGRES}/pgbench -n -T 99999 {load} postgres"
            host.popen("/bin/bash", "-c", script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with _api_on_loopback(host):
            yield Rig(region, machines, host)


def _wait(region: Region, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{APPLICATION} does not come up")
        region.run(at_most=0.2)


@contextlib.contextmanager
def _api_on_loopback(host: Instance) -> Iterator[None]:
    """The API where the host finds it without a network: its socket is made in there, and served from here."""
    listening: list[socket.socket] = []

    def listen() -> None:  # a thread enters the host's network alone, and ends there
        with Path(f"/proc/{host.pid}/ns/net").open() as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        listening.append(socket.create_server(("127.0.0.1", PORT)))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    api, descriptor = DomainDispatcherApplication(create_backend_app), listening[0].fileno()
    server = make_server("127.0.0.1", PORT, api, threaded=True, request_handler=_Quiet, fd=descriptor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        listening[0].close()


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        """Nothing: requests are measured here, not read."""
