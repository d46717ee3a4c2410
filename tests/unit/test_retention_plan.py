"""What becomes of each application: its policy, and when nothing of it may be deleted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import DATA, NOW, WAL, snapshot_set, volume
from tests.unit.test_retention_policy import ENVIRONMENT
from watchkeeper.errors import Refused
from watchkeeper.look import Look
from watchkeeper.retention.judge import Delete, Keep
from watchkeeper.retention.observe import State
from watchkeeper.retention.plan import Plan, plan
from watchkeeper.retention.serve import Clients, serve
from watchkeeper.retention.settings import Settings

if TYPE_CHECKING:
    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.retention.judge import Verdict

DAY = timedelta(days=1)


def nights(count: int, application: str = "payroll") -> list[SnapshotSet]:
    return [snapshot_set(DAY * age, application=application, name=f"{application} {age}") for age in range(count)]


def planned(
    sets: list[SnapshotSet], volumes: list[Volume], look: Look | None = None, **parameters: str
) -> dict[str, Plan]:
    """The plans by application, for a stack that keeps 7d."""
    everyone = {one.application for one in sets}
    state = State(
        {name: [one for one in sets if one.application == name] for name in everyone},
        {name: [one for one in volumes if one.application == name] for name in everyone},
        [],
    )
    parameters = Settings.from_env(ENVIRONMENT | {"KEEP": "7d", "KEEP_LAST": "1"} | parameters)  # type: ignore[assignment]
    return {one.application: one for one in plan(state, look or Look(NOW), parameters, NOW)}  # type: ignore[arg-type]


def test_what_looks_broken_because_a_tag_of_its_other_snapshot_was_edited_is_kept() -> None:
    whole = snapshot_set(DAY * 40, volumes=(DATA, WAL), name="edited")
    half, other = replace(whole, members=whole.members[:1]), whole.members[1]
    newer = snapshot_set(DAY * 2, volumes=(DATA, WAL))
    settings = Settings.from_env(ENVIRONMENT | {"KEEP": "7d", "KEEP_LAST": "1"})

    def fate(strangers: list[Snapshot]) -> Verdict:
        state = State({"payroll": [half, newer]}, {"payroll": [volume()]}, strangers)
        return plan(state, Look(NOW), settings, NOW)[0].verdicts[0]

    assert isinstance(fate([]), Delete)
    assert isinstance(fate([replace(other, tags={})]), Keep)
    assert isinstance(fate([replace(other, tags={}, started=NOW)]), Delete)


def test_each_application_follows_its_own_policy() -> None:
    sets = nights(12) + nights(12, "billing")

    plans = planned(sets, [volume(keep="3d"), volume(application="billing")])

    assert {name: (one.policy, len(one.deletes)) for name, one in plans.items()} == {
        "billing": ("7d", 5),
        "payroll": ("3d", 9),
    }


@pytest.mark.parametrize(
    ("volumes", "reason"),
    [
        ([volume(paused="moving house")], "the application is paused: moving house"),
        ([volume(), volume(WAL, paused="")], "the application is paused: "),
        ([], "no volume is tagged payroll any more: tag it again, or name it in Retired"),
        ([volume(keep="7x")], "its policy cannot be read"),
        ([volume(keep="")], "its policy cannot be read"),
        ([volume(keep="0d")], "its policy cannot be read"),
        ([volume(DATA, keep="7d"), volume(WAL, keep="8d")], "its policy cannot be read"),
    ],
)
def test_nothing_is_deleted_of_an_application_that_is_paused_lost_or_has_no_policy(
    volumes: list[Volume], reason: str
) -> None:
    plans = planned(nights(60) + nights(10, "billing"), [*volumes, volume(application="billing")])

    assert {verdict.reason for verdict in plans["payroll"].verdicts} == {reason}
    assert all(isinstance(verdict, Keep) for verdict in plans["payroll"].verdicts)
    assert len(plans["billing"].deletes) == 3


@given(st.text(max_size=12).filter(lambda text: not any(unit in text for unit in "hdwmy")))
def test_a_policy_that_cannot_be_read_deletes_nothing_and_says_whose_it_is(text: str) -> None:
    plans = planned(nights(60), [volume(keep=text)])

    assert plans["payroll"].deletes == ()
    assert f"watchkeeper:keep of {DATA}, of 'payroll', is {text!r}" in str(plans["payroll"].refusal)


def test_an_application_that_is_lost_follows_the_stacks_policy_once_it_is_retired_by_name() -> None:
    plans = planned(nights(12), [], RETIRED="ledger,payroll")

    assert (plans["payroll"].policy, len(plans["payroll"].deletes)) == ("7d", 5)


@pytest.mark.parametrize(
    ("sets", "keep", "is_refused"),
    [
        (22, "11d", False),  # half
        (23, "11d", True),  # 12 of 23
        (21, "10d", True),  # 11 of 21
        (20, "9d", True),  # 11 of 20
        (11, "1d", False),  # all but one, and only ten
        (12, "1d", True),
    ],
)
def test_more_than_half_and_more_than_ten_are_refused_in_numbers(sets: int, keep: str, is_refused: bool) -> None:
    plans = planned(nights(sets) + nights(8, "billing"), [volume(keep=keep), volume(application="billing")])

    wanted = len(plans["payroll"].deletes)
    assert (plans["payroll"].refusal is not None) is is_refused
    if is_refused:
        assert f"Keeping {keep} of 'payroll' would delete {wanted} of its {sets} sets" in str(plans["payroll"].refusal)
        assert '{"application": "payroll", "force": true}' in str(plans["payroll"].refusal)
    assert plans["billing"].refusal is None


def test_what_is_refused_is_planned_when_the_event_says_force() -> None:
    plans = planned(nights(60), [volume()], Look(NOW, force=True))

    assert (plans["payroll"].refusal, len(plans["payroll"].deletes)) == (None, 53)


def test_a_time_to_come_makes_no_set_old() -> None:
    young = [snapshot_set(timedelta(hours=hours), name=str(hours)) for hours in range(20)]

    plans = planned(young, [volume()], Look(NOW + DAY * 4000, force=True))

    assert plans["payroll"].deletes == ()


@pytest.mark.parametrize("hop", [-1, 9, True, "1", None, 1.0])
def test_a_hop_that_watchkeeper_did_not_write_is_refused(hop: object) -> None:
    with pytest.raises(Refused, match="leave it out"):
        Look.from_event({"hop": hop}, NOW)


@pytest.mark.parametrize("application", [None, "payroll"])
def test_a_look_that_is_carried_on_asks_the_same(application: str | None) -> None:
    look = Look(NOW, application, force=True, hop=3)

    assert Look.from_event(look.to_event(application), NOW + DAY) == look


def test_a_dry_run_of_more_sets_than_lambda_can_answer_is_cut_and_says_so() -> None:
    many = [replace(one, id=str(number)) for number, one in enumerate([*nights(1)] * 10_000)]
    plans = [Plan("payroll", "7d", tuple(Keep(one, "daily 1 of 7, for want of a better one") for one in many))]
    nobody = cast("Clients", None)

    report = serve(nobody, State({}, {}, []), plans, Look(NOW, dry_run=True), Settings.from_env(ENVIRONMENT), 60)

    assert isinstance(report.answer, dict)
    assert report.answer["cut"] == "5000 of 10000 sets are listed: name an application to see its own."
    assert report.answer["applications"]["payroll"]["would_keep"] == 10_000
    assert len(json.dumps(report.answer)) < 6 * 2**20
