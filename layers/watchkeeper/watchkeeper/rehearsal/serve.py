"""Serves a look at rehearsals: one application with work in place, several each in an invocation of its own."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from watchkeeper import applications, loop
from watchkeeper.errors import Refused
from watchkeeper.rehearsal import telling
from watchkeeper.rehearsal.actions import Conclude, DeleteGroup, DeleteVolume, LetGo, Send, Terminate, describe
from watchkeeper.rehearsal.apply import apply
from watchkeeper.rehearsal.observe import Seen, observe, observe_all
from watchkeeper.rehearsal.plan import age_days, plan, share_out
from watchkeeper.restore.actions import Tell
from watchkeeper.runtime import Metric, Report, now
from watchkeeper.tags import PROVEN_AT, RECOVERY_MS

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from watchkeeper.look import Look
    from watchkeeper.rehearsal.apply import Writers
    from watchkeeper.rehearsal.observe import Readers
    from watchkeeper.rehearsal.scene import Scene
    from watchkeeper.rehearsal.settings import Settings
    from watchkeeper.rehearsal.verdict import Plan

logger = logging.getLogger(__name__)

# Between two observations that found nothing to do: launching takes a minute, checking may take hours.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 30.0

ENDS = (LetGo, Terminate, DeleteVolume, DeleteGroup)


@dataclass(frozen=True, slots=True)
class Clients:
    """Whom a look asks, through whom it acts, and who invokes it for others."""

    read: Readers
    write: Writers
    functions: LambdaClient


@dataclass(slots=True)
class Attended:
    """What one application's look came to."""

    application: str
    did: list[dict[str, Any]] = field(default_factory=list)
    found: Plan | None = None
    metrics: list[Metric] = field(default_factory=list)
    error: Exception | None = None
    unheard: list[Exception] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    told: set[str] = field(default_factory=set)

    def answer(self) -> dict[str, Any]:
        """As it is answered."""
        return {"application": self.application, "did": self.did, **(_described(self.found) if self.found else {})}


def serve(clients: Clients, settings: Settings, look: Look, seconds: float) -> Report:
    """Looks, and acts for so many seconds at most: what is not done then, the next look goes on with.

    Raises Refused for an application that cannot be rehearsed.
    """
    if look.application is None:
        return _sweep(clients, settings, look, seconds)
    names = applications.asked_for(look, settings.watched)
    if not any(one.launches or one.groups for one in observe_all(clients.read, settings, names, now())):
        others = observe_all(clients.read, settings, settings.watched, now())
        applications.refuse_unknown(look, [one.application for one in others], [one.application for one in others])
        raise Refused(
            f"{look.application!r} has no launch template, so it is not rehearsed: tag one watchkeeper:application="
            f"{look.application} and watchkeeper:role=database-launch."
        )
    return _report(_attend(clients, settings, look, look.application, seconds))


def _sweep(clients: Clients, settings: Settings, look: Look, seconds: float) -> Report:
    began = now()
    forced_at = look.time if look.force else None
    found = observe_all(clients.read, settings, settings.watched, began)
    fleet = [replace(one, forced_at=forced_at) for one in found]
    plans = {scene.application: plan(scene, settings) for scene in fleet}
    if look.dry_run:
        return Report({"plan": [{"application": name, **_described(found)} for name, found in plans.items()]})
    work, late = share_out(fleet, plans)
    handed = applications.hand_on(clients.functions, settings.function, look, work) if len(work) > 1 else []
    rest = seconds - (now() - began).total_seconds()
    report = _report(*(_attend(clients, settings, look, name, rest) for name in work if not handed))
    attended = report.answer if isinstance(report.answer, dict) else {}
    age = max(map(age_days, fleet), default=0.0)
    # In days, for which CloudWatch has no unit, so that an alarm's threshold is the parameter that people set.
    metrics = (*report.metrics, Metric("NewestProofAgeDays", age, MetricUnit.NoUnit))
    left = [one for plan in plans.values() for one in plan.left]
    answer = {"looked_at": len(fleet), "handed_on": handed, "later": late, "left": left, **attended}
    strange = [one for name, plan in plans.items() if name not in work or handed for one in plan.strange]
    return Report(answer, metrics, (*report.errors, *map(_contradiction, strange)))


