"""A look at pools that is killed at each write, whose answers are lost, or that two and three do at once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from region import Death, Interleave, Lag, LostAnswer, minutes
from tests.simulated.pooling import (
    FUNCTION,
    address,
    label,
    launch,
    look,
    nodes,
    notices,
    open_region,
    payload,
    remembered,
    settle,
    web,
    writes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from region import Region
    from region.faults import Fault

KINDS = ("ip", "classic")
TELL = ("CreateLogStream", "PutLogEvents", "Publish")

# All writes of one look at the scene below: two nodes join, by an address each, one leaves, one was waited for and is
# in, and one was waited for too long in either pool.
WRITES = (
    "CreateTags",
    "CreateTags",
    "RegisterInstancesWithLoadBalancer",
    "RegisterTargets",
    "DeregisterInstancesFromLoadBalancer",
    "DeregisterTargets",
    "DeleteTags",
    *TELL,
    *TELL,
)
KILLS = [
    pytest.param(side, number, id=f"{('before', 'after')[side]}-{number}")
    for number in range(1, len(WRITES) + 1)
    for side in (0, 1)
    if side or number == 1  # after one write is before the next
]
TRIGGERS = ("sweep", "terminated", "alarm")


def set_the_scene(region: Region) -> tuple[str, str]:
    """Everything that a look can have to do; the node that is dead, and the one that never becomes healthy."""
    settle(region)
    dead, late, well = nodes(region)
    web(region, late, False)
    region.run(at_most=minutes(1))
    look(region)
    region.run(at_most=minutes(5.5))
    label(region, well, registered="2026-11-22T04:00:00Z")
    launch(region, 2)
    region.power_cut(dead)
    region.run(at_most=10)
    region.calls.clear()
    return dead, late


def trigger(region: Region, name: str, dead: str) -> None:
    """A first look, to its end, which nothing else wakes."""
    region.invoke(FUNCTION, {} if name == "sweep" else payload(name, dead), asynchronous=True)
    region.run(lambda: all(one.is_over for one in region.functions.invocations), at_most=minutes(2))


def true(region: Region) -> Mapping[str, Mapping[str, str]]:
    """Who is in the pools in the end, and what each node remembers."""
    members = {one.name: dict(one.targets) for one in region.world().plain().pools}
    return members | {one: {"remembers": str(sorted(remembered(region, one)))} for one in nodes(region)}


def converged(fault: Fault | None, name: str = "sweep") -> tuple[object, int]:
    """The world in which it ended, whatever went wrong on the way, and how often somebody was told."""
    with open_region(kinds=KINDS) as region:
        dead, late = set_the_scene(region)
        if fault:
            region.faults.add(fault)
        trigger(region, name, dead)
        for _ in range(3):
            region.run(at_most=minutes(1))
            look(region)

        alive = [one for one in nodes(region) if one != dead]
        assert set(region.pool("classic-classic")) == set(alive)
        assert set(region.pool("ip")) == {address(region, one) for one in alive}
        assert remembered(region, late).keys() == {"registered", "registered-ip"}
        assert all(remembered(region, one).keys() == {"registered-ip"} for one in alive if one != late)
        return true(region), len(notices(region))


@cache
def undisturbed() -> tuple[object, int]:
    """What every other run has to end in."""
    return converged(None)


def test_these_are_the_writes_of_a_look() -> None:
    with open_region(kinds=KINDS) as region:
        set_the_scene(region)

        look(region)

        assert tuple(writes(region)) == WRITES


@pytest.mark.parametrize(("side", "number"), KILLS)
def test_a_look_that_is_killed_at_any_write_is_carried_on_to_the_same_end(side: int, number: int) -> None:
    fault = Death(after=number) if side else Death(before=number)
    done = WRITES[: number - 1 + side]

    world, told = converged(fault, TRIGGERS[number % 3])

    expected, once_told = undisturbed()
    assert fault.happened
    assert world == expected
    # It is promised at most once: one that was claimed and not sent is lost.
    assert told == once_told - (done.count("CreateLogStream") - done.count("Publish"))


@pytest.mark.parametrize("operation", sorted(set(WRITES)))
def test_a_write_whose_answer_is_lost_is_seen_by_the_next_look(operation: str) -> None:
    fault = LostAnswer(operation)

    world, told = converged(fault, TRIGGERS[len(operation) % 3])

    expected, once_told = undisturbed()
    assert fault.happened
    assert world == expected
    assert told == once_told - (operation in TELL[:2])


@pytest.mark.parametrize("lag", [0, 3])
def test_looks_at_once_in_any_order_of_their_calls_end_alike(lag: int, trial: int) -> None:
    seed = 10 * trial + lag
    with open_region(kinds=KINDS, seed=seed) as region:
        dead, late = set_the_scene(region)
        region.faults.add(Interleave(seed), Lag(lag, seed))

        for event in (payload("terminated", dead), payload("alarm", dead), {})[: 2 + seed % 2]:
            region.invoke(FUNCTION, event, asynchronous=True)
        for _ in range(4):
            region.run(at_most=minutes(1))
            region.invoke(FUNCTION, {}, asynchronous=True)
        region.run(at_most=minutes(1))

        alive = set(nodes(region)) - {dead}
        assert set(region.pool("classic-classic")) == alive
        assert set(region.pool("ip")) == {address(region, one) for one in alive}
        assert {one for one in alive if "registered" in remembered(region, one)} == {late}
        assert len(notices(region)) == len(set(notices(region))) == 2


def test_looks_at_once_never_leave_fewer_healthy_nodes_than_the_floor(trial: int) -> None:
    with open_region(nodes=6, seed=trial) as region:
        settle(region)
        for node in nodes(region)[::2]:
            region.impair(node)
            web(region, node, False)
        for node in nodes(region)[1::2]:
            label(region, node, retired="2026-11-22T04:00:00Z a new image")
        region.run(at_most=minutes(1))
        region.faults.add(Interleave(trial))

        for _ in range(3):
            region.invoke(FUNCTION, {}, asynchronous=True)
        region.run(at_most=minutes(1))

        left = {target: state for target, state in region.pool("instance").items() if state != "draining"}
        healthy = [state for state in left.values() if state == "healthy"]
        assert len(left) < 6
        assert 2 * len(healthy) >= len(left)


def test_where_a_stranger_takes_an_address_between_two_looks_it_is_left_to_it() -> None:
    with open_region(kinds=("ip",)) as region:
        settle(region)
        dead = nodes(region)[0]
        reused = address(region, dead)
        region.terminate(dead)
        region.run(at_most=10)
        region.faults.add(Death(before=1))
        trigger(region, "terminated", dead)
        (stranger,) = launch(region, role="something-else", ip=reused)

        look(region)

        assert region.ec2.get_instance(stranger).private_ip == reused
        assert reused in region.pool("ip")
