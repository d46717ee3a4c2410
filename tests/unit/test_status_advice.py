"""Tags that nobody reads are told with the nearest one that somebody does."""

from __future__ import annotations

import pytest

from tests.unit.builders import NOW
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.launches import Launch
from watchkeeper.aws.volumes import Volume
from watchkeeper.status.advice import advise

COMPLETE = {"watchkeeper:application": "payroll", "watchkeeper:role": "database"}


def advice_on_volume(**tags: str) -> tuple[str, ...]:
    words = {key.replace("__", ":"): value for key, value in tags.items()}
    return advise([Volume("vol-1", words.get("watchkeeper:application", ""), NOW, None, 8, words)], [])


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("watchkeeper:aplication", "watchkeeper:application"),
        ("watchkeeper:keeep", "watchkeeper:keep"),
        ("watchkeeper:Role", "watchkeeper:role"),
        ("watchkeeper:pause", "watchkeeper:paused"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_known_one(wrong: str, right: str) -> None:
    (sentence,) = advice_on_volume(**COMPLETE, **{wrong: "x"})

    assert sentence == f"vol-1 has the tag {wrong}, which means nothing; did you mean {right}?"


def test_a_key_that_is_near_to_none_is_told_alone() -> None:
    (sentence,) = advice_on_volume(**COMPLETE, **{"watchkeeper:zzz": "x"})

    assert sentence == "vol-1 has the tag watchkeeper:zzz, which means nothing."


def test_an_unknown_role_is_told_with_the_nearest_known_one() -> None:
    (sentence,) = advice_on_volume(**COMPLETE | {"watchkeeper:role": "datbase"})

    assert sentence == "vol-1 has watchkeeper:role=datbase, which it cannot be; did you mean database?"


def test_a_role_of_another_kind_of_thing_is_told() -> None:
    words = {"watchkeeper:application": "payroll", "watchkeeper:role": "snapshot"}

    (sentence,) = advise([], [Host("i-1", "running", None, (), words)])

    assert sentence == "i-1 has watchkeeper:role=snapshot, which it cannot be: it may be database-host or web-node."


def test_a_role_without_an_application_belongs_to_none() -> None:
    (sentence,) = advice_on_volume(**{"watchkeeper:role": "database"})

    assert sentence == "vol-1 has watchkeeper:role=database and no watchkeeper:application, so it belongs to none."


def test_an_application_without_a_role_is_told() -> None:
    (sentence,) = advice_on_volume(**{"watchkeeper:application": "payroll"})

    assert sentence == "vol-1 has watchkeeper:application=payroll and no watchkeeper:role."


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_an_instance_that_is_gone_is_not_spoken_of(state: str) -> None:
    assert advise([], [Host("i-1", state, None, (), {"watchkeeper:rol": "x"})]) == ()


def test_right_tags_and_those_of_others_are_not_spoken_of() -> None:
    assert advice_on_volume(**COMPLETE, **{"watchkeeper:keep": "7d", "Name": "data", "watchkeepers": "x"}) == ()


def test_right_tags_of_a_launch_template_are_not_spoken_of() -> None:
    words = {"watchkeeper:application": "payroll", "watchkeeper:role": "database-launch"}

    assert (
        advise([], [], [Launch("lt-1", "payroll", 1, tags=words | {"watchkeeper:instance-types": "m7g.large"})]) == ()
    )


def test_a_launch_template_with_a_typo_is_told() -> None:
    words = {
        "watchkeeper:application": "payroll",
        "watchkeeper:role": "database-lunch",
        "watchkeeper:instance-type": "x",
    }

    sentences = advise([], [], [Launch("lt-1", "payroll", 1, tags=words)])

    assert sentences == (
        "lt-1 has the tag watchkeeper:instance-type, which means nothing; did you mean watchkeeper:instance-types?",
        "lt-1 has watchkeeper:role=database-lunch, which it cannot be; did you mean database-launch?",
    )


def test_a_word_on_the_wrong_kind_of_thing_is_told_with_the_right_one() -> None:
    words = {"watchkeeper:application": "payroll", "watchkeeper:role": "database-host", "watchkeeper:address": "db.x.y"}

    assert advise([], [Host("i-1", "running", None, (), words)]) == (
        "i-1 has the tag watchkeeper:address, which is read on what has watchkeeper:role=database alone.",
    )
