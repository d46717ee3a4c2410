"""The alarms of the template: what rings, who hears it, and that all is quiet where all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import Region, ServerError, Simulated, hours, minutes

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = hours(24)


@pytest.fixture
def region() -> Iterator[Region]:
    with Region(Simulated(seed=7), seed=7) as opened:
        opened.deploy(
            "template.yaml",
            Email="a@example.com",
            ReservedConcurrency="5",
            ReplaceDatabaseHosts="false",
            RegisterWebNodes="false",
        )
        yield opened


def payroll(region: Region) -> Any:
    """smallpayroll is there and settled; the simulated machine of its database."""
    region.deploy("examples/smallpayroll.yaml")
    region.run(region.quiet, at_most=minutes(10))
    machines = region.machines
    assert isinstance(machines, Simulated)
    (machine,) = machines.hosts.values()
    return machine


def ringing(region: Region) -> set[str]:
    return {name for name, state in region.alarms.items() if state == "ALARM"}


def heard(region: Region) -> list[str]:
    """What the mails said, oldest first, e.g. `ALARM CrashSetsAlarm`; an alarm's name is within the one that it has."""
    subjects = [mail["subject"] for mail in region.bus.mail()]
    return [f"{one.partition(':')[0]} {name}" for one in subjects for name in region.alarms if f"-{name}-" in one]


def test_a_watched_database_is_quiet_for_days(region: Region) -> None:
    payroll(region)
    region.run(at_most=3 * DAY)

    assert set(region.alarms.values()) == {"OK"}


def test_a_first_deployment_is_heard_of_once_for_want_of_figures_until_the_first_look(region: Region) -> None:
    payroll(region)
    region.run(at_most=DAY)

    late = ("NewestSetAgeAlarm", "ProofAgeAlarm")
    assert heard(region)[:2] == [f"ALARM {one}" for one in late]
    assert sorted(heard(region)[2:]) == [f"OK {one}" for one in late]


def test_a_stack_that_finds_nothing_for_a_day_rings(region: Region) -> None:
    region.run(at_most=DAY - hours(1))
    assert ringing(region) == set()

    region.run(at_most=hours(3))
    assert ringing(region) == {"NothingFoundAlarm"}
    assert heard(region)[-1] == "ALARM NothingFoundAlarm"


def test_a_database_that_cannot_be_frozen_rings_at_once_and_again_when_it_is_too_old(region: Region) -> None:
    host = payroll(region)
    region.run(at_most=hours(3))
    host.agent = False

    region.run(at_most=DAY + hours(1))
    before = heard(region)
    region.run(at_most=DAY + hours(6))

    assert "ALARM CrashSetsAlarm" in before
    assert before.count("ALARM NewestSetAgeAlarm") == 1  # that of the first deployment
    assert heard(region).count("ALARM NewestSetAgeAlarm") == 2


def test_a_look_that_fails_for_good_rings_and_waits_in_the_queue(region: Region) -> None:
    payroll(region)
    region.faults.add(ServerError("DescribeVolumes", times=1000))

    region.run(at_most=hours(3))

    assert {"ALARM SnapshotDatabaseErrorsAlarm", "ALARM FailureQueueAlarm"} <= set(heard(region))
    assert region.queue("FailureQueue")[0]["requestContext"]["condition"] == "RetriesExhausted"
