"""The alarms of hosts: one for each, and none for those that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from region import Interleave, Region, minutes
from region.protocol import Refusal
from watchkeeper.aws import alarms
from watchkeeper.runtime import BOTO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from region.calls import Call

PREFIX = "watchkeeper-database-host-"
ONE, OTHER = "i-0123456789abcdef0", "i-0123456789abcdef1"


@pytest.fixture
def cloudwatch(region: Region) -> Any:
    return region.wire.session.client("cloudwatch", config=BOTO)


def test_a_host_is_given_its_alarm_and_found_by_it(call: Callable[..., Any], cloudwatch: Any) -> None:
    call(lambda: alarms.put(cloudwatch, PREFIX, ONE))

    assert call(lambda: alarms.find(cloudwatch, PREFIX)) == {ONE: PREFIX + ONE}


def test_it_watches_every_status_check_of_that_host_for_two_minutes(
    region: Region, call: Callable[..., Any], cloudwatch: Any
) -> None:
    call(lambda: alarms.put(cloudwatch, PREFIX, ONE))

    (made,) = region.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert (made["Namespace"], made["MetricName"]) == ("AWS/EC2", "StatusCheckFailed")
    assert made["Dimensions"] == [{"Name": "InstanceId", "Value": ONE}]
    assert (made["Statistic"], made["Period"], made["EvaluationPeriods"], made["DatapointsToAlarm"]) == (
        "Maximum",
        60,
        2,
        2,
    )
    assert (made["ComparisonOperator"], made["Threshold"]) == ("GreaterThanOrEqualToThreshold", 1)
    assert made["TreatMissingData"] == "missing"
    assert not made["AlarmActions"]


def test_made_again_and_by_two_at_once_it_is_one(
    region: Region, begin: Callable[..., Any], call: Callable[..., Any], cloudwatch: Any, trial: int
) -> None:
    region.faults.add(Interleave(trial))
    looks = [begin(lambda: alarms.put(cloudwatch, PREFIX, ONE), name) for name in ("a", "b")]
    region.run(region.quiet, at_most=minutes(2))

    assert [look.error for look in looks] == [None, None]
    assert call(lambda: alarms.find(cloudwatch, PREFIX)) == {ONE: PREFIX + ONE}


def test_alarms_of_others_are_not_ours_to_see(region: Region, call: Callable[..., Any], cloudwatch: Any) -> None:
    for name in (f"{PREFIX}late", f"shop-{PREFIX}{ONE}", f"shop-database-host-{ONE}"):
        region.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/EC2",
            MetricName="CPUUtilization",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            ComparisonOperator="GreaterThanThreshold",
            Threshold=1,
        )

    assert call(lambda: alarms.find(cloudwatch, PREFIX)) == {}


def test_250_hosts_cost_three_pages_and_three_deletions(
    region: Region, call: Callable[..., Any], cloudwatch: Any
) -> None:
    hosts = [f"i-{number:017x}" for number in range(250)]
    for host in hosts:
        alarms.put(region.client("cloudwatch"), PREFIX, host)
    region.calls.clear()

    found = call(lambda: alarms.find(cloudwatch, PREFIX))
    call(lambda: alarms.delete(cloudwatch, list(found.values())))

    assert sorted(found) == hosts
    assert [one.operation for one in region.calls] == ["DescribeAlarms"] * 3 + ["DeleteAlarms"] * 3
    assert [len(one.parameters["AlarmNames"]) for one in region.calls[3:]] == [100, 100, 50]
    assert call(lambda: alarms.find(cloudwatch, PREFIX)) == {}


def test_an_alarm_that_is_gone_is_done_and_the_others_go_all_the_same(
    call: Callable[..., Any], cloudwatch: Any
) -> None:
    for host in (ONE, OTHER):
        call(lambda host=host: alarms.put(cloudwatch, PREFIX, host))
    call(lambda: alarms.delete(cloudwatch, [PREFIX + ONE]))

    call(lambda: alarms.delete(cloudwatch, [PREFIX + ONE, PREFIX + OTHER]))

    assert call(lambda: alarms.find(cloudwatch, PREFIX)) == {}


def test_should_cloudwatch_say_that_an_alarm_is_gone_the_next_hundred_go_all_the_same(
    region: Region, call: Callable[..., Any], cloudwatch: Any
) -> None:
    """Its reference names that error, and says of unknown names only that they keep no others."""

    def refuse(_: Call) -> Mapping[str, Any]:
        asked.append(None)
        raise Refusal("ResourceNotFound", "Unknown", 404)

    asked: list[None] = []
    region.wire.answers["cloudwatch", "DeleteAlarms"] = refuse

    call(lambda: alarms.delete(cloudwatch, [f"{PREFIX}i-{number:017x}" for number in range(101)]))

    assert len(asked) == 2
