"""docs/safety.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROWS = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", Path("docs/safety.md").read_text(), re.MULTILINE)
FILE = re.compile(r"\b(unit|simulated|disks|template|bench)/(\w+)")


@pytest.mark.parametrize(("number", "tried"), ROWS, ids=[number for number, _ in ROWS])
def test_a_rule_names_tests_that_there_are(number: str, tried: str) -> None:
    files = [
        Path("bench" if ground == "bench" else f"tests/{ground}", f"{name}.py") for ground, name in FILE.findall(tried)
    ]
    text = "\n".join(path.read_text() for path in files)

    named = re.findall(r"\*([^*]+)\*", tried)
    assert files or "disks:" in tried
    assert [name for name in named if f"def test_{name.replace(' ', '_')}(" not in text] == []
    assert number.isdigit()


def test_no_rule_stands_there_twice_and_all_are_in_order() -> None:
    numbers = [int(number) for number, _ in ROWS]

    assert numbers == sorted(set(numbers))
    assert {
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        12,
        13,
        18,
        19,
        20,
        21,
        23,
        25,
        27,
        28,
        29,
        30,
        32,
        33,
        36,
        39,
        40,
    } <= set(numbers)
