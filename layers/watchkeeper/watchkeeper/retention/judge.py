"""Judges the sets of one application: the rule by which they are counted, and what no rule may delete; pure.

Counted are the sets that can be restored: whole, copied by EBS, and of an attempt that ended. They are counted back
from the newest of them and never from the clock, so that nothing is lost while nothing new arrives. For each unit of a
policy:

- The periods are those that hold a counted set. The best of a period stands for it: proven before `application` before
  what failed its rehearsal before `crash`, then the newest.
- The newest n periods whose best is better than `crash` keep it. One with `crash` sets alone takes no such place.
- Of the newest n periods of any kind, those with nothing but `crash` sets keep the best of these too.

So a set better than `crash` is kept as if there were no `crash` sets, and a larger n keeps all that a smaller one kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.look import stamp
from watchkeeper.retention.policy import ADVERBS, NOUNS, period

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.retention.policy import Policy, Unit
    from watchkeeper.retention.settings import Settings

YOUNG = timedelta(days=1)

CRASH, FAILED, APPLICATION, PROVEN = range(4)


@dataclass(frozen=True, slots=True)
class Keep:
    """The set stays."""

    set: SnapshotSet
    reason: str


@dataclass(frozen=True, slots=True)
class Delete:
    """The set goes."""

    set: SnapshotSet
    reason: str


Verdict = Keep | Delete

# The set that stands for each period of a unit, the newest period first.
Standing = dict["Hashable", "SnapshotSet"]


def judge(sets: Sequence[SnapshotSet], policy: Policy, settings: Settings, moment: datetime) -> tuple[Verdict, ...]:
    """A verdict for each set of an application, oldest first; the module says by which rule."""
    newest_first = sorted(sets, key=lambda one: (one.started, _key(one)), reverse=True)
    counted = [one for one in newest_first if one.is_finished and one.is_concluded]
    standing = {unit: _standing(counted, unit, settings.zone) for unit, _ in policy.counts}
    claims = _claims(counted, policy, standing, settings.keep_last)
    can_be_restored = {_key(one) for one in counted}
    verdicts: list[Verdict] = []
    for one in reversed(newest_first):
        if reasons := [*_untouchable(one, moment), *claims.get(_key(one), [])]:
            verdicts.append(Keep(one, ", ".join(reasons)))
        elif _key(one) in can_be_restored:
            verdicts.append(Delete(one, _superseded(one, policy, standing, claims, settings.zone)))
        else:
            verdicts.append(_judge_uncounted(one, counted))
    return tuple(verdicts)


def _standing(counted: Sequence[SnapshotSet], unit: Unit, zone: ZoneInfo) -> Standing:
    best: Standing = {}
    for one in counted:
        its = period(unit, one.started.astimezone(zone))
        if its not in best or _rank(one) > _rank(best[its]):
            best[its] = one
    return best


def _claims(
    counted: Sequence[SnapshotSet], policy: Policy, standing: Mapping[Unit, Standing], keep_last: int
) -> dict[str, list[str]]:
    """Why sets are kept, by the policy and whatever the policy; a set that nothing keeps is not in it."""
    claims: dict[str, list[str]] = defaultdict(list)
    for unit, most in policy.counts:
        stand = list(standing[unit].values())
        for place, one in enumerate([one for one in stand if _rank(one) > CRASH][:most], 1):
            claims[_key(one)].append(f"{ADVERBS[unit]} {place} of {most}")
        for one in stand[:most]:
            if _rank(one) == CRASH:
                claims[_key(one)].append(f"{ADVERBS[unit]}, for want of a better one")
    better = [one for one in counted if _rank(one) > CRASH]
    for one in [one for one in better if one.consistency == "application"][:1]:
        claims[_key(one)].append("newest application set")
    for one in [one for one in better if _rank(one) > FAILED][:1]:
        if _rank(better[0]) == FAILED:  # as the newest sets do where what they are taken of is damaged
            claims[_key(one)].append("newest set that has not failed its rehearsal")
    for one in [one for one in better if one.is_proven][:1]:
        claims[_key(one)].append("newest proven set")
    for place, one in enumerate(counted[:keep_last], 1):
        claims[_key(one)].append(f"last {place} of {keep_last}")
    for place, one in enumerate(better[:keep_last], 1):
        if one not in counted[:keep_last]:
            claims[_key(one)].append(f"last {place} of {keep_last} but for crash sets")
    return claims


def _untouchable(one: SnapshotSet, moment: datetime) -> list[str]:
    is_young = any(member.started > moment - YOUNG for member in one.members)
    return ["younger than a day"] * is_young + ["paused"] * one.is_paused


def _superseded(
    one: SnapshotSet,
    policy: Policy,
    standing: Mapping[Unit, Standing],
    claims: Mapping[str, Sequence[str]],
    zone: ZoneInfo,
) -> str:
    for unit, _ in policy.counts:
        other = standing[unit][period(unit, one.started.astimezone(zone))]
        if other is not one and _key(other) in claims:
            return f"the set of {stamp(other.run)} stands for its {NOUNS[unit]}"
    return f"older than what {policy} keeps"


def _judge_uncounted(one: SnapshotSet, counted: Sequence[SnapshotSet]) -> Verdict:
    """A set that cannot be restored goes once a newer one can; what EBS still copies would go only then anyway."""
    volumes = Counter(member.volume for member in one.members)
    if reason := _why_a_person(one, volumes):
        return Keep(one, reason)
    if any(member.state == "pending" for member in one.members):
        return Keep(one, "EBS is still copying it")
    if not counted or counted[0].started <= one.started:
        return Keep(one, "no newer set can be restored")
    if one.has_failed:
        return Delete(one, "EBS failed to copy it")
    if not one.is_whole:
        return Delete(one, f"it has no snapshot of {', '.join(sorted(set(one.volumes) - set(volumes)))} any more")
    return Delete(one, "its attempt was ended before it said what it is")


def _why_a_person(one: SnapshotSet, volumes: Mapping[str, int]) -> str | None:
    """Why only a person can tell what this is."""
    if twice := [volume for volume, times in volumes.items() if times > 1]:
        return f"it has two snapshots of {', '.join(twice)}, which only a person can tell apart"
    if not one.is_concluded and any(_says_more_than_crash(member) for member in one.members):
        return "its tags contradict each other: somebody edited them"
    return None


def _says_more_than_crash(member: Snapshot) -> bool:
    """Our own writes never say so without saying that the try ended: it is one call."""
    return member.tags.get(tags.CONSISTENCY) != "crash" or tags.PROVEN_AT in member.tags


def _rank(one: SnapshotSet) -> int:
    """How good a set is. What was proven once is sound, whatever came of it later: a snapshot does not change."""
    if one.is_proven:
        return PROVEN
    if one.consistency != "application":
        return CRASH
    return FAILED if any(tags.FAILED in member.tags for member in one.members) else APPLICATION


def _key(one: SnapshotSet) -> str:
    """A snapshot is of one set only; a set's id is a tag, which can be copied."""
    return one.members[0].id
