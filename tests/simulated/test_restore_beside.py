"""restore_database end to end in a region without disks: beside a database, planned, and bad input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import minutes
from tests.simulated.dying import host, look, machine, words
from tests.simulated.restoring import (
    attachments,
    database,
    is_untouched,
    label,
    open_restorable,
    paused,
    refusal,
    restore,
    shown,
    snapshot,
    writes,
)
from watchkeeper import tags
from watchkeeper.aws import hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from region import Region


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    """For tests that change nothing, or nothing but what they make beside the database."""
    with open_restorable() as opened:
        yield opened


# Beside the database


def test_volumes_are_made_as_the_originals_were_and_answered_again(region: Region) -> None:
    before = database(region)
    label(region, before[:1], keep="30d")

    made = restore(region, "")
    again = restore(region, "")

    assert again["volumes"] == made["volumes"]
    for one in made["volumes"]:
        copy, original = shown(region, one["volume"]), shown(region, one["of"])
        assert {key: copy.get(key) for key in ("VolumeType", "Size", "AvailabilityZone")} == {
            key: original.get(key) for key in ("VolumeType", "Size", "AvailabilityZone")
        }
        assert words(region, one["volume"])["role"] == "restored"
        assert words(region, one["volume"])["restored-for"] == "volumes"
        assert words(region, one["volume"])["address"] == "db.smallpayroll.internal"
        assert f"Amazon_Elastic_Block_Store_{one['volume'].replace('-', '')}" in " ".join(made["to_mount"])
    devices = [line.partition("--device ")[2] for line in made["to_mount"] if "--device" in line]
    assert devices == ["/dev/sdp", "/dev/sdo"]  # each of its own
    is_untouched(region, before)


def test_a_copy_has_the_type_and_the_speed_that_its_set_recorded(region: Region) -> None:
    home, known = host(region), words(region, snapshot(region))
    members = [one for one in region.ec2.snapshots if words(region, one).get("set") == known["set"]]
    label(region, members, types="gp3/4000/250 io2/500/0")

    made = restore(region, "host", set=members[0], instance=home, path="/fast")["volumes"]

    label(region, members, types=known["types"])
    fast = [shown(region, next(one["volume"] for one in made if one["of"] == of)) for of in known["volumes"].split()]
    assert [(one["VolumeType"], one["Iops"], one.get("Throughput", 0)) for one in fast] == [
        ("gp3", 4000, 250),
        ("io2", 500, 0),
    ]


def test_a_set_is_mounted_at_a_path_of_an_instance_and_nothing_of_production_changes(region: Region) -> None:
    before, home = database(region), host(region)

    made = restore(region, "host", set="latest", instance=home, path="/restored")
    again = restore(region, "host", set="latest", instance=home, path="/restored")

    assert again == made
    assert [one["path"] for one in made["mounted"]] == [f"/restored/{one['of']}" for one in made["volumes"]]
    assert [attachments(region, one["volume"]) for one in made["volumes"]] == [[home], [home]]
    assert words(region, made["volumes"][0]["volume"])["restored-for"] == f"host {home} /restored"
    assert look(region, application="smallpayroll")["applications"][0]["did"] == []
    is_untouched(region, before)


@pytest.mark.parametrize("case", ["", "host", "database"])
def test_a_dry_run_writes_nothing_and_tells_sizes_ages_and_steps(region: Region, case: str) -> None:
    region.calls.clear()
    more = {"instance": host(region), "path": "/dry"} if case == "host" else {}

    told = restore(region, case, set="latest", dry_run=True, **more)["plan"]

    assert writes(region) == []
    assert told["set"]["consistency"] == "application"
    is_in_place = case == "database"
    assert ("written since" if is_in_place else "nothing") in told["lost"]
    assert bool(told["steps"]) == is_in_place
    assert [one["gib"] for one in told["volumes"]] == [10, 8]
    assert case != "database" or [one["step"] for one in told["would"]] == ["Tag"]


def test_a_tag_is_taken_away_only_where_it_has_the_value_that_was_meant(region: Region) -> None:
    ec2, one = region.client("ec2"), database(region)[:1]
    label(region, one, paused="undo since then")

    hosts.untag(ec2, one, tags.PAUSED, "restore a-set since then")
    assert paused(region) == {one[0]: "undo since then"}

    hosts.untag(ec2, one, tags.PAUSED, "undo since then")
    assert paused(region) == {}


# Bad input


def test_an_instance_in_another_zone_is_refused(region: Region) -> None:
    named = [{"Key": "watchkeeper:application", "Value": "smallpayroll"}]
    made = region.client("ec2").run_instances(
        ImageId="ami-0123456789abcdef0",
        MinCount=1,
        MaxCount=1,
        Placement={"AvailabilityZone": "eu-central-1b"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": named}],
    )["Instances"][0]["InstanceId"]
    region.run(region.quiet, at_most=minutes(2))

    told = refusal(region, "host", set="latest", instance=made, path="/elsewhere")

    assert f"{made} is in eu-central-1b, and the volumes are made in eu-central-1a" in told


def test_a_path_that_holds_something_is_told(region: Region) -> None:
    machine(region, host(region)).occupied = frozenset({f"/taken/{database(region)[0]}"})

    told = refusal(region, "host", set="latest", instance=host(region), path="/taken")

    assert "The copies are attached" in told
    assert "is not an empty directory" in told


def test_what_there_is_is_told_where_no_set_is_what_was_asked_for(region: Region) -> None:
    (run,) = {words(region, one)["run"] for one in region.ec2.snapshots if "run" in words(region, one)}

    for wish in ("2026-11-01T00:00:00Z", "snap-0123456789abcdef0", "latest-proven", {"before": "2026-11-01T00:00:00Z"}):
        assert run in refusal(region, set=wish)


@pytest.mark.parametrize(
    ("words_of_it", "sentence"),
    [
        ({"application": "nobody"}, "There is no application 'nobody'"),
        ({"application": ""}, "name of"),
        ({"into": "place"}, "must be one of volumes, host, database"),
        ({"set": "newest"}, '"latest"'),
        ({"zone": "eu-central-1a"}, "goes without zone"),
        ({"accept": "anything"}, 'may be "crash"'),
        ({"undo": True}, "may not have into, set"),
        ({"undo": "yes"}, "without quotes"),
        ({"surprise": 1}, "The event has surprise"),
        ({"into": "volumes", "zone": "eu-central-1b"}, "no subnet in eu-central-1b"),
        ({"into": "host", "instance": "i-0123456789abcdef0", "path": "/a"}, "no instance that is tagged"),
        ({"into": "host", "instance": "i-0123456789abcdef0", "path": "/a/../b"}, "needs a directory"),
        ({"into": "host", "path": "/a"}, "needs the id of an instance"),
    ],
)
def test_what_cannot_be_meant_is_told_in_a_sentence(region: Region, words_of_it: dict[str, Any], sentence: str) -> None:
    region.calls.clear()

    assert sentence in refusal(region, **words_of_it)

    assert writes(region) == []
