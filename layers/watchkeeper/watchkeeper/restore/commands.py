"""A command that a host has to have done before it goes on: sent, waited for, tried again, given up; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper.aws import starts
from watchkeeper.restore import telling
from watchkeeper.restore.actions import Send
from watchkeeper.restore.scene import ago
from watchkeeper.restore.verdict import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from watchkeeper.aws.starts import Command
    from watchkeeper.restore.scene import Scene

BACKOFF = (timedelta(0), timedelta(seconds=20), timedelta(seconds=60))

WHAT = {
    "stop": "PostgreSQL is stopped and unmounted on {}",
    "start": "PostgreSQL starts on {}",
    "mount": "{} mounts the copies",
}


def ask(
    scene: Scene, host: str, command: Command, words: Mapping[str, str], step: int, *, since: datetime | None = None
) -> Plan:
    """Sends a command until it has done its work; what failed three times within this look is told.

    A look that comes later tries again, since a person may have mended what was told.
    """
    sent = scene.asked(command, since)
    what = WHAT[command].format(host)
    if sent and sent[-1].outcome is None:
        return Plan(waits=(what,), step=step)
    now = [one for one in sent if scene.began is None or one.asked >= scene.began]
    failed = [one for one in now if not one.is_success and not one.is_recovering]
    send = Send(host, command, words, what)
    if not failed or failed[-1] is not sent[-1]:
        return Plan((send,), (what,), step)
    last = failed[-1].outcome
    if last and (last.code in starts.REFUSALS or len(failed) >= len(BACKOFF)):
        return Plan(refusal=telling.failed(scene, host, command, last.error or last.status), step=step)
    if ago(scene, failed[-1].asked) < BACKOFF[len(failed)]:
        return Plan(waits=(f"a while before {what}",), step=step)
    return Plan((send,), (what,), step)
