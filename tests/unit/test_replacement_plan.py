"""What is done about a database's host, and what is refused, from values alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import DATA, NOW, WAL
from tests.unit.scenes import (
    IPS,
    NAME,
    NEW,
    OLD,
    SETTINGS,
    away,
    details,
    host,
    impaired,
    replacement,
    retired,
    scene,
    started,
    under_way,
    volume,
)
from watchkeeper import tags
from watchkeeper.aws import launches
from watchkeeper.aws.addresses import Interface, Odd, Record
from watchkeeper.aws.hosts import GROUP
from watchkeeper.aws.launches import Failure
from watchkeeper.aws.volumes import Attachment
from watchkeeper.look import stamp
from watchkeeper.replacement.actions import (
    Detach,
    Launch,
    MoveInterface,
    Point,
    Protect,
    Rehearse,
    StartAgain,
    Stop,
    Terminate,
    Untag,
)
from watchkeeper.replacement.plan import plan
from watchkeeper.replacement.scene import Zone, counted
from watchkeeper.restore.actions import Attach, Send, Tag, Tell

if TYPE_CHECKING:
    from watchkeeper.replacement.scene import Scene

AWS_STOPPED = "Server.InternalError"
BY_A_PERSON = "Client.UserInitiatedShutdown"


def steps(of: Scene, **settings: Any) -> list[object]:
    return [one for one in plan(of, replace(SETTINGS, **settings)).actions if not isinstance(one, Tell)]


def kinds(of: Scene, **settings: Any) -> list[type]:
    return [type(one) for one in steps(of, **settings)]


def refusal(of: Scene, **settings: Any) -> str | None:
    found = plan(of, replace(SETTINGS, **settings)).refusal
    return found.name if found else None


# Calm days


def test_a_database_that_is_well_is_left_alone() -> None:
    found = plan(scene(), SETTINGS)

    assert found.is_empty
    assert found.refusal is None


def test_without_a_launch_template_nothing_is_asked_for() -> None:
    assert plan(scene(host(state="terminated"), launches=()), SETTINGS).is_empty


def test_a_plan_without_details_says_only_that_something_is_the_matter() -> None:
    found = plan(scene(host(state="terminated"), details=None), SETTINGS)

    assert found.waits
    assert not found.actions


def test_the_first_host_is_asked_to_write_down_what_lies_where_and_then_remembered() -> None:
    unsettled = away(OLD, host="", volumes="")

    (asked,) = steps(scene(volumes=unsettled))
    (settled,) = steps(scene(volumes=unsettled, details=details(starts={OLD: (started(command="record"),)})))

    assert isinstance(asked, Send)
    assert asked.command == "record"
    assert settled == Tag((DATA, WAL), {tags.HOST: OLD, tags.VOLUMES: f"{DATA} {WAL}"}, settled.reason)


def test_a_host_that_cannot_write_down_what_lies_where_is_told_also_between_two_tries() -> None:
    unsettled = away(OLD, host="", volumes="", refused="not-recorded 2026-11-22T04:00:00Z")
    failed = tuple(started(timedelta(seconds=ago), "record", 212, "It lies elsewhere.") for ago in (300, 280, 60))

    found = plan(scene(volumes=unsettled, details=details(starts={OLD: failed})), SETTINGS)

    assert found.refusal
    assert (found.refusal.name, found.actions) == ("not-recorded", ())
    assert "It lies elsewhere." in found.refusal.sentence


def test_volumes_that_would_be_deleted_with_their_host_are_kept_on_every_look() -> None:
    dying = host(dying=(DATA, "vol-root"))

    assert steps(scene(dying)) == [Protect(OLD, ("/dev/sdf",), "a terminated host would take the database along")]


def test_an_address_that_leads_elsewhere_is_put_right() -> None:
    (step,) = steps(scene(record=Record("Z1", NAME, 5, "10.9.9.9")))

    assert step == Point(Record("Z1", NAME, 5, "10.9.9.9"), NAME, IPS[OLD], f"the database is on {OLD}")


def test_a_record_that_is_more_than_one_plain_address_is_left_and_told() -> None:
    assert refusal(scene(record=Odd("it is weighted."))) == "odd-address"


@pytest.mark.parametrize("change", [{"application": ""}, {"is_first": True}], ids=["not tagged", "the first one"])
def test_an_interface_that_cannot_be_moved_is_told_and_detains_no_volume(change: dict[str, Any]) -> None:
    fit = Interface("eni-1", "10.0.0.9", OLD, "eni-attach-1", "attached", "payroll")
    on_old = tuple(replace(one, tags={**one.tags, tags.ADDRESS: "eni-1"}) for one in (volume(DATA), volume(WAL)))
    stopped = retired(host(state="stopped", reason=AWS_STOPPED))

    calm = scene(volumes=on_old, record=replace(fit, **change))
    moving = scene(stopped, replacement(), volumes=on_old, record=replace(fit, **change))

    assert refusal(calm) == "odd-address"
    assert kinds(moving) == [Detach, Detach]
    assert kinds(replace(moving, record=fit)) == [MoveInterface, Detach, Detach]


def test_once_a_day_a_launch_is_rehearsed() -> None:
    found = scene(details=details(is_due=True, starts={OLD: (started(timedelta(minutes=5), "record"),)}))

    assert kinds(found) == [Rehearse]


def test_what_was_launched_in_vain_is_stopped_after_half_an_hour() -> None:
    late = replacement(launched=NOW - timedelta(minutes=31))
    early = replacement(launched=NOW - timedelta(minutes=29))

    assert kinds(scene(host(), late)) == [Tag, Stop]
    assert kinds(scene(host(), early)) == []


def test_what_was_launched_in_vain_and_holds_a_volume_is_left() -> None:
    late = replacement(launched=NOW - timedelta(minutes=31), volumes=("vol-of-somebody",))

    assert kinds(scene(host(), late)) == []


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (launches.token(DATA, OLD, 29), [Tag, Stop]),
        (launches.token(DATA, OLD, 30), []),
        (launches.token(WAL, OLD, 0), []),
        (launches.token(DATA, NEW, 0), []),
        ("somebodys", []),
        ("", []),
    ],
)
def test_what_somebody_launched_with_a_copied_tag_is_left(token: str, expected: list[type]) -> None:
    late = replacement(launched=NOW - timedelta(minutes=31), token=token)

    assert kinds(scene(host(), late)) == expected


def test_a_retired_host_is_terminated_only_after_the_days_of_a_parameter() -> None:
    settled = away(NEW, host=NEW)
    old = retired(host(state="stopped", volumes=(), launched=NOW - timedelta(days=9)), timedelta(days=8))
    used_again = replace(old, launched=NOW - timedelta(days=1))
    calm = scene(old, host(NEW), volumes=settled, record=Record("Z1", NAME, 5, IPS[NEW]))

    assert kinds(calm) == []
    assert kinds(calm, retired_host_days=9) == []
    assert kinds(calm, retired_host_days=7) == [Protect, Terminate]
    assert kinds(replace(calm, hosts={**calm.hosts, OLD: used_again}), retired_host_days=7) == []


# What is no death


def test_a_host_that_somebody_stopped_is_left_and_told() -> None:
    by_hand = host(state="stopped", reason=BY_A_PERSON)

    assert refusal(scene(by_hand)) == "stopped-by-people"
    assert kinds(scene(by_hand), is_stopped_by_people_replaced=True) == [Launch]


def test_our_own_fence_is_no_stop_by_a_person() -> None:
    ours = retired(host(state="stopped", reason=BY_A_PERSON, launched=NOW - timedelta(days=1)))

    assert kinds(scene(ours)) == [Launch]


def test_a_fence_from_before_its_last_start_says_nothing_of_a_host() -> None:
    again = replace(
        retired(host(state="stopped", reason=BY_A_PERSON), timedelta(hours=2)), launched=NOW - timedelta(hours=1)
    )

    assert refusal(scene(again)) == "stopped-by-people"


@pytest.mark.parametrize(
    ("check", "age"),
    [
        (impaired(timedelta(seconds=119)), timedelta(days=1)),
        (impaired(), timedelta(minutes=9)),
        (impaired(is_host=False), timedelta(days=1)),
        (impaired(windows=((NOW - timedelta(minutes=1), NOW + timedelta(hours=1)),)), timedelta(days=1)),
    ],
    ids=["less than two minutes", "a host younger than ten", "only a volume's check", "a maintenance window"],
)
def test_a_running_host_is_left_when_it_is(check: Any, age: timedelta) -> None:
    found = scene(host(launched=NOW - age), checks={OLD: check})

    assert kinds(found) == []


def test_a_look_stays_with_a_host_whose_checks_have_begun_to_fail() -> None:
    found = plan(scene(checks={OLD: impaired(timedelta(seconds=119))}), SETTINGS)

    assert not found.actions
    assert found.waits


def test_an_impaired_host_is_asked_first_and_its_answer_vetoes() -> None:
    asked = scene(checks={OLD: impaired()})
    answered = scene(checks={OLD: impaired()}, details=details(starts={OLD: (started(command="probe"),)}))

    assert [one.command for one in steps(asked) if isinstance(one, Send)] == ["probe"]
    assert refusal(answered) == "host-answers"


@pytest.mark.parametrize(
    "known",
    [
        details(is_reached={}),
        details(starts={OLD: (under_way(timedelta(seconds=11), "probe"),)}),
        details(starts={OLD: (started(command="probe", code=1),)}),
    ],
    ids=["no agent", "no answer in ten seconds", "an error"],
)
def test_silence_vetoes_nothing(known: Any) -> None:
    assert kinds(scene(checks={OLD: impaired()}, details=known)) == [Launch]


def test_a_host_that_was_to_be_stopped_ten_minutes_ago_and_runs_is_asked_again_and_fenced_anew() -> None:
    def ill(ago: int, **more: Any) -> Scene:
        return scene(retired(host(), timedelta(minutes=ago)), replacement(), checks={OLD: impaired()}, **more)

    silent = details(is_reached={})

    assert [kinds(ill(ago)) for ago in (9, 10)] == [[Stop], [Send]]
    assert [kinds(ill(ago, details=silent)) for ago in (9, 10)] == [[Stop], [Tag, Stop]]


def test_that_a_replacement_runs_already_spares_no_question() -> None:
    stray, troubled = replacement(), details(zone=Zone(10, 9))

    asked = steps(scene(host(), stray, checks={OLD: impaired()}))

    assert [one.command for one in asked if isinstance(one, Send)] == ["probe"]
    assert refusal(scene(host(), stray, checks={OLD: impaired()}, details=troubled)) == "zone-looks-dead"


def test_many_dead_hosts_of_a_zone_are_a_bad_hour_of_the_zone() -> None:
    silent = details(is_reached={})
    checks = {OLD: impaired()}

    assert refusal(scene(checks=checks, details=replace(silent, zone=Zone(8, 3)))) == "zone-looks-dead"
    assert refusal(scene(checks=checks, details=replace(silent, zone=Zone(is_read=False)))) == "zone-looks-dead"
    assert refusal(scene(checks=checks, details=replace(silent, zone=Zone(9, 3)))) is None
    assert kinds(scene(host(state="terminated"), volumes=away(), details=replace(silent, zone=Zone(8, 8)))) == [Launch]


def test_a_volume_that_somebody_detached_is_left_and_told() -> None:
    assert refusal(scene(host(volumes=(WAL,)), volumes=(volume(DATA, None), volume(WAL)))) == "detached-while-healthy"


def test_a_replacement_that_was_launched_in_vain_entitles_to_nothing() -> None:
    stray, stopped = replacement(), host(state="stopped", reason=BY_A_PERSON)

    assert refusal(scene(host(), stray, volumes=(volume(DATA), volume(WAL, None)))) == "detached-while-healthy"
    assert refusal(scene(stopped, stray)) == "stopped-by-people"


def test_a_move_that_has_begun_goes_on_whoever_stops_or_starts_the_old_host_meanwhile() -> None:
    target = replacement(volumes=(DATA,))
    moved = (volume(DATA, NEW), volume(WAL, OLD))
    earlier = retired(host(volumes=(WAL,)), timedelta(hours=2))

    assert refusal(scene(replace(earlier, state="stopped", reason=BY_A_PERSON), target, volumes=moved)) is None
    assert refusal(scene(earlier, replacement(), volumes=(volume(DATA), volume(WAL, None)))) is None


@pytest.mark.parametrize(
    ("state", "since", "expected"), [("busy", 0, True), ("attaching", 5, True), ("attaching", 4, False)]
)
def test_a_volume_that_hangs_on_a_host_that_runs_is_told(state: str, since: int, expected: bool) -> None:
    hanging = volume(WAL, OLD, state)
    assert hanging.attachment
    hanging = replace(hanging, attachment=replace(hanging.attachment, since=NOW - timedelta(minutes=since)))

    found = plan(scene(volumes=(volume(DATA), hanging)), SETTINGS)

    assert (found.refusal is not None and found.refusal.name == "volume-hangs") is expected
    assert bool(found.waits) is not expected


def test_a_volume_that_is_busy_on_its_new_host_is_told_and_waited_for() -> None:
    moved = (volume(DATA, NEW), volume(WAL, NEW, "busy"))
    found = plan(scene(host(state="terminated"), replacement(volumes=(DATA, WAL)), volumes=moved), SETTINGS)

    assert found.refusal
    assert (found.refusal.name, len(found.waits)) == ("volume-hangs", 1)


def test_a_volume_on_an_instance_that_nothing_says_is_a_host_is_left_and_told() -> None:
    stranger = host(NEW, tags={})

    assert refusal(scene(host(state="stopped", reason=AWS_STOPPED), stranger, volumes=away(NEW))) == "moved-by-hand"


def test_a_retired_host_that_somebody_started_and_gave_the_volumes_back_is_the_host_again() -> None:
    back = (volume(DATA, host=NEW), volume(WAL, host=NEW))
    began_again = retired(host(launched=NOW - timedelta(minutes=5)), timedelta(days=2))
    given_up = retired(host(launched=NOW - timedelta(days=1)), timedelta(minutes=5))

    (start,) = steps(scene(began_again, volumes=back))

    assert isinstance(start, Send)
    assert (start.host, start.command) == (OLD, "start")
    assert kinds(scene(given_up, volumes=back)) == [Launch]


def test_a_database_that_was_never_settled_is_not_moved() -> None:
    unsettled = away(OLD, host="", volumes="")

    assert refusal(scene(host(state="stopped", reason=AWS_STOPPED), volumes=unsettled)) == "never-settled"


def test_a_paused_database_is_left_exactly_as_it_is() -> None:
    calm = scene(host(dying=(DATA,)), volumes=away(OLD, paused="moving", refused="paused 2026-11-22T04:00:00Z"))
    dead = scene(host(state="terminated"), volumes=away(None, paused="moving"))

    assert plan(calm, SETTINGS).is_empty
    assert refusal(dead) == "paused"
    assert kinds(dead) == [Tag]  # of the refusal alone


@pytest.mark.parametrize(
    "change",
    [
        {"tags": {**host().tags, GROUP: "asg-1"}},
        {"is_spot": True},
        {"is_managed": True},
        {"tags": {}},
        {"root": DATA},
    ],
    ids=["in an Auto Scaling group", "spot", "managed by a service", "not tagged", "the database on its root"],
)
def test_what_is_not_ours_to_kill_is_named_on_a_calm_day_and_refused_on_another(change: dict[str, Any]) -> None:
    odd = replace(host(), **change)

    assert refusal(scene(odd)) == "not-ours-to-kill"
    assert refusal(scene(replace(odd, state="stopped", reason=AWS_STOPPED))) == "not-ours-to-kill"


@pytest.mark.parametrize("known", [details(foreign=("vol-b",)), details(is_stop_protected=True)])
def test_a_host_that_holds_others_volumes_or_may_not_be_stopped_is_not_ours(known: Any) -> None:
    assert refusal(scene(host(state="stopped", reason=AWS_STOPPED), details=known)) == "not-ours-to-kill"


def test_a_volume_that_two_may_write_to_is_not_moved() -> None:
    shared = tuple(replace(one, is_shared=True) for one in away(None))

    assert refusal(scene(host(state="terminated"), volumes=shared)) == "not-ours-to-kill"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("sick-volume", details(sick=(DATA,))),
        ("key-not-usable", details(foreign_keys=("arn:key",))),
        ("launch-template-elsewhere", details(launch_zone="eu-central-1b")),
        ("launch-template-elsewhere", details(launch_zone="")),
        ("launch-template-tags-volumes", details(launch_role="database")),
    ],
)
def test_what_a_new_host_would_not_cure_is_refused(name: str, known: Any) -> None:
    assert refusal(scene(host(state="stopped", reason=AWS_STOPPED), details=known)) == name


def test_what_another_host_was_launched_with_is_none_of_the_databases_volumes_whatever_its_tags() -> None:
    root = replace(volume("vol-0", NEW, host="", volumes=""), attachment=Attachment(NEW, "attached", NOW, True))
    ours = away(OLD)

    assert counted((root, *ours)) == ours
    assert counted((replace(root, attachment=Attachment(OLD, "attached", NOW, True)), *ours))[1:] == ours
    assert counted((replace(root, attachment=Attachment(NEW, "attached", NOW)), *ours))[1:] == ours
    assert counted((replace(root, attachment=None), *ours))[1:] == ours
    assert counted((root,)) == (root,)


def test_twelve_volumes_are_more_than_a_tag_remembers() -> None:
    many = tuple(volume(f"vol-{number:017}", volumes="") for number in range(12))
    few = many[:11]
    stopped = host(state="stopped", reason=AWS_STOPPED)

    assert refusal(scene(volumes=many)) == refusal(scene(stopped, volumes=many)) == "too-many-volumes"
    assert refusal(scene(volumes=few)) is None


def test_what_only_the_end_of_a_host_would_show_is_told_on_a_calm_day_and_prevents_nothing() -> None:
    known = details(is_termination_protected=True, is_due=True, starts={OLD: (started(command="record"),)})
    tied = Interface("eni-1", "10.0.0.9", OLD, "eni-attach-1", "attached", "payroll", is_deleted_with_host=True)
    on_old = away(OLD, address="eni-1")

    assert refusal(scene(details=known)) == "protected-from-termination"
    assert kinds(scene(details=known)) == [Rehearse, Tag]  # of the refusal
    assert refusal(scene(volumes=on_old, record=tied)) == "interface-goes-with-host"
    stopped = retired(host(state="stopped", reason=AWS_STOPPED))
    assert kinds(scene(stopped, replacement(), volumes=on_old, record=tied)) == [MoveInterface, Detach, Detach]


def test_two_launch_templates_are_one_too_many() -> None:
    two = (scene().launches[0], replace(scene().launches[0], id="lt-2"))

    assert refusal(scene(host(state="terminated"), volumes=away(), launches=two)) == "two-launch-templates"


# Launching


def test_a_terminated_host_is_replaced_and_the_anchor_remembers_it_before() -> None:
    (launch,) = steps(scene(host(state="terminated"), volumes=away()))

    assert isinstance(launch, Launch)
    assert launch.number == 0
    assert launch.replaced == f"{stamp(NOW)}={OLD}.0"


def test_a_host_that_ec2_does_not_know_any_more_counts_as_terminated() -> None:
    assert kinds(replace(scene(volumes=away()), hosts={})) == [Launch]


def test_a_replacement_that_died_is_followed_by_the_next_number() -> None:
    (launch,) = steps(scene(host(state="terminated"), replacement(0, "terminated"), volumes=away()))

    assert isinstance(launch, Launch)
    assert launch.number == 1


def test_three_replacements_in_a_day_are_all() -> None:
    spent = " ".join(f"{stamp(NOW - timedelta(hours=hours))}=i-9.{hours}" for hours in (1, 2, 3))
    long_ago = " ".join(f"{stamp(NOW - timedelta(hours=24 + hours))}=i-9.{hours}" for hours in (1, 2, 3))

    assert refusal(scene(host(state="terminated"), volumes=away(replaced=spent))) == "budget-spent"
    assert kinds(scene(host(state="terminated"), volumes=away(replaced=long_ago))) == [Launch]


def test_a_replacement_that_nothing_shows_any_more_is_followed_by_the_next_number_within_the_budget() -> None:
    times = " ".join(f"{stamp(NOW - timedelta(hours=ago))}={OLD}.{2 - ago}" for ago in (2, 1))
    gone = details(last_gone=1)

    (step,) = steps(scene(host(state="terminated"), volumes=away(replaced=times), details=gone))
    assert isinstance(step, Launch)
    assert step.number == 2
    assert (
        refusal(scene(host(state="terminated"), volumes=away(replaced=times), details=gone), budget=2) == "budget-spent"
    )


def test_a_replacement_that_was_counted_is_not_counted_again() -> None:
    counted = f"{stamp(NOW)}=i-9.0 {stamp(NOW)}=i-9.1 {stamp(NOW)}={OLD}.0"

    (launch,) = steps(scene(host(state="terminated"), volumes=away(replaced=counted)))

    assert isinstance(launch, Launch)
    assert launch.replaced is None


def test_a_host_that_died_within_ten_minutes_is_not_replaced_at_once() -> None:
    young = host(state="terminated", launched=NOW - timedelta(minutes=9))

    found = plan(scene(young, volumes=away()), SETTINGS)

    assert not found.actions
    assert found.waits


# Fencing


def test_a_running_host_is_not_stopped_before_a_replacement_is_there() -> None:
    silent = details(is_reached={})

    assert kinds(scene(checks={OLD: impaired()}, details=silent)) == [Launch]
    assert kinds(scene(host(), replacement(state="pending"), checks={OLD: impaired()}, details=silent)) == [Tag, Stop]


def test_retired_is_written_before_the_stop_and_volumes_are_kept_before_both() -> None:
    found = steps(scene(host(dying=(DATA,)), replacement(), checks={OLD: impaired()}, details=details(is_reached={})))

    assert [type(one) for one in found] == [Protect, Tag, Stop]
    assert isinstance(found[1], Tag)
    assert set(found[1].words) == {tags.RETIRED}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(10, []), (31, [(Stop, True)]), (91, [(Protect, None), (Terminate, None)])],
)
def test_a_host_that_hangs_in_stopping_is_forced_and_then_terminated(seconds: int, expected: list[Any]) -> None:
    hung = retired(host(state="stopping"), timedelta(seconds=seconds))

    found = steps(scene(hung, replacement()))

    assert [(type(one), getattr(one, "force", None)) for one in found] == expected


def test_no_volume_leaves_a_host_that_is_not_seen_stopped() -> None:
    for state in ("running", "stopping"):
        assert Detach not in kinds(scene(retired(host(state=state)), replacement(), checks={OLD: impaired()}))
    assert kinds(scene(retired(host(state="stopped")), replacement())) == [Detach, Detach]


def test_the_anchor_is_detached_last_and_attached_first() -> None:
    leaving = steps(scene(retired(host(state="stopped")), replacement()))
    coming = steps(scene(retired(host(state="stopped", volumes=())), replacement(), volumes=away()))

    assert [one.volume for one in leaving if isinstance(one, Detach)] == [WAL, DATA]
    assert [one.volume for one in coming if isinstance(one, Attach)] == [DATA, WAL]


def test_the_others_follow_only_to_who_holds_the_anchor() -> None:
    split = (volume(DATA, OLD, "detaching"), volume(WAL, None))

    assert Attach not in kinds(scene(retired(host(state="stopped")), replacement(), volumes=split))


def test_a_busy_volume_is_forced_only_from_a_stopped_host() -> None:
    busy = (volume(DATA), volume(WAL, OLD, "busy"))

    (first, second) = steps(scene(retired(host(state="stopped")), replacement(), volumes=busy))

    assert first == Detach(WAL, OLD, first.reason, force=True)  # type: ignore[attr-defined]
    assert second == Detach(DATA, OLD, second.reason)  # type: ignore[attr-defined]
    assert Detach not in kinds(scene(retired(host(state="stopping")), replacement(), volumes=busy))


def test_attaching_that_does_not_end_is_tried_under_another_name_and_then_on_another_host() -> None:
    hanging = tuple(
        replace(one, attachment=replace(one.attachment, since=NOW - timedelta(minutes=6)))
        for one in (volume(DATA, NEW, "attaching"), volume(WAL, NEW, "attaching"))
        if one.attachment
    )
    old = retired(host(state="stopped", volumes=()), timedelta(minutes=7))

    assert kinds(scene(old, replacement(launched=NOW - timedelta(minutes=7)), volumes=hanging)) == [Detach, Detach]
    assert kinds(scene(old, replacement(launched=NOW - timedelta(minutes=13)), volumes=hanging)) == [Tag]


def test_an_old_host_that_runs_again_without_a_volume_is_left_alone() -> None:
    again = retired(host(volumes=(), launched=NOW - timedelta(seconds=20)), timedelta(minutes=2))

    assert kinds(scene(again, replacement(), volumes=away())) == [Attach, Attach]


# What lasts


def stands(since: int, **more: Any) -> Scene:
    """A move to a replacement that was launched so many minutes ago, and counted; its host was terminated."""
    counted = f"{stamp(NOW - timedelta(minutes=since))}={OLD}.0"
    target = replacement(volumes=(DATA, WAL), launched=NOW - timedelta(minutes=since))
    wal = volume(WAL, OLD, replaced=counted)
    assert wal.attachment
    busy = replace(wal.attachment, state="busy")
    held = (replace(volume(DATA, OLD, replaced=counted), attachment=busy), wal)
    return scene(more.pop("old", host(state="shutting-down")), target, **{"volumes": held, **more})


def test_a_move_that_stands_still_for_twenty_minutes_is_told_with_what_ends_it_and_goes_on() -> None:
    early, late = plan(stands(19), SETTINGS), plan(stands(20), SETTINGS)

    assert (early.refusal, len(early.waits)) == (None, 2)
    assert late.refusal
    assert (late.refusal.name, late.waits) == ("takes-long", early.waits)
    assert f"detach-volume --force --instance-id {OLD}" in late.refusal.sentence
    assert refusal(stands(20, details=None)) is None


def test_a_volume_that_hangs_on_its_way_to_the_new_host_is_told_without_a_word_of_stopping_that() -> None:
    counted = f"{stamp(NOW - timedelta(minutes=90))}={OLD}.0"
    wal = volume(WAL, NEW, "attaching", replaced=counted)
    assert wal.attachment
    wal = replace(wal, attachment=replace(wal.attachment, since=NOW - timedelta(minutes=21)))
    found = plan(stands(90, volumes=(volume(DATA, NEW, replaced=counted), wal)), SETTINGS).refusal

    assert found
    assert found.name == "takes-long"
    assert f"Attaching {WAL} to {NEW} does not end: aws ec2 detach-volume --instance-id {NEW}" in found.sentence
    assert "stop it" not in found.sentence
    assert "--force" not in found.sentence


@pytest.mark.parametrize(("minutes", "told"), [(19, None), (20, "takes-long")])
def test_an_address_that_does_not_arrive_at_a_host_that_is_well_is_told(minutes: int, told: str | None) -> None:
    since = NOW - timedelta(minutes=minutes)
    coming = Interface("eni-1", "10.0.0.9", OLD, "eni-attach-1", "attaching", "payroll", since=since)

    found = plan(scene(volumes=away(OLD, address="eni-1"), record=coming), SETTINGS)

    assert found.waits == (f"eni-1 is attached to {OLD}: attaching",)
    assert (found.refusal.name if found.refusal else None) == told
    if found.refusal:
        assert "--attachment-id eni-attach-1" in found.refusal.sentence


def test_a_move_that_got_on_a_moment_ago_stands_still_for_no_time() -> None:
    assert refusal(stands(90)) == "takes-long"
    again = details(starts={NEW: (started(timedelta(hours=1), code=210), under_way())})
    there = away(NEW, replaced=f"{stamp(NOW - timedelta(hours=1))}={OLD}.0")
    assert refusal(stands(90, volumes=there, details=again)) is None
    assert refusal(stands(90, old=retired(host(state="stopping"), timedelta(seconds=9)))) is None


def test_a_host_that_is_well_again_and_that_ssm_does_not_reach_is_told_without_a_word_of_force() -> None:
    kept = retired(host(), timedelta(minutes=21))

    found = plan(scene(kept, details=details(is_reached={})), SETTINGS).refusal

    assert found
    assert found.name == "takes-long"
    assert f"SSM reaches {OLD}" in found.sentence
    assert "--force" not in found.sentence


def test_what_a_terminated_host_does_not_let_go_of_is_taken_by_force_after_a_while() -> None:
    gone = host(state="terminated")

    assert Detach not in kinds(stands(1, old=gone))
    (step,) = steps(stands(2, old=gone))
    assert step == Detach(DATA, OLD, step.reason, force=True)  # type: ignore[attr-defined]
    assert Detach not in kinds(stands(2))  # which is not terminated yet


def test_a_volume_that_does_not_end_leaving_the_new_host_is_followed_by_another_host() -> None:
    stuck = tuple(
        replace(one, attachment=replace(one.attachment, since=NOW - timedelta(minutes=6)))
        for one in (volume(DATA, NEW, "detaching"), volume(WAL, NEW, "detaching"))
        if one.attachment
    )
    old = retired(host(state="stopped", volumes=()), timedelta(minutes=7))

    assert kinds(scene(old, replacement(launched=NOW - timedelta(minutes=7)), volumes=stuck)) == []
    assert kinds(scene(old, replacement(launched=NOW - timedelta(minutes=13)), volumes=stuck)) == [Tag]


def test_a_volume_on_a_host_that_ec2_does_not_know_is_told_and_waited_for() -> None:
    found = plan(replace(scene(), hosts={}), SETTINGS)

    assert found.refusal
    assert (found.refusal.name, len(found.waits)) == ("host-unknown", 1)
    assert kinds(replace(scene(), hosts={})) == [Tag]  # of the refusal alone


def test_a_launch_template_that_loses_its_tag_is_told_while_a_move_has_begun() -> None:
    assert refusal(stands(1, launches=())) == "launch-template-gone"
    assert refusal(scene(retired(host(state="stopped")), launches=())) == "launch-template-gone"
    old = away(replaced=f"{stamp(NOW - timedelta(days=2))}={OLD}.0")
    assert refusal(replace(scene(volumes=old, launches=()), hosts={})) == "launch-template-gone"
    assert refusal(scene(volumes=away(OLD, replaced=f"{stamp(NOW - timedelta(days=2))}={OLD}.0"), launches=())) is None
    assert refusal(scene(host(volumes=(WAL,)), volumes=(volume(DATA, None), volume(WAL)), launches=())) is None
    assert refusal(scene(volumes=away(OLD, replaced=f"{stamp(NOW)}={OLD}.0"), launches=())) is None


# No capacity


def test_where_no_other_host_is_to_be_had_the_old_one_is_started_on_other_hardware() -> None:
    failed = details(is_reached={}, failure=Failure("InsufficientInstanceCapacity", "no room"))

    hung = scene(checks={OLD: impaired()}, details=failed)
    stopped = scene(retired(host(state="stopped")), details=failed)

    assert refusal(hung) == refusal(stopped) == "no-capacity"
    assert kinds(hung)[:2] == [Tag, Stop]
    assert kinds(stopped)[0] == StartAgain


def test_the_only_host_that_aws_stopped_is_written_down_before_it_is_started_so_that_it_is_proven_after() -> None:
    failed = details(failure=Failure("InsufficientInstanceCapacity", "no room"))
    stopped = scene(host(state="stopped", reason="Server.InternalError"), details=failed)

    assert kinds(stopped)[:2] == [Tag, StartAgain]


def test_the_only_host_is_never_terminated_for_want_of_capacity() -> None:
    failed = details(failure=Failure("InsufficientInstanceCapacity", "no room"))
    hung = retired(host(state="stopping"), timedelta(hours=1))

    assert Terminate not in kinds(scene(hung, details=failed))


def test_a_host_that_was_started_again_is_proven_and_then_its_retirement_is_taken_back() -> None:
    again = retired(host(launched=NOW - timedelta(minutes=3)), timedelta(minutes=4))

    (proof,) = steps(scene(again))
    proven = scene(again, details=details(starts={OLD: (started(timedelta(seconds=9)),)}))

    assert isinstance(proof, Send)
    assert kinds(proven) == [Untag]


# Starting


ON_NEW = away(NEW)
GONE = retired(host(state="stopped", volumes=()))
HAS = replacement(volumes=(DATA, WAL))


def test_a_database_is_started_once_all_its_volumes_are_attached() -> None:
    (sent,) = steps(scene(GONE, HAS, volumes=ON_NEW))

    assert isinstance(sent, Send)
    assert (sent.host, sent.command) == (NEW, "start")
    assert sent.parameters["volumeIds"] == f"{DATA} {WAL}"
    assert kinds(scene(GONE, HAS, volumes=(volume(DATA, NEW), volume(WAL, NEW, "attaching")))) == []


def test_the_address_moves_only_after_the_server_took_a_write_there() -> None:
    sent = scene(GONE, HAS, volumes=ON_NEW, details=details(starts={NEW: (under_way(),)}))
    done = scene(GONE, HAS, volumes=ON_NEW, details=details(starts={NEW: (started(),)}))

    assert kinds(sent) == []
    assert kinds(done) == [Point]


def test_it_is_told_and_settled_only_after_the_address_moved() -> None:
    found = plan(
        scene(
            GONE,
            HAS,
            volumes=ON_NEW,
            record=Record("Z1", NAME, 5, IPS[NEW]),
            details=details(starts={NEW: (started(),)}),
        ),
        SETTINGS,
    )

    assert [type(one) for one in found.actions] == [Tell, Tag]  # killed between the two, the next look finds it
    assert found.actions[1] == Tag(
        (DATA, WAL), {tags.HOST: NEW, tags.VOLUMES: f"{DATA} {WAL}"}, found.actions[1].reason
    )


def test_it_is_settled_first_when_nobody_could_be_told_for_minutes() -> None:
    long_ago = details(starts={NEW: (started(timedelta(minutes=6)),)})
    there = replacement(volumes=(DATA, WAL), launched=NOW - timedelta(minutes=7))

    found = plan(scene(GONE, there, volumes=ON_NEW, record=Record("Z1", NAME, 5, IPS[NEW]), details=long_ago), SETTINGS)

    assert [type(one) for one in found.actions] == [Tag, Tell]


def test_an_address_that_may_not_move_keeps_nobody_from_being_the_settled_host() -> None:
    there = replacement(volumes=(DATA, WAL))
    known = details(starts={NEW: (started(),)})
    odd = scene(host(state="terminated"), there, volumes=away(NEW), record=Odd("it is weighted."), details=known)

    told, settled, *_ = plan(odd, SETTINGS).actions

    assert refusal(odd) == "odd-address"
    assert isinstance(told, Tell)
    assert "Its address does not lead there" in told.text
    assert isinstance(settled, Tag)
    assert settled.words[tags.HOST] == NEW


def test_a_start_that_ended_well_counts_though_a_later_one_failed() -> None:
    both = (started(timedelta(seconds=20)), started(timedelta(seconds=10), code=210))
    again = retired(host(launched=NOW - timedelta(minutes=3)), timedelta(minutes=4))

    assert kinds(scene(GONE, HAS, volumes=ON_NEW, details=details(starts={NEW: both}))) == [Point]
    assert kinds(scene(again, details=details(starts={OLD: both}))) == [Untag]


def test_a_database_whose_tags_were_lost_on_the_way_is_started_on_the_host_that_we_launched_for_it() -> None:
    lost, known = away(NEW, host="", volumes=""), Record("Z1", NAME, 5, IPS[NEW])
    failed = started(timedelta(seconds=20), "record", 212, "No PostgreSQL runs.")

    def sent(*starts: Any, by_us: bool = True) -> Scene:
        there = HAS if by_us else replace(HAS, tags=host().tags)
        return scene(GONE, there, volumes=lost, record=known, details=details(starts={NEW: starts}))

    assert [one.command for one in steps(sent()) if isinstance(one, Send)] == ["record"]
    assert [one.command for one in steps(sent(failed)) if isinstance(one, Send)] == ["start"]
    assert [one.command for one in steps(sent(failed, by_us=False)) if isinstance(one, Send)] == ["record"]
    told, settled = plan(sent(failed, started()), SETTINGS).actions
    assert isinstance(told, Tell)
    assert f"Its host was {OLD}" in told.text
    assert isinstance(settled, Tag)
    assert settled.words[tags.HOST] == NEW


def test_a_start_from_before_the_hosts_last_boot_proves_nothing() -> None:
    before = details(starts={NEW: (started(timedelta(minutes=2)),)})

    assert kinds(scene(GONE, HAS, volumes=ON_NEW, details=before)) == [Send]


def test_a_start_from_before_a_volume_was_away_proves_nothing() -> None:
    assert ON_NEW[1].attachment
    again = replace(ON_NEW[1], attachment=replace(ON_NEW[1].attachment, since=NOW - timedelta(seconds=30)))
    early = replace(HAS, launched=NOW - timedelta(minutes=5))
    before, since = (details(starts={NEW: (started(timedelta(seconds=ago)),)}) for ago in (31, 29))

    assert kinds(scene(GONE, early, volumes=(ON_NEW[0], again), details=before)) == [Send]
    assert Send not in kinds(scene(GONE, early, volumes=(ON_NEW[0], again), details=since))


def test_a_database_that_recovers_is_told_and_asked_again() -> None:
    recovering = scene(GONE, HAS, volumes=ON_NEW, details=details(starts={NEW: (started(code=211),)}))

    assert refusal(recovering) == "recovering"
    assert kinds(recovering)[0] == Send


def test_a_start_that_failed_is_tried_three_times_and_then_told_with_its_last_words() -> None:
    def failed(*ago: int) -> Scene:
        sent = tuple(started(timedelta(seconds=one), code=210, error="FATAL: no space left.") for one in ago)
        return scene(GONE, HAS, volumes=ON_NEW, details=details(starts={NEW: sent}))

    assert kinds(failed(10)) == []
    assert kinds(failed(21)) == [Send]
    assert kinds(failed(50, 30)) == []
    assert refusal(failed(55, 40, 10)) == "start-failed"
    found = plan(failed(55, 40, 10), SETTINGS).refusal
    assert found
    assert "no space left" in found.sentence


@pytest.mark.parametrize("code", [212, 214])
def test_a_start_that_was_refused_is_not_tried_again(code: int) -> None:
    unfit = (started(code=code, error="It was made by PostgreSQL 15, and this host has 16."),)

    assert refusal(scene(GONE, HAS, volumes=ON_NEW, details=details(starts={NEW: unfit}))) == "start-refused"


def test_a_person_may_have_a_failed_start_tried_once_more() -> None:
    failed = tuple(started(timedelta(seconds=one), code=210) for one in (55, 40, 10))

    assert kinds(
        scene(GONE, HAS, volumes=ON_NEW, details=details(starts={NEW: failed}, forced_at=NOW - timedelta(seconds=1)))
    ) == [Send]


# Telling


def test_a_refusal_is_told_when_it_begins_and_forgotten_when_it_ends() -> None:
    by_hand = host(state="stopped", reason=BY_A_PERSON)
    known = away(OLD, refused="stopped-by-people 2026-11-22T04:00:00Z")

    assert [type(one) for one in plan(scene(by_hand), SETTINGS).actions] == [Tell, Tag]
    assert not plan(scene(by_hand, volumes=known), SETTINGS).actions
    assert kinds(scene(volumes=known)) == [Untag]


def test_what_is_told_of_a_host_that_is_well_is_forgotten_only_by_a_close_look_and_told_again_of_a_dead_one() -> None:
    told = away(OLD, refused="not-ours-to-kill 2026-11-22T04:00:00Z well")
    spot = host(is_spot=True)
    first, dead = plan(scene(spot), SETTINGS), plan(scene(replace(spot, state="stopped"), volumes=told), SETTINGS)

    assert [type(one) for one in first.actions] == [Tell, Tag]
    assert first.refusal
    assert first.refusal.is_advice
    assert first.actions[1] == Tag((DATA,), {tags.REFUSED: f"not-ours-to-kill {stamp(NOW)} well"}, "not-ours-to-kill")
    for one in (spot, host()):
        assert plan(scene(one, volumes=told, details=None), SETTINGS).is_empty
    assert kinds(scene(volumes=told)) == [Untag]
    assert [type(one) for one in dead.actions] == [Tell, Tag]
    assert dead.refusal
    assert not dead.refusal.is_advice


def test_a_refusal_of_a_host_that_is_well_again_is_only_remembered_as_advice() -> None:
    refused = away(OLD, refused="not-ours-to-kill 2026-11-22T04:00:00Z")
    full = away(OLD, refused="no-capacity 2026-11-22T04:00:00Z")
    failed = details(failure=Failure("InsufficientInstanceCapacity", "no room"))

    assert [type(one) for one in plan(scene(host(is_spot=True), volumes=refused), SETTINGS).actions] == [Tag]
    assert not plan(scene(volumes=full, details=failed), SETTINGS).actions  # of the move, in the look that ended it


def test_a_refusal_holds_while_it_is_asked_again_whether_it_does() -> None:
    known = away(OLD, refused="host-answers 2026-11-22T04:00:00Z")
    ill = {"volumes": known, "checks": {OLD: impaired()}}
    asked = details(starts={OLD: (under_way(command="probe"),)})

    assert kinds(scene(**ill)) == [Send]
    assert kinds(scene(**ill, details=asked)) == []
