"""What a restore into the database's place does next, from each world; and what it never does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import DATA, NOW, WAL, snapshot_set
from tests.unit.scenes import HOSTING, OLD, started, under_way
from tests.unit.scenes import volume as settled
from watchkeeper import tags
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.notices import Place
from watchkeeper.aws.volumes import Attachment, Volume
from watchkeeper.look import Look, read_time, stamp
from watchkeeper.restore.actions import Attach, Detach, Make, Protect, Send, Tag, Tell, Untag
from watchkeeper.restore.arrival import STUCK
from watchkeeper.restore.plan import plan
from watchkeeper.restore.scene import Operation, Scene, current, read
from watchkeeper.restore.settings import Settings
from watchkeeper.restore.wish import Wish

if TYPE_CHECKING:
    from datetime import datetime

    from watchkeeper.aws.starts import Start
    from watchkeeper.restore.verdict import Plan

NEW = ("vol-0bbbbbbbbbbbbbbb1", "vol-0bbbbbbbbbbbbbbb2")
SETTINGS = Settings(("*",), "start", "stop", "mount", "snapshot", Place("notices", "topic"), "false", "")
SET = snapshot_set(timedelta(days=1), volumes=(DATA, WAL), name="one")
NOW_ON = NOW + timedelta(seconds=20)
RESTORE, UNDO = Operation(NOW, "one"), Operation(NOW + timedelta(minutes=1))
PROTECTED = snapshot_set(-timedelta(seconds=9), run=NOW, volumes=(DATA, WAL), name="protective", state="pending")
SOON = timedelta(seconds=-15)


def old(
    on: str | None = OLD, state: str = "attached", *, of: Operation | None = RESTORE, **words: str
) -> tuple[Volume, ...]:
    """The volumes that were there, settled, paused by an operation."""
    paused = {"paused": of.word} if of else {}
    return tuple(settled(name, on, state, **{**paused, **words}) for name in (DATA, WAL))


def aside(of: Operation = RESTORE, **words: str) -> tuple[Volume, ...]:
    return old(None, of=of, role="retired", retired=of.retired, **words)


def new(on: str | None = None, state: str = "attached", *, of: Operation = RESTORE, **words: str) -> tuple[Volume, ...]:
    """The volumes that were made of the set."""
    known = {"role": "restored", "restored_for": "database", "host": "", "volumes": "", "paused": of.word}
    made = [
        settled(name, on, state, **{**known, "restored_from": member.id, **words})
        for name, member in zip(NEW, SET.members, strict=True)
    ]
    given = Attachment(on, state, NOW) if on else None
    return tuple(replace(one, created=NOW, attachment=given) for one in made)


def put_in(on: str | None = None, state: str = "attached", of: Operation = RESTORE, **words: str) -> tuple[Volume, ...]:
    known = {"role": "database", "restored_for": of.word, "host": OLD, "volumes": " ".join(NEW)}
    return new(on, state, of=of, **{**known, **words})


def host(state: str = "running", of: Operation | None = RESTORE, **more: Any) -> Host:
    words = HOSTING | ({tags.PAUSED: of.word} if of else {})
    return Host(OLD, state, "vol-root", tags=words, launched=NOW - timedelta(days=1), zone="eu-central-1a", **more)


def scene(*groups: tuple[Volume, ...], of: Operation | None = RESTORE, now: datetime = NOW_ON, **more: Any) -> Scene:
    volumes = tuple(sorted((one for group in groups for one in group), key=lambda one: one.id))
    given: dict[str, Any] = {
        "hosts": {OLD: host(of=of)},
        "sets": (SET, PROTECTED),
        "set": None if of and of.is_undo else SET,
        "operation": of,
        "reached": frozenset({OLD}),
        "began": NOW,
    }
    return Scene("payroll", now, volumes, **{**given, **more})


def planned(scene: Scene, wish: Wish | None = None, **look: Any) -> Plan:
    return plan(scene, wish or Wish(set="latest"), Look(NOW, "payroll", **look), SETTINGS)


def sent(command: str = "stop", ago: timedelta = SOON, **more: Any) -> tuple[Start, ...]:
    return (started(ago, command, **more),)


STOPPED, RUNS = {"sent_out": sent()}, {"sent_in": sent("start")}
KNOWN = {"timeline": "1"}

LATER = SOON - timedelta(seconds=2)
BEGUN = snapshot_set(SOON, run=NOW, volumes=(DATA, WAL), concluded=False)

SUCCESSOR = Host("i-9", "running", tags=HOSTING | {tags.REPLACES: OLD})

# From each world the one next step: what is written to what, or what is waited for.
STEPS: list[tuple[str, Scene, list[tuple[type, object]]]] = [
    ("begin", scene(old(of=None), of=None), [(Tag, (DATA, WAL, OLD))]),
    ("half paused", scene(old(of=None), hosts={OLD: host()}), [(Tag, (DATA, WAL))]),
    ("protect", scene(old(), sets=(SET,)), [(Protect, stamp(NOW))]),
    ("make", scene(old()), [(Make, "eu-central-1a")]),
    ("make the rest", scene(old(), new()[:1]), [(Make, "eu-central-1a")]),
    ("created", scene(old(), tuple(replace(one, state="creating") for one in new())), []),
    ("stop", scene(old(), new()), [(Send, "stop")]),
    ("stopping", scene(old(), new(), sent_out=(under_way(SOON, "stop"),)), []),
    ("remember", scene(old(), new(), **STOPPED), [(Tag, (DATA, WAL))]),
    ("detach", scene(old(**KNOWN), new(), **STOPPED), [(Detach, WAL), (Detach, DATA)]),
    ("detaching", scene(old(state="detaching", **KNOWN), new(), **STOPPED), []),
    ("put aside", scene(old(None, **KNOWN), new(), **STOPPED), [(Tag, (DATA, WAL))]),
    ("put the other aside", scene(old(None, **KNOWN)[1:], aside()[:1], new(), **STOPPED), [(Tag, (WAL,))]),
    ("put in", scene(aside(), new(), **STOPPED), [(Tag, NEW)]),
    ("put the other in", scene(aside(), put_in()[:1], new()[1:], **STOPPED), [(Tag, NEW[1:])]),
    ("attach", scene(aside(), put_in(), **STOPPED), [(Attach, NEW[0]), (Attach, NEW[1])]),
    ("attaching", scene(aside(), put_in(OLD, "attaching"), **STOPPED), []),
    (
        "stuck",
        scene(aside(), put_in(OLD, "attaching"), now=NOW + STUCK, **STOPPED),
        [(Detach, NEW[1]), (Detach, NEW[0])],
    ),
    ("start", scene(aside(), put_in(OLD), **STOPPED), [(Send, "start")]),
    ("starting", scene(aside(), put_in(OLD), sent_in=(under_way(SOON),)), []),
    (
        "end",
        scene(aside(), put_in(OLD), sent_in=sent("start")),
        [(Tell, None), (Untag, (DATA, WAL)), (Untag, (*NEW, OLD))],
    ),
    ("unpause", scene(aside(paused=""), put_in(OLD), sent_in=sent("start")), [(Tell, None), (Untag, (*NEW, OLD))]),
    ("unpause the host", scene(aside(paused=""), put_in(OLD, paused=""), **RUNS), [(Tell, None), (Untag, (OLD,))]),
    ("not concluded", scene(old(), sets=(SET, BEGUN)), [(Protect, stamp(NOW))]),
    ("elsewhere made", scene(old(), tuple(replace(one, zone="b") for one in new())), [(Make, "eu-central-1a")]),
    ("stop again", scene(old(**KNOWN), new(), sent_out=sent(ago=timedelta(minutes=2))), [(Send, "stop")]),
    ("stop for another", scene(old(), new(), sent_out=(*sent(ago=SOON), *sent("start", LATER))), [(Send, "stop")]),
    ("stop late", scene(aside(), put_in(OLD), sent_in=(*sent("start"), under_way(LATER, "stop"))), []),
    ("start again", scene(aside(), put_in(OLD), sent_in=(*sent("start"), *sent("stop", LATER))), [(Send, "start")]),
]


def shape(action: Any) -> tuple[type, object]:
    """An action by what matters of it here."""
    what = {Send: "command", Protect: "run", Make: "zone", Tell: ""}.get(type(action))
    if what is None:
        what = "volume" if isinstance(action, Attach | Detach) else "ids"
    return type(action), getattr(action, what) if what else None


@pytest.mark.parametrize(("name", "world", "steps"), STEPS, ids=[name for name, _, _ in STEPS])
def test_from_each_world_there_is_one_next_step(name: str, world: Scene, steps: list[tuple[type, object]]) -> None:
    found = planned(world)

    assert [shape(one) for one in found.actions] == steps
    assert found.refusal == ""
    assert found.is_done == (name in ("end", "unpause", "unpause the host"))
    assert found.actions or found.waits


def applied(world: Scene, found: Plan) -> Scene:
    """The world after what was planned, at once."""
    volumes = {one.id: one for one in world.volumes}
    words = {one.id: dict(one.tags) for one in (*world.volumes, *world.hosts.values())}
    changes: dict[str, Any] = {}
    for action in found.actions:
        match action:
            case Tag(ids, given):
                for one in ids:
                    words[one] |= given
            case Untag(ids, key):
                for one in ids:
                    words[one].pop(key, None)
            case Detach(volume):
                volumes[volume] = replace(volumes[volume], attachment=None, host=None, state="available")
            case Attach(volume, on):
                given = Attachment(on, "attached", world.now)
                volumes[volume] = replace(volumes[volume], attachment=given, host=on, state="in-use")
            case Make():
                for one in new():
                    volumes[one.id], words[one.id] = one, {**one.tags, **action.words}
            case Protect(run):
                changes["sets"] = (*world.sets, replace(PROTECTED, run=read_time(run)))
            case Send(command=command):
                side = "sent_out" if command == "stop" else "sent_in"
                changes[side] = (*getattr(world, side), *sent(command, NOW - world.now))
    shown = tuple(replace(volumes[one], tags=words[one]) for one in sorted(volumes))
    labels = [words[one] for one in words]
    operation = current(one.get(tags.PAUSED, "") for one in labels)
    hosts = {OLD: replace(world.hosts[OLD], tags=words[OLD])}
    later = replace(world, volumes=shown, hosts=hosts, operation=operation, now=world.now + timedelta(seconds=1))
    return replace(later, **changes)


def is_safe(world: Scene, found: Plan) -> None:
    """Of whatever is planned: exact ids, only of what this operation has paused, and never two databases."""
    mine = {one.id for one in world.volumes if world.operation and one.tags.get(tags.PAUSED) == world.operation.word}
    serving = {one.id for one in world.present}
    for action in found.actions:
        if isinstance(action, Detach):
            assert action.volume in mine
            assert action.host == OLD
            (held,) = [one.attachment for one in world.volumes if one.id == action.volume]
            assert any(one.is_success for one in world.stops) or (held and held.state == "attaching")
        if isinstance(action, Tag) and action.words.get(tags.ROLE) == tags.PUT_ASIDE:
            assert set(action.ids) <= mine
            assert all(one.attachment is None for one in world.volumes if one.id in action.ids)
        if isinstance(action, Tag) and action.words.get(tags.ROLE) == tags.DATABASE:
            assert serving <= set(action.words[tags.VOLUMES].split())
        if isinstance(action, Attach):
            assert action.volume in serving & mine


@pytest.mark.parametrize("begin", range(len(STEPS)), ids=[name for name, _, _ in STEPS])
def test_a_plan_of_the_planned_world_goes_on_to_the_end(begin: int) -> None:
    world = finished(STEPS[begin][1])
    for _ in range(30):
        found = planned(world)
        is_safe(world, found)
        world = applied(world, found)
        if found.is_done:
            break

    assert found.is_done
    assert [one.id for one in world.present] == list(NEW)
    assert [one.id for one in world.of_role(tags.PUT_ASIDE)] == [DATA, WAL]
    assert world.operation is None


def finished(world: Scene) -> Scene:
    """The same, once AWS is done with what is under way."""
    ended = {"attaching": "attached"}
    volumes = []
    for one in world.volumes:
        state = one.attachment.state if one.attachment else ""
        if state == "detaching":
            volumes.append(replace(one, attachment=None, host=None, state="available"))
        elif one.attachment and state in ended:
            volumes.append(replace(one, attachment=replace(one.attachment, state=ended[state])))
        else:
            volumes.append(replace(one, state="available" if one.state == "creating" else one.state))
    done = [
        tuple(one if one.outcome else sent(one.command)[0] for one in some) for some in (world.sent_out, world.sent_in)
    ]
    return replace(world, volumes=tuple(volumes), sent_out=done[0], sent_in=done[1])


@given(
    roles=st.lists(st.sampled_from(["database", "retired", "restored"]), min_size=4, max_size=4),
    ons=st.lists(st.sampled_from([None, OLD, "i-2"]), min_size=4, max_size=4),
    pauses=st.lists(st.sampled_from(["", RESTORE.word, UNDO.word, "a person"]), min_size=5, max_size=5),
    state=st.sampled_from(["running", "stopped", "terminated", "stopping"]),
    stopped=st.booleans(),
    is_undo=st.booleans(),
)
def test_whatever_the_world_looks_like_no_step_is_unsafe(
    roles: list[str], ons: list[str | None], pauses: list[str], state: str, stopped: bool, is_undo: bool
) -> None:
    groups = [*old(**KNOWN), *new()]
    volumes = tuple(
        replace(
            one,
            tags={**one.tags, tags.ROLE: role, tags.PAUSED: paused, tags.RETIRED: RESTORE.retired, tags.HOST: OLD},
            attachment=Attachment(on, "attached", NOW) if on else None,
            host=on,
        )
        for one, role, on, paused in zip(groups, roles, ons, pauses[:4], strict=True)
    )
    held = {OLD: replace(host(state), tags={**HOSTING, tags.PAUSED: pauses[4]})}
    world = scene(volumes, hosts=held, of=current(pauses), **(STOPPED if stopped else {}))

    is_safe(world, planned(world, Wish(is_undo=True) if is_undo else None))


# Undo


def test_an_undo_marks_what_it_puts_back_before_it_pauses_the_rest() -> None:
    found = planned(scene(aside(paused=""), put_in(OLD, paused=""), of=None), Wish(is_undo=True), force=True)

    first, second = found.actions
    assert (shape(first), shape(second)) == ((Tag, (DATA, WAL)), (Tag, (*NEW, OLD)))
    assert isinstance(first, Tag)
    assert read(first.words[tags.PAUSED]) == UNDO
    assert first.words[tags.RESTORED_FOR] == first.words[tags.PAUSED]


def test_an_undo_of_a_restore_that_has_put_nothing_aside_brings_back_what_is_there_still() -> None:
    older = tuple(
        replace(one, id=f"vol-0ccccccccccccccc{one.id[-1]}") for one in aside(Operation(NOW - timedelta(days=9), "x"))
    )

    found = planned(scene(old(None), older, new(), **STOPPED), Wish(is_undo=True))

    assert shape(found.actions[0]) == (Tag, (DATA, WAL))


def test_what_was_marked_in_part_is_marked_whole() -> None:
    back = (aside(paused=UNDO.word, restored_for=UNDO.word)[0], aside(paused="")[1])

    (mark,) = planned(scene(back, put_in(OLD), of=UNDO), Wish(is_undo=True)).actions

    assert shape(mark) == (Tag, (WAL,))


def test_what_was_never_started_is_put_aside_without_a_set() -> None:
    back = aside(paused=UNDO.word, restored_for=UNDO.word)
    out = put_in(OLD, paused=UNDO.word)
    world = scene(back, out, of=UNDO, sets=(SET,))

    assert [shape(one) for one in planned(world, Wish(is_undo=True)).actions] == [(Send, "stop")]
    used = replace(world, sent_out=sent("start"))
    assert [shape(one) for one in planned(used, Wish(is_undo=True)).actions] == [(Protect, stamp(UNDO.since))]


def test_an_undo_that_turned_a_restore_round_waits_for_what_may_be_on_its_way() -> None:
    world = scene(old(None, of=UNDO, restored_for=UNDO.word), of=UNDO, turned=NOW_ON - timedelta(seconds=5))

    assert planned(world, Wish(is_undo=True)).actions == ()
    assert planned(replace(world, turned=NOW - timedelta(minutes=1)), Wish(is_undo=True)).actions != ()


def test_a_part_of_what_was_put_aside_is_not_put_back() -> None:
    world = scene(aside(paused="")[:1], put_in(OLD, paused=""), of=None)

    assert f"together with {WAL}, which is not there" in planned(world, Wish(is_undo=True), force=True).refusal


def test_an_undo_starts_the_old_volumes_on_their_own_timeline() -> None:
    back = old(OLD, of=UNDO, restored_for=UNDO.word, timeline="2")
    out = put_in(None, of=UNDO, role="retired", retired=UNDO.retired, restored_for=RESTORE.word)

    (start,) = planned(scene(back, out, of=UNDO), Wish(is_undo=True)).actions

    assert isinstance(start, Send)
    assert (start.parameters["newTimeline"], start.parameters["volumeIds"]) == ("", f"{DATA} {WAL}")


def test_a_restore_begins_a_timeline_above_every_one_that_is_known() -> None:
    elsewhere = replace(
        settled("vol-0ddddddddddddddd1", None, role="retired", timeline="7"), id="vol-0ddddddddddddddd1"
    )

    (start,) = planned(scene(aside(), put_in(OLD), (elsewhere,), **STOPPED)).actions

    assert isinstance(start, Send)
    assert (start.parameters["newTimeline"], start.parameters["timelineAfter"]) == (SET.members[0].id, "7")


# Twice, at once, and by others


def test_a_repeat_within_the_hour_is_answered_and_a_later_one_begins_anew() -> None:
    put = put_in(OLD, paused="")

    assert planned(scene(aside(paused=""), put, of=None)).is_done
    assert planned(scene(aside(paused=""), put, of=None), Wish(is_undo=True)).actions
    assert planned(scene(aside(paused=""), put, of=None, now=NOW + timedelta(hours=2))).actions
    assert planned(scene(aside(paused=""), put, of=None, now=NOW + timedelta(minutes=6)), force=True).actions


def test_of_what_two_have_paused_the_undo_counts_and_then_the_later() -> None:
    later = Operation(NOW + timedelta(minutes=2), "two")

    assert current([RESTORE.word, UNDO.word, later.word, "a person", ""]) == UNDO
    assert current([RESTORE.word, later.word]) == later


def test_a_restore_leaves_what_another_has_taken_over() -> None:
    assert "An undo is under way" in planned(scene(old(of=UNDO), of=UNDO)).refusal
    assert "Another restore is under way" in planned(scene(old()), Wish(set="2026-01-01T00:00:00Z")).refusal


def test_what_a_person_pauses_meanwhile_stops_it() -> None:
    assert "paused by somebody" in planned(scene(old(paused="a person"), new())).refusal


@pytest.mark.parametrize(
    ("world", "sentence"),
    [
        (scene(old(of=None, host=""), of=None), "never settled"),
        (scene(old("i-2", of=None), of=None), "A replacement"),
        (scene(old(of=None), of=None, hosts={OLD: host("stopped", None)}), "A replacement"),
        (scene(old(of=None), of=None, reached=frozenset()), "SSM does not reach"),
        (scene(old(of=None), of=None, hosts={OLD: host(of=None), "i-9": SUCCESSOR}), "i-9 launched in its place"),
        (scene(of=None), "no volume tagged"),
        (scene(old("i-2"), new()), f"attached {DATA} to i-2"),
        (scene(aside(), **STOPPED), "No volume is there"),
        (scene(aside(), put_in()[:1], **STOPPED), "is not there any more"),
        (scene(old(), new("i-2")), "attached vol-0bbbbbbbbbbbbbbb1 to i-2"),
        (scene(old(), new(), reached=frozenset(), began=NOW - timedelta(minutes=6)), "if it hangs, stop the instance"),
    ],
)
def test_what_is_not_as_it_should_be_is_told(world: Scene, sentence: str) -> None:
    assert sentence in planned(world).refusal


def test_an_operation_is_named_by_a_minute_of_which_there_is_no_set_and_that_comes_after_all_others() -> None:
    later = Operation(NOW + timedelta(minutes=5), "two")
    fresh, after = scene(old(of=None), of=None), scene(old(of=None), aside(later, paused=""), of=None)

    words = [planned(one).actions[0].words[tags.PAUSED] for one in (fresh, after)]  # type: ignore[union-attr]

    assert [read(one) for one in words] == [
        Operation(NOW + timedelta(minutes=1), "one"),
        Operation(NOW + timedelta(minutes=6), "one"),
    ]


def test_a_host_that_was_replaced_since_makes_no_restore_of_long_ago_one_of_this_hour() -> None:
    long_ago = Operation(NOW - timedelta(hours=5), "one")

    assert planned(scene(put_in(OLD, paused="", of=long_ago), of=None)).actions


def test_a_copy_that_a_person_has_paused_is_left_alone() -> None:
    assert [shape(one) for one in planned(scene(old(), new(paused="mine"))).actions] == [(Make, "eu-central-1a")]


# Without a set, without a host


def test_without_a_protective_set_nothing_is_touched_and_all_is_unpaused() -> None:
    late = planned(scene(old(), sets=(SET,), began=NOW - timedelta(minutes=6)))

    assert [shape(one) for one in late.actions] == [(Untag, (DATA, WAL, OLD))]
    assert "nothing was touched" in late.refusal
    assert planned(scene(old(), sets=(SET,), began=NOW - timedelta(minutes=6)), force=True).refusal == ""


def test_a_pause_that_is_too_old_for_a_set_is_renewed_unless_something_was_stopped() -> None:
    later = NOW + timedelta(minutes=46)

    (renewed,) = planned(scene(old(), now=later)).actions

    assert isinstance(renewed, Tag)
    assert renewed.words == {tags.PAUSED: Operation(later, "one").word}
    assert shape(planned(scene(old(None, **KNOWN), new(), now=later)).actions[0]) == (Tag, (DATA, WAL))


@pytest.mark.parametrize("state", ["stopped", "terminated"])
def test_where_the_host_died_a_torn_database_is_made_whole_and_given_back(state: str) -> None:
    dead = {"hosts": {OLD: host(state)}, "reached": frozenset[str]()}

    torn = planned(scene(aside(), new(), **dead))
    whole = planned(scene(aside(), put_in(), **dead))
    before = planned(scene(old(**KNOWN), new(), **dead))

    held = planned(scene(aside()[:1], old(**KNOWN)[1:], new(), **dead))

    assert [shape(one) for one in torn.actions] == [(Tag, NEW)]
    assert (held.actions, held.waits) == ((), (f"{WAL} is detached",))
    assert [shape(one) for one in whole.actions] == [(Untag, (DATA, WAL)), (Untag, (*NEW, OLD))]
    assert whole.is_done
    assert [type(one) for one in before.actions] == [Untag, Untag]
    assert f"{OLD} is {state}" in before.refusal


@pytest.mark.parametrize(("code", "is_refused"), [(210, False), (212, True), (214, True)])
def test_a_start_that_was_refused_is_not_tried_again(code: int, is_refused: bool) -> None:
    world = scene(aside(), put_in(OLD), sent_in=sent("start", code=code, error="This host has no PostgreSQL."))

    assert ("This host has no PostgreSQL." in planned(world).refusal) is is_refused
