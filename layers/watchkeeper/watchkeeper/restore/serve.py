"""Serves a wish for a restore: looks and acts until it is done, is refused, or the time is over."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import MetricUnit

from watchkeeper import applications, loop
from watchkeeper.errors import NotYet, Refused, WatchkeeperError
from watchkeeper.restore import beside, telling
from watchkeeper.restore.apply import apply
from watchkeeper.restore.observe import Seen, observe
from watchkeeper.restore.plan import plan
from watchkeeper.runtime import Metric, Report, now

if TYPE_CHECKING:
    from watchkeeper.look import Look
    from watchkeeper.restore.apply import Writers
    from watchkeeper.restore.observe import Readers
    from watchkeeper.restore.scene import Scene
    from watchkeeper.restore.settings import Settings
    from watchkeeper.restore.verdict import Plan
    from watchkeeper.restore.wish import Wish

logger = logging.getLogger(__name__)

# Between two observations that found nothing to do. Attaching takes 1 to 4 s, and EC2 lets 20 reads a second through.
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Clients:
    """Whom a look asks, and through whom it acts."""

    read: Readers
    write: Writers


def serve(clients: Clients, settings: Settings, look: Look, wish: Wish, seconds: float) -> Report:
    """Restores, for so many seconds at most.

    Raises Refused with what was wrong, and NotYet where the same event has to carry on.
    """
    (name,) = applications.asked_for(look, settings.watched)
    seen = Seen(now())
    while True:
        error: Exception | None = None
        try:
            scene, found = _look(clients, settings, look, wish, seen)
            if look.dry_run:
                return Report({"plan": telling.planned(scene, found, wish)})
            if _act(clients, settings, name, found, seen):
                return _report(scene, wish)
            error = NotYet(f"The same event carries on: it waits until {'; '.join(found.waits) or 'it is done'}.")
        except WatchkeeperError:
            raise
        except Exception as failure:  # one call that failed does not end a look; the last one's failure is raised
            logger.warning("look interrupted", extra={"application": name}, exc_info=failure)
            error = failure
        if (now() - seen.began).total_seconds() + PAUSE_SECONDS > seconds:
            raise error
        loop.pause(PAUSE_SECONDS)


def _look(clients: Clients, settings: Settings, look: Look, wish: Wish, seen: Seen) -> tuple[Scene, Plan]:
    scene = observe(clients.read, settings, look, wish, now(), seen)
    seen.worked = scene.operation or seen.worked
    if wish.is_undo and scene.operation and not scene.operation.is_undo:
        seen.turned = scene.now
    if wish.into != "database":
        return scene, beside.plan(scene, wish, look)
    return scene, plan(scene, wish, look, settings)


def _act(clients: Clients, settings: Settings, name: str, found: Plan, seen: Seen) -> bool:
    """Does what makes sense now, in order, until something has to be looked at again. Raises Refused if it is over."""
    for action in found.actions:
        if not apply(clients.write, settings, name, action, seen):
            return False
    if found.refusal:
        raise Refused(found.refusal)
    return found.is_done


def _report(scene: Scene, wish: Wish) -> Report:
    if wish.into != "database":
        return Report(beside.answer(scene, wish), (Metric("Restored"),))
    if scene.operation is None:  # it had ended before
        return Report(telling.answer(scene, None))
    seconds = telling.took(scene)
    measured = Metric("SecondsToRestore", seconds, MetricUnit.Seconds)
    return Report(telling.answer(scene, seconds), (Metric("Restored"), measured))
