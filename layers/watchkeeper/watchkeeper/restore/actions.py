"""The writes that a restore consists of: each names exactly what it is done to, and carries its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.starts import Command


@dataclass(frozen=True, slots=True)
class Tag:
    """Write the same tags on some things."""

    ids: tuple[str, ...]
    words: Mapping[str, str] = field(hash=False)
    reason: str


@dataclass(frozen=True, slots=True)
class Untag:
    """Remove a tag from some things, where it has this value: what somebody else has written since stays."""

    ids: tuple[str, ...]
    key: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Protect:
    """Have snapshot_database make the set of a run, of what is about to be put aside."""

    run: str
    reason: str


@dataclass(frozen=True, slots=True)
class Make:
    """Make volumes of these members of a set, in a zone; `words` are tags of all of them, `at` tells wish from wish."""

    set: SnapshotSet
    zone: str
    words: Mapping[str, str] = field(hash=False)
    at: str
    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a command to a host."""

    host: str
    command: Command
    parameters: Mapping[str, str] = field(hash=False)
    reason: str


@dataclass(frozen=True, slots=True)
class Detach:
    """Take a volume from exactly this host, where nothing of it is mounted any more."""

    volume: str
    host: str
    reason: str


@dataclass(frozen=True, slots=True)
class Attach:
    """Give a volume to a host."""

    volume: str
    host: str
    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell people once what the key stands for."""

    key: str
    subject: str
    text: str
    reason: str


Action = Tag | Untag | Protect | Make | Send | Detach | Attach | Tell


def describe(action: Action) -> dict[str, Any]:
    """An action as an answer shows it: what is done to what, and why."""
    words = {
        name: getattr(action, name)
        for name in ("run", "zone", "host", "volume", "command", "device", "ids", "key")
        if getattr(action, name, None)
    }
    made = {"snapshots": [one.id for one in action.set.members]} if isinstance(action, Make) else {}
    return {"step": type(action).__name__, **words, **made, "reason": action.reason}
