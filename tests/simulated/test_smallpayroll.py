"""The example application is deployed, and Watchkeeper finds in it all that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from region import Region


def test_the_example_is_watched_from_the_moment_it_is_deployed(region: Region) -> None:
    region.deploy("template.yaml", ReplaceDatabaseHosts="false", RegisterWebNodes="false", RehearseRestores="false")
    outputs = region.deploy("examples/smallpayroll.yaml")

    answer = region.invoke("snapshot_database", {})

    assert [made["application"] for made in answer["made"]] == ["smallpayroll"]
    (snapshot,) = region.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert snapshot["VolumeId"] == outputs["DatabaseVolume"]


def test_the_example_goes_by_the_name_that_it_is_given(region: Region) -> None:
    region.deploy(
        "template.yaml",
        Applications="big*",
        ReplaceDatabaseHosts="false",
        RegisterWebNodes="false",
        RehearseRestores="false",
    )
    region.deploy("examples/smallpayroll.yaml", Application="bigpayroll")

    assert [made["application"] for made in region.invoke("snapshot_database", {})["made"]] == ["bigpayroll"]


def test_the_first_host_is_launched_from_the_template_from_which_all_others_will_be(region: Region) -> None:
    outputs = region.deploy("examples/smallpayroll.yaml")

    ec2 = region.client("ec2")
    host = ec2.describe_instances(InstanceIds=[outputs["DatabaseHost"]])["Reservations"][0]["Instances"][0]
    (template,) = ec2.describe_launch_templates()["LaunchTemplates"]
    assert words(template) == {
        "watchkeeper:application": "smallpayroll",
        "watchkeeper:role": "database-launch",
        "watchkeeper:instance-types": "t3a.small t3.medium",
    }
    assert words(host) == {
        "Name": "smallpayroll-database",
        "watchkeeper:application": "smallpayroll",
        "watchkeeper:role": "database-host",
        "aws:ec2launchtemplate:id": template["LaunchTemplateId"],
        "aws:ec2launchtemplate:version": "1",
    }


def test_the_database_volume_outlives_its_host(region: Region) -> None:
    outputs = region.deploy("examples/smallpayroll.yaml")

    ec2 = region.client("ec2")
    (volume,) = ec2.describe_volumes(VolumeIds=[outputs["DatabaseVolume"]])["Volumes"]
    assert [one["DeleteOnTermination"] for one in volume["Attachments"]] == [False]


def test_clients_get_a_name_if_one_is_given(region: Region) -> None:
    outputs = region.deploy(
        "examples/smallpayroll.yaml", HostedZone="payroll.internal", AddressName="db.payroll.internal"
    )

    zone = region.client("route53").get_hosted_zone(Id=outputs["HostedZone"])["HostedZone"]
    (volume,) = region.client("ec2").describe_volumes(VolumeIds=[outputs["DatabaseVolume"]])["Volumes"]
    assert (zone["Name"], zone["Config"]["PrivateZone"]) == ("payroll.internal.", True)
    assert words(volume)["watchkeeper:address"] == "db.payroll.internal"


def test_what_the_outputs_say_is_what_the_parameters_of_watchkeeper_want(region: Region) -> None:
    outputs = region.deploy("examples/smallpayroll.yaml", HostedZone="payroll.internal")

    region.deploy("template.yaml", LaunchRoleArns=outputs["DatabaseRole"], HostedZoneIds=outputs["HostedZone"])


def words(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing["Tags"]}
