"""What people are told of rehearsals; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.look import read_time, stamp
from watchkeeper.rehearsal import proofs
from watchkeeper.restore.actions import Tell

if TYPE_CHECKING:
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.rehearsal.scene import Rehearsal, Scene
    from watchkeeper.rehearsal.verdict import Trouble

# Why a notice is told that counts as a failed rehearsal.
FAILED = "its set does not restore"

# A restore takes minutes; one that is left half-way keeps everything else from the database.
LONG_PAUSE = timedelta(hours=1)


def failed(scene: Scene, live: Rehearsal, of: SnapshotSet) -> Tell:
    """The notice that a set does not restore, with what was said, and what is asked of people."""
    good = proofs.newest(scene.sets, scene.now)
    last = f"The newest proof is of {stamp(good)}." if good else "No set of it is proven."
    text = (
        f"The set of {scene.application} that was taken at {stamp(of.started)} ({of.id}) was restored on a scratch "
        f"host and failed: {proofs.failure(of)}\n\n{last} Another set is tried in an hour, this one in a day. To try "
        f'the newest now: {{"application": "{scene.application}", "force": true}} to rehearse_restore.'
    )
    key = f"{scene.application}.rehearsal-failed.{live.word}"
    return Tell(key, f"Watchkeeper: a snapshot set of {scene.application} does not restore", text, FAILED)


def hindered(scene: Scene, trouble: Trouble) -> Tell:
    """The notice that no rehearsal can be had, once a day for each reason."""
    text = f"{scene.application}: {trouble.sentence} Nothing is said of its sets; it is tried again by itself."
    key = f"{scene.application}.not-rehearsed.{trouble.name}.{scene.now:%Y-%m-%d}"
    subject = f"Watchkeeper: no rehearsal for {scene.application} ({trouble.name})"
    return Tell(key, subject, text, trouble.name)


def stalled(scene: Scene) -> tuple[Tell, ...]:
    """The notice that a restore has paused the database for too long."""
    words = scene.paused
    if not tags.is_restoring(words):
        return ()
    try:
        since = read_time(words.rpartition(" since ")[2])
    except ValueError:
        return ()
    if scene.now - since < LONG_PAUSE:
        return ()
    text = (
        f"{scene.application} is paused by restore_database ({words}), which nobody ended: until then it has no "
        f"snapshots, no new host and no rehearsal. Send the same event again, which carries on, or "
        f'{{"application": "{scene.application}", "undo": true}}.'
    )
    subject = f"Watchkeeper: a restore of {scene.application} is not over"
    return (Tell(f"{scene.application}.restore-not-over.{words}", subject, text, "a restore is not over"),)
