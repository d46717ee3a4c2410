"""The writes that a replacement consists of: each asks for a state or is guarded by AWS, and carries its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchkeeper.restore.actions import Attach, Send, Tag, Tell

if TYPE_CHECKING:
    from watchkeeper.aws.addresses import Interface, Record
    from watchkeeper.aws.launches import Launch as Template
    from watchkeeper.aws.snapshots import SnapshotSet


@dataclass(frozen=True, slots=True)
class Launch:
    """Launch the number-th replacement; before that the anchor remembers it, as `replaced` (None: it does already)."""

    number: int
    template: Template
    replaced: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Untag:
    """Remove a tag."""

    ids: tuple[str, ...]
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Protect:
    """Keep these volumes when the host is terminated: their devices."""

    host: str
    devices: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a host without its shutting down; by force if it hangs."""

    host: str
    reason: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class Terminate:
    """Terminate a host that cannot be stopped, or that was kept long enough."""

    host: str
    reason: str


@dataclass(frozen=True, slots=True)
class StartAgain:
    """Start a stopped host, on other hardware."""

    host: str
    reason: str


@dataclass(frozen=True, slots=True)
class Detach:
    """Take a volume from a host that is seen stopped; by force only if it is seen so twice."""

    volume: str
    host: str
    reason: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """Let the address lead to a host: a record as it was observed, or none yet."""

    observed: Record | None
    name: str
    ip: str
    reason: str


@dataclass(frozen=True, slots=True)
class MoveInterface:
    """Take the interface off where it is, or give it to a host."""

    interface: Interface
    host: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Restore:
    """Make the volumes of a set anew, in a zone, for the host that had them."""

    set: SnapshotSet
    zone: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rehearse:
    """Ask AWS whether a launch would be allowed; nothing is launched."""

    template: Template
    reason: str


Action = (
    Launch | Tag | Untag | Protect | Stop | Terminate | StartAgain | Detach | Attach | Send | Point | MoveInterface
    | Restore | Rehearse | Tell
)  # fmt: skip


def describe(action: Action) -> dict[str, Any]:
    """An action as an answer shows it: what is done to what, and why."""
    words = {
        name: getattr(action, name)
        for name in ("number", "host", "volume", "command", "name", "ids", "key")
        if getattr(action, name, None) is not None
    }
    return {"step": type(action).__name__, **words, "reason": action.reason}
