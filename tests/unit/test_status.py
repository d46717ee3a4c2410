"""What is said of an application: what it has, lacks and waits for, and what comes next."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import DATA, NOW, WAL, host, snapshot_set, volume
from watchkeeper.aws.snapshots import Snapshot
from watchkeeper.backup.observe import State as Databases
from watchkeeper.errors import Refused
from watchkeeper.status.describe import Application, Status, describe
from watchkeeper.status.observe import State
from watchkeeper.status.settings import Settings
from watchkeeper.status.text import to_text, to_values, writer
from watchkeeper.status.words import ago, count, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.volumes import Volume

SETTINGS = Settings.from_env(
    {
        "APPLICATIONS": "*",
        "RETIRED": "oldshop",
        "FREEZE_DOCUMENT": "freeze",
        "LEASE_SECONDS": "20",
        "OVERDUE_HOURS": "26",
        "ON_FREEZE_FAILURE": "snapshot",
        "KEEP": "7d 4w",
        "KEEP_LAST": "3",
        "TIME_ZONE": "Europe/Berlin",
        "SNAPSHOT_SCHEDULE": "cron(30 4 * * ? *)",
        "PRUNE_SCHEDULE": "rate(1 day)",
        "REPLACE_DATABASE_HOSTS": "true",
        "REGISTER_WEB_NODES": "true",
        "REHEARSE_RESTORES": "true",
        "REHEARSAL_DAYS": "7",
        "FLOOR_PERCENT": "50",
        "HEALTHY_SECONDS": "300",
        "START_DOCUMENT": "start",
        "ALARM_PREFIX": "watchkeeper-database-host-",
        "NOTICES_TOPIC": "topic",
        "NOTICES_LOG_GROUP": "notices",
        "RECORD_NAMES": "*.payroll.internal",
        "TTL_SECONDS": "5",
        "BUDGET": "3",
        "FORCE_AFTER_SECONDS": "30",
        "TERMINATE_AFTER_SECONDS": "90",
        "REPLACE_STOPPED_BY_PEOPLE": "false",
        "RESTORE_WHEN_VOLUME_LOST": "false",
        "RETIRED_HOST_DAYS": "0",
        "ALLOW_COLLATION_CHANGE": "false",
        "AWS_LAMBDA_FUNCTION_NAME": "show-status",
    }
)
HOURS = timedelta(hours=1)


def told(
    volumes: Sequence[Volume] | None = None,
    *sets: SnapshotSet,
    at: Host | None = None,
    reached: bool = True,
    strangers: Sequence[Snapshot] = (),
    settings: Settings = SETTINGS,
) -> Status:
    """The status of an application with these volumes and sets; by default one volume on a running host."""
    some = [volume()] if volumes is None else list(volumes)
    held = at or host(volumes=tuple(one.id for one in some))
    names = sorted({one.application for one in some} | {one.application for one in sets})
    databases = Databases(
        {name: [one for one in some if one.application == name] for name in names},
        {held.id: held},
        {name: sorted((one for one in sets if one.application == name), key=lambda one: one.started) for name in names},
    )
    return describe(State(databases, strangers, frozenset({held.id} if reached else ()), some, []), settings, NOW)


def one_told(*arguments: object, **more: object) -> Application:
    (application,) = told(*arguments, **more).applications  # type: ignore[arg-type]
    return application


def paragraph(status: Status) -> str:
    """The text of the one application."""
    return to_text(status).split("\n\n")[1]


# Has


def test_what_it_has_is_told_in_lines() -> None:
    old = [snapshot_set(age * HOURS, volumes=(DATA, WAL)) for age in (40, 3)]

    text = paragraph(told([volume(), volume(WAL)], *old))

    assert text == (
        "payroll\n"
        "  has        an application-consistent set from 3 h ago, frozen for 80 ms\n"
        "             2 sets of 4 snapshots; kept are 7d 4w\n"
        f"             2 volumes, 16 GiB: {DATA} (8 GiB), {WAL} (8 GiB)\n"
        "             the host i-1, running, which SSM reaches\n"
        "             no new host when this one dies: it has no launch template\n"
        "  lacks      nothing"
    )


def test_a_newer_crash_set_does_not_hide_the_newest_application_set() -> None:
    text = paragraph(told(None, snapshot_set(9 * HOURS), snapshot_set(HOURS, consistency="crash")))

    assert "a crash-consistent set from 60 min ago" in text
    assert "an application-consistent set from 9 h ago" in text


def test_the_policy_of_its_tag_is_the_one_in_force() -> None:
    assert one_told([volume(keep="2d 1y")], snapshot_set()).policy == "2d 1y"


# Lacks


def test_nothing_is_lacking_where_all_is_well() -> None:
    assert one_told(None, snapshot_set(3 * HOURS)).lacks == ()


@pytest.mark.parametrize(
    ("said", "application"),
    [
        ("no finished application-consistent set", one_told()),
        ("no finished application-consistent set", one_told(None, snapshot_set(consistency="crash"))),
        ("is 30 h old; 26 h may be", one_told(None, snapshot_set(30 * HOURS))),
        ("SSM does not reach i-1", one_told(None, snapshot_set(), reached=False)),
        ("i-1 is stopped", one_told(None, snapshot_set(), at=host(state="stopped"))),
        ("must all be attached to one instance", one_told([volume(on=None)], snapshot_set(3 * HOURS))),
        (
            "tag it watchkeeper:application=payroll",
            one_told(None, snapshot_set(3 * HOURS), at=host(application="other")),
        ),
        ("no volume", one_told([], snapshot_set(30 * HOURS))),
        ("EBS gave up on the set from 2 h ago", one_told(None, snapshot_set(2 * HOURS, state="error"))),
        ("write it like", one_told([volume(keep="7days")], snapshot_set())),
    ],
)
def test_what_it_lacks_is_said(said: str, application: Application) -> None:
    assert said in " ".join(application.lacks)


def test_a_stopped_host_is_not_also_said_to_be_out_of_reach() -> None:
    lacks = one_told(None, snapshot_set(), at=host(state="stopped"), reached=False).lacks

    assert len(lacks) == 1


def test_a_paused_application_lacks_nothing_and_says_why_it_is_paused() -> None:
    status = told([volume(paused="moving house")])

    assert status.applications[0].lacks == ()
    assert paragraph(status).startswith("payroll is paused, and left exactly as it is: moving house\n")


def test_a_retired_application_lacks_nothing() -> None:
    assert one_told([], snapshot_set(90 * HOURS, application="oldshop")).lacks == ()


def test_those_that_lack_something_come_first() -> None:
    some = [volume(application="a"), volume(WAL, "b")]

    text = to_text(told(some, snapshot_set(application="a"), at=host(volumes=(DATA, WAL), application="a")))

    assert text.index("\nb\n") < text.index("\na\n")
    assert "2 applications, 1 in need of somebody." in text


# Waits for, and next


def test_a_set_that_is_still_copied_is_waited_for_with_its_progress() -> None:
    pending = snapshot_set(2 * HOURS, volumes=(DATA, WAL), state="pending")
    members = (replace(pending.members[0], state="completed"), replace(pending.members[1], progress="34%"))

    application = one_told([volume(), volume(WAL)], replace(pending, members=members))

    assert application.waits_for == ("EBS to copy the set from 2 h ago: 67 % of 2 snapshots.",)
    assert application.newest is not None
    assert not application.newest.is_finished


def test_progress_that_aws_does_not_tell_yet_is_none() -> None:
    assert one_told(None, snapshot_set(state="pending")).waits_for[0].endswith("0 % of 1 snapshot.")


def test_an_overdue_set_comes_within_the_hour() -> None:
    assert one_told().next == ("Within the hour a set is made, since none is new enough.",)
    assert one_told(None, snapshot_set()).next == ()


def test_what_pruning_will_take_is_said_before() -> None:
    daily = [snapshot_set(timedelta(days=age)) for age in range(15)]

    assert one_told(None, *daily).next == ("6 sets will go with the next pruning.",)


def test_what_pruning_refuses_is_lacking_and_not_next() -> None:
    application = one_told([volume(keep="1d")], *(snapshot_set(timedelta(days=age)) for age in range(40)))

    assert application.next == ()
    assert "more than half" in application.lacks[0]


def test_the_next_runs_are_told_in_the_time_zone_of_the_stack() -> None:
    heading = to_text(told()).split("\n\n")[0]

    assert heading == (
        "2026-11-22 05:30 Europe/Berlin. Watched, with Applications=*: 1 application, 1 in need of somebody.\n"
        "Next snapshots in 23 h (2026-11-23 04:30); what is overdue, within the hour.\n"
        "Next pruning as rate(1 day) says.\n"
        "Next look at the hosts of databases within the minute.\n"
        "Next look at web nodes within the minute.\n"
        "Next rehearsals within the hour, where no proof is new enough."
    )


# What else is seen


def test_where_nothing_is_watched_the_commands_to_begin_with_are_told() -> None:
    text = to_text(told([]))

    assert "Watched, with Applications=*: nothing." in text
    assert "--tags Key=watchkeeper:application,Value=NAME Key=watchkeeper:role,Value=database\n" in text
    assert "--tags Key=watchkeeper:application,Value=NAME Key=watchkeeper:role,Value=database-host\n" in text


def test_strangers_are_told() -> None:
    stranger = Snapshot("snap-9", "vol-9", NOW, "completed", tags={"watchkeeper:application": "payroll"})

    text = to_text(told(None, snapshot_set(), strangers=[stranger]))

    assert "snap-9 claims to be of a set of 'payroll' and is not" in text


def test_applications_of_other_stacks_are_named() -> None:
    watched = replace(SETTINGS, backup=replace(SETTINGS.backup, watched=("pay*",)))
    some = [volume(), volume(WAL, "shop")]

    assert "Not watched by this stack: shop." in told(some, settings=watched).remarks


def test_a_tag_with_a_typo_is_told() -> None:
    assert any("did you mean watchkeeper:keep?" in one for one in told([volume(keeep="7d")]).remarks)


# Forms


def test_as_json_times_are_iso_8601_and_nothing_else_is_lost() -> None:
    values = to_values(told(None, snapshot_set(3 * HOURS)))

    assert json.loads(json.dumps(values)) == values
    assert values["time"] == "2026-11-22T04:30:00Z"
    assert values["applications"][0]["newest"]["started"] == "2026-11-22T01:30:00Z"
    assert values["applications"][0]["volumes"] == {DATA: 8}


def test_another_form_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Refused, match="'xml' in the event; it may be text or json"):
        writer("xml")


def test_no_line_is_wider_than_a_terminal() -> None:
    many = [volume(f"vol-0aaaaaaaaaaaaaa{number}", on="i-1") for number in range(10, 20)]

    assert max(map(len, to_text(told(many, reached=False)).splitlines())) <= 120


@pytest.mark.parametrize(
    ("long", "said"),
    [
        (timedelta(seconds=-3), "a moment"),
        (timedelta(seconds=59), "a moment"),
        (timedelta(seconds=119), "1 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=400), "400 days"),
    ],
)
def test_a_span_is_said_in_the_coarsest_unit_of_which_there_are_two(long: timedelta, said: str) -> None:
    assert span(long) == said
    assert ago(long) == f"{said} ago"


def test_counts_are_said_with_their_noun() -> None:
    assert (count(0, "set"), count(1, "set"), count(12000, "set")) == ("0 sets", "1 set", "12,000 sets")
