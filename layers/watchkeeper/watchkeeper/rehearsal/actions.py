"""The writes that a rehearsal consists of: each asks for a state or is guarded by AWS, and carries its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from watchkeeper.restore.actions import Attach, Tell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchkeeper.aws.groups import Group
    from watchkeeper.aws.launches import Launch as Template
    from watchkeeper.aws.scratch import Network
    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.aws.starts import Command
    from watchkeeper.rehearsal.scene import Rehearsal


@dataclass(frozen=True, slots=True)
class Begin:
    """Make the security group of a rehearsal: there is one at a time, and its tag says which."""

    rehearsal: Rehearsal
    vpc: str
    reason: str


@dataclass(frozen=True, slots=True)
class Narrow:
    """Have the group let nothing in, and out what an agent needs."""

    group: Group
    reason: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Launch the scratch host behind this group."""

    rehearsal: Rehearsal
    template: Template
    network: Network
    group: str
    reason: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """Have the host's own disks deleted with it."""

    host: str
    devices: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Make a volume of a snapshot of the set, in the zone of the scratch host."""

    rehearsal: Rehearsal
    member: Snapshot
    kind: tuple[str, int, int]
    zone: str
    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a command of a document to the scratch host."""

    host: str
    document: str
    command: Command
    parameters: Mapping[str, str] = field(hash=False)
    reason: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """Write on the set what came of it."""

    set: SnapshotSet
    words: Mapping[str, str] = field(hash=False)
    reason: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """Terminate a scratch host."""

    host: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeleteVolume:
    """Delete a copy."""

    volume: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeleteGroup:
    """Delete a rehearsal's security group, which ends it."""

    group: str
    reason: str


Action = (
    Begin | Narrow | Launch | LetGo | Copy | Attach | Send | Conclude | Terminate | DeleteVolume | DeleteGroup | Tell
)  # fmt: skip


def describe(action: Action) -> dict[str, Any]:
    """An action as an answer shows it: what is done to what, and why."""
    words = {name: getattr(action, name) for name in ("host", "volume", "command", "key") if hasattr(action, name)}
    match action:
        case Begin(rehearsal) | Launch(rehearsal):
            words["set"] = rehearsal.set
        case Narrow(group):
            words["group"] = group.id
        case DeleteGroup(group):
            words["group"] = group
        case Copy(member=member):
            words["snapshot"] = member.id
        case Conclude(restored, words=outcome):
            words |= {"set": restored.id, "outcome": dict(outcome)}
        case _:
            pass
    return {"step": type(action).__name__, **words, "reason": action.reason}
