"""Scenes for the unit tests of rehearsals: a database with one finished set, and its rehearsal at some step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.unit import builders
from tests.unit.builders import DATA, NOW, WAL, prefixed
from watchkeeper import tags
from watchkeeper.aws.commands import Outcome
from watchkeeper.aws.groups import Group
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.launches import Launch
from watchkeeper.aws.notices import Place
from watchkeeper.aws.scratch import Network
from watchkeeper.aws.starts import Start
from watchkeeper.aws.volumes import Attachment, Volume
from watchkeeper.rehearsal.scene import OUT, Details, Rehearsal, Scene
from watchkeeper.rehearsal.settings import Settings

if TYPE_CHECKING:
    from watchkeeper.aws.snapshots import SnapshotSet

SETTINGS = Settings(
    watched=("*",),
    retired=(),
    start_document="start_database",
    check_document="check_database",
    place=Place("notices", "topic"),
    every=timedelta(days=7),
    sql="SELECT 1",
    profile="arn:aws:iam::123456789012:instance-profile/rehearsal",
    is_collation_change_allowed=False,
    function="rehearse_restore",
)
NETWORK = Network("vpc-1", "subnet-1", 1)
SINCE = timedelta(minutes=10)
SET = builders.snapshot_set(timedelta(hours=1), volumes=(DATA, WAL), name="newest")
LIVE = Rehearsal("newest", NOW - SINCE)
GROUP, HOST = "sg-1", "i-1"


def words(of: Rehearsal = LIVE, **more: str) -> dict[str, str]:
    """The tags of what a rehearsal made; `more` by their short names."""
    known = {tags.APPLICATION: "payroll", tags.ROLE: tags.REHEARSAL, tags.REHEARSES: of.word}
    return known | prefixed(more)


def group(of: Rehearsal = LIVE, **more: Any) -> Group:
    """The group of a rehearsal, as narrow as it is to be."""
    given = {"tags": words(of), "outgoing": OUT, "name": "watchkeeper rehearsal payroll"}
    return Group(GROUP, vpc="vpc-1", **{**given, **more})


def host(of: Rehearsal = LIVE, state: str = "running", volumes: tuple[str, ...] = (), **more: Any) -> Host:
    """The scratch host, launched a minute after the rehearsal began, with a root disk that ends with it."""
    devices = dict(zip(("vol-root", *volumes), ("/dev/sda1", "/dev/sdf", "/dev/sdg"), strict=False))
    given: dict[str, Any] = {
        "tags": words(of),
        "devices": devices,
        "dying": ("vol-root",),
        "launched": of.since + timedelta(minutes=1),
        "token": of.tokens[0],
        "zone": "eu-central-1a",
        "groups": frozenset({GROUP}),
        "profile": SETTINGS.profile,
    }
    return Host(HOST, state, "vol-root", tuple(devices), **{**given, **more})


def disk(of: Rehearsal = LIVE, on: str | None = HOST) -> Volume:
    """The root disk of the scratch host."""
    held = Attachment(on, "attached") if on else None
    return Volume("vol-root", "payroll", of.since, on, 8, words(of), "in-use" if on else "available", held)


def copies(
    of: Rehearsal = LIVE, on: str | None = HOST, state: str = "attached", made: SnapshotSet = SET, **more: str
) -> tuple[Volume, ...]:
    """The copies of a set, attached or not."""
    return tuple(
        Volume(
            f"vol-copy{number}",
            "payroll",
            of.since + timedelta(minutes=2),
            on,
            8,
            words(of, restored_from=member.id, **more),
            "in-use" if on else "available",
            Attachment(on, state) if on else None,
            "eu-central-1a",
            snapshot=member.id,
        )
        for number, member in enumerate(made.members)
    )


def answered(command: str = "start", code: int = 0, ago: int = 60, error: str = "", output: str = "{}") -> Start:
    """A command that ended so many seconds ago."""
    status = "Failed" if code else "Success"
    return Start(command, NOW - timedelta(seconds=ago), Outcome(status, code, output, error))


def scene(*things: Group | Host | Volume, details: Details | None = None, **more: Any) -> Scene:
    """The database on a host of its own, and what there is of rehearsals."""
    known = Scene(
        "payroll",
        NOW,
        (builders.volume(host="i-production"), *(one for one in things if isinstance(one, Volume))),
        (builders.host("i-production"), *(one for one in things if isinstance(one, Host))),
        tuple(one for one in things if isinstance(one, Group)),
        (Launch("lt-1", "payroll", 1),),
        (SET,),
        details=Details(NETWORK, is_reached=True) if details is None else details,
    )
    return replace(known, **more)


def ready(details: Details | None = None, **more: Any) -> Scene:
    """All copies are attached to the scratch host."""
    ids = tuple(one.id for one in copies())
    return scene(group(), host(volumes=ids), disk(), *copies(), details=details, **more)


def said(*sent: Start) -> Details:
    """What the scratch host has said."""
    starts = tuple(one for one in sent if one.command == "start")
    checks = tuple(one for one in sent if one.command == "check")
    return Details(NETWORK, is_reached=True, starts=starts, checks=checks)
