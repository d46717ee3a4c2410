"""What balancers answer of their members, and calls of AWS that are refused for one among many."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from tests.unit.test_replacement_calls import Answering
from watchkeeper.aws import targets
from watchkeeper.aws.pools import Balancers, Member, Pool, Target

CLASSIC = Pool("arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/web", "payroll", "classic")
NO: Any = None


def states(*found: tuple[str, str, str]) -> Balancers:
    """The clients of a classic load balancer that answers these instances, each with its state and description."""
    described = [
        {"InstanceId": name, "State": state, "ReasonCode": "Instance", "Description": words}
        for name, state, words in found
    ]
    return Balancers(NO, cast("Any", Answering({"InstanceStates": described})), NO, NO)


def test_a_classic_balancers_words_become_those_of_target_groups() -> None:
    read = targets.read(
        states(
            ("i-1", "InService", "N/A"),
            ("i-2", "OutOfService", "It failed."),
            ("i-3", "InService", "Instance deregistration currently in progress."),
            ("i-4", "OutOfService", "Instance is not currently registered with the LoadBalancer."),
            ("i-5", "Unknown", "A transient error occurred."),
        ),
        CLASSIC,
    )

    assert {one.target.id: one.state for one in read.members} == {
        "i-1": "healthy",
        "i-2": "unhealthy",
        "i-3": "draining",
        "i-5": "unknown",
    }


def test_a_terminated_instance_of_which_a_classic_balancer_tells_no_state_is_a_member_all_the_same() -> None:
    pool = Pool(CLASSIC.arn, "payroll", "classic", listed=("i-1", "i-2"))

    read = targets.read(states(("i-1", "InService", "N/A")), pool)

    assert Member(Target("i-2"), "unknown") in read.members
    assert len(read.members) == 2


class Balancer:
    """Refuses a whole call for each bad thing in it."""

    def __init__(self, *bad: int, code: str = "InvalidTarget") -> None:
        self.bad, self.code = set(bad), code
        self.calls = 0
        self.took: list[int] = []

    def send(self, some: Any) -> None:
        self.calls += 1
        if self.bad & set(some):
            raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "RegisterTargets")
        self.took += some


@pytest.mark.parametrize("bad", [(), (0,), (7,), (3, 4), tuple(range(8))], ids=str)
def test_a_call_is_halved_until_the_bad_ones_stand_alone(bad: tuple[int, ...]) -> None:
    balancer = Balancer(*bad)

    refused = targets.in_halves(balancer.send, range(8), targets.OF_ONE)

    assert sorted(refused) == sorted(bad)
    assert sorted(balancer.took) == sorted(set(range(8)) - set(bad))
    assert balancer.calls <= 1 + 6 * len(bad)


def test_many_are_sent_two_hundred_at_once() -> None:
    balancer = Balancer()

    targets.in_halves(balancer.send, range(1000), targets.OF_ONE)

    assert (balancer.calls, len(balancer.took)) == (5, 1000)


def test_what_is_the_fault_of_no_target_is_not_halved() -> None:
    balancer = Balancer(0, code="AccessDenied")

    with pytest.raises(ClientError):
        targets.in_halves(balancer.send, range(8), targets.OF_ONE)

    assert balancer.calls == 1