def _attend(clients: Clients, settings: Settings, look: Look, name: str, seconds: float) -> Attended:
    """Looks and acts until nothing is left to do or wait for, or the time is over."""
    began = last = now()
    attended = Attended(name, seen=Seen(look.time if look.force else None))
    while True:
        try:
            acted = _try(clients, settings, look, attended)
            if acted is None:
                return attended
        except Exception as error:  # one call that failed does not end a look; the last one's failure is raised
            acted, attended.error = False, error
        last = now() if acted else last
        idle = (now() - last).total_seconds()
        pause = 0 if acted else min(LONGEST_PAUSE_SECONDS, max(PAUSE_SECONDS, idle / 4))
        if (now() - began).total_seconds() + pause > seconds:
            return attended
        if attended.error:
            logger.warning("look interrupted", extra={"application": name}, exc_info=attended.error)
        loop.pause(pause)


def _try(clients: Clients, settings: Settings, look: Look, attended: Attended) -> bool | None:
    """Observes, plans and acts once: whether anything was done anew; None if nothing is left to do or wait for."""
    scene = observe(clients.read, settings, attended.application, now(), attended.seen)
    found = plan(scene, settings)
    attended.found, attended.error = found, None
    if look.dry_run:
        return None
    acted = _act(clients, settings, scene, found, attended)
    is_over = not found.waits and all(isinstance(one, Tell) for one in found.actions)
    return None if is_over else acted


def _act(clients: Clients, settings: Settings, scene: Scene, found: Plan, attended: Attended) -> bool:
    """Does what makes sense now, in order, until something has to be looked at again; whether anything is done anew."""
    acted = False
    for action in found.actions:
        if isinstance(action, Tell):
            _tell(clients, settings, scene, action, attended)
            continue
        try:
            is_done = apply(clients.read, clients.write, settings, scene, action, attended.seen)
        except Exception as error:
            if not isinstance(action, ENDS):
                raise
            attended.error, is_done = error, False
        if not is_done and isinstance(action, ENDS):
            continue  # each of them costs money, so that none waits for another
        if not is_done:
            break
        done = describe(action)
        acted = acted or (done not in attended.did and not isinstance(action, Send))  # SSM shows it in a moment
        attended.did.append(done)
        if isinstance(action, Conclude):
            attended.metrics += _proven(scene, action)
    return acted


def _tell(clients: Clients, settings: Settings, scene: Scene, action: Tell, attended: Attended) -> None:
    """Nothing waits for people being told, the end of what costs money least of all; what failed is raised later."""
    if action.key in attended.told:
        return
    attended.told.add(action.key)
    try:
        is_new = apply(clients.read, clients.write, settings, scene, action, attended.seen)
    except Exception as error:
        attended.unheard.append(error)
        return
    if is_new:
        attended.did.append(describe(action))
    if is_new and action.reason == telling.FAILED:
        attended.metrics.append(Metric("RehearsalsFailed"))


def _proven(scene: Scene, action: Conclude) -> list[Metric]:
    if PROVEN_AT not in action.words or scene.live is None:
        return []
    recovery = action.words.get(RECOVERY_MS)
    return [
        Metric("SetsProven"),
        Metric("SecondsToProve", (scene.now - scene.live.since).total_seconds(), MetricUnit.Seconds),
        *([Metric("RecoveryMilliseconds", float(recovery), MetricUnit.Milliseconds)] if recovery else []),
    ]


def _described(found: Plan) -> dict[str, Any]:
    return {
        "would": [describe(action) for action in found.actions],
        "waits_for": list(found.waits),
        **({"why": found.why} if found.why else {}),
        **({"not_rehearsed": {found.trouble.name: found.trouble.sentence}} if found.trouble else {}),
        **({"left": list(found.left)} if found.left else {}),
        **({"not_ours": list(found.strange)} if found.strange else {}),
    }


def _errors(one: Attended) -> list[Exception]:
    strange = one.found.strange if one.found else ()
    return [*([one.error] if one.error else []), *one.unheard, *map(_contradiction, strange)]


def _contradiction(strange: str) -> Exception:
    return Refused(
        f"Tagged as a rehearsal's, and left as it is: {strange}. Remove its tag watchkeeper:role, or the thing."
    )


def _report(*attended: Attended) -> Report:
    troubles = [Metric("RehearsalsNotRun") for one in attended if one.found and one.found.trouble]
    errors = [error for one in attended for error in _errors(one)]
    metrics = (*(metric for one in attended for metric in one.metrics), *troubles)
    return Report({"applications": [one.answer() for one in attended]}, metrics, tuple(errors))
