"""What people are told when a host was replaced: what happened, when, and what is asked of them; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.look import read_time
from watchkeeper.replacement.scene import GONE, retired_at
from watchkeeper.restore.actions import Tell

if TYPE_CHECKING:
    from datetime import datetime

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.starts import Start
    from watchkeeper.replacement.actions import Action
    from watchkeeper.replacement.scene import Scene

# Why a notice is told that counts as a replacement.
SETTLED = "its database is settled on another host"

# How long settling waits for somebody to be told, should notices not be taken.
PATIENCE = timedelta(minutes=5)


def before(scene: Scene, start: Start, tell: Tell, settle: Action) -> tuple[Action, Action]:
    """Both in their order: once it is settled, no look would find anything left to tell; but that has its end."""
    return (tell, settle) if scene.now - start.asked < PATIENCE else (settle, tell)


def replaced(scene: Scene, target: Host, start: Start, *, is_found: bool = True) -> Tell:
    """The notice that the database has another host, with the time of each phase; `is_found` by its address."""
    was = target.tags.get(tags.REPLACES, "") if scene.home == target.id else scene.home
    old = scene.hosts.get(was)
    lines = [
        f"The database of {scene.application} runs on {target.id} ({target.address}) now. Its host was "
        f"{was}, which {_end(old)}.",
        "",
        *(f"  {moment:%H:%M:%S}  {what}" for moment, what in sorted(_phases(scene, target, start, old))),
        *([] if is_found else ["", "Its address does not lead there: another notice says why."]),
        "",
        f"Asked of you: {_asked(old)}",
    ]
    subject = f"Watchkeeper: {scene.application} has a new database host"
    return Tell(f"{scene.application}.replaced.{target.id}", subject, "\n".join(lines), SETTLED)


def kept(scene: Scene, host: Host) -> Tell:
    """The notice that the old host is the host again."""
    return Tell(
        f"{scene.application}.kept.{host.id}.{host.tags.get(tags.RETIRED, '')[:20]}",
        f"Watchkeeper: {scene.application} keeps its database host",
        f"{host.id} was to be replaced and is well again, with all its volumes; PostgreSQL takes writes there. "
        f"Asked of you: nothing.",
        "it is well again",
    )


def _end(old: Host | None) -> str:
    if old is None:
        return "EC2 does not know any more"
    if old.state in GONE:
        return f"was terminated ({old.reason})"
    reason = old.tags.get(tags.RETIRED, "").partition(" ")[2]
    return f"is {old.state}, and stays so as it is ({reason or old.reason})"


def _asked(old: Host | None) -> str:
    if old is None or old.state in GONE:
        return "nothing."
    return (
        f"nothing. {old.id} costs only its root volume now; when you have seen what was wrong with it: "
        f"aws ec2 terminate-instances --instance-ids {old.id}"
    )


def _phases(scene: Scene, target: Host, start: Start, old: Host | None) -> list[tuple[datetime, str]]:
    phases = [(scene.now, "the new host is settled")]
    if found := began(scene):
        phases.append((found, f"{scene.home} was found dead"))
    if old and (retired := retired_at(old)):
        phases.append((retired, f"{old.id} was fenced: it is stopped before a volume leaves it"))
    if target.launched:
        phases.append((target.launched, f"{target.id} was launched"))
    phases += [
        (one.attachment.since, f"{one.id} was attached there")
        for one in scene.volumes
        if one.attachment and one.attachment.since
    ]
    said = start.outcome.words if start.outcome else {}
    took = timedelta(milliseconds=int(said.get("mountMs", 0)) + int(said.get("recoveryMs", 0)))
    phases.append(
        (
            start.asked + took,
            f"PostgreSQL took a write there (mounted in {said.get('mountMs', '?')} ms, recovered in "
            f"{said.get('recoveryMs', '?')} ms, timeline {said.get('timeline', '?')}, at {said.get('lsn', '?')})",
        )
    )
    return phases


def began(scene: Scene) -> datetime | None:
    """When the settled host was found dead, as the anchor remembers; None if it was not."""
    for entry in scene.anchor.tags.get(tags.REPLACED, "").split():
        time, _, of = entry.partition("=")
        if of.startswith(f"{scene.home}."):
            try:
                return read_time(time)
            except ValueError:  # a person may have written it
                return None
    return None
