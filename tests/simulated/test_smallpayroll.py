"""The example application is deployed, and Watchkeeper finds in it all that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from region import Region


def test_the_example_is_watched_from_the_moment_it_is_deployed(region: Region) -> None:
    region.deploy("template.yaml")
    outputs = region.deploy("examples/smallpayroll.yaml")

    answer = region.invoke("snapshot_database", {})

    assert [made["application"] for made in answer["made"]] == ["smallpayroll"]
    (snapshot,) = region.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert snapshot["VolumeId"] == outputs["DatabaseVolume"]


def test_the_example_goes_by_the_name_that_it_is_given(region: Region) -> None:
    region.deploy("template.yaml", Applications="big*")
    region.deploy("examples/smallpayroll.yaml", Application="bigpayroll")

    assert [made["application"] for made in region.invoke("snapshot_database", {})["made"]] == ["bigpayroll"]
