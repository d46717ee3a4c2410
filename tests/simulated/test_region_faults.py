"""What goes wrong in the region, by name: each fault does what it says, and nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from region import Death, Died, Interleave, Lag, LostAnswer, Region, ServerError, Simulated, Throttle
from tests.simulated.conftest import Someone

if TYPE_CHECKING:
    from collections.abc import Callable

ONCE = Config(retries={"total_max_attempts": 1})
THRICE = Config(retries={"total_max_attempts": 3, "mode": "standard"})
PATIENT = Config(retries={"total_max_attempts": 1}, read_timeout=10)
ZONE = {"AvailabilityZone": "eu-central-1a", "Size": 1}


def client(region: Region, config: Config = ONCE) -> Any:
    return region.wire.session.client("ec2", config=config)


def volumes(region: Region) -> int:
    return len(region.world().volumes)


def test_throttling_is_waited_out_by_the_client(region: Region, call: Callable[..., Any]) -> None:
    ec2 = client(region, THRICE)
    region.faults.add(Throttle("DescribeVolumes", times=2))

    call(ec2.describe_volumes)

    assert [one.error for one in region.calls] == ["RequestLimitExceeded", "RequestLimitExceeded", None]
    assert region.seconds > 0.15


def fail(region: Region, times: int) -> None:
    """So many times a call is answered with an error, in all its tries."""
    region.faults.add(ServerError("DescribeVolumes", times=1000))
    for _ in range(times):
        process = region.clock.spawn(client(region, THRICE).describe_volumes, "someone")
        process.caller = Someone()
        region.run(process)
        assert isinstance(process.error, ClientError)


def test_clients_go_on_to_the_next_region_as_new_though_they_have_spent_their_retries() -> None:
    with Region(Simulated(seed=7), seed=7) as region:
        fail(region, 20)
        spent = len(region.calls)
    with Region(Simulated(seed=7), seed=7) as region:
        fail(region, 1)

        assert spent < 20 * 3
        assert len(region.calls) == 3


def test_throttling_reaches_one_who_does_not_wait(region: Region, call: Callable[..., Any]) -> None:
    region.faults.add(Throttle("CreateVolume"))

    with pytest.raises(ClientError, match="RequestLimitExceeded"):
        call(lambda: client(region).create_volume(**ZONE))

    assert volumes(region) == 0


def test_a_server_error_does_nothing(region: Region, call: Callable[..., Any]) -> None:
    region.faults.add(ServerError("CreateVolume"))

    with pytest.raises(ClientError, match="InternalError"):
        call(lambda: client(region).create_volume(**ZONE))

    assert volumes(region) == 0


def test_of_a_lost_answer_the_write_is_done_and_the_client_waits_for_nothing(
    region: Region, call: Callable[..., Any]
) -> None:
    region.faults.add(LostAnswer("CreateVolume"))

    with pytest.raises(ReadTimeoutError):
        call(lambda: client(region, PATIENT).create_volume(**ZONE))

    assert volumes(region) == 1
    assert 10 <= region.seconds < 11


def test_a_client_that_retries_a_lost_write_does_it_twice(region: Region, call: Callable[..., Any]) -> None:
    region.faults.add(LostAnswer("AllocateAddress", at_once=True))

    call(lambda: client(region, THRICE).allocate_address())

    assert len(region.client("ec2").describe_addresses()["Addresses"]) == 2


def test_but_not_where_botocore_sends_a_client_token_of_its_own(region: Region, call: Callable[..., Any]) -> None:
    region.faults.add(LostAnswer("CreateVolume", at_once=True))

    call(lambda: client(region, THRICE).create_volume(**ZONE))

    assert volumes(region) == 1


def test_a_connection_can_break_at_once(region: Region, call: Callable[..., Any]) -> None:
    region.faults.add(LostAnswer("CreateVolume", at_once=True))

    with pytest.raises(ConnectionClosedError):
        call(lambda: client(region).create_volume(**ZONE))

    assert volumes(region) == 1


@pytest.mark.parametrize(("death", "made"), [(Death(before=2), 1), (Death(after=2), 2), (Death(at_call=4), 2)])
def test_the_next_invocation_dies_where_it_is_told(
    region: Region, call: Callable[..., Any], death: Death, made: int
) -> None:
    ec2 = client(region)

    def work() -> None:
        for _ in range(3):
            ec2.describe_volumes()
            ec2.create_volume(**ZONE, DryRun=False)
            if death.at_call:
                ec2.create_volume(**ZONE)

    region.faults.add(death)
    with pytest.raises(Died):
        call(work)

    assert death.happened
    assert volumes(region) == made


def test_one_who_died_is_not_followed_by_the_next(region: Region, call: Callable[..., Any]) -> None:
    ec2 = client(region)
    region.faults.add(death := Death(before=3))

    call(lambda: [ec2.create_volume(**ZONE) for _ in range(2)])
    call(lambda: [ec2.create_volume(**ZONE) for _ in range(3)])

    assert not death.happened
    assert volumes(region) == 5


def test_a_dry_run_and_a_read_are_no_writes(region: Region, call: Callable[..., Any]) -> None:
    ec2 = client(region)
    region.faults.add(death := Death(before=1))

    def work() -> None:
        ec2.describe_volumes()
        with pytest.raises(ClientError, match="DryRun"):
            ec2.create_volume(**ZONE, DryRun=True)

    call(work)

    assert not death.happened


def test_readers_that_lag_see_what_was(region: Region, call: Callable[..., Any], database: Callable[..., Any]) -> None:
    ec2, one = client(region), database(tags={"Name": "old"}, name="old")
    volume = one.volumes[0]
    old = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    region.run(region.quiet)
    region.faults.add(Lag(5))

    def seen() -> tuple[set[str], str, str]:
        snapshots = {one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
        host = ec2.describe_instances(InstanceIds=[one.host])["Reservations"][0]["Instances"][0]
        disk = ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]
        return snapshots, disk["Tags"][0]["Value"], host["Tags"][0]["Value"]

    def work() -> list[tuple[set[str], str, str]]:
        ec2.create_tags(Resources=[volume, one.host], Tags=[{"Key": "Name", "Value": "new"}])
        ec2.delete_snapshot(SnapshotId=old)
        new.append(ec2.create_snapshot(VolumeId=volume)["SnapshotId"])
        views = [seen()]
        time.sleep(6)
        return [*views, seen()]

    new: list[str] = []
    early, late = call(work)

    assert early == ({old}, "old", "old")
    assert late == (set(new), "new", "new")
    assert [one.id for one in region.world().snapshots] == new


def test_a_host_without_a_fault_is_not_touched_by_it(region: Region, call: Callable[..., Any]) -> None:
    region.faults.add(throttle := Throttle("CreateVolume"), Lag(60))

    region.client("ec2").create_volume(**ZONE)

    assert throttle.happened == 0
    assert len(region.client("ec2").describe_volumes()["Volumes"]) == 1


def test_a_removed_fault_happens_no_more(region: Region, call: Callable[..., Any]) -> None:
    region.faults.add(throttle := Throttle("CreateVolume", times=99))
    region.faults.remove(throttle)

    call(lambda: client(region).create_volume(**ZONE))

    assert volumes(region) == 1


def test_several_at_once_overlap_in_another_way_for_another_seed_and_in_the_same_for_the_same() -> None:
    def orders(seed: int) -> tuple[str, ...]:
        with Region(Simulated(), seed=1) as region:
            region.faults.add(Interleave(seed))
            ec2 = client(region)
            for name in ("a", "b"):
                process = region.clock.spawn(lambda: [ec2.describe_volumes() for _ in range(3)], name)
                process.caller = type("Caller", (), {"name": name, "refusal": lambda *_: None})()
            region.run(region.quiet)
            return tuple(call.caller for call in region.calls)

    seen = [orders(seed) for seed in range(6)]

    assert len(set(seen)) > 1
    assert seen == [orders(seed) for seed in range(6)]


def test_a_request_takes_its_time_and_the_effect_lies_in_the_middle(region: Region, call: Callable[..., Any]) -> None:
    began = region.clock.now()

    call(lambda: client(region).create_volume(**ZONE))

    assert region.clock.now() - began == pytest.approx(0.05, abs=1e-3)
    assert region.calls[-1].time == pytest.approx(began + 0.025, abs=1e-3)
