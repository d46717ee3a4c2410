"""Serves a look at retention: deletes, carries on where time ran out, and says what became of every set."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchkeeper import applications
from watchkeeper.errors import Refused, WatchkeeperError
from watchkeeper.look import MOST_HOPS, stamp
from watchkeeper.retention.apply import apply
from watchkeeper.retention.judge import Keep
from watchkeeper.runtime import Metric, Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_lambda import LambdaClient

    from watchkeeper.look import Look
    from watchkeeper.retention.apply import Ended
    from watchkeeper.retention.judge import Verdict
    from watchkeeper.retention.observe import State
    from watchkeeper.retention.plan import Plan
    from watchkeeper.retention.settings import Settings

# Lambda answers 6 MB at most, and a set takes some 400 bytes:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_LISTED = 5000
MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Clients:
    """EC2, and Lambda to carry on."""

    ec2: EC2Client
    functions: LambdaClient


def serve(
    clients: Clients, state: State, plans: Sequence[Plan], look: Look, settings: Settings, seconds: float
) -> Report:
    """Does what was planned, within so many seconds. What was refused or failed stands beside what was done."""
    if look.dry_run:
        return Report(_preview(plans) | _strangers(state), (Metric("StrangersFound", len(state.strangers)),))
    ended = apply(clients.ec2, plans, seconds)
    endings = Counter(one.ending for one in ended)
    # Where something failed the invocation fails, and Lambda's retry is what carries on.
    is_tired = endings["left"] > 0 and not endings["failed"]
    carries_on = is_tired and applications.carry_on(clients.functions, settings.function, look)
    return Report(
        {
            "applications": _summaries(plans, ended),
            **_not_deleted(ended),
            **_left(endings["left"], carries_on, look),
            **_strangers(state),
        },
        _metrics(state, plans, ended),
        tuple(_errors(plans, ended)),
    )


def _preview(plans: Sequence[Plan]) -> dict[str, Any]:
    verdicts = [verdict for plan in plans for verdict in plan.verdicts]
    answer: dict[str, Any] = {
        "applications": {
            plan.application: {
                "policy": plan.policy,
                "would_keep": len(plan.verdicts) - len(plan.deletes),
                "would_delete": len(plan.deletes),
                **({"refused": plan.refusal} if plan.refusal else {}),
            }
            for plan in plans
        },
        "sets": [_listed(verdict) for verdict in verdicts[:MOST_LISTED]],
    }
    if len(verdicts) > MOST_LISTED:
        answer["cut"] = f"{MOST_LISTED} of {len(verdicts)} sets are listed: name an application to see its own."
    return answer


def _listed(verdict: Verdict) -> dict[str, Any]:
    return {
        "application": verdict.set.application,
        "run": stamp(verdict.set.run),
        "consistency": verdict.set.consistency,
        "snapshots": [member.id for member in verdict.set.members],
        "would": "keep" if isinstance(verdict, Keep) else "delete",
        "reason": verdict.reason,
    }


def _summaries(plans: Sequence[Plan], ended: Sequence[Ended]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in ended:
        counts[one.delete.set.application][one.ending] += 1
    return {
        plan.application: {
            "policy": plan.policy,
            "kept": sum(isinstance(verdict, Keep) for verdict in plan.verdicts),
            **counts[plan.application],
            **({"refused": plan.refusal} if plan.refusal else {}),
        }
        for plan in plans
    }


def _not_deleted(ended: Sequence[Ended]) -> dict[str, Any]:
    """The sets that AWS did not let go, in its words."""
    resisted = [one for one in ended if one.ending in ("held", "locked")]
    if not resisted:
        return {}
    told = [f"{one.delete.set.application} {stamp(one.delete.set.run)}: {one.reason}" for one in resisted]
    return {"not_deleted": _cut(told)}


def _left(sets: int, carries_on: bool, look: Look) -> dict[str, Any]:
    if not sets:
        return {}
    how = "the next invocation has them" if carries_on else "the next run has them"
    why = f", for this was the last of {MOST_HOPS + 1} invocations" if look.hop == MOST_HOPS else ""
    return {"left": f"{sets} sets, for want of time; {how}{why}"}


def _strangers(state: State) -> dict[str, Any]:
    return {"not_ours": _cut([one.id for one in state.strangers])} if state.strangers else {}


def _cut(texts: Sequence[str]) -> list[str]:
    more = len(texts) - MOST_TOLD
    return [*texts[:MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]


def _errors(plans: Sequence[Plan], ended: Sequence[Ended]) -> list[Exception]:
    refusals: list[Exception] = [Refused(plan.refusal) for plan in plans if plan.refusal]
    failures = [one.error for one in ended if one.error]
    if len(failures) > MOST_TOLD:
        more = len(failures) - MOST_TOLD
        failures = [*failures[:MOST_TOLD], WatchkeeperError(f"{more} more sets were not deleted: the log says why")]
    return refusals + failures


def _metrics(state: State, plans: Sequence[Plan], ended: Sequence[Ended]) -> tuple[Metric, ...]:
    endings = Counter(one.ending for one in ended)
    return (
        Metric("SnapshotsDeleted", sum(one.deleted for one in ended)),
        Metric("SetsKept", sum(len(plan.verdicts) for plan in plans) - endings["deleted"] - endings["gone"]),
        Metric("SnapshotsHeld", endings["held"]),
        Metric("SnapshotsLocked", endings["locked"]),
        Metric("DeletesFailed", endings["failed"]),
        Metric("SnapshotsLeft", sum(len(one.delete.set.members) for one in ended if one.ending == "left")),
        Metric("PrunesRefused", sum(plan.refusal is not None for plan in plans)),
        Metric("StrangersFound", len(state.strangers)),
    )
