"""Scenes for the unit tests of replacement: a database of two volumes on a host that is well, and changes to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.unit.builders import DATA, NOW, WAL
from watchkeeper import tags
from watchkeeper.aws import launches
from watchkeeper.aws.addresses import Record
from watchkeeper.aws.checks import Check
from watchkeeper.aws.commands import Outcome
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.launches import Launch
from watchkeeper.aws.notices import Place
from watchkeeper.aws.starts import Start
from watchkeeper.aws.volumes import Attachment, Volume
from watchkeeper.look import stamp
from watchkeeper.replacement.scene import Details, Scene
from watchkeeper.replacement.settings import Settings

OLD, NEW = "i-00000000000000001", "i-00000000000000002"
NAME = "db.payroll.internal"
IPS = {OLD: "10.0.0.1", NEW: "10.0.0.2"}
PAYROLL = {tags.APPLICATION: "payroll"}
HOSTING = PAYROLL | {tags.ROLE: tags.DATABASE_HOST}

SETTINGS = Settings(
    watched=("*",),
    retired=(),
    document="start_database",
    alarm_prefix="watchkeeper-database-host-",
    place=Place("notices", "topic"),
    zones=("Z1",),
    names=("*.payroll.internal",),
    ttl_seconds=5,
    budget=3,
    force_after=timedelta(seconds=30),
    terminate_after=timedelta(seconds=90),
    is_stopped_by_people_replaced=False,
    is_lost_volume_restored=False,
    retired_host_days=0,
    keys=(),
    is_collation_change_allowed=False,
    start_command="",
    function="replace_database_host",
)


def volume(name: str, on: str | None = OLD, state: str = "attached", **words: str) -> Volume:
    """A settled volume, attached or not; `words` are further tags by their short names."""
    known = PAYROLL | {
        tags.ROLE: tags.DATABASE,
        tags.HOST: OLD,
        tags.VOLUMES: f"{DATA} {WAL}",
        tags.ADDRESS: NAME,
    }
    known |= {tags.PREFIX + key.replace("_", "-"): value for key, value in words.items()}
    return Volume(
        name,
        "payroll",
        NOW - timedelta(days=100),
        on if state != "detaching" else None,
        8,
        {key: value for key, value in known.items() if value},
        "in-use" if on else "available",
        Attachment(on, state, NOW - (timedelta(days=1) if state == "attached" else timedelta(minutes=1)))
        if on
        else None,
        "eu-central-1a",
    )


def host(name: str = OLD, state: str = "running", volumes: tuple[str, ...] = (DATA, WAL), **more: Any) -> Host:
    """A host that has run for a day; a replacement has the token of its number."""
    devices = {one: f"/dev/sd{letter}" for one, letter in zip(("vol-root", *volumes), "afgh", strict=False)}
    given = {
        "tags": HOSTING,
        "launched": NOW - timedelta(days=1),
        "zone": "eu-central-1a",
        "address": IPS[name],
        "devices": devices,
        "type": "m7g.large",
    }
    return Host(name, state, "vol-root", tuple(sorted(devices)), **{**given, **more})


def replacement(number: int = 0, state: str = "running", volumes: tuple[str, ...] = (), **more: Any) -> Host:
    """The number-th replacement of the old host, launched a minute ago."""
    given = {
        "token": launches.token(DATA, OLD, number),
        "launched": NOW - timedelta(minutes=1),
        "tags": HOSTING | {tags.REPLACES: OLD},
    }
    return host(NEW, state, volumes, **{**given, **more})


def retired(one: Host, ago: timedelta = timedelta(seconds=5)) -> Host:
    """The same host, which we set out to stop so long ago."""
    return replace(one, tags={**one.tags, tags.RETIRED: f"{stamp(NOW - ago)} dead"})


def impaired(since: timedelta = timedelta(minutes=5), *, is_host: bool = True, windows: Any = ()) -> Check:
    return Check(is_host, NOW - since, windows)


def started(ago: timedelta = timedelta(seconds=5), command: str = "start", code: int = 0, error: str = "") -> Start:
    status = "Failed" if code else "Success"
    words = '{"writable": true, "mountMs": 30, "recoveryMs": 400, "timeline": 1, "lsn": "0/1"}'
    return Start(command, NOW - ago, Outcome(status, code, words, error))


def under_way(ago: timedelta = timedelta(seconds=5), command: str = "start") -> Start:
    return Start(command, NOW - ago)


def details(**more: Any) -> Details:
    return replace(Details(is_reached={OLD: True, NEW: True}, launch_zone="eu-central-1a"), **more)


def scene(*hosts: Host, volumes: tuple[Volume, ...] | None = None, now: datetime = NOW, **more: Any) -> Scene:
    """A scene; without anything given, of a calm day."""
    known = hosts or (host(),)
    given: dict[str, Any] = {
        "launches": (Launch("lt-1", "payroll", 1, ("m6g.large",)),),
        "record": Record("Z1", NAME, 5, IPS[OLD]),
        "details": details(),
    }
    return Scene(
        "payroll",
        now,
        (volume(DATA), volume(WAL)) if volumes is None else volumes,
        {one.id: one for one in known},
        **{**given, **more},
    )


def away(on: str | None = None, **words: str) -> tuple[Volume, ...]:
    """Both volumes elsewhere than on the old host."""
    return (volume(DATA, on, **words), volume(WAL, on, **words))
