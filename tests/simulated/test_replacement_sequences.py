"""What test_replacement_states found: each the shortest sequence of things that once went wrong."""

from __future__ import annotations

from collections import Counter

from region import Lag, LaunchFails, hours, minutes
from tests.simulated import dying


def test_what_is_not_seen_at_once_is_not_written_without_a_pause() -> None:
    with dying.open_region() as region:
        region.client("ec2").stop_instances(InstanceIds=[dying.host(region)])
        region.run(at_most=60)
        region.faults.add(Lag(8))

        dying.look(region)

        asked = Counter(one.operation for one in region.calls if one.caller == dying.FUNCTION)
        assert asked["Publish"] == 1
        assert 1 < asked["CreateTags"] < 10


def test_a_look_that_only_tells_ends_also_where_no_volume_remembers_it() -> None:
    with dying.open_region() as region:
        region.invoke("snapshot_database", {})
        region.run(region.quiet, at_most=minutes(10))
        region.terminate("smallpayroll-database")
        region.run(region.quiet, at_most=minutes(2))
        for one in dying.volumes(region):
            region.lose_volume(one["VolumeId"], "gone")
        for _ in range(7):
            dying.look(region)
            region.run(at_most=60)

        answer = dying.look(region, application="smallpayroll")

        assert list(answer["applications"][0]["refused"]) == ["volume-lost"]
        assert region.seconds < 5


def test_the_budget_is_not_forgotten_with_the_replacements_that_nothing_shows_any_more() -> None:
    with dying.open_region(ReplacementsPerDay="1") as region:
        region.faults.add(LaunchFails())
        region.terminate("smallpayroll-database")
        dying.look(region)
        region.run(at_most=minutes(1))
        assert dying.refused(region) == "budget-spent"

        for _ in range(3):
            region.run(at_most=hours(1.5))
            dying.look(region)

        launched = [one for one in region.calls if one.operation == "RunInstances" and one.error is None]
        assert len(launched) == 1
        assert dying.refused(region) == "budget-spent"
