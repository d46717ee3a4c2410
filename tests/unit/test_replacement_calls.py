"""Calls of AWS whose words matter, and answers that are none."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from watchkeeper.aws import hosts, keys


class Answering:
    """A client whose every call is remembered, and answered the same."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**words: Any) -> Any:
            self.calls.append({"operation": operation, **words})
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return call


def denied(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeKey")


def test_a_host_that_hangs_is_terminated_without_being_asked() -> None:
    ec2: Any = Answering()

    hosts.terminate(ec2, "i-1")

    assert ec2.calls == [
        {"operation": "terminate_instances", "InstanceIds": ["i-1"], "Force": True, "SkipOsShutdown": True}
    ]


def test_a_key_that_may_not_be_described_was_not_given_and_ends_no_look() -> None:
    kms: Any = Answering(denied("AccessDeniedException"))

    assert keys.find_foreign(kms, ["key-a", "key-b", ""], ["key-b"]) == ["key-a"]


def test_a_key_that_was_not_read_is_an_error() -> None:
    kms: Any = Answering(denied("ThrottlingException"))

    with pytest.raises(ClientError):
        keys.find_foreign(kms, ["key-a"], [])
