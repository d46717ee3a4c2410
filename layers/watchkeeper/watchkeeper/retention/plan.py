"""Decides which sets are kept and which are deleted, each with its reason; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws.snapshots import FARTHEST_FROM_RUN
from watchkeeper.errors import Refused
from watchkeeper.retention.judge import Delete, Keep, judge
from watchkeeper.retention.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.look import Look
    from watchkeeper.retention.judge import Verdict
    from watchkeeper.retention.observe import State
    from watchkeeper.retention.settings import Settings

# A plan that deletes more than half of what exists is a mistake in a policy more often than not; few may always go.
FEW = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """A verdict for each set of an application, oldest first, and the policy that they follow.

    With a refusal nothing of it may be deleted.
    """

    application: str
    policy: str
    verdicts: tuple[Verdict, ...]
    refusal: str | None = None

    @property
    def deletes(self) -> tuple[Delete, ...]:
        """The sets that go, if nothing is refused."""
        return tuple(verdict for verdict in self.verdicts if isinstance(verdict, Delete))


def plan(state: State, look: Look, settings: Settings, now: datetime) -> list[Plan]:
    """What becomes of each application's sets, in the order of the names; pure.

    Sets are as old as they were at the look's time: with a time to come they would all look old, so then `now` counts.
    """
    moment = min(look.time, now)
    loose = _loose(state)
    plans = [_plan_one(name, state, look, settings, moment) for name in sorted(state.sets)]
    return [replace(one, verdicts=tuple(_spare(verdict, loose) for verdict in one.verdicts)) for one in plans]


def _plan_one(name: str, state: State, look: Look, settings: Settings, moment: datetime) -> Plan:
    sets, volumes = state.sets[name], state.volumes[name]
    if paused := [one.tags[tags.PAUSED] for one in volumes if tags.PAUSED in one.tags]:
        return _leave(name, sets, f"the application is paused: {paused[0]}")
    if not volumes and name not in settings.retired:
        # A volume that lost its tags lost what it said about keeping with them.
        return _leave(name, sets, f"no volume is tagged {name} any more: tag it again, or name it in Retired")
    try:
        policy = read_policy(name, volumes, settings.policy)
    except Refused as refusal:
        return replace(_leave(name, sets, "its policy cannot be read"), refusal=str(refusal))
    verdicts = judge(sets, policy, settings, moment)
    drafted = Plan(name, str(policy), verdicts)
    if look.force or len(drafted.deletes) <= FEW or len(drafted.deletes) * 2 <= len(sets):
        return drafted
    return replace(drafted, refusal=_refuse_many(drafted))


def _loose(state: State) -> list[Snapshot]:
    """Snapshots with our tags that are of no whole set: what somebody edited may belong to what is left of one."""
    broken = [one for sets in state.sets.values() for one in sets if not one.is_whole]
    return [*state.strangers, *(member for one in broken for member in one.members)]


def _spare(verdict: Verdict, loose: Sequence[Snapshot]) -> Verdict:
    """Keeps what only looks broken, because the tags of its other snapshots were edited: these are there still."""
    one = verdict.set
    if isinstance(verdict, Keep) or one.is_whole:
        return verdict
    missing = set(one.volumes) - {member.volume for member in one.members}
    theirs = [
        other.id for other in loose if other.volume in missing and abs(other.started - one.started) <= FARTHEST_FROM_RUN
    ]
    return (
        Keep(one, f"{', '.join(theirs)} may be of it, and has other tags: somebody edited them") if theirs else verdict
    )


def read_policy(name: str, volumes: Sequence[Volume], stacks: Policy) -> Policy:
    """The policy that the application's volumes are tagged with, else the stack's. Raises Refused if two differ."""
    found = {
        one.id: Policy.read(one.tags[tags.KEEP], f"The tag {tags.KEEP} of {one.id}, of {name!r},")
        for one in volumes
        if tags.KEEP in one.tags
    }
    if len(set(found.values())) > 1:
        said = ", ".join(f"{volume} says {policy}" for volume, policy in found.items())
        raise Refused(f"The volumes of {name!r} must agree on {tags.KEEP}, or but one of them have it: {said}.")
    return next(iter(found.values()), stacks)


def _leave(name: str, sets: Sequence[SnapshotSet], reason: str) -> Plan:
    return Plan(name, f"none: {reason}", tuple(Keep(one, reason) for one in sets))


def _refuse_many(drafted: Plan) -> str:
    return (
        f"Keeping {drafted.policy} of {drafted.application!r} would delete {len(drafted.deletes)} of its "
        f"{len(drafted.verdicts)} sets, which is more than half, so none was deleted. See which with "
        f'{{"application": "{drafted.application}", "dry_run": true}}; if they may go, send '
        f'{{"application": "{drafted.application}", "force": true}}.'
    )
