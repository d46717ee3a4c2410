"""Values for the unit tests, with a default for everything that a test does not care about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from watchkeeper import tags
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
from watchkeeper.aws.volumes import Volume
from watchkeeper.look import stamp

NOW = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)
DATA, WAL = "vol-0aaaaaaaaaaaaaaa1", "vol-0aaaaaaaaaaaaaaa2"


def volume(volume_id: str = DATA, application: str = "payroll", *, on: str | None = "i-1", **words: str) -> Volume:
    """A database volume; `words` are further tags, e.g. paused="moving"."""
    known = {tags.APPLICATION: application, tags.ROLE: tags.DATABASE}
    return Volume(volume_id, application, NOW - timedelta(days=100), on, 8, known | prefixed(words))


def host(instance_id: str = "i-1", state: str = "running", application: str = "payroll", **more: object) -> Host:
    """The instance that holds the volumes; `volumes` and `root` may be given."""
    held = more.get("volumes", (DATA,))
    assert isinstance(held, tuple)
    root = str(more.get("root", "vol-0root"))
    return Host(instance_id, state, root, (*held, root), {tags.APPLICATION: application})


def snapshot_set(
    age: timedelta = timedelta(),
    *,
    run: datetime | None = None,
    consistency: str | None = None,
    state: str = "completed",
    volumes: tuple[str, ...] = (DATA,),
    concluded: bool = True,
    application: str = "payroll",
    name: str | None = None,
    **words: str,
) -> SnapshotSet:
    """A set that EBS took `age` ago; `words` are further tags of its snapshots."""
    started = NOW - age
    consistency = consistency or ("application" if concluded else "crash")
    name = name or f"set-{started.isoformat()}-{consistency}"
    known = {
        tags.APPLICATION: application,
        tags.ROLE: tags.SNAPSHOT,
        tags.RUN: stamp(run or started),
        tags.SET: name,
        tags.VOLUMES: " ".join(volumes),
        tags.CONSISTENCY: consistency,
    }
    known |= {tags.FROZEN_MS: "80"} if concluded else {}
    members = tuple(
        Snapshot(f"snap-{name}-{one[-1]}", one, started, state, 8, False, known | prefixed(words)) for one in volumes
    )
    return SnapshotSet(name, application, run or started, volumes, members)


def prefixed(words: dict[str, str]) -> dict[str, str]:
    """Tags by their short names: proven_at is watchkeeper:proven-at."""
    return {tags.PREFIX + key.replace("_", "-"): value for key, value in words.items()}
