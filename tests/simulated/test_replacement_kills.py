"""A replacement that is killed at each write, whose answers are lost, or that two and three looks do at once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from region import Death, Interleave, Lag, LostAnswer, Stuck, minutes
from tests.simulated.dying import (
    FUNCTION,
    die,
    host,
    is_served_by,
    launched,
    machines,
    notices,
    open_region,
    payload,
    rouse,
    settled,
    volumes,
    wake,
    writes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from region import Region
    from region.faults import Fault
    from region.world import World

LAUNCH = ("CreateTags", "RunInstances")
MOVE = ("DetachVolume", "DetachVolume")
START = ("AttachVolume", "AttachVolume", "SendCommand", "ChangeResourceRecordSets")
TELL = ("CreateLogStream", "PutLogEvents", "Publish")

# All writes of one undisturbed look, in their order: counted, launched, retired, fenced, moved, started, told, settled.
WRITES = {
    "hung": (*LAUNCH, "CreateTags", "StopInstances", "StopInstances", *MOVE, *START, *TELL, "CreateTags"),
    "stopped": (*LAUNCH, "CreateTags", *MOVE, *START, *TELL, "CreateTags"),
    "terminated": (*LAUNCH, *START, *TELL, "CreateTags"),
}
ACKNOWLEDGED = 3
TRIGGERS = ("sweep", "terminated", "alarm")

# Before and after each write; where writes repeat those of another death, after each, which is before the next. Which
# trigger had begun goes round, so that each begins a third of them.
KILLS = [
    pytest.param(death, TRIGGERS[(number + side) % 3], side, number, id=f"{death}-{('before', 'after')[side]}-{number}")
    for death, done in WRITES.items()
    for number in range(1, len(done) + 1)
    for side in (0, 1)
    if side or death == "hung"
]


def replaced(death: str, trigger: str, *faults: Fault) -> World:
    """The world in which a death ended, whatever went wrong on the way: the host is replaced, once, and told once."""
    with open_region(sweeps=True, quick=True, ForceStopAfterSeconds="10") as region:
        old = host(region)
        acknowledge(region, old)
        die(region, death)
        region.faults.add(*faults)
        begin(region, trigger, old)
        rouse(region)
        region.run(lambda: settled(region) != old, at_most=minutes(10))
        region.run(at_most=minutes(2.5))
        is_sound(region, old)
        return region.world()


def begin(region: Region, trigger: str, instance: str) -> None:
    """The first look, which that trigger wakes, to its end; nothing else does yet."""
    before = len(region.functions.invocations)
    if trigger == "sweep":
        region.bus.deliveries = lambda event: (0.0,) if event["source"] == "aws.scheduler" else ()
    else:
        wake(region, trigger, instance)

    def first() -> Iterator[bool]:
        return (one.is_over for one in region.functions.invocations[before:] if one.name == FUNCTION)

    region.run(lambda: next(first(), False), at_most=minutes(3))


def acknowledge(region: Region, instance: str) -> None:
    """Some transactions of clients."""
    assert all(machines(region).write(instance) for _ in range(ACKNOWLEDGED))


def is_sound(region: Region, old: str) -> None:
    """One replacement, one writer ever, one address, at most one notice, and nothing acknowledged is lost."""
    (new,) = launched(region, old)
    assert len(notices(region)) <= 1
    assert all(machines(region).acknowledged(one["VolumeId"]) == ACKNOWLEDGED for one in volumes(region))
    is_served_by(region, new)


@cache
def undisturbed(death: str) -> World:
    """What each other run of this death has to end in."""
    return replaced(death, "sweep").plain()


def is_same(death: str, world: World, is_told: bool) -> None:
    """But for a notice that was claimed and never sent: it is promised at most once."""
    expected = undisturbed(death)
    assert len(expected.notices) == 1
    assert world.plain() == (expected if is_told else replace(expected, notices=()))


@pytest.mark.parametrize("death", WRITES)
def test_these_are_the_writes_of_a_replacement(death: str) -> None:
    with open_region(quick=True, ForceStopAfterSeconds="10") as region:
        die(region, death)
        region.calls.clear()

        region.invoke(FUNCTION, {"application": "smallpayroll"})

        assert tuple(writes(region)) == WRITES[death]


@pytest.mark.parametrize(("death", "trigger", "side", "number"), KILLS)
def test_a_look_that_is_killed_at_any_write_is_carried_on_to_the_same_end(
    death: str, trigger: str, side: int, number: int
) -> None:
    fault = Death(after=number) if side else Death(before=number)
    done = WRITES[death][: number - 1 + side]

    world = replaced(death, trigger, fault)

    assert fault.happened
    is_same(death, world, is_told="CreateLogStream" not in done or "Publish" in done)


@pytest.mark.parametrize("operation", sorted(set(WRITES["hung"])))
def test_a_write_whose_answer_is_lost_is_seen_by_the_next_look(operation: str) -> None:
    death = "hung" if operation == "StopInstances" else "stopped"
    fault = LostAnswer(operation)

    world = replaced(death, TRIGGERS[len(operation) % 3], fault)

    assert fault.happened
    is_same(death, world, is_told=operation not in TELL[:2])


def test_where_no_write_is_ever_answered_it_is_replaced_all_the_same() -> None:
    faults = [LostAnswer(one, times=1000, at_once=True) for one in set(WRITES["hung"])]

    world = replaced("hung", "sweep", *faults)

    assert all(one.happened for one in faults if one.operation not in TELL[1:])
    is_same("hung", world, is_told=False)


@pytest.mark.parametrize(
    "fault",
    [
        Death(before=6),
        Death(after=6),
        Death(after=7),
        LostAnswer("TerminateInstances"),
        LostAnswer("ModifyInstanceAttribute"),
    ],
    ids=str,
)
def test_a_termination_that_is_killed_or_not_answered_is_carried_on(fault: Death | LostAnswer) -> None:
    """The host hangs even when it is forced: protected, then terminated."""
    with open_region(sweeps=True, quick=True, ForceStopAfterSeconds="10", TerminateAfterSeconds="20") as region:
        old = host(region)
        root = region.ec2.get_instance(old).block_device_mapping["/dev/sda1"].volume_id
        acknowledge(region, old)
        region.faults.add(Stuck("StopInstances"), fault)
        die(region, "hung")
        rouse(region)

        region.run(lambda: settled(region) != old, at_most=minutes(10))
        region.run(at_most=minutes(2))

        assert fault.happened
        assert root in region.ec2.volumes
        is_sound(region, old)


@pytest.mark.parametrize("lag", [0, 2, 5])
def test_looks_at_once_in_any_order_of_their_calls_replace_it_once(lag: int, trial: int) -> None:
    looks, seed = 2 + (trial + lag) % 2, 10 * trial + lag
    death = tuple(WRITES)[(trial + lag) % 3]
    with open_region(seed, sweeps=True, quick=True, ForceStopAfterSeconds="10") as region:
        old = host(region)
        acknowledge(region, old)
        die(region, death)
        region.faults.add(Interleave(seed), Lag(lag, seed))

        for event in at_once(old)[:looks]:
            region.invoke(FUNCTION, event, asynchronous=True)
        rouse(region)
        region.run(lambda: settled(region) != old, at_most=minutes(15))
        region.run(at_most=minutes(4))

        assert len(notices(region)) == 1
        is_sound(region, old)


def at_once(instance: str) -> Sequence[Any]:
    return payload("terminated", instance), payload("alarm", instance), {}
