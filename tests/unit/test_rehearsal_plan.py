"""What is decided about rehearsals: when one begins, each of its steps, what a set is blamed for, and what may go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit import builders
from tests.unit.builders import NOW, snapshot_set
from tests.unit.rehearsals import (
    HOST,
    LIVE,
    NETWORK,
    SET,
    SETTINGS,
    answered,
    copies,
    disk,
    group,
    host,
    ready,
    said,
    scene,
    words,
)
from watchkeeper import tags
from watchkeeper.aws.groups import Rule
from watchkeeper.aws.launches import Failure, Launch
from watchkeeper.aws.scratch import Network
from watchkeeper.look import stamp
from watchkeeper.rehearsal import actions, proofs
from watchkeeper.rehearsal.plan import age_days, plan, share_out
from watchkeeper.rehearsal.scene import LONGEST, OUT, Details, Rehearsal

if TYPE_CHECKING:
    from watchkeeper.rehearsal.scene import Scene

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
PROVEN = stamp(NOW - HOUR)
OLD = Rehearsal("newest", NOW - LONGEST)


def steps(of: Scene) -> list[str]:
    return [type(one).__name__ for one in plan(of, SETTINGS).actions]


def trouble(of: Scene) -> str:
    found = plan(of, SETTINGS).trouble
    return found.name if found else ""


def ended(of: Scene) -> list[str]:
    """What a plan terminates or deletes."""
    gone: list[str] = []
    for one in plan(of, SETTINGS).actions:
        match one:
            case actions.Terminate(name) | actions.DeleteVolume(name) | actions.DeleteGroup(name):
                gone.append(name)
            case _:
                pass
    return gone


# When one begins


def test_a_rehearsal_begins_where_there_is_no_proof() -> None:
    (begin,) = plan(scene(), SETTINGS).actions

    assert isinstance(begin, actions.Begin)
    assert begin.rehearsal == Rehearsal("newest", NOW)
    assert begin.vpc == "vpc-1"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"launches": ()}, "it has no launch template"),
        ({"launches": (Launch("lt-1", "payroll", 1), Launch("lt-2", "payroll", 1))}, "it has several launch templates"),
        ({"is_retired": True}, "retired by name"),
        ({"volumes": (builders.volume(paused="moving"),)}, "paused: moving"),
        (
            {"volumes": (builders.volume(),)},
            "its volumes do not say yet what lies on them, which replace_database_host has written there",
        ),
        ({"launches": (Launch("lt-1", "payroll", 1, tags={tags.PAUSED: "image"}),)}, "paused: image"),
        ({"sets": (snapshot_set(DAY, proven_at=stamp(NOW - 6 * DAY)),)}, f"proven at {stamp(NOW - 6 * DAY)}"),
        ({"sets": ()}, "no finished application set is there that did not fail of late"),
    ],
)
def test_where_nothing_is_due_it_is_said_why(changes: Any, why: str) -> None:
    found = plan(scene(**changes), SETTINGS)

    assert found.is_empty
    assert found.why == why


@pytest.mark.parametrize(
    ("sets", "chosen"),
    [
        ([snapshot_set(2 * HOUR, name="older"), snapshot_set(HOUR, name="newer")], "newer"),
        ([snapshot_set(2 * HOUR, name="older"), snapshot_set(HOUR, consistency="crash")], "older"),
        ([snapshot_set(2 * HOUR, name="older"), snapshot_set(HOUR, state="pending")], "older"),
        ([snapshot_set(2 * HOUR, name="older"), snapshot_set(HOUR, paused="mine")], "older"),
        ([snapshot_set(2 * HOUR, name="older"), snapshot_set(HOUR, failed=f"{PROVEN} why")], "older"),
        ([snapshot_set(3 * DAY, name="failed", failed=f"{stamp(NOW - DAY)} why")], "failed"),
        ([snapshot_set(HOUR * n, failed=f"{PROVEN} why") for n in (4, 3, 2)] + [snapshot_set(HOUR)], None),
    ],
)
def test_the_newest_set_that_can_be_restored_and_did_not_fail_of_late_is_chosen(sets: Any, chosen: str | None) -> None:
    found = proofs.choose(sets, NOW, is_forced=False)

    assert (found and found.id) == chosen


def test_by_force_the_newest_is_chosen_whatever_became_of_it() -> None:
    sets = [snapshot_set(2 * HOUR), snapshot_set(HOUR, name="newest", failed=f"{PROVEN} why", proven_at=PROVEN)]

    assert steps(scene(sets=tuple(sets))) == []
    assert steps(scene(sets=tuple(sets), forced_at=NOW)) == ["Begin"]
    assert steps(scene(sets=tuple(sets), forced_at=NOW - 2 * HOUR)) == []


def test_a_set_that_failed_is_followed_by_another_in_a_later_look() -> None:
    def failed(ago: timedelta) -> Scene:
        return scene(sets=(snapshot_set(2 * HOUR), snapshot_set(HOUR, failed=f"{stamp(NOW - ago)} invalid page")))

    assert steps(failed(timedelta(minutes=20))) == []
    assert steps(failed(timedelta(minutes=50))) == ["Begin"]


def test_what_was_not_over_in_time_is_told_while_it_is_ended() -> None:
    assert trouble(scene(group(OLD), host(OLD), disk(OLD))) == "took-too-long"
    assert trouble(scene(group(OLD))) == ""


@pytest.mark.parametrize("written", ["", "soon", stamp(NOW + 2 * DAY), stamp(NOW - 7 * DAY)])
def test_a_proof_that_is_old_or_cannot_be_believed_is_none(written: str) -> None:
    assert steps(scene(sets=(snapshot_set(HOUR, proven_at=written),))) == ["Begin"]


def test_a_proof_on_a_part_of_a_set_is_none() -> None:
    part = replace(SET.members[0], tags={**SET.members[0].tags, tags.PROVEN_AT: PROVEN})

    assert steps(scene(sets=(replace(SET, members=(part, SET.members[1])),))) == ["Begin"]


@pytest.mark.parametrize(
    ("sets", "days"),
    [
        ((snapshot_set(2 * DAY, proven_at=stamp(NOW - 3 * DAY)), snapshot_set(DAY)), 3),
        ((snapshot_set(9 * DAY), snapshot_set(DAY)), 9),
        ((), 100),
    ],
)
def test_the_age_of_a_proof_that_there_is_not_is_that_of_the_oldest_set_or_volume(sets: Any, days: float) -> None:
    assert age_days(scene(sets=sets)) == days


def test_ten_that_can_never_be_proven_do_not_keep_others_from_it() -> None:
    ended = [
        replace(scene(group(), host(state="terminated"), details=None), application=f"ended-{n}") for n in range(10)
    ]
    ended = [replace(one, groups=(replace(group(), name=one.name),), details=None) for one in ended]
    others = [replace(scene(), application=f"due-{n}", details=None) for n in range(3)]
    busy = replace(scene(group(), host(), disk()), application="busy", details=None)

    fleet = [*ended, *others, busy]
    work, late = share_out(fleet, {one.application: plan(one, SETTINGS) for one in fleet})

    assert {"due-0", "due-1", "due-2", "busy"} <= set(work)
    assert len(work) == 10
    assert all(one.startswith("ended") for one in late)


# Its steps


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ([group(outgoing=frozenset({Rule("-1", -1, -1, "0.0.0.0/0")}))], ["Narrow"]),
        ([group(outgoing=OUT | {Rule("tcp", 80, 80, "0.0.0.0/0")})], ["Narrow"]),
        ([group(incoming=frozenset({Rule("tcp", 22, 22, "0.0.0.0/0")}))], ["Narrow"]),
        ([group()], ["Launch"]),
        ([group(), host(state="pending"), disk()], []),
        ([group(), host(dying=()), disk()], ["LetGo"]),
        ([group(), host(), disk()], ["Copy", "Copy"]),
        ([group(), host(), disk(), copies()[0]], ["Copy"]),
        ([group(), host(), disk(), *copies(on=None)], ["Attach", "Attach"]),
        ([group(), host(volumes=("vol-copy0", "vol-copy1")), disk(), *copies(state="attaching")], []),
        ([group(), host(volumes=("vol-copy0", "vol-copy1")), disk(), *copies()], ["Send"]),
    ],
)
def test_each_step_follows_from_what_is_there(things: Any, expected: list[str]) -> None:
    assert steps(scene(*things)) == expected


def test_copies_wait_for_an_agent() -> None:
    silent = Details(NETWORK)

    assert steps(scene(group(), host(), disk(), details=silent)) == []
    late = host(launched=NOW - timedelta(minutes=15))
    assert steps(scene(group(), late, disk(), details=silent)) == ["Terminate", "Tell"]


def test_the_start_is_isolated_and_begins_a_timeline_and_the_check_has_the_sql() -> None:
    (start,) = plan(ready(), SETTINGS).actions
    (check,) = plan(ready(said(answered())), SETTINGS).actions

    assert isinstance(start, actions.Send)
    assert isinstance(check, actions.Send)
    expected = {"volumeIds": "vol-copy0 vol-copy1", "newTimeline": SET.members[0].id, "isolated": "true"}
    assert expected.items() <= start.parameters.items()
    assert check.parameters == {"volumeIds": "vol-copy0 vol-copy1", "queries": "U0VMRUNUIDE="}
    assert (start.document, check.document) == ("start_database", "check_database")


# What a set is blamed for

FULL = {"vol-root": "/dev/sda1"} | {f"vol-{letter}": f"/dev/sd{letter}" for letter in "fghijklmnop"}


RECOVERED = '{"recoveryMs": 400}'


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        ([answered(output=RECOVERED, ago=60), answered("check", ago=30)], tags.PROVEN_AT),
        ([answered(code=211, ago=5)], "start"),
        ([answered(code=210)], "start"),
        ([answered(code=210, ago=19)], ""),
        ([answered(code=210, ago=n) for n in (400, 99)], ""),
        ([answered(code=210, ago=n) for n in (400, 100)], "start"),
        ([answered(code=210, ago=n) for n in (90, 60, 30)], tags.FAILED),
        ([answered(code=-1, ago=n) for n in (900, 800, 700, 600, 500)], "start"),
        ([answered(code=212)], tags.FAILED),
        ([answered(), answered("check", code=211, ago=30)], "check"),
        ([answered(), answered("check", code=213, ago=30)], tags.FAILED),
        ([answered(), answered("check", code=210, ago=30)], "start"),
        ([answered(ago=90), answered("check", code=210, ago=60), answered(ago=30)], "check"),
        ([answered(ago=90), *(answered("check", code=210, ago=n) for n in (60, 50, 40))], tags.FAILED),
    ],
)
def test_what_the_host_said_is_judged(sent: Any, outcome: str) -> None:
    found = plan(ready(said(*sent)), SETTINGS).actions

    decided = [
        next(iter(one.words)) if isinstance(one, actions.Conclude) else one.command
        for one in found
        if isinstance(one, actions.Conclude | actions.Send)
    ]
    assert decided == ([outcome] if outcome else [])


def test_the_recovery_that_was_measured_goes_with_the_proof() -> None:
    sent = (answered(output=RECOVERED, ago=60), answered("check", ago=30))

    (conclude,) = plan(ready(said(*sent)), SETTINGS).actions

    assert isinstance(conclude, actions.Conclude)
    assert conclude.words == {tags.PROVEN_AT: stamp(NOW), tags.RECOVERY_MS: "400"}


def test_a_recovery_is_as_long_as_all_starts_that_waited_for_it() -> None:
    sent = (answered(code=210, ago=900), answered(code=211, ago=400), answered(code=211, ago=300))
    ended = (answered(output=RECOVERED, ago=100), answered(output='{"recoveryMs": 0}', ago=60))

    (conclude,) = plan(ready(said(*sent, *ended, answered("check", ago=30))), SETTINGS).actions

    assert isinstance(conclude, actions.Conclude)
    assert conclude.words[tags.RECOVERY_MS] == str(300_000 + 400)


def test_a_long_complaint_is_cut_to_what_a_tag_takes() -> None:
    (conclude,) = plan(ready(said(answered(code=212, error="so\n " * 500))), SETTINGS).actions

    assert isinstance(conclude, actions.Conclude)
    assert len(conclude.words[tags.FAILED]) <= tags.LONGEST
    assert "\n" not in conclude.words[tags.FAILED]


@pytest.mark.parametrize(
    ("of", "name"),
    [
        (scene(details=Details(Network(""))), "no-network"),
        (scene(details=Details(replace(NETWORK, claims=(tags.ROLE,)))), "template-has-our-tags"),
        (scene(details=Details(replace(NETWORK, fixed=("NetworkInterfaceId",)))), "template-has-an-address"),
        (scene(details=Details(replace(NETWORK, interfaces=2))), "template-has-an-address"),
        (scene(details=Details(replace(NETWORK, is_spot=True))), "template-is-spot"),
        (scene(group(), details=Details(NETWORK, failure=Failure("VcpuLimitExceeded", ""))), "no-capacity"),
        (scene(group(), details=Details(NETWORK, failure=Failure("UnauthorizedOperation", ""))), "launch-refused"),
        (scene(group(), host(state="terminated")), "host-gone"),
        (scene(group(), host(state="stopped"), disk()), "host-gone"),
        (scene(group(), host(groups=frozenset({"sg-1", "sg-prod"})), disk()), "not-alone"),
        (scene(group(), host(profile="arn:production"), disk()), "not-alone"),
        (scene(group(), host(), disk(), *copies(on="i-other")), "copy-unusable"),
        (scene(group(), host(volumes=tuple(FULL), devices=FULL), disk(), *copies(on=None)), "copy-unusable"),
        (ready(said(answered(), answered("check", code=212, ago=30))), "no-check"),
        (ready(said(answered(code=214))), "host-unfit"),
    ],
)
def test_circumstances_are_told_and_are_no_word_on_the_set(of: Scene, name: str) -> None:
    found = plan(of, SETTINGS)

    assert trouble(of) == name
    assert not any(isinstance(one, actions.Conclude | actions.Send | actions.Attach) for one in found.actions)
    assert not any(isinstance(one, actions.DeleteGroup) for one in found.actions)


def test_a_host_that_somebody_ended_is_no_news() -> None:
    by_aws = scene(group(), host(state="terminated", reason="Server.InternalError"))
    by_us = scene(group(), host(state="terminated", reason="Client.UserInitiatedShutdown"))
    not_seen = scene(group(), details=Details(NETWORK, failure=Failure("IdempotentInstanceTerminated", "")))
    before_a_new_version = scene(group(), details=Details(NETWORK, failure=Failure("IdempotentParameterMismatch", "")))

    assert steps(by_aws) == ["Tell"]
    assert [steps(one) for one in (by_us, not_seen, before_a_new_version)] == [[]] * 3


def test_one_of_two_scratch_hosts_is_ended() -> None:
    other = replace(host(token=LIVE.tokens[1], dying=()), id="i-2")

    assert ended(scene(group(), host(), disk(), other)) == ["i-2"]


@pytest.mark.parametrize(
    ("paused", "is_told"),
    [
        (f"restore set-1 since {stamp(NOW - HOUR)}", True),
        (f"undo since {stamp(NOW - HOUR)}", True),
        (f"restore set-1 since {stamp(NOW - HOUR / 2)}", False),
        (f"moving since {stamp(NOW - HOUR)}", False),
        ("restore set-1", False),
    ],
)
def test_a_restore_that_is_not_over_after_an_hour_is_told(paused: str, is_told: bool) -> None:
    of = scene(volumes=(builders.volume(paused=paused),))

    assert steps(of) == (["Tell"] if is_told else [])


# What goes, and what is never touched


def test_an_outcome_ends_a_rehearsal_host_first_and_group_last() -> None:
    proven = (snapshot_set(HOUR, volumes=SET.volumes, name="newest", proven_at=stamp(NOW)),)

    assert ended(ready(sets=proven)) == [HOST]
    free = copies(on=None)
    assert ended(scene(group(), host(state="terminated"), *free, sets=proven)) == [one.id for one in free]
    assert ended(scene(group(), host(state="terminated"), sets=proven)) == ["sg-1"]


def test_an_outcome_of_another_time_ends_nothing() -> None:
    before = stamp(LIVE.since - HOUR)
    of = (snapshot_set(2 * HOUR, volumes=SET.volumes, name="newest", proven_at=before, failed=f"{before} why"),)

    assert steps(ready(sets=of)) == ["Send"]


def test_what_another_rehearsal_left_goes_when_its_outcome_is_known() -> None:
    """Made by a look that was a moment late."""
    done = Rehearsal("older", NOW - timedelta(minutes=2))
    older = snapshot_set(2 * HOUR, name="older", proven_at=stamp(NOW))
    late = copies(done, on=None, made=older)

    assert ended(scene(*late, sets=(older, SET))) == ["vol-copy0"]


def test_a_set_of_which_a_snapshot_is_gone_is_rehearsed_no_more() -> None:
    part = replace(SET, members=SET.members[:1])

    assert ended(ready(sets=(part,))) == [HOST]


def test_the_copy_of_a_snapshot_that_is_gone_goes_and_that_of_one_that_is_not_ours_stays() -> None:
    free = copies(OLD, on=None)

    assert ended(scene(*free, sets=())) == []
    assert ended(scene(*free, sets=(), gone=frozenset({free[0].snapshot}))) == ["vol-copy0"]
    settled = replace(free[0], tags={**free[0].tags, tags.HOST: "i-1"})
    assert ended(scene(settled, sets=(), gone=frozenset({free[0].snapshot}))) == []


def test_a_volume_is_not_deleted_while_somebody_holds_it_and_a_group_not_before_its_volumes() -> None:
    over = scene(group(OLD), host(OLD, state="shutting-down"), *copies(OLD))
    freed = scene(group(OLD), host(OLD, state="terminated"), *copies(OLD, on=None))

    assert ended(over) == []
    assert plan(over, SETTINGS).waits
    assert "sg-1" not in ended(freed)
    assert ended(scene(group(OLD), host(OLD), disk(OLD))) == [HOST]


def test_copies_that_never_came_to_be_are_no_word_on_the_set() -> None:
    of = scene(group(), host(), disk(), details=Details(NETWORK, is_reached=True, vanished=(SET.members[0].id,)))

    assert trouble(of) == "copy-unusable"
    assert ended(of) == [HOST]


def test_a_failure_is_told_before_it_is_cleaned_up() -> None:
    failed = (snapshot_set(HOUR, volumes=SET.volumes, name="newest", failed=f"{stamp(NOW)} invalid page"),)

    tell, *_ = plan(ready(sets=failed), SETTINGS).actions

    assert isinstance(tell, actions.Tell)
    assert "invalid page" in tell.text
    assert "Terminate" in steps(ready(sets=failed))


def test_a_rehearsal_of_the_future_is_none() -> None:
    edited = Rehearsal("newest", NOW + DAY)

    assert ended(scene(group(edited), host(edited), disk(edited))) == [HOST]


@pytest.mark.parametrize("changes", [{}, {"is_retired": True}, {"launches": ()}, {"sets": (snapshot_set(HOUR),)}])
def test_what_has_had_its_time_or_lost_its_reason_is_ended(changes: Any) -> None:
    of = OLD if not changes else LIVE

    assert HOST in ended(scene(group(of), host(of), disk(of), **changes))


def test_what_is_paused_or_retired_is_cleaned_up_all_the_same() -> None:
    paused = builders.volume(paused="moving")
    of = scene(group(OLD), host(OLD), disk(OLD), *copies(OLD))

    assert ended(replace(of, volumes=(paused, *of.volumes[1:]))) == [HOST]


def test_what_has_no_group_is_left_for_a_while_since_reads_lag() -> None:
    young, late = Rehearsal("newest", NOW), Rehearsal("newest", NOW - timedelta(minutes=20))

    assert ended(scene(host(young), disk(young))) == []
    assert ended(scene(host(late), disk(late))) == [HOST]


FREE = copies(OLD, on=None)[0]


@pytest.mark.parametrize(
    "thing",
    [
        host(OLD, **{"token": "somebody's"}),
        host(OLD, tags=words(OLD) | {tags.REHEARSES: "no time"}),
        host(OLD, tags=words(OLD, paused="mine")),
        host(OLD, dying=("vol-root", "vol-somebody's")),
        replace(FREE, tags={**FREE.tags, tags.HOST: "i-1"}),
        replace(FREE, tags={**FREE.tags, tags.VOLUMES: "vol-1"}),
        replace(FREE, tags={**FREE.tags, tags.RETIRED: "2026"}),
        replace(FREE, tags={**FREE.tags, tags.PAUSED: "mine"}),
        replace(FREE, snapshot="snap-somebody's"),
        replace(FREE, snapshot="snap-somebody's", tags={**FREE.tags, tags.RESTORED_FROM: "snap-somebody's"}),
        replace(FREE, tags={**FREE.tags, tags.RESTORED_FROM: SET.members[1].id}),
        replace(FREE, snapshot="", tags={**FREE.tags, tags.RESTORED_FROM: ""}),
        replace(FREE, tags={**FREE.tags, tags.ROLE: tags.RESTORED}),
        replace(FREE, tags={**FREE.tags, tags.ROLE: tags.DATABASE}),
        disk(OLD, on=None),
        copies(OLD, on="i-production")[0],
        group(OLD, name="production"),
        group(OLD, tags=words(OLD) | {tags.REHEARSES: ""}),
        group(OLD, tags=words(OLD, paused="mine")),
    ],
)
def test_what_is_not_beyond_doubt_a_rehearsals_is_never_ended(thing: Any) -> None:
    extra = [disk(OLD)] if type(thing).__name__ == "Host" else []
    of = replace(scene(thing, *extra), launches=())

    assert plan(of, SETTINGS).is_empty


def test_production_is_in_no_plan() -> None:
    everything = scene(group(OLD), host(OLD), disk(OLD), *copies(OLD), group(), forced_at=NOW)

    assert "i-production" not in str(plan(everything, SETTINGS).actions)
    assert builders.DATA not in ended(everything)
