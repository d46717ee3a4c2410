"""Serves a look at databases: one with work in place, several each in an invocation of its own."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from watchkeeper import applications
from watchkeeper.backup.apply import Clients, Made, apply
from watchkeeper.backup.plan import Leave, Take, Wrong, age
from watchkeeper.errors import Refused, Skipped
from watchkeeper.runtime import Metric, Report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from watchkeeper.backup.observe import State
    from watchkeeper.backup.plan import Verdict
    from watchkeeper.backup.settings import Settings
    from watchkeeper.look import Look


def serve(
    clients: Clients, state: State, verdicts: Sequence[Verdict], look: Look, settings: Settings, began: datetime
) -> Report:
    """Does what was planned. What failed is in the report, beside what was done."""
    takes = [verdict for verdict in verdicts if isinstance(verdict, Take)]
    errors: list[Exception] = [Refused(verdict.reason) for verdict in verdicts if isinstance(verdict, Wrong)]
    made: list[Made] = []
    handed: list[str] = []
    left = [{"application": one.application, "reason": one.reason} for one in verdicts if isinstance(one, Leave)]
    if look.dry_run:
        return Report({"plan": [_planned(verdict) for verdict in verdicts]})
    if len(takes) > 1:
        handed = applications.hand_on(clients.functions, settings.function, look, [take.application for take in takes])
    for take in takes[:1] if not handed else []:
        try:
            made.append(apply(clients, take, look, settings, began))
        except Skipped as skipped:
            left.append({"application": take.application, "reason": str(skipped)})
        except Exception as error:  # raised with the others at the end
            errors.append(error)
    answer = {
        "made": [asdict(one) for one in made],
        "handed_on": handed,
        "left": left,
    }
    return Report(
        answer,
        (*_fleet(state, look, settings, began), *(metric for one in made for metric in _measured(one))),
        tuple(errors),
    )


def _planned(verdict: Verdict) -> dict[str, Any]:
    words = {Take: "take", Leave: "leave", Wrong: "wrong"}
    return {"application": verdict.application, "would": words[type(verdict)], "reason": verdict.reason}


def _fleet(state: State, look: Look, settings: Settings, began: datetime) -> tuple[Metric, ...]:
    """The figures of a look at all: whether anything is watched, and the worst age, which an alarm rings on."""
    if look.application is not None:
        return ()
    worst = age(state, settings, began) / timedelta(hours=1)
    return (
        Metric("ApplicationsFound", sum(1 for some in state.volumes.values() if some)),
        # In hours, for which CloudWatch has no unit, so that an alarm's threshold is the parameter that people set.
        Metric("NewestSetAgeHours", worst, MetricUnit.NoUnit),
    )


def _measured(made: Made) -> tuple[Metric, ...]:
    is_crash = made.consistency == "crash"
    return (
        Metric("SetsCreated"),
        Metric("CrashSets", int(is_crash)),
        Metric("TagsLeftOut", made.tags_left_out),
        Metric("SecondsToSet", made.seconds, MetricUnit.Seconds),
        *((Metric("Frozen", made.frozen_ms, MetricUnit.Milliseconds),) if made.frozen_ms else ()),
    )
