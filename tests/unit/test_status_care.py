"""What is said of the host of a database: whether another would take its place, what is refused, what is under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import DATA, NOW, WAL
from tests.unit.scenes import NAME, NEW, OLD, away, host, impaired, replacement, retired, volume
from tests.unit.test_status import SETTINGS
from watchkeeper import tags
from watchkeeper.aws.addresses import Interface
from watchkeeper.aws.launches import Launch
from watchkeeper.backup.observe import State as Databases
from watchkeeper.look import stamp
from watchkeeper.status.describe import Status, describe
from watchkeeper.status.observe import State
from watchkeeper.status.text import to_text

if TYPE_CHECKING:
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.status.care import Care
    from watchkeeper.status.settings import Settings

OURS = {tags.APPLICATION: "payroll", tags.ROLE: tags.DATABASE_LAUNCH}
TEMPLATE = Launch("lt-1", "payroll", 1, tags=OURS)
TWO_HOURS = timedelta(hours=2)
HANDS_OFF = replace(SETTINGS, is_replacing=False)


def told(
    *hosts: Host,
    volumes: tuple[Volume, ...] | None = None,
    launches: tuple[Launch, ...] = (TEMPLATE,),
    settings: Settings = SETTINGS,
    **seen: Any,
) -> Status:
    """The status of a settled database of two volumes, by default on a host that is well."""
    some = (volume(DATA), volume(WAL)) if volumes is None else volumes
    known = {one.id: one for one in hosts or (host(),)}
    databases = Databases({"payroll": list(some)}, known, {"payroll": []})
    state = State(databases, (), frozenset(known), some, tuple(known.values()), launches, **seen)
    return describe(state, settings, NOW)


def cared(*hosts: Host, **more: Any) -> Care:
    (application,) = told(*hosts, **more).applications
    return application.care


def text(*hosts: Host, **more: Any) -> str:
    """All of it as one line, however it was wrapped."""
    return " ".join(to_text(told(*hosts, **more)).split())


def both(**words: str) -> tuple[Volume, ...]:
    return (volume(DATA, **words), volume(WAL, **words))


# Would it be replaced?


def test_a_host_that_would_be_replaced_is_told_with_template_and_address() -> None:
    assert f"a new host when this one dies, by lt-1, found at {NAME} as before" in text()
    assert (cared().why_not, cared().settled, cared().lacks) == ("", OLD, ())


def test_without_an_address_clients_have_to_be_told() -> None:
    assert "of which clients have to be told, for want of an address" in text(volumes=both(address=""))


@pytest.mark.parametrize(
    ("why", "more"),
    [
        ("it has no launch template", {"launches": ()}),
        ("it has no launch template", {"launches": (replace(TEMPLATE, tags={tags.APPLICATION: "payroll"}),)}),
        ("it is not settled on a host yet", {"volumes": both(host="", volumes="")}),
        ("it is paused", {"volumes": both(paused="moving house")}),
        ("it is paused", {"launches": (replace(TEMPLATE, paused="new image"),)}),
        ("ReplaceDatabaseHosts is false", {"settings": HANDS_OFF}),
    ],
)
def test_why_a_host_would_not_be_replaced_is_told(why: str, more: dict[str, Any]) -> None:
    assert cared(**more).why_not == why
    assert f"no new host when this one dies: {why}" in text(**more)


def test_without_a_launch_template_nothing_is_asked_for() -> None:
    found = cared(host(state="terminated"), volumes=away(), launches=())

    assert (found.lacks, found.waits_for, found.next) == ((), (), ())


def test_a_stack_that_replaces_nothing_says_so_in_its_heading() -> None:
    assert "Nobody looks after the hosts of databases: ReplaceDatabaseHosts is false." in text(settings=HANDS_OFF)


def test_a_first_host_is_waited_for_until_it_is_settled() -> None:
    (sentence,) = cared(volumes=both(host="", volumes="")).waits_for

    assert sentence == "replace_database_host, until its host remembers what lies where."
    assert cared(volumes=both(host="", volumes=""), settings=HANDS_OFF).waits_for == ()  # nobody would come


# What is refused


def test_what_the_plan_refuses_is_lacking_with_its_sentence_and_since_when() -> None:
    stopped = host(state="stopped", reason="Client.UserInitiatedShutdown")
    told_before = both(refused=f"stopped-by-people {stamp(NOW - TWO_HOURS)}")

    (sentence,) = cared(stopped, volumes=told_before).lacks

    assert sentence.startswith(f"Refused (stopped-by-people, 2 h ago): {OLD} was stopped by somebody")


def test_what_is_refused_for_the_first_time_has_no_age() -> None:
    (sentence,) = cared(launches=(TEMPLATE, replace(TEMPLATE, id="lt-2"))).lacks

    assert sentence.startswith("Refused (two-launch-templates): lt-1, lt-2 are all tagged")


def test_another_refusal_than_the_last_look_s_has_no_age_either() -> None:
    (sentence,) = cared(
        launches=(TEMPLATE, replace(TEMPLATE, id="lt-2")), volumes=both(refused=f"sick-volume {stamp(NOW)}")
    ).lacks

    assert sentence.startswith("Refused (two-launch-templates): ")


def test_what_only_a_closer_look_can_see_is_told_by_its_name_and_where_to_ask() -> None:
    found = cared(volumes=both(refused=f"sick-volume {stamp(NOW - TWO_HOURS)}"))

    assert found.lacks[0].startswith("Refused (sick-volume, 2 h ago): the notice said why")
    assert '{"application": "payroll", "dry_run": true}' in found.lacks[0]
    assert (found.refused, found.refused_since) == ("sick-volume", NOW - TWO_HOURS)


def test_a_refusal_comes_before_all_else_that_is_lacking() -> None:
    (application,) = told(volumes=both(refused=f"sick-volume {stamp(NOW)}")).applications

    assert "sick-volume" in application.lacks[0]
    assert "no finished application-consistent set" in application.lacks[1]


def test_a_network_interface_is_read_and_not_held_for_gone() -> None:
    found = both(address="eni-0123456789abcdef0")
    there = Interface("eni-0123456789abcdef0", "10.0.0.9", OLD, "eni-attach-1", "attached", "payroll")

    assert cared(volumes=found, interfaces={there.id: there}).lacks == ()
    assert "There is no network interface" in cared(volumes=found).lacks[0]


# What is under way, what was, and what it costs


@pytest.mark.parametrize(
    ("dead", "checks"),
    [
        (host(state="terminated"), {}),
        (host(state="stopped", reason="Server.InternalError"), {}),
        (host(), {OLD: impaired()}),
    ],
)
def test_a_dead_host_is_replaced_within_the_minute(dead: Host, checks: dict[str, Any]) -> None:
    (sentence,) = cared(dead, volumes=both() if dead.state != "terminated" else away(), impaired=checks).next

    assert sentence.startswith(f"Within the minute its host is replaced: {OLD} is")


def test_a_host_that_died_soon_after_its_start_is_waited_for() -> None:
    young = host(state="terminated", launched=NOW - timedelta(minutes=4))

    assert cared(young, volumes=away()).next == (
        f"Ten minutes after it was started its host is replaced: {OLD} is gone.",
    )


def test_a_dead_host_that_nobody_looks_after_is_lacking() -> None:
    found = cared(host(state="terminated"), volumes=away(), settings=HANDS_OFF)

    assert found.lacks == (f"{OLD} is gone, and nothing looks after it by itself: ReplaceDatabaseHosts is false.",)
    assert found.next == ()


def test_a_move_is_waited_for_with_its_target() -> None:
    found = cared(retired(host(state="stopping")), replacement(state="pending"))

    assert found.waits_for == (f"its database to move to {NEW}, which is pending: {OLD} is dead.",)
    assert (found.moving_to, found.next) == (NEW, ())


def test_a_refusal_that_is_tried_again_says_so() -> None:
    found = cared(host(state="terminated"), volumes=away(refused=f"no-capacity {stamp(NOW)}"))

    assert "Refused (no-capacity" in found.lacks[0]
    assert found.next == (f"Within the minute it is tried again: {OLD} is gone.",)


def test_the_replacements_of_a_day_are_counted_and_no_older_ones() -> None:
    recent, old = NOW - TWO_HOURS, NOW - timedelta(hours=30)

    more = {"volumes": both(replaced=f"{stamp(old)}=i-0.0 {stamp(recent)}={OLD}.0 nonsense")}

    assert cared(**more).replaced == (recent,)
    assert "1 replacement begun within 24 h, the last 2 h ago" in text(**more)


def test_retired_hosts_that_stay_stopped_are_told_with_what_they_cost() -> None:
    kept = retired(host(NEW, "stopped", volumes=()), timedelta(days=3))

    found = told(host(), kept)

    assert found.applications[0].care.retired == {NEW: NOW - timedelta(days=3)}
    assert f"1 retired host, stopped, of which the root volumes cost: {NEW} (3 days)" in text(host(), kept)


def test_a_host_that_is_still_being_stopped_is_not_told_as_one_that_costs() -> None:
    assert cared(retired(host(state="stopping")), replacement()).retired == {}


def test_new_volumes_on_their_way_to_their_first_host_are_no_death() -> None:
    young = tuple(replace(one, created=NOW) for one in away(host="", volumes=""))

    found = cared(host(volumes=()), volumes=young)

    assert found.waits_for == ("replace_database_host, until its volumes are attached.",)
    assert found.next == ()


@pytest.mark.parametrize("state", ["running", "terminated"])
def test_a_volume_that_is_not_found_is_lacking_and_nothing_is_promised(state: str) -> None:
    found = cared(host(state=state), volumes=(volume(DATA, OLD if state == "running" else None),))

    assert found.lacks == (f"{WAL}, on which it was settled, is not found by its tags.",)
    assert (found.waits_for, found.next) == ((), ())


def test_an_application_that_is_retired_itself_is_not_judged() -> None:
    gone = replace(SETTINGS, backup=replace(SETTINGS.backup, retired=("payroll",)))

    assert cared(host(state="terminated"), volumes=away(), settings=gone).next == ()


def test_an_application_without_volumes_is_left_to_those_who_miss_it() -> None:
    assert cared(volumes=()).lacks == ()
