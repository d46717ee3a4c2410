"""restore_database and what happens to it from outside: events that come twice, stops, boots, things deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from region import Death, minutes
from tests.simulated.dying import host, is_served_by, machine, words
from tests.simulated.restoring import database, die, is_sound, open_restorable, refusal, restore, writes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from region import Region


@pytest.fixture
def region() -> Iterator[Region]:
    with open_restorable() as opened:
        yield opened


def test_an_undo_that_comes_twice_puts_nothing_of_an_older_restore_back(region: Region) -> None:
    (first,) = {words(region, one).get("run") for one in region.ec2.snapshots} - {None}
    restore(region)
    restored = database(region)
    region.run(at_most=minutes(90))
    region.faults.add(Death(before=5))
    die(region, "database", set=first)
    restore(region, "undo")

    restore(region, "undo")

    assert database(region) == restored
    is_served_by(region, host(region))


def test_a_host_that_a_person_stopped_after_the_swap_serves_once_it_was_started_again(region: Region) -> None:
    region.faults.add(Death(before=11))
    die(region, "database")
    region.stop(host(region), "Client.UserInitiatedShutdown")
    region.run(at_most=minutes(2))

    assert "start it again, or terminate it" in refusal(region)

    region.client("ec2").start_instances(InstanceIds=[host(region)])
    region.run(at_most=minutes(2))
    restore(region)
    is_sound(region)


def test_copies_that_a_boot_unmounted_are_mounted_again(region: Region) -> None:
    home = host(region)
    restore(region, "host", set="latest", instance=home, path="/restored")
    region.client("ec2").reboot_instances(InstanceIds=[home])
    region.run(at_most=minutes(10))
    region.calls.clear()

    made = restore(region, "host", set="latest", instance=home, path="/restored")

    assert writes(region) == ["SendCommand"]
    assert set(machine(region, home).places.values()) == {one["path"] for one in made["mounted"]}
