"""A database whose host died starts on another: the one on these volumes, whole, and again after a reboot."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from region.disks import agent, kernel
from tests.disks import database
from tests.disks.database import DATA, Database, words
from tests.disks.writers import Writers, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from region.disks.instance import Instance
    from region.machines import Outcome

START: Mapping[str, Any] = yaml.safe_load(Path("documents/start_database.yaml").read_text())


def send(db: Database, command: str, **parameters: str) -> Outcome:
    given = {"command": command, "volumeIds": " ".join(db.volumes), **parameters}
    return agent.run(db.host, START, given)


def move(db: Database, host: Instance) -> Database:
    """Cut the power of its host and attach the volumes to another."""
    if db.host.is_running:
        db.machines.power_cut(db.host.id)
    for volume in db.volumes:
        db.machines.detach(volume, db.host.id, force=False)
        db.machines.attach(volume, host.id, "/dev/sdf")
    return Database(db.machines, host, db.volumes)


def test_every_acknowledged_commit_is_there_on_a_new_host(
    db: Database, new_host: Callable[[], Instance], trial: int
) -> None:
    assert send(db, "record").code == 0
    with Writers(db) as writers:
        kernel.really_sleep(1)
        db.machines.power_cut(db.host.id)
    acknowledged = writers.acknowledged_by(time.monotonic())

    moved = move(db, new_host())
    started = send(moved, "start")

    assert started.code == 0, started
    assert words(started)["writable"] is True
    assert len(acknowledged) > 100
    assert not missing(moved, acknowledged)
