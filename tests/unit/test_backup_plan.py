"""Whether a set is to be made of a database now: a table of worlds, and what is decided in each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import DATA, NOW, WAL, host, snapshot_set, volume
from watchkeeper import tags
from watchkeeper.aws.freezes import Failed, Held, Released
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.snapshots import SnapshotSet
from watchkeeper.backup.apply import judge
from watchkeeper.backup.attempts import execution
from watchkeeper.backup.observe import State, pauses
from watchkeeper.backup.plan import Leave, Take, Verdict, Wrong, age, plan
from watchkeeper.backup.settings import Settings
from watchkeeper.look import Look

if TYPE_CHECKING:
    from watchkeeper.aws.volumes import Volume

SETTINGS = Settings.from_env(
    {
        "APPLICATIONS": "*",
        "RETIRED": "oldshop",
        "FREEZE_DOCUMENT": "freeze",
        "LEASE_SECONDS": "20",
        "OVERDUE_HOURS": "26",
        "ON_FREEZE_FAILURE": "snapshot",
        "AWS_LAMBDA_FUNCTION_NAME": "snapshot",
    }
)
DAY = timedelta(days=1)


def state(
    *some: Volume, hosts: tuple[Host, ...] = (host(),), sets: tuple[SnapshotSet, ...] = (), name: str = "payroll"
) -> State:
    return State({name: some}, {one.id: one for one in hosts}, {name: sets})


def decide(world: State, look: Look | None = None) -> Verdict:
    (verdict,) = plan(world, look or Look(NOW), SETTINGS)
    return verdict


def test_a_database_without_a_set_of_the_run_gets_one_of_all_its_volumes() -> None:
    verdict = decide(state(volume(DATA), volume(WAL), hosts=(host(volumes=(DATA, WAL)),), sets=(snapshot_set(DAY),)))

    assert isinstance(verdict, Take)
    assert verdict.volumes == (DATA, WAL)
    assert verdict.is_freezable


def test_a_run_that_has_its_set_asks_for_nothing_more() -> None:
    assert decide(state(volume(), sets=(snapshot_set(),))) == Leave("payroll", "the run has its set")


def test_a_run_that_was_demoted_to_crash_has_its_set_and_is_not_repeated() -> None:
    assert isinstance(decide(state(volume(), sets=(snapshot_set(consistency="crash"),))), Leave)


def test_an_attempt_that_never_concluded_does_not_satisfy_its_run() -> None:
    assert isinstance(decide(state(volume(), sets=(snapshot_set(concluded=False),))), Take)


def test_a_set_that_lacks_a_volume_does_not_satisfy_its_run() -> None:
    whole = snapshot_set(volumes=(DATA, WAL))
    half = SnapshotSet(whole.id, whole.application, whole.run, whole.volumes, whole.members[:1])

    assert isinstance(decide(state(volume(DATA), volume(WAL), sets=(half,))), Take)


@pytest.mark.parametrize(
    ("hours", "consistency", "pending", "expected"),
    [
        (25, "application", False, Leave),
        (27, "application", False, Take),
        (25, "application", True, Leave),  # still being copied, not overdue
        (1, "crash", False, Take),
    ],
)
def test_the_hourly_look_takes_what_is_overdue(
    hours: int, consistency: str, pending: bool, expected: type[Verdict]
) -> None:
    newest = snapshot_set(timedelta(hours=hours), consistency=consistency, state="pending" if pending else "completed")

    assert isinstance(decide(state(volume(), sets=(newest,)), Look(NOW, if_overdue=True)), expected)


def test_a_copy_that_ebs_gave_up_on_is_overdue_at_once() -> None:
    failed = snapshot_set(timedelta(hours=1), state="error")

    assert isinstance(decide(state(volume(), sets=(failed,)), Look(NOW, if_overdue=True)), Take)


def test_a_database_that_cannot_be_frozen_gets_no_crash_set_each_hour() -> None:
    look = Look(NOW, if_overdue=True)
    crash = snapshot_set(timedelta(hours=1), consistency="crash")

    first, later = decide(state(volume()), look), decide(state(volume(), sets=(crash,)), look)

    assert isinstance(first, Take)
    assert first.otherwise == "crash"
    assert isinstance(later, Take)
    assert later.otherwise == "leave"


def test_a_stopped_host_gets_a_set_as_it_is_once_a_period() -> None:
    stopped = host(state="stopped")
    crash = snapshot_set(timedelta(hours=1), consistency="crash")

    by_schedule = decide(state(volume(), hosts=(stopped,), sets=(crash,)))
    hourly = decide(state(volume(), hosts=(stopped,), sets=(crash,)), Look(NOW, if_overdue=True))

    assert isinstance(by_schedule, Take)
    assert not by_schedule.is_freezable
    assert isinstance(hourly, Leave)


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (state(volume(DATA, on="i-1"), volume(WAL, on="i-2")), ["one instance", DATA, WAL, "i-1", "i-2"]),
        (state(volume(on=None)), ["one instance", "none"]),
        (state(volume(DATA), volume(WAL, on=None)), ["one instance", WAL]),
        (state(volume(), hosts=()), ["i-1", "does not describe"]),
        (state(volume(), hosts=(host(root=DATA),)), ["root volume", "of its own"]),
        (state(volume(), hosts=(host(application="other"),)), ["tag it", "database-host"]),
        (state(volume(), hosts=(host(volumes=(DATA, *(f"vol-{n}" for n in range(41)))),)), ["40"]),
        (state(*(volume(f"vol-{n:017x}") for n in range(12))), ["12 volumes", "11"]),
        (state(volume(application="a b;$(x)"), name="a b;$(x)"), ["no name", "letters"]),
    ],
)
def test_a_world_that_contradicts_itself_is_told_in_words_and_left(world: State, words: list[str]) -> None:
    verdict = decide(world)

    assert isinstance(verdict, Wrong)
    assert [word for word in words if word not in verdict.reason] == []


def test_a_paused_volume_or_host_is_left_exactly_as_it_is() -> None:
    on_volume = state(volume(paused="moving house"))
    on_host = state(volume(), hosts=(Host("i-1", "running", tags={"watchkeeper:paused": "upgrade"}),))

    assert decide(on_volume) == Leave("payroll", "paused: moving house")
    assert decide(on_host) == Leave("payroll", "paused: upgrade")
    assert decide(state(volume(paused=""))) == Leave("payroll", "paused: ")


RESTORE, UNDO = "restore 2026-11-21T04:30:00Z since 2026-11-22T04:29:00Z", "undo since 2026-11-22T04:29:00Z"


@pytest.mark.parametrize("paused", [RESTORE, UNDO])
def test_what_a_restore_has_paused_gets_a_set_of_what_it_undoes_and_no_other(paused: str) -> None:
    at_it = state(volume(paused=paused), hosts=(replace(host(), tags={**host().tags, tags.PAUSED: paused}),))

    forced = decide(at_it, Look(NOW, "payroll", force=True))

    assert isinstance(forced, Take)
    assert forced.is_freezable
    assert decide(at_it) == decide(at_it, Look(NOW, if_overdue=True)) == Leave("payroll", f"paused: {paused}")


@pytest.mark.parametrize("paused", ["moving house", "", "restoring by hand", "undone"])
def test_force_does_not_touch_what_a_person_has_paused(paused: str) -> None:
    force = Look(NOW, "payroll", force=True)
    by_both = state(volume(DATA, paused=RESTORE), volume(WAL, paused=paused))

    assert isinstance(decide(state(volume(paused=paused)), force), Leave)
    assert isinstance(decide(by_both, force), Leave)


def test_a_database_that_has_no_volume_at_the_moment_because_a_restore_was_killed_is_not_missed() -> None:
    between = replace(state(sets=(snapshot_set(DAY),)), pauses={"payroll": RESTORE})
    of_another = replace(state(sets=(snapshot_set(DAY),)), pauses={"wiki": RESTORE})

    assert decide(between) == Leave("payroll", f"paused: {RESTORE}")
    assert isinstance(decide(of_another), Wrong)


def test_it_is_paused_as_its_host_says_or_what_a_restore_set_aside() -> None:
    aside, kept = (volume(name, paused=why, role=tags.PUT_ASIDE) for name, why in ((WAL, RESTORE), (DATA, "by me")))
    upgraded = replace(host("i-2"), tags={tags.APPLICATION: "wiki", tags.PAUSED: "upgrade"})

    assert pauses([aside, kept, volume("vol-3", "shop", paused="by me")], [host(), upgraded]) == {
        "payroll": RESTORE,
        "wiki": "upgrade",
    }


def test_an_application_whose_volume_lost_its_tags_is_missed_until_it_is_retired_by_name() -> None:
    missed = decide(state(hosts=(), sets=(snapshot_set(30 * DAY),)))
    missed_by_its_host = decide(state(sets=(snapshot_set(91 * DAY),)))
    forgotten = decide(state(hosts=(), sets=(snapshot_set(91 * DAY),)))
    retired = decide(state(sets=(snapshot_set(30 * DAY),), name="oldshop"))

    assert isinstance(missed, Wrong)
    assert "snapshots but no volume" in missed.reason
    assert isinstance(missed_by_its_host, Wrong)
    assert "the host i-1 but no volume" in missed_by_its_host.reason
    assert isinstance(forgotten, Leave)
    assert retired == Leave("oldshop", "retired by name")


def test_what_people_wrote_goes_along_and_what_is_reserved_does_not() -> None:
    tagged = volume(address="db.internal", keep="7d", host="i-1", restored_from="snap-1")
    tagged = replace(tagged, tags={"team": "pay", "aws:cloudformation:stack-id": "x", **tagged.tags})

    verdict = decide(state(tagged))

    assert isinstance(verdict, Take)
    assert list(verdict.words) == [tags.ADDRESS, tags.KEEP, "team"]  # should there be too many, the last are left out
    assert set(verdict.words.values()) == {"db.internal", "7d", "pay"}
    assert verdict.own == {}


def test_what_people_wrote_on_some_volumes_alone_stays_with_these() -> None:
    data = volume(DATA, address="db.internal", keep="7d")
    wal, more = volume(WAL, keep="7d"), volume("vol-3")
    data = replace(data, tags={**data.tags, "Name": "data", "team": "pay", "aws:x": "y"})
    wal = replace(wal, tags={**wal.tags, "Name": "wal", "team": "pay", "pages": "no"})
    more = replace(more, tags={**more.tags, "team": "pay"})

    verdict = decide(state(data, wal, more, hosts=(host(volumes=(DATA, WAL, "vol-3")),)))

    assert isinstance(verdict, Take)
    assert verdict.words == {tags.ADDRESS: "db.internal", tags.KEEP: "7d", "team": "pay"}
    assert verdict.own == {DATA: {"Name": "data"}, WAL: {"Name": "wal", "pages": "no"}}


def test_what_it_takes_to_make_such_volumes_again_goes_along_in_their_order() -> None:
    data = replace(volume(DATA), type="io2", iops=16000)
    wal = replace(volume(WAL), type="gp3", iops=3000, throughput=125)

    verdict = decide(state(data, wal, hosts=(host(volumes=(DATA, WAL)),)))

    assert isinstance(verdict, Take)
    assert verdict.types == ("io2/16000/0", "gp3/3000/125")


def test_the_age_is_the_worst_of_all_and_counts_only_finished_application_sets() -> None:
    fresh, old = snapshot_set(DAY), snapshot_set(5 * DAY)
    world = State(
        {"a": (volume(),), "b": (volume(),), "c": (volume(paused="x"),), "oldshop": (volume(),)},
        {},
        {
            "a": (fresh,),
            "b": (old, snapshot_set(DAY, consistency="crash"), snapshot_set(DAY, state="pending")),
            "c": (),
            "oldshop": (),
        },
    )

    assert age(world, SETTINGS, NOW) == 5 * DAY


def test_a_database_that_never_had_a_set_is_as_old_as_its_volume() -> None:
    assert age(state(volume()), SETTINGS, NOW) == 100 * DAY


def test_the_execution_is_the_same_for_every_delivery_of_a_run_and_differs_between_runs() -> None:
    ids = [execution("payroll", "2026-11-22T04:30:00Z"), execution("payroll", "2026-11-22T04:30:00Z")]
    others = [execution("payroll", "2026-11-23T04:30:00Z"), execution("payrol", "2026-11-22T04:30:00Z")]

    assert len(set(ids)) == 1
    assert len({*ids, *others}) == 3


@given(
    held=st.sampled_from(["a", "b"]),
    released=st.one_of(
        st.builds(Failed, st.text()),
        st.builds(
            Released,
            st.sampled_from(["a", "b"]),
            st.booleans(),
            st.integers(0, 99_999),
            snapshots=st.sampled_from([("snap-1",), ("snap-2",), ()]),
        ),
    ),
)
def test_a_set_is_application_only_if_its_freeze_was_found_still_held(held: str, released: Released | Failed) -> None:
    word, reason, _ = judge(Held(held, "0/1"), ["snap-1"], released)

    is_true = released == Released(held, True, getattr(released, "frozen_ms", 0), snapshots=("snap-1",))
    assert word == ("application" if is_true else "crash")
    assert reason or isinstance(released, Failed)
