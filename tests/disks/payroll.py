"""A Debian cluster on the root disk of its host, and an empty volume beside it, onto which it is moved."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from region.disks import agent
from region.disks.instance import EBS
from tests.disks import database
from tests.disks.database import BINARIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from region.disks import Disks
    from region.disks.instance import Instance
    from region.machines import Outcome

DOCUMENT: Mapping[str, Any] = yaml.safe_load(Path("documents/prepare_volume.yaml").read_text())
START: Mapping[str, Any] = yaml.safe_load(Path("documents/start_database.yaml").read_text())
VERSION = Path(BINARIES).parent.name
DATA, CONFIGURATION = f"/var/lib/postgresql/{VERSION}/payroll", f"/etc/postgresql/{VERSION}/payroll"
POINT = "/ebs/pgsql"
RECORD = f"{POINT}/.watchkeeper"
PORT = 5499
QUIET = ">/dev/null 2>&1"  # a server that is started keeps what it is given


@dataclass(slots=True)
class Payroll:
    """The cluster, and where it goes."""

    machines: Disks
    host: Instance
    volume: str
    paid: int = 0

    @property
    def disk(self) -> str:
        return EBS + self.volume.replace("-", "")

    def server(self) -> str:
        """The process of the server, where it is known."""
        return self.host.call(f"head -n 1 {DATA}/postmaster.pid")

    def prepare(self, document: Mapping[str, Any] = DOCUMENT, **parameters: str) -> Outcome:
        """Send the document as the agent does."""
        return agent.run(self.host, document, {"volumeId": self.volume, **parameters})

    def send_start(self, command: str, host: Instance | None = None) -> Outcome:
        """Send start_database, to this host or another."""
        return agent.run(host or self.host, START, {"command": command, "volumeIds": self.volume})

    def sql(self, statement: str, host: Instance | None = None) -> str:
        psql = f"runuser -u postgres -- {BINARIES}/psql -XqAt -v ON_ERROR_STOP=1 -p {PORT} -d postgres"
        return (host or self.host).call(f"{psql} <<'END'\n{statement}\nEND")

    def pay(self) -> None:
        """Commit one more payment."""
        self.sql("INSERT INTO payment VALUES (default)")
        self.paid += 1

    def payments(self, host: Instance | None = None) -> int:
        return int(self.sql("SELECT count(*) FROM payment", host))

    def control(self, action: str) -> None:
        self.host.call(f"pg_ctlcluster {VERSION} payroll {action} {QUIET}")

    def start_if_possible(self) -> bool:
        """What a boot does, or a person who wants the service back."""
        with contextlib.suppress(OSError):
            self.control("start")
        return self.runs()

    def runs(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.sql("SELECT 1"))
        return False

    def add_volume(self, gib: int = 2) -> str:
        """Attach another empty volume."""
        volume = database.new_volume()
        self.machines.create_volume(volume, gib, None)
        self.machines.attach(volume, self.host.id, "/dev/sdf")
        return volume

    def record(self) -> str:
        return self.host.call(f"cd {RECORD} && ls && cat *")


def make(machines: Disks, host: Instance) -> Payroll:
    """A cluster that runs, with a payment in it."""
    host.call(f"pg_createcluster --port={PORT} --start {VERSION} payroll -- --no-sync {QUIET}")
    payroll = Payroll(machines, host, "")
    payroll.volume = payroll.add_volume()
    payroll.sql("CREATE TABLE payment (number int GENERATED ALWAYS AS IDENTITY)")
    payroll.pay()
    return payroll
