"""EC2 as hosts die in it, where moto 5.2.5 answers otherwise than AWS: each of these fails with moto alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from region import Delays, Lag, LaunchFails, NoCapacity, Region, Simulated, Stuck, hours, minutes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ZONE = "eu-central-1a"
ONE = {"MinCount": 1, "MaxCount": 1}
IMAGE = "ami-0123456789abcdef0"


@pytest.fixture
def region() -> Iterator[Region]:
    with Region(Simulated(seed=7), seed=7, delays=Delays(hung_stop=(300, 300), forced_stop=(20, 20))) as opened:
        yield opened


def refusal(work: Callable[..., object], **parameters: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        work(**parameters)
    return str(caught.value.response["Error"]["Code"])


def host(region: Region, instance_id: str) -> Mapping[str, Any]:
    answer = region.client("ec2").describe_instances(InstanceIds=[instance_id])
    return dict(answer["Reservations"][0]["Instances"][0])


def volume(region: Region, volume_id: str) -> Mapping[str, Any]:
    return dict(region.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"][0])


def status(region: Region, instance_id: str) -> Mapping[str, Any]:
    found = region.client("ec2").describe_instance_status(InstanceIds=[instance_id], IncludeAllInstances=True)
    return dict(found["InstanceStatuses"][0])


def state(region: Region, instance_id: str) -> str:
    return str(host(region, instance_id)["State"]["Name"])


def words(one: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in one["Tags"]}


def subnet(region: Region, zone: str = ZONE) -> str:
    found = region.client("ec2").describe_subnets(Filters=[{"Name": "availability-zone", "Values": [zone]}])
    return str(found["Subnets"][0]["SubnetId"])


def tagged(kind: str, **tags: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


@pytest.fixture
def template(region: Region) -> str:
    """A launch template with all that counts in it."""
    made = region.client("ec2").create_launch_template(
        LaunchTemplateName="payroll-db",
        TagSpecifications=tagged("launch-template", role="database-launch"),
        LaunchTemplateData={
            "ImageId": IMAGE,
            "InstanceType": "m7g.large",
            "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet(region, "eu-central-1b")}],
            "UserData": "IyEvYmluL2Jhc2g=",
            "TagSpecifications": tagged("instance", Name="payroll", role="of the template"),
        },
    )
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


class TestLaunches:
    def test_a_template_gives_type_image_network_and_tags_and_the_request_has_the_last_word(
        self, region: Region, template: str
    ) -> None:
        ec2 = region.client("ec2")

        plain = ec2.run_instances(LaunchTemplate={"LaunchTemplateId": template}, **ONE)["Instances"][0]
        other = ec2.run_instances(
            LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
            InstanceType="m6g.large",
            TagSpecifications=tagged("instance", role="database-host"),
            **ONE,
        )["Instances"][0]

        assert (plain["ImageId"], plain["InstanceType"]) == (IMAGE, "m7g.large")
        assert (plain["Placement"]["AvailabilityZone"], plain["SubnetId"]) == (
            "eu-central-1b",
            subnet(region, "eu-central-1b"),
        )
        assert other["InstanceType"] == "m6g.large"
        assert {**words(plain), **words(other)}["Name"] == "payroll"
        assert words(plain)["role"] == "of the template"
        assert words(other)["role"] == "database-host"
        assert words(other)["aws:ec2launchtemplate:version"] == "1"

    def test_the_default_version_counts_and_not_the_newest(self, region: Region, template: str) -> None:
        ec2 = region.client("ec2")
        ec2.create_launch_template_version(
            LaunchTemplateId=template, LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "m7g.xlarge"}
        )

        before = ec2.run_instances(LaunchTemplate={"LaunchTemplateId": template}, **ONE)["Instances"][0]
        ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion="2")
        after = ec2.run_instances(LaunchTemplate={"LaunchTemplateId": template}, **ONE)["Instances"][0]

        assert (before["InstanceType"], after["InstanceType"]) == ("m7g.large", "m7g.xlarge")

    def test_templates_are_found_by_tag_in_pages_and_their_versions_say_what_is_in_them(
        self, region: Region, template: str
    ) -> None:
        ec2 = region.client("ec2")
        for number in range(4):
            ec2.create_launch_template(
                LaunchTemplateName=f"other-{number}",
                LaunchTemplateData={"InstanceType": "t3.micro"},
                TagSpecifications=tagged("launch-template", role="database-launch" if number % 2 else "web"),
            )

        wanted = [{"Name": "tag:role", "Values": ["database-launch"]}]
        pages = list(
            ec2.get_paginator("describe_launch_templates").paginate(Filters=wanted, PaginationConfig={"PageSize": 2})
        )
        version = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Default"])
        everyone = ec2.describe_launch_template_versions(Versions=["$Default"], MaxResults=3)

        assert [len(page["LaunchTemplates"]) for page in pages] == [2, 1]
        assert {words(one)["role"] for page in pages for one in page["LaunchTemplates"]} == {"database-launch"}
        data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        assert (data["InstanceType"], data["UserData"]) == ("m7g.large", "IyEvYmluL2Jhc2g=")
        assert data["NetworkInterfaces"][0]["SubnetId"] == subnet(region, "eu-central-1b")
        assert [one["ResourceType"] for one in data["TagSpecifications"]] == ["instance"]
        assert len(everyone["LaunchTemplateVersions"]) == 3
        rest = ec2.describe_launch_template_versions(Versions=["$Default"], NextToken=everyone["NextToken"])
        assert len(rest["LaunchTemplateVersions"]) == 2

    def test_a_version_has_all_of_its_source_that_it_does_not_say_otherwise(
        self, region: Region, template: str
    ) -> None:
        ec2, data = region.client("ec2"), {"ImageId": "ami-0fedcba9876543210"}

        new = ec2.create_launch_template_version(
            LaunchTemplateId=template, SourceVersion="$Default", LaunchTemplateData=data
        )["LaunchTemplateVersion"]
        bare = ec2.create_launch_template_version(LaunchTemplateName="payroll-db", LaunchTemplateData=data)

        (old,) = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["1"])[
            "LaunchTemplateVersions"
        ]
        assert new["VersionNumber"] == 2
        assert new["LaunchTemplateData"] == old["LaunchTemplateData"] | data
        assert bare["LaunchTemplateVersion"]["LaunchTemplateData"] == data

    def test_a_client_token_means_one_instance_in_a_zone(self, region: Region, template: str) -> None:
        ec2 = region.client("ec2")
        asked = {"LaunchTemplate": {"LaunchTemplateId": template}, "ClientToken": "wk-1", **ONE}

        first = ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
        region.run(region.quiet)
        second = ec2.run_instances(**asked)["Instances"][0]
        elsewhere = ec2.run_instances(ImageId=IMAGE, SubnetId=subnet(region), ClientToken="wk-1", **ONE)

        assert (second["InstanceId"], second["State"]["Name"]) == (first, "running")
        assert host(region, first)["ClientToken"] == "wk-1"
        assert elsewhere["Instances"][0]["InstanceId"] != first
        assert len(region.world().hosts) == 2

    def test_another_request_with_the_token_is_a_mismatch_also_when_the_default_version_moved(
        self, region: Region, template: str
    ) -> None:
        ec2 = region.client("ec2")
        asked = {"LaunchTemplate": {"LaunchTemplateId": template}, "ClientToken": "wk-1", **ONE}
        ec2.run_instances(**asked)

        assert refusal(ec2.run_instances, **asked, InstanceType="m6g.large") == "IdempotentParameterMismatch"
        data = {
            "ImageId": IMAGE,
            "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet(region, "eu-central-1b")}],
        }
        ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=data)
        ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion="2")
        assert refusal(ec2.run_instances, **asked) == "IdempotentParameterMismatch"

    def test_a_token_outlives_its_instance_also_when_that_is_not_seen_any_more(
        self, region: Region, template: str
    ) -> None:
        ec2 = region.client("ec2")
        asked = {"LaunchTemplate": {"LaunchTemplateId": template}, "ClientToken": "wk-1", **ONE}
        made = ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
        ec2.terminate_instances(InstanceIds=[made])
        region.run(region.quiet)

        assert state(region, made) == "terminated"
        assert refusal(ec2.run_instances, **asked) == "IdempotentInstanceTerminated"
        region.run(at_most=hours(2))
        assert refusal(ec2.describe_instances, InstanceIds=[made]) == "InvalidInstanceID.NotFound"
        assert refusal(ec2.create_tags, Resources=[made], Tags=[{"Key": "a", "Value": "b"}]) == (
            "InvalidInstanceID.NotFound"
        )
        assert refusal(ec2.run_instances, **asked) == "IdempotentInstanceTerminated"

    def test_no_room_for_a_type_is_an_error_of_aws_that_botocore_retries(
        self, region: Region, call: Callable[..., Any], template: str
    ) -> None:
        region.faults.add(NoCapacity(types=("m7g.large",)))
        asked = {"LaunchTemplate": {"LaunchTemplateId": template}, "ClientToken": "wk-1", **ONE}
        ec2 = region.wire.session.client("ec2", config=Config(retries={"total_max_attempts": 3, "mode": "standard"}))

        code = call(lambda: refusal(ec2.run_instances, **asked))
        other = call(lambda: ec2.run_instances(**asked, InstanceType="m6g.large")["Instances"][0])

        assert code == "InsufficientInstanceCapacity"
        assert [call.error for call in region.calls if call.operation == "RunInstances"] == ["500"] * 3 + [None]
        assert other["InstanceType"] == "m6g.large"

    def test_there_may_be_no_room_to_start_one_again_and_other_limits_have_other_names(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, one = region.client("ec2"), database().host
        ec2.stop_instances(InstanceIds=[one])
        region.run(region.quiet)

        region.faults.add(full := NoCapacity())
        assert refusal(ec2.start_instances, InstanceIds=[one]) == "InsufficientInstanceCapacity"
        region.faults.remove(full)
        region.faults.add(NoCapacity(code="VcpuLimitExceeded"))
        assert refusal(ec2.run_instances, ImageId=IMAGE, **ONE) == "VcpuLimitExceeded"
        assert state(region, one) == "stopped"

    def test_a_launch_can_end_before_it_runs(self, region: Region, template: str) -> None:
        ec2 = region.client("ec2")
        region.faults.add(LaunchFails(1))

        dead, live = (
            ec2.run_instances(LaunchTemplate={"LaunchTemplateId": template}, **ONE)["Instances"][0]["InstanceId"]
            for _ in range(2)
        )
        assert state(region, dead) == "pending"
        region.run(region.quiet)

        gone = host(region, dead)
        assert (gone["State"]["Name"], gone["StateReason"]["Code"]) == ("terminated", "Server.InternalError")
        assert gone["BlockDeviceMappings"] == gone["NetworkInterfaces"] == []
        assert state(region, live) == "running"

    def test_a_mapping_of_the_root_is_no_second_root_and_volumes_get_the_tags_meant_for_them(
        self, region: Region
    ) -> None:
        made = region.client("ec2").run_instances(
            ImageId=IMAGE,
            BlockDeviceMappings=[
                {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20}},
                {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 9, "DeleteOnTermination": True}},
            ],
            TagSpecifications=tagged("volume", whose="ours"),
            InstanceMarketOptions={"MarketType": "spot"},
            Operator={"Principal": "eks.amazonaws.com"},
            **ONE,
        )["Instances"][0]

        disks = region.client("ec2").describe_volumes()["Volumes"]
        assert sorted(one["Size"] for one in disks) == [9, 20]
        assert [words(one) for one in disks] == [{"whose": "ours"}] * 2
        assert [one["Ebs"]["DeleteOnTermination"] for one in made["BlockDeviceMappings"]] == [True, True]
        assert made["InstanceLifecycle"] == "spot"
        assert made["Operator"] == {"Managed": True, "Principal": "eks.amazonaws.com"}


class TestStates:
    def test_who_ended_it_is_told_and_when(self, region: Region, database: Callable[..., Any]) -> None:
        ec2 = region.client("ec2")
        hosts = {name: database(name=name, volumes=0).host for name in ("person", "power", "plan", "self", "spot")}
        ec2.stop_instances(InstanceIds=[hosts["person"]])
        region.stop("power")
        region.stop("plan", "Server.ScheduledStop")
        region.stop("self", "Client.InstanceInitiatedShutdown")
        region.terminate("spot", "Server.SpotInstanceTermination")
        asked = f"{region.clock.moment():%Y-%m-%d %H:%M:%S} GMT"
        region.run(region.quiet)

        told = {
            name: (one["State"]["Name"], one["StateReason"]["Code"], one["StateTransitionReason"])
            for name, one in ((name, host(region, one)) for name, one in hosts.items())
        }
        assert told == {
            "person": ("stopped", "Client.UserInitiatedShutdown", f"User initiated ({asked})"),
            "power": ("stopped", "Server.InternalError", "Server.InternalError"),
            "plan": ("stopped", "Server.ScheduledStop", "Server.ScheduledStop"),
            "self": ("stopped", "Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown"),
            "spot": ("terminated", "Server.SpotInstanceTermination", "Server.SpotInstanceTermination"),
        }

    def test_each_start_is_a_new_launch_time_and_clears_the_reason(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, one = region.client("ec2"), database(volumes=0).host
        first = host(region, one)["LaunchTime"]

        region.power_cut(one)
        region.run(at_most=minutes(5))
        ec2.start_instances(InstanceIds=[one])
        region.run(region.quiet)

        again = host(region, one)
        assert again["LaunchTime"] >= first + timedelta(minutes=5)
        assert (again.get("StateReason"), again["StateTransitionReason"]) == (None, "")

    def test_a_hung_host_takes_minutes_to_stop_and_its_power_is_on_until_then(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, one = region.client("ec2"), database()

        region.hang(one.host)
        ec2.stop_instances(InstanceIds=[one.host], SkipOsShutdown=True)
        region.run(at_most=299)
        before = state(region, one.host), region.machines.hosts[one.host].on
        region.run(region.quiet)

        assert before == ("stopping", True)
        assert (state(region, one.host), region.machines.hosts[one.host].on) == ("stopped", False)
        ec2.start_instances(InstanceIds=[one.host])
        region.run(region.quiet)
        ec2.stop_instances(InstanceIds=[one.host])
        region.run(region.quiet)
        assert region.seconds <= 30  # it hangs no more

    def test_force_ends_a_stop_that_hangs_and_terminating_does(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2 = region.client("ec2")
        forced, ended, never = (database(name=name).host for name in ("forced", "ended", "never"))
        for one in (forced, ended, never):
            region.hang(one)
        region.faults.add(stuck := Stuck("StopInstances"))
        ec2.stop_instances(InstanceIds=[ended, never], SkipOsShutdown=True)
        ec2.stop_instances(InstanceIds=[ended, never], SkipOsShutdown=True, Force=True)
        region.faults.remove(stuck)
        ec2.stop_instances(InstanceIds=[forced], SkipOsShutdown=True)
        region.run(at_most=60)

        ec2.stop_instances(InstanceIds=[forced], SkipOsShutdown=True, Force=True)
        ec2.terminate_instances(InstanceIds=[ended])
        region.run(at_most=21)
        assert [state(region, one) for one in (forced, ended, never)] == ["stopped", "shutting-down", "stopping"]
        region.run(at_most=hours(0.9))
        assert [state(region, one) for one in (forced, ended, never)] == ["stopped", "terminated", "stopping"]

    def test_a_stop_without_the_operating_system_is_quick_and_cuts_the_power(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        one = database().host
        ended: list[str] = []
        machines: Any = region.machines
        machines.power_cut, machines.shutdown = ended.append, lambda _: ended.append("in order")

        region.client("ec2").stop_instances(InstanceIds=[one], SkipOsShutdown=True)
        region.run(region.quiet)

        assert region.seconds <= 10
        assert ended == [one]

    def test_protection_from_stopping_is_kept_and_told(self, region: Region, database: Callable[..., Any]) -> None:
        ec2, one = region.client("ec2"), database().host
        ec2.modify_instance_attribute(InstanceId=one, DisableApiStop={"Value": True})

        assert refusal(ec2.stop_instances, InstanceIds=[one], Force=True) == "OperationNotPermitted"
        told = ec2.describe_instance_attribute(InstanceId=one, Attribute="disableApiStop")
        assert told["DisableApiStop"] == {"Value": True}
        assert state(region, one) == "running"

    def test_volumes_go_with_the_instance_only_if_they_say_so(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, two = region.client("ec2"), database(volumes=2)
        kept, lost = two.volumes
        devices = {one["Ebs"]["VolumeId"]: one["DeviceName"] for one in host(region, two.host)["BlockDeviceMappings"]}
        root = next(one for one in devices if one not in two.volumes)

        def goes(volume_id: str, does: bool) -> Any:
            ebs = {"VolumeId": volume_id, "DeleteOnTermination": does}
            mapping = [{"DeviceName": devices[volume_id], "Ebs": ebs}]
            return ec2.modify_instance_attribute(InstanceId=two.host, BlockDeviceMappings=mapping)

        goes(kept, True)
        assert volume(region, kept)["Attachments"][0]["DeleteOnTermination"] is True
        goes(kept, False)
        goes(lost, True)
        ec2.terminate_instances(InstanceIds=[two.host])
        region.run(region.quiet)

        assert volume(region, kept)["State"] == "available"
        assert volume(region, kept)["Attachments"] == []
        assert refusal(ec2.describe_volumes, VolumeIds=[lost]) == "InvalidVolume.NotFound"
        assert refusal(ec2.describe_volumes, VolumeIds=[root]) == "InvalidVolume.NotFound"
        wrong = [{"DeviceName": "/dev/sdz", "Ebs": {"DeleteOnTermination": False}}]
        code = refusal(ec2.modify_instance_attribute, InstanceId=two.host, BlockDeviceMappings=wrong)
        assert code == "InvalidInstanceAttributeValue"

    def test_each_state_is_on_the_bus(self, region: Region, database: Callable[..., Any]) -> None:
        seen: list[str] = []
        one = database(volumes=0).host
        emit = region.bus.emit
        region.bus.emit = lambda make, *args: (seen.append(args[-1]), emit(make, *args))[1]  # type: ignore[method-assign]

        region.terminate(one)
        region.run(region.quiet)

        assert seen == ["shutting-down", "terminated"]


class TestChecks:
    def test_a_hung_host_is_impaired_after_a_minute_or_two_and_rings(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        one = database().host
        region.run(at_most=minutes(10))
        region.client("cloudwatch").put_metric_alarm(
            AlarmName=f"host-{one}",
            Namespace="AWS/EC2",
            MetricName="StatusCheckFailed",
            Dimensions=[{"Name": "InstanceId", "Value": one}],
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=2,
            DatapointsToAlarm=2,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )
        region.run(at_most=minutes(5))
        assert (status(region, one)["InstanceStatus"]["Status"], region.ec2.check_failed(one)) == ("ok", 0)

        hung = region.clock.moment()
        region.hang(one)
        region.run(at_most=59)
        assert status(region, one)["InstanceStatus"]["Status"] == "ok"
        region.run(at_most=61)
        told = status(region, one)
        since = told["InstanceStatus"]["Details"][0]["ImpairedSince"]
        region.run(lambda: region.alarms[f"host-{one}"] == "ALARM", at_most=minutes(4))

        assert (told["InstanceStatus"]["Status"], told["SystemStatus"]["Status"]) == ("impaired", "ok")
        assert timedelta(minutes=1) <= since - hung <= timedelta(minutes=2)
        assert region.ec2.check_failed(one) == 1

    @pytest.mark.parametrize(
        ("check", "name"), [("instance", "InstanceStatus"), ("system", "SystemStatus"), ("ebs", "AttachedEbsStatus")]
    )
    def test_one_check_can_fail_for_a_while_and_the_machine_goes_on(
        self, region: Region, database: Callable[..., Any], check: str, name: str
    ) -> None:
        one = database().host
        region.run(at_most=minutes(5))

        region.impair(one, check=check, seconds=300)
        told = status(region, one)

        others = {"InstanceStatus", "SystemStatus", "AttachedEbsStatus"} - {name}
        assert told[name]["Details"][0]["Status"] == "failed"
        assert {told[other]["Status"] for other in others} == {"ok"}
        assert region.ec2.check_failed(one) == 1
        assert region.machines.has_agent(one)
        region.run(at_most=301)
        assert (status(region, one)[name]["Status"], region.ec2.check_failed(one)) == ("ok", 0)

    def test_what_was_wrong_is_over_with_the_power(self, region: Region, database: Callable[..., Any]) -> None:
        ec2, one = region.client("ec2"), database().host
        region.impair(one, check="system")
        region.run(at_most=minutes(3))

        region.power_cut(one)
        off = status(region, one)["SystemStatus"]["Status"], region.ec2.check_failed(one)
        ec2.start_instances(InstanceIds=[one])
        region.run(region.quiet)
        fresh = status(region, one)["SystemStatus"]["Status"]
        region.run(at_most=minutes(1))

        assert off == ("not-applicable", None)
        assert (fresh, status(region, one)["SystemStatus"]["Status"]) == ("initializing", "ok")

    def test_a_check_may_not_know_and_that_is_no_failure(self, region: Region, database: Callable[..., Any]) -> None:
        one = database().host
        region.run(at_most=minutes(2))

        region.impair(one, status="insufficient-data")

        assert status(region, one)["InstanceStatus"]["Status"] == "insufficient-data"
        assert region.ec2.check_failed(one) == 0

    def test_a_failing_check_is_measured_each_minute_and_idle_months_cost_nothing(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        one = database().host
        series = region.watch.series["AWS/EC2", "StatusCheckFailed", frozenset({("InstanceId", one)})]
        region.run(at_most=hours(24 * 30))
        idle = len(series)

        region.impair(one, seconds=600)
        region.run(at_most=hours(1))

        assert idle == 1
        assert [value for _, value in series[1:]] == [1] * 10 + [0] * 3

    def test_events_that_aws_plans_are_told_and_statuses_are_filtered(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2 = region.client("ec2")
        one, other = database(name="one").host, database(name="other").host
        when = datetime(2026, 11, 23, tzinfo=UTC)
        region.ec2.plan_event(one, "system-maintenance", when, when + timedelta(hours=2))
        region.run(at_most=minutes(5))
        region.impair(other)

        def found(name: str, value: str) -> list[str]:
            answer = ec2.describe_instance_status(Filters=[{"Name": name, "Values": [value]}])
            return [status["InstanceId"] for status in answer["InstanceStatuses"]]

        event = status(region, one)["Events"][0]
        assert (event["Code"], event["NotBefore"]) == ("system-maintenance", when)
        assert found("event.code", "system-maintenance") == [one]
        assert found("instance-status.status", "impaired") == [other]
        assert set(found("availability-zone", ZONE)) == {one, other}
        assert refusal(found, name="tag:Name", value="one") == "InvalidParameterValue"

    def test_a_sick_volume_says_so_until_somebody_takes_the_risk(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, one = region.client("ec2"), database(volumes=2)

        def sick() -> list[str]:
            wanted = [{"Name": "volume-status.status", "Values": ["impaired"]}]
            return [one["VolumeId"] for one in ec2.describe_volume_status(Filters=wanted)["VolumeStatuses"]]

        assert sick() == []
        region.sicken_volume(one.volumes[0])
        told = ec2.describe_volume_status(VolumeIds=[one.volumes[0]])["VolumeStatuses"][0]
        assert sick() == [one.volumes[0]]
        assert told["Actions"][0]["Code"] == "enable-volume-io"
        assert told["VolumeStatus"]["Details"][0] == {"Name": "io-enabled", "Status": "failed"}
        ec2.enable_volume_io(VolumeId=one.volumes[0])
        assert sick() == []


class TestVolumes:
    def test_a_volume_is_made_once_for_a_token_and_says_what_it_is(self, region: Region) -> None:
        ec2 = region.client("ec2")
        asked = {"AvailabilityZone": ZONE, "Size": 8, "VolumeType": "gp3", "Encrypted": True, "ClientToken": "t"}

        made = ec2.create_volume(**asked, KmsKeyId="arn:key", Throughput=250, Iops=4000)
        again = ec2.create_volume(**asked, KmsKeyId="arn:key", Throughput=250, Iops=4000)
        io2 = ec2.create_volume(AvailabilityZone=ZONE, Size=8, VolumeType="io2", Iops=100, MultiAttachEnabled=True)

        assert made["VolumeId"] == again["VolumeId"]
        told = volume(region, made["VolumeId"])
        assert (told["Iops"], told["Throughput"], told["KmsKeyId"]) == (4000, 250, "arn:key")
        assert (told["MultiAttachEnabled"], told["Operator"]) == (False, {"Managed": False})
        assert volume(region, io2["VolumeId"])["MultiAttachEnabled"] is True
        assert refusal(ec2.create_volume, **asked) == "IdempotentParameterMismatch"
        ec2.delete_volume(VolumeId=made["VolumeId"])
        region.run(region.quiet)
        assert ec2.create_volume(**asked, KmsKeyId="arn:key", Throughput=250, Iops=4000)["VolumeId"] == made["VolumeId"]
        assert len(ec2.describe_volumes()["Volumes"]) == 1

    def test_one_made_of_a_snapshot_is_not_there_at_once(self, region: Region, database: Callable[..., Any]) -> None:
        ec2, one = region.client("ec2"), database()
        snapshot = ec2.create_snapshot(VolumeId=one.volumes[0])["SnapshotId"]
        region.run(region.quiet)

        made = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)
        where = {"VolumeId": made["VolumeId"], "InstanceId": one.host, "Device": "/dev/sdz"}

        assert made["State"] == "creating"
        assert refusal(ec2.attach_volume, **where) == "IncorrectState"
        region.run(region.quiet)
        ec2.attach_volume(**where)

    def test_a_host_has_the_disk_when_it_is_attached_and_not_before(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, one, other = region.client("ec2"), database(name="one"), database(name="other", volumes=0)
        disks = region.machines.hosts[other.host].volumes
        region.power_cut("one")
        region.power_cut("other")
        ec2.detach_volume(VolumeId=one.volumes[0], InstanceId=one.host)
        region.run(region.quiet)
        region.faults.add(stuck := Stuck("AttachVolume"))

        where = {"VolumeId": one.volumes[0], "InstanceId": other.host}
        ec2.attach_volume(**where, Device="/dev/sdf")
        region.run(at_most=hours(1))
        stays = volume(region, one.volumes[0])["Attachments"][0]["State"], set(disks)
        region.faults.remove(stuck)
        ec2.detach_volume(**where)
        region.run(region.quiet)
        ec2.attach_volume(**where, Device="/dev/sdg")  # to a stopped host
        began = dict(disks)
        region.run(region.quiet)

        assert stays == ("attaching", set())
        assert (began, disks) == ({}, {one.volumes[0]: "/dev/sdg"})
        attachment = volume(region, one.volumes[0])["Attachments"][0]
        assert attachment["State"] == "attached"
        assert region.clock.moment() - attachment["AttachTime"] < timedelta(seconds=5)

    def test_nothing_is_detached_from_one_that_is_going(self, region: Region, database: Callable[..., Any]) -> None:
        ec2, one = region.client("ec2"), database()
        ec2.terminate_instances(InstanceIds=[one.host])

        asked = {"VolumeId": one.volumes[0], "InstanceId": one.host, "Force": True}

        assert refusal(ec2.detach_volume, **asked) == "IncorrectInstanceState"

    @pytest.mark.parametrize("how", ["error", "gone"])
    def test_a_volume_can_be_lost(self, region: Region, database: Callable[..., Any], how: str) -> None:
        ec2, one = region.client("ec2"), database()

        region.lose_volume(one.volumes[0], how)

        if how == "gone":
            assert refusal(ec2.describe_volumes, VolumeIds=list(one.volumes)) == "InvalidVolume.NotFound"
        else:
            lost = volume(region, one.volumes[0])
            assert (lost["State"], lost["Attachments"]) == ("error", [])
            again = {"VolumeId": one.volumes[0], "InstanceId": one.host, "Device": "/dev/sdf"}
            assert refusal(ec2.attach_volume, **again) == "IncorrectState"
        assert one.volumes[0] not in region.machines.hosts[one.host].volumes


class TestInterfaces:
    def test_an_interface_moves_with_its_address(self, region: Region, database: Callable[..., Any]) -> None:
        ec2, old, new = region.client("ec2"), database(name="old").host, database(name="new").host
        nic = ec2.create_network_interface(SubnetId=subnet(region), PrivateIpAddress="172.31.0.200")
        eni = nic["NetworkInterface"]["NetworkInterfaceId"]

        def interface() -> Mapping[str, Any]:
            return dict(ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"][0])

        assert (interface()["Status"], interface().get("Attachment")) == ("available", None)
        first = ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=old, DeviceIndex=1)["AttachmentId"]
        assert interface()["Attachment"]["Status"] == "attaching"
        assert region.ec2.reached_at(old) == (host(region, old)["PrivateIpAddress"],)
        region.run(region.quiet)
        assert interface()["Attachment"]["InstanceId"] == old
        assert region.ec2.reached_at(old) == (host(region, old)["PrivateIpAddress"], "172.31.0.200")
        asked = {"NetworkInterfaceId": eni, "InstanceId": new, "DeviceIndex": 1}
        assert refusal(ec2.attach_network_interface, **asked) == "InvalidNetworkInterface.InUse"

        ec2.detach_network_interface(AttachmentId=first)
        assert interface()["Attachment"]["Status"] == "detaching"
        region.run(region.quiet)
        second = ec2.attach_network_interface(**asked)["AttachmentId"]
        region.run(region.quiet)

        assert second != first
        assert refusal(ec2.detach_network_interface, AttachmentId=first) == "InvalidAttachmentID.NotFound"
        assert [one["NetworkInterfaceId"] for one in host(region, new)["NetworkInterfaces"]][1] == eni
        assert interface()["PrivateIpAddress"] == "172.31.0.200"

    def test_the_first_interface_stays_and_places_and_zones_must_fit(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, one = region.client("ec2"), database().host
        first = host(region, one)["NetworkInterfaces"][0]
        near, far = (
            ec2.create_network_interface(SubnetId=subnet(region, zone))["NetworkInterface"]["NetworkInterfaceId"]
            for zone in (ZONE, "eu-central-1b")
        )

        attach = ec2.attach_network_interface

        detached = refusal(ec2.detach_network_interface, AttachmentId=first["Attachment"]["AttachmentId"])
        assert detached == "OperationNotPermitted"
        assert refusal(attach, NetworkInterfaceId=near, InstanceId=one, DeviceIndex=0) == "InvalidParameterValue"
        assert refusal(attach, NetworkInterfaceId=far, InstanceId=one, DeviceIndex=1) == "InvalidParameterCombination"

    def test_of_a_terminated_instance_the_first_goes_and_the_others_are_free(
        self, region: Region, database: Callable[..., Any]
    ) -> None:
        ec2, one = region.client("ec2"), database().host
        first = host(region, one)["NetworkInterfaces"][0]["NetworkInterfaceId"]
        eni = ec2.create_network_interface(SubnetId=subnet(region))["NetworkInterface"]["NetworkInterfaceId"]
        ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=one, DeviceIndex=1)
        region.run(region.quiet)

        region.terminate(one)
        region.run(region.quiet)

        left = {
            nic["NetworkInterfaceId"]: nic["Status"] for nic in ec2.describe_network_interfaces()["NetworkInterfaces"]
        }
        assert left == {eni: "available"}
        assert first not in left
        assert "PrivateIpAddress" not in host(region, one)


class TestLag:
    def test_readers_behind_see_states_attachments_and_checks_as_they_were(
        self, region: Region, call: Callable[..., Any], database: Callable[..., Any]
    ) -> None:
        ec2, one, other = region.client("ec2"), database(name="one"), database(name="other", volumes=0)
        region.run(at_most=minutes(5))
        region.faults.add(Lag(5))
        region.power_cut("one")
        ec2.detach_volume(VolumeId=one.volumes[0], InstanceId=one.host)
        region.run(region.quiet)
        ec2.attach_volume(VolumeId=one.volumes[0], InstanceId=other.host, Device="/dev/sdf")
        region.run(region.quiet)
        region.impair("other")
        new = ec2.run_instances(ImageId=IMAGE, **ONE)["Instances"][0]["InstanceId"]

        def look() -> tuple[Any, ...]:
            attachments = volume(region, one.volumes[0])["Attachments"]
            held = {mapping["Ebs"]["VolumeId"] for mapping in host(region, one.host)["BlockDeviceMappings"]}
            wanted = [{"Name": "instance-state-name", "Values": ["pending"]}]
            young = ec2.describe_instances(Filters=wanted)["Reservations"]
            return (
                state(region, one.host),
                [(each["InstanceId"] == other.host, each["State"]) for each in attachments],
                one.volumes[0] in held,
                status(region, other.host)["InstanceStatus"]["Status"],
                len(young),
            )

        def work() -> list[tuple[Any, ...]]:
            early = look()
            unknown = refusal(ec2.describe_instances, InstanceIds=[new])
            time.sleep(6)
            return [early, (unknown,), look()]

        early, unknown, late = call(work)

        assert early[0] in ("running", "stopped")
        assert early[1] != late[1]
        assert early[3:] == ("ok", 0)
        assert unknown == ("InvalidInstanceID.NotFound",)
        assert late == ("stopped", [(True, "attached")], False, "impaired", 1)

    def test_one_that_is_gone_is_seen_a_little_longer(
        self, region: Region, call: Callable[..., Any], database: Callable[..., Any]
    ) -> None:
        one = database()
        region.run(at_most=10)
        region.faults.add(Lag(5))
        region.lose_volume(one.volumes[0], "gone")

        seen = call(lambda: volume(region, one.volumes[0]))
        listed = call(lambda: region.client("ec2").describe_volumes()["Volumes"])

        assert one.volumes[0] in {each["VolumeId"] for each in listed}
        assert (seen["State"], seen["Attachments"][0]["State"]) == ("in-use", "attached")
        assert words(seen) == {"Name": "db-1"}

    def test_an_attachment_that_has_just_begun_is_not_seen(
        self, region: Region, call: Callable[..., Any], database: Callable[..., Any]
    ) -> None:
        ec2, one = region.client("ec2"), database(volumes=0).host
        young = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
        region.run(at_most=10)
        region.faults.add(Lag(5))
        ec2.attach_volume(VolumeId=young, InstanceId=one, Device="/dev/sdf")

        seen, holder = call(lambda: (volume(region, young), host(region, one)))

        assert (seen["State"], seen["Attachments"]) == ("available", [])
        assert len(holder["BlockDeviceMappings"]) == 1

    def test_with_a_seed_each_read_is_behind_by_its_own_share(
        self, region: Region, call: Callable[..., Any], database: Callable[..., Any]
    ) -> None:
        one = database()
        region.faults.add(Lag(2, seed=3))
        region.run(at_most=5)
        region.power_cut(one.host)

        seen = call(lambda: [state(region, one.host) for _ in range(12)])

        assert {"running", "stopped"} == set(seen)
        assert seen != sorted(seen)


def test_thousands_of_hosts_are_described_in_pages(region: Region) -> None:
    ids = sorted(region.ec2.stock_host({"role": "host"}, {"role": "database"}) for _ in range(2_500))
    ec2 = region.client("ec2")
    wanted = [{"Name": "tag:role", "Values": ["database"]}]

    pages = list(ec2.get_paginator("describe_volumes").paginate(Filters=wanted, PaginationConfig={"PageSize": 500}))

    disks = [one for page in pages for one in page["Volumes"]]
    assert [len(page["Volumes"]) for page in pages] == [500] * 5
    assert sorted((one["Attachments"][0]["InstanceId"], one["VolumeId"]) for one in disks) == ids
    assert len(ec2.describe_instance_status()["InstanceStatuses"]) == 1000


def test_the_next_instance_does_not_get_the_address_of_one_that_was_terminated(region: Region) -> None:
    ec2 = region.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    first = ec2.run_instances(ImageId=IMAGE, SubnetId=subnet, **ONE)["Instances"][0]
    region.run(region.quiet, at_most=minutes(5))
    region.terminate(first["InstanceId"])
    region.run(region.quiet, at_most=minutes(5))

    second = ec2.run_instances(ImageId=IMAGE, SubnetId=subnet, **ONE)["Instances"][0]

    assert second["PrivateIpAddress"] != first["PrivateIpAddress"]
