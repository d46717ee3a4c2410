"""Pauses: a person's, and those of a restore that is at it; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.look import read_time
from watchkeeper.replacement.refusals import Refusal

if TYPE_CHECKING:
    from watchkeeper.aws.hosts import Host
    from watchkeeper.replacement.scene import Scene

# A restore takes minutes; one that is not over after this was killed, or cannot go on.
RESTORED_WITHIN = timedelta(hours=1)


def paused(scene: Scene, host: Host | None) -> Refusal | None:
    """Somebody wants it left exactly as it is; or restore_database is at it, or was and did not end."""
    reasons = _reasons(scene, host)
    if not reasons:
        return None
    way_out = f"remove {tags.PAUSED} to let it be"
    if tags.is_restoring(reasons[0]):
        way_out = "send restore_database the same event again, with which it goes on, or one that undoes it"
    return Refusal("paused", f"It is paused ({reasons[0]}), so its host is not replaced: {way_out}.")


def is_being_restored(scene: Scene, host: Host | None) -> bool:
    """It is restore_database alone that has paused it, not longer ago than that takes."""
    reasons = _reasons(scene, host)
    return bool(reasons) and all(tags.is_restoring(one) and _is_recent(one, scene) for one in reasons)


def _reasons(scene: Scene, host: Host | None) -> list[str]:
    """Where volumes are missing, hosts remember it, and the volumes that a restore took away or did not yet put in."""
    labelled = [one.tags for one in scene.volumes] + ([host.tags] if host else [])
    if not scene.volumes:
        labelled += [one.tags for one in scene.hosts.values() if not scene.is_retired(one)]
    reasons = [one[tags.PAUSED] for one in labelled if tags.PAUSED in one]
    reasons += [one.paused for one in scene.launches if one.paused]
    is_whole = scene.volumes and not scene.members - set(scene.ids)
    return reasons if is_whole or not scene.restoring else [*reasons, scene.restoring]


def _is_recent(paused: str, scene: Scene) -> bool:
    try:
        return scene.now - read_time(paused.rpartition(" ")[2]) < RESTORED_WITHIN
    except ValueError:
        return False
