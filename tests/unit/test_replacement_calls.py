"""Calls of AWS whose words matter, and answers that are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.scenes import OLD, SETTINGS, away, details, host, scene
from watchkeeper import tags
from watchkeeper.aws import hosts, keys, launches
from watchkeeper.aws.addresses import Interface
from watchkeeper.replacement.actions import Protect, Stop, Terminate
from watchkeeper.replacement.apply import Writers
from watchkeeper.replacement.care import in_turn
from watchkeeper.replacement.observe import Readers, _read_host
from watchkeeper.replacement.serve import Attended, Clients, _act
from watchkeeper.replacement.verdict import Plan


class Answering:
    """A client whose every call is remembered, and answered the same; `only` says which one an error is for."""

    def __init__(self, answer: Any = None, only: str = "") -> None:
        self.answer = answer
        self.only = only
        self.calls: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**words: Any) -> Any:
            self.calls.append({"operation": operation, **words})
            if isinstance(self.answer, Exception) and self.only in ("", operation):
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


def test_volumes_that_may_not_be_protected_prevent_the_end_of_their_host_and_not_its_stop() -> None:
    ec2: Any = Answering(denied("UnauthorizedOperation"), only="modify_instance_attribute")
    nobody: Any = None
    clients = Clients(Readers(ec2, *[nobody] * 4), Writers(*[nobody] * 4), nobody)
    attended = Attended("payroll")

    def did(*actions: Protect | Stop | Terminate) -> list[str]:
        ec2.calls.clear()
        _act(clients, SETTINGS, scene(), Plan(actions=actions), attended)
        return [one["operation"] for one in ec2.calls]

    keep, stop, end = Protect(OLD, ("/dev/sdf",), ""), Stop(OLD, ""), Terminate(OLD, "")

    assert did(keep, stop) == ["modify_instance_attribute", "stop_instances"]
    assert did(keep, end) == ["modify_instance_attribute"]
    assert [str(error) for error in attended.errors] == [str(ec2.answer)]
    assert [one["step"] for one in attended.did] == ["Stop"]

    ec2.answer = None
    assert did(keep, end) == ["modify_instance_attribute", "terminate_instances"]
    assert attended.errors == ()


@pytest.mark.parametrize(
    ("is_due", "told", "asked"),
    [(False, "", 1), (True, "", 2), (False, "protected-from-termination", 2), (False, "no-agent", 1)],
)
def test_whether_a_host_may_be_terminated_is_asked_once_a_day_and_while_it_is_told(
    is_due: bool, told: str, asked: int
) -> None:
    ec2: Any = Answering({"DisableApiTermination": {"Value": True}})
    ec2.get_paginator = lambda _: SimpleNamespace(paginate=lambda **_: [])
    nobody: Any = None
    about = scene(volumes=away(OLD, refused=f"{told} 2026-11-22T04:00:00Z" if told else ""))

    found = _read_host(Readers(ec2, *[nobody] * 4), about, host(), details(is_due=is_due))

    assert len(ec2.calls) == asked
    assert found.is_termination_protected is (asked > 1)


@pytest.mark.parametrize(("kind", "role"), [("volume", "database"), ("instance", "")])
def test_a_launch_template_says_with_which_role_it_tags_volumes(kind: str, role: str) -> None:
    given = [{"ResourceType": kind, "Tags": [{"Key": tags.ROLE, "Value": "database"}]}]
    data = {"Placement": {"AvailabilityZone": "eu-central-1a"}, "TagSpecifications": given}
    ec2: Any = Answering({"LaunchTemplateVersions": [{"LaunchTemplateData": data}]})

    assert launches.find_zone_and_role(ec2, launches.Launch("lt-1", "payroll", 1)) == ("eu-central-1a", role)


def test_an_interface_says_whether_it_goes_with_its_host() -> None:
    shown: Any = {
        "Attachment": {"InstanceId": OLD, "Status": "attached", "DeviceIndex": 1, "DeleteOnTermination": True}
    }

    assert Interface.from_boto(shown).is_deleted_with_host
    assert not Interface.from_boto({}).is_deleted_with_host


def test_a_key_that_may_not_be_described_was_not_given_and_ends_no_look() -> None:
    kms: Any = Answering(denied("AccessDeniedException"))

    assert keys.find_foreign(kms, ["key-a", "key-b", ""], ["key-b"]) == ["key-a"]


def test_a_key_that_was_not_read_is_an_error() -> None:
    kms: Any = Answering(denied("ThrottlingException"))

    with pytest.raises(ClientError):
        keys.find_foreign(kms, ["key-a"], [])


@pytest.mark.parametrize(("tenths", "turns"), [(1.0, 13), (1.5, 8)])
@pytest.mark.parametrize("fleet", [200, 250, 500, 999, 1_000, 1_024, 3_000, 9_999, 10_000])
def test_where_a_look_reaches_a_part_of_the_fleet_each_host_is_asked_soon(
    fleet: int, tenths: float, turns: int
) -> None:
    all_hosts = list(map(str, range(fleet)))
    reach = int(fleet * tenths / 10)
    began = datetime(2026, 11, 22, 4, tzinfo=UTC)

    for first in range(0, 300, 7):
        times = [began + timedelta(minutes=5 * (first + number)) for number in range(turns)]
        asked = {one for time in times for one in in_turn(all_hosts, time)[:reach]}
        assert asked == set(all_hosts)


@pytest.mark.parametrize("fleet", [0, 1, 2])
def test_a_turn_leaves_nobody_out(fleet: int) -> None:
    all_hosts = list(map(str, range(fleet)))

    assert sorted(in_turn(all_hosts, datetime(2026, 11, 22, 4, tzinfo=UTC))) == all_hosts
