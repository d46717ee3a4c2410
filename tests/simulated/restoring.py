"""A database with a set to restore, and what is true of it whatever was restored, undone, killed or repeated."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from region import minutes
from region.failure import Failed
from tests.simulated.dying import (
    ADDRESS,
    host,
    hush,
    is_served_by,
    machines,
    open_region,
    volumes,
    words,
)
from tests.simulated.dying import FUNCTION as REPLACE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from region import Region
    from region.calls import Call

FUNCTION = "restore_database"
SNAPSHOTS = "snapshot_database"

RESTORED, PUT_BACK = "Watchkeeper: smallpayroll was restored", "Watchkeeper: smallpayroll was put back"


@contextmanager
def open_restorable(seed: int = 7, **more: Any) -> Iterator[Region]:
    """A settled database of two volumes with one finished set, and three transactions that are not in it.

    Without `sweeps` nothing is woken by schedules or events.
    """
    with open_region(seed, quick=True, RehearseRestores="false", **more) as region:
        assert machines(region).write(host(region))
        take(region)
        assert all(machines(region).write(host(region)) for _ in range(3))
        region.calls.clear()
        if not more.get("sweeps"):
            hush(region)
        yield region


def take(region: Region, **event: Any) -> Any:
    """A set of the database, finished, by a run of its own minute."""
    region.run(at_most=minutes(1))
    made = region.invoke(SNAPSHOTS, {"application": "smallpayroll", **event})["made"][0]
    region.run(region.quiet, at_most=minutes(30))
    return made


def payload(case: str = "") -> dict[str, Any]:
    """An event of events/."""
    name = ".".join(filter(None, (FUNCTION, case, "json")))
    event: dict[str, Any] = json.loads(Path("events", name).read_text(encoding="utf-8"))
    return event


def restore(region: Region, case: str = "database", **more: Any) -> Any:
    """One look to its end, of a file's event with some words changed."""
    return region.invoke(FUNCTION, {**payload(case), **more})


def refusal(region: Region, case: str = "database", **more: Any) -> str:
    """The sentence with which a look is refused."""
    with pytest.raises(Failed) as failed:
        restore(region, case, **more)
    assert failed.value.error_type == "Refused"
    return failed.value.message


def die(region: Region, case: str, **more: Any) -> None:
    """A look that a fault ends."""
    with pytest.raises(Failed):
        restore(region, case, **more)


def of_role(region: Region, role: str) -> list[str]:
    """The ids of the volumes with this role, in their order."""
    return sorted(one for one in region.ec2.volumes if words(region, one).get("role") == role)


def database(region: Region) -> list[str]:
    return [str(one["VolumeId"]) for one in volumes(region)]


def label(region: Region, things: Sequence[str], **named: str) -> None:
    """Tags of Watchkeeper's, written by a person."""
    given = [{"Key": f"watchkeeper:{key.replace('_', '-')}", "Value": value} for key, value in named.items()]
    region.client("ec2").create_tags(Resources=list(things), Tags=given)


def paused(region: Region) -> dict[str, str]:
    """What is paused, and why."""
    things = [*region.ec2.volumes, *(one.id for one in region.ec2.all_instances())]
    return {one: words(region, one)["paused"] for one in things if "paused" in words(region, one)}


def written(region: Region, ids: Sequence[str]) -> int:
    """How many transactions lie on all of these volumes."""
    (found,) = {machines(region).acknowledged(one) for one in ids}
    return found


def writes(region: Region, caller: str = FUNCTION) -> list[str]:
    """What a function did to the world, oldest first."""
    return [call.operation for call in region.calls if call.write and call.caller == caller]


def is_sound(region: Region) -> None:
    """Whatever happened: one database, served, found, paused by nobody; no writer beside it ever, no archive spoilt."""
    home = host(region)
    is_served_by(region, home)
    assert paused(region) == {}
    assert of_role(region, "restored") == []
    assert all("retired" not in words(region, one) for one in database(region))
    assert machines(region).servers.clashes() == []
    archived = machines(region).servers.archived
    assert len(archived) == len(set(archived))
    assert [one for one in region.calls if one.write and one.caller == REPLACE and not is_question(one)] == []
    assert region.resolve(ADDRESS) == region.ec2.get_instance(home).private_ip


def is_question(call: Call) -> bool:
    """Every few minutes each host is asked how it is."""
    return call.operation == "SendCommand" and call.parameters["Parameters"]["command"] == ["probe"]


def attachments(region: Region, volume: str) -> list[str]:
    return [one["InstanceId"] for one in shown(region, volume)["Attachments"]]


def shown(region: Region, volume: str) -> Any:
    (found,) = region.client("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]
    return found


def snapshot(region: Region) -> str:
    """A snapshot of the first set."""
    ours = [one for one in region.ec2.snapshots if "run" in words(region, one)]
    return min(ours, key=lambda one: (words(region, one)["run"], one))


def is_untouched(region: Region, before: list[str]) -> None:
    """Production is as it was."""
    assert database(region) == before
    assert paused(region) == {}
    is_served_by(region, host(region))
