"""Time in the region: whose it is, how it passes, and that it is given back."""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
import pytest

from region import Died, Region, Simulated, StillWaiting, hours
from region.clock import Clock

if TYPE_CHECKING:
    from region.process import Process


def test_time_jumps_and_every_clock_of_the_process_follows(region: Region) -> None:
    began = time.time()

    time.sleep(hours(1))

    assert time.time() == began + 3600
    assert datetime.now(UTC) == region.clock.moment()


def test_only_one_process_runs_at_a_moment_and_they_take_turns_by_time(region: Region) -> None:
    seen: list[tuple[float, str]] = []
    began = region.clock.now()

    def walk(name: str, step: float) -> None:
        for _ in range(3):
            time.sleep(step)
            seen.append((time.time() - began, name))

    region.clock.spawn(lambda: walk("slow", 3), "slow")
    region.clock.spawn(lambda: walk("quick", 2), "quick")
    region.run(region.quiet)

    assert seen == [(2, "quick"), (3, "slow"), (4, "quick"), (6, "slow"), (6, "quick"), (9, "slow")]


def test_ten_workers_cost_what_ten_workers_cost(region: Region) -> None:
    def work() -> list[None]:
        with ThreadPoolExecutor(10) as pool:
            return list(pool.map(time.sleep, [1.0] * 100))

    process = region.clock.spawn(work, "deleting")
    began = region.clock.now()
    region.run(process)

    # Which thread takes which is the machine's whim, so that one may take a few more than its share.
    assert 10 <= region.clock.now() - began <= 14


def test_a_killed_process_dies_at_its_next_step_and_its_finally_reaches_nothing(region: Region) -> None:
    reached: list[str] = []

    def work() -> None:
        try:
            time.sleep(10)
        finally:
            reached.append("finally")
            time.sleep(1)
            reached.append("after finally")

    process = region.clock.spawn(work, "victim")
    region.clock.after(5, lambda: region.clock.kill(process))
    began = region.clock.now()
    region.run(process)

    assert isinstance(process.error, Died)
    assert reached == ["finally"]
    assert region.clock.now() - began == 5


def test_a_process_dies_when_its_time_is_out_also_in_its_threads(region: Region) -> None:
    def work() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(time.sleep, [1.0] * 100))

    process = region.clock.spawn(work, "slow", seconds=20)
    began = region.clock.now()
    region.run(process)

    assert process.timed_out
    assert isinstance(process.error, Died)
    assert 20 <= region.clock.now() - began <= 21


def test_a_second_region_in_one_process_is_refused(region: Region) -> None:
    region.client("sqs").create_queue(QueueName="still-there")

    with pytest.raises(RuntimeError, match="one"), Region(Simulated()):
        pass

    time.sleep(1)
    assert len(region.client("sqs").list_queues()["QueueUrls"]) == 1


def test_waiting_in_vain_is_an_error(region: Region) -> None:
    with pytest.raises(StillWaiting):
        region.run(lambda: False, at_most=60)


def test_schedules_do_not_keep_a_region_from_being_quiet(region: Region) -> None:
    region.clock.after(hours(1), lambda: None, background=True)
    assert region.quiet()

    region.clock.after(1, lambda: None)
    assert not region.quiet()


def test_a_cancelled_event_does_not_happen(region: Region) -> None:
    happened: list[str] = []
    region.clock.after(1, lambda: happened.append("kept"))
    region.clock.after(1, lambda: happened.append("cancelled")).cancel()

    time.sleep(2)

    assert happened == ["kept"]


def test_real_time_is_waited_for_and_work_of_other_threads_is_taken_in() -> None:
    clock = Clock(datetime.now(UTC), real=True)
    clock.open()
    seen: list[str] = []
    try:
        process = clock.spawn(lambda: (time.sleep(0.2), seen.append("slept")), "sleeper")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: clock.post(lambda: seen.append("posted")))
            began = time.time()
            assert clock.run(process, at_most=5)
    finally:
        clock.close()

    assert seen == ["posted", "slept"]
    assert 0.2 <= time.time() - began < 2


def test_the_same_seed_is_the_same_story() -> None:
    stories = []
    for _ in range(2):
        with Region(Simulated(seed=3), seed=3) as region:
            ec2 = region.client("ec2")
            ec2.run_instances(ImageId="ami-1", MinCount=2, MaxCount=2)
            region.run(region.quiet)
            stories.append((region.world(), region.clock.now()))

    assert stories[0] == stories[1]


def break_off() -> None:
    """What a test does that fails while a process waits."""
    with Region(Simulated()) as region:
        region.clock.spawn(lambda: time.sleep(hours(1000)), "left over")
        region.client("ec2").create_volume(AvailabilityZone="eu-central-1a", Size=1)
        time.sleep(random.random())
        raise ZeroDivisionError


def test_nothing_of_a_region_is_left_after_it() -> None:
    before = (dict(os.environ), time.sleep, boto3.DEFAULT_SESSION, random.getstate())

    with pytest.raises(ZeroDivisionError):
        break_off()

    assert (dict(os.environ), time.sleep, boto3.DEFAULT_SESSION, random.getstate()) == before
    assert abs(time.time() - datetime.now(UTC).timestamp()) < 1
    with Region(Simulated()) as another:
        assert another.client("ec2").describe_volumes()["Volumes"] == []


def test_a_process_that_waits_can_be_looked_at(region: Region) -> None:
    process: Process = region.clock.spawn(lambda: time.sleep(5), "snapshot_database")

    assert repr(process) == "<snapshot_database, running>"
    region.run(process)
    assert repr(process) == "<snapshot_database, done>"
