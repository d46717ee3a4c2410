"""What comes of a set on its scratch host: PostgreSQL starts on it and finds nothing wrong, or it has failed; pure."""

from __future__ import annotations

import base64
import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws import starts
from watchkeeper.look import stamp
from watchkeeper.rehearsal.actions import Conclude, Send
from watchkeeper.rehearsal.scene import Details
from watchkeeper.rehearsal.verdict import Plan, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.starts import Start
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.rehearsal.scene import Scene
    from watchkeeper.rehearsal.settings import Settings

# A command that fails is tried three times: what an image does at its first boot may be in the way for a while.
BACKOFF = (timedelta(0), timedelta(seconds=20), timedelta(seconds=100))

# EBS: a tag's value has 256 characters at most, of which a stamp and a space are 21.
LONGEST_REASON = tags.LONGEST - 21


def conclude(scene: Scene, settings: Settings, of: SnapshotSet, host: Host, copies: Sequence[Volume]) -> Plan:
    """All copies are there: it is started, then checked, then judged."""
    details = scene.details or Details()
    words = _words(settings, copies)
    failed = [one for one in details.checks if _has_failed(one)]
    if len(failed) >= len(BACKOFF):
        return _fail(scene, of, f"It could not be checked. {_said(failed[-1])}")
    # A check that failed found no server, so that it is started once more before the next.
    begun = [one for one in details.starts if not failed or one.asked > failed[-1].asked]
    if not any(one.is_success for one in begun):
        send = Send(host.id, settings.start_document, "start", words, "all copies are attached")
        return _go_on(scene, of, begun, send)
    send = Send(host.id, settings.check_document, "check", _check_words(words, settings), "PostgreSQL has started")
    asked = [one for one in details.checks if not _has_failed(one)]
    if proof := next((one for one in asked if one.is_success), None):
        return _prove(scene, of, begun, proof)
    return _go_on(scene, of, asked, send)


def _go_on(scene: Scene, of: SnapshotSet, sent: Sequence[Start], send: Send) -> Plan:
    """A command that has not succeeded yet: sent, waited for, sent again; or there is no use in that."""
    again = Plan((send,), (f"{send.command} is answered",))
    if not sent:
        return again
    last = sent[-1]
    if last.outcome is None:
        return Plan(waits=(f"{send.command} is answered by {send.host}",))
    if last.is_recovering:
        return again
    if last.outcome.code == starts.DAMAGED or (last.outcome.code == starts.UNFIT and send.command == "start"):
        return _fail(scene, of, _said(last))
    if last.outcome.code == starts.UNFIT_HOST:
        sentence = f"{send.host} cannot start the set, as another host from the same launch template could not: "
        return Plan(trouble=Trouble("host-unfit", f"{sentence}{_said(last)}"))
    if last.outcome.code == starts.UNFIT:
        return Plan(trouble=Trouble("no-check", f"The set started, and cannot be checked: {_said(last)}"))
    failed = [one for one in sent if _has_failed(one)]
    if len(failed) >= len(BACKOFF):
        return _fail(scene, of, _said(last))
    pause = BACKOFF[min(len(sent), len(BACKOFF) - 1)]
    if scene.now - last.asked < pause:
        return Plan(waits=(f"a while before {send.command} is sent again",))
    return again


def _has_failed(one: Start) -> bool:
    """It ran to an end and failed; what the host never answered says nothing of the set."""
    codes = (0, starts.RECOVERING, *starts.REFUSALS, starts.DAMAGED, -1)
    return one.outcome is not None and one.outcome.code not in codes


def _said(one: Start) -> str:
    return one.outcome.error if one.outcome else ""


def _prove(scene: Scene, of: SnapshotSet, begun: Sequence[Start], proof: Start) -> Plan:
    took = _recovery_ms(begun)
    words = {tags.PROVEN_AT: stamp(scene.now), **({} if took is None else {tags.RECOVERY_MS: str(took)})}
    found = proof.outcome.words.get("databases", "?") if proof.outcome else "?"
    reason = f"PostgreSQL started on it, and it was checked (databases: {found})"
    return Plan((Conclude(of, words, reason),), ("its outcome is written",))


def _recovery_ms(begun: Sequence[Start]) -> int | None:
    """How long PostgreSQL recovered: a start says how long it saw that itself, and those before it only that it did."""
    ended = next((number for number, one in enumerate(begun) if one.is_success), None)
    outcome = begun[ended].outcome if ended is not None else None
    took = outcome.words.get("recoveryMs") if outcome else None
    if ended is None or not isinstance(took, int):
        return None
    before = list(itertools.takewhile(lambda one: one.is_recovering, reversed(begun[:ended])))
    unseen = begun[ended].asked - before[-1].asked if before else timedelta()
    return took + int(unseen / timedelta(milliseconds=1))


def _fail(scene: Scene, of: SnapshotSet, said: str) -> Plan:
    reason = " ".join(said.split())[:LONGEST_REASON]
    words = {tags.FAILED: f"{stamp(scene.now)} {reason}"}
    return Plan((Conclude(of, words, reason),), ("its outcome is written",))


def _words(settings: Settings, copies: Sequence[Volume]) -> dict[str, str]:
    """The parameters of a start that nobody can reach, and that begins a timeline of its own."""
    return {
        "volumeIds": " ".join(one.id for one in copies),
        "newTimeline": copies[0].snapshot,
        "isolated": "true",
        "allowCollationChange": "true" if settings.is_collation_change_allowed else "",
    }


def _check_words(words: dict[str, str], settings: Settings) -> dict[str, str]:
    queries = base64.b64encode(settings.sql.encode()).decode()
    return {"volumeIds": words["volumeIds"], "queries": queries}
