"""Databases that move from host to host, and the document that starts them there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from region.disks import agent, kernel
from region.disks.instance import ENVIRONMENT
from tests.disks import database
from tests.disks.database import DATA, Database

if TYPE_CHECKING:
    from collections.abc import Mapping

    from region.disks import Disks
    from region.disks.instance import Instance
    from region.machines import Outcome

START: Mapping[str, Any] = yaml.safe_load(Path("documents/start_database.yaml").read_text())
EXAMPLE = yaml.load(Path("examples/smallpayroll.yaml").read_text(), yaml.BaseLoader)  # noqa: S506 (it makes only text)
USER_DATA: str = EXAMPLE["Resources"]["DatabaseHost"]["Properties"]["UserData"]["Fn::Base64"]
PAYROLL = "/ebs/pgsql"  # where the example's user data mounts its volume
RECORD = ".watchkeeper"
UNFIT_HOST, UNFIT, RECOVERING, FAILED = 214, 212, 211, 210


def send(db: Database, command: str, document: Mapping[str, Any] = START, **parameters: str) -> Outcome:
    """Run the document on the database's host as its agent does."""
    return agent.run(db.host, document, {"command": command, "volumeIds": " ".join(db.volumes), **parameters})


def send_and_kill(db: Database, seconds: float, document: Mapping[str, Any] = START, **parameters: str) -> None:
    """Run `start`, or another document, and kill all of its group after so many seconds, as the agent does at last."""
    given = {"command": "start", "volumeIds": " ".join(db.volumes), **parameters}
    (script,) = agent.inputs(document, document["mainSteps"][0], given)["runCommand"]
    db.host.path("/srv/start.sh").write_text(script)
    started = db.host.popen(
        "bash", "/srv/start.sh", env={**ENVIRONMENT, "AWS_SSM_INSTANCE_ID": db.host.id},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    kernel.really_sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def move(db: Database, host: Instance) -> Database:
    """Cut the power of its host and attach the volumes to another."""
    db.machines.power_cut(db.host.id)
    for volume in db.volumes:
        db.machines.detach(volume, db.host.id, force=False)
        db.machines.attach(volume, host.id, "/dev/sdf")
    return Database(db.machines, host, db.volumes)


def restore(db: Database, host: Instance) -> Database:
    """Volumes made of a set of the database's volumes, attached to another host."""
    taken = [(volume, f"snap-of-{volume}-{host.id}") for volume in db.volumes]
    db.machines.snapshot(taken)
    restored = Database(db.machines, host, [])
    for _, snapshot in taken:
        restored.volumes.append(database.new_volume())
        db.machines.create_volume(restored.volumes[-1], 2, snapshot)
        db.machines.attach(restored.volumes[-1], host.id, "/dev/sdf")
    return restored


def make_payroll(machines: Disks, host: Instance) -> Database:
    """The example's database, made by its user data."""
    volume = database.new_volume()
    machines.create_volume(volume, 2, None)
    machines.attach(volume, host.id, "/dev/sdf")
    host.path("/srv/user-data").write_text(USER_DATA)
    host.call("bash /srv/user-data >/srv/user-data.log 2>&1 || { cat /srv/user-data.log >&2; exit 1; }")
    return Database(machines, host, [volume])


def spread(db: Database) -> None:
    """Give a database whose WAL has a volume of its own two tablespaces: on that volume, and on a third."""
    db.volumes.append(database.format_volume(db.machines, db.host, "/space"))
    for name, directory in (("near", "/wal/near"), ("far", "/space/far")):
        db.host.call(f"install -d -o postgres -g postgres {directory}")
        db.sql(f"CREATE TABLESPACE {name} LOCATION '{directory}'")
    db.sql("CREATE TABLE far TABLESPACE far AS SELECT 7 AS number; CREATE INDEX ON far (number) TABLESPACE near")


def start_image_cluster(host: Instance) -> None:
    """The cluster that Debian's package makes, on the root disk."""
    host.call("pg_ctlcluster $(pg_lsclusters -h | grep ' main ' | cut -d ' ' -f 1,2) start")


def configure(db: Database, *settings: str) -> None:
    """Start the server with these settings, which outlast a power cut: an editor's file is not synced by anybody."""
    db.configure(*settings)
    db.host.call("sync -f /data")


def edit_record(db: Database, before: str, after: str, file: str = "database", directory: str = "/data") -> None:
    """Change what the record on the volume says."""
    db.host.call(f"sed -i 's|^{before}.*|{after}|' {directory}/{RECORD}/{file}; sync -f {directory}")


def mounted(host: Instance) -> list[str]:
    """Where the host has mounted its volumes."""
    return sorted(point for volume in host.devices for point in host.mounts_of(volume))


def postmaster(db: Database, data: str = DATA) -> str:
    return db.host.path(f"{data}/postmaster.pid").read_text().splitlines()[0]


def stop_startup(db: Database) -> subprocess.Popen[Any]:
    """Stops crash recovery as soon as it has begun."""
    return db.host.popen("bash", "-c", "until pkill -STOP -f '^postgres: startup'; do :; done")
