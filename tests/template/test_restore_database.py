"""What restore_database may do: move a database while it has paused it, and copies beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.template.conftest import NEW, OURS, as_role, conditions, listed, of_role, words

if TYPE_CHECKING:
    from tests.template.conftest import Template

NAME = "RestoreDatabase"
PAUSED = "aws:ResourceTag/watchkeeper:paused"
PAUSING = "aws:RequestTag/watchkeeper:paused"
BY_ITSELF = ["restore *", "undo *"]


def test_a_volume_is_made_of_a_snapshot_of_ours_and_says_that_it_is_restored(template: Template) -> None:
    assert conditions(template, NAME, "ec2:CreateVolume", "snapshot") == [
        {"StringLike": OURS, "StringEquals": of_role("snapshot")}
    ]
    assert conditions(template, NAME, "ec2:CreateVolume", "volume") == [
        {"StringLike": NEW, "StringEquals": as_role("restored")}
    ]


@pytest.mark.parametrize("action", ["AttachVolume", "DetachVolume"])
def test_a_database_is_moved_only_while_it_is_paused_for_that(template: Template, action: str) -> None:
    moved = conditions(template, NAME, f"ec2:{action}", "volume")[0]

    assert moved == {
        "StringLike": {**OURS, PAUSED: BY_ITSELF},
        "StringEquals": of_role("database", "restored", "retired"),
    }


def test_beside_that_only_copies_are_attached(template: Template) -> None:
    _, copies = conditions(template, NAME, "ec2:AttachVolume", "volume")

    assert copies == {"StringLike": OURS, "StringEquals": of_role("restored"), "Null": {PAUSED: "true"}}
    assert len(conditions(template, NAME, "ec2:DetachVolume", "volume")) == 1


def test_a_volume_is_detached_from_a_database_host_that_is_paused_for_that_and_named(template: Template) -> None:
    assert conditions(template, NAME, "ec2:DetachVolume", "instance") == [
        {"StringLike": {**OURS, PAUSED: BY_ITSELF}, "StringEquals": of_role("database-host")}
    ]


def test_a_volume_is_attached_to_any_instance_of_the_application_that_no_person_paused(template: Template) -> None:
    assert conditions(template, NAME, "ec2:AttachVolume", "instance") == [
        {"StringLike": OURS, "StringLikeIfExists": {PAUSED: BY_ITSELF}}
    ]


def test_it_pauses_in_its_own_words_alone_and_nothing_that_a_person_paused(template: Template) -> None:
    _, volumes = conditions(template, NAME, "ec2:CreateTags", "volume")
    (hosts,) = conditions(template, NAME, "ec2:CreateTags", "instance")

    assert volumes["StringLikeIfExists"] == {PAUSING: BY_ITSELF, PAUSED: BY_ITSELF}
    assert hosts["StringLike"] == {**OURS, PAUSING: BY_ITSELF}
    assert hosts["StringLikeIfExists"] == {PAUSED: BY_ITSELF}


def test_a_volume_is_called_a_database_or_retired_and_remembers_by_words_of_its_own(template: Template) -> None:
    _, given = conditions(template, NAME, "ec2:CreateTags", "volume")

    assert given["StringLike"] == OURS
    assert given["StringEquals"] == of_role("database", "restored", "retired")
    assert given["StringEqualsIfExists"] == as_role("database", "retired")
    assert given["ForAllValues:StringEquals"] == words(
        "host", "paused", "restored-for", "retired", "role", "timeline", "volumes"
    )


def test_of_a_host_only_the_pause_is_written(template: Template) -> None:
    (given,) = conditions(template, NAME, "ec2:CreateTags", "instance")

    assert given["StringEquals"] == of_role("database-host")
    assert given["ForAllValues:StringEquals"] == words("paused")


def test_a_new_volumes_tags_are_written_while_it_is_made_as_restored(template: Template) -> None:
    given, _ = conditions(template, NAME, "ec2:CreateTags", "volume")

    assert given == {"StringEquals": {**as_role("restored"), "ec2:CreateAction": "CreateVolume"}}


@pytest.mark.parametrize("of", ["instance", "volume"])
def test_only_a_pause_of_its_own_is_ended_and_never_all_tags_at_once(template: Template, of: str) -> None:
    assert conditions(template, NAME, "ec2:DeleteTags", of) == [
        {
            "StringLike": OURS,
            "StringLikeIfExists": {PAUSED: BY_ITSELF},
            "StringEquals": of_role("database", "database-host", "restored", "retired"),
            "ForAllValues:StringEquals": words("paused", "retired"),
            "Null": {"aws:TagKeys": "false"},
        }
    ]


def test_it_ends_stops_and_deletes_nothing(template: Template) -> None:
    verbs = ("Run", "Stop", "Start", "Terminate", "Delete", "Modify", "Authorize", "Revoke")
    found = [
        action.partition(":")[2]
        for by, one in template.statements
        if by.startswith(NAME)
        for action in listed(one["Action"])
        if action.partition(":")[2].startswith(verbs)
    ]

    assert found == ["DeleteTags"]


def test_nothing_but_a_person_wakes_it(template: Template) -> None:
    assert not [name for name in template.resources if name.startswith(NAME) and name.endswith("MayInvoke")]
    assert f"{NAME}Function.Arn" not in str(template.of_type("AWS::Events::Rule"))
