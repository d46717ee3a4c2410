"""Calls of AWS whose words matter to a rehearsal, and answers that are none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.rehearsals import LIVE, NETWORK, SETTINGS, group, ready, scene
from watchkeeper.aws import groups, scratch
from watchkeeper.aws.groups import Rule
from watchkeeper.aws.launches import Launch
from watchkeeper.aws.scratch import Apart, Network
from watchkeeper.errors import Refused
from watchkeeper.rehearsal import actions
from watchkeeper.rehearsal.apply import Writers, apply
from watchkeeper.rehearsal.observe import Readers, Seen
from watchkeeper.rehearsal.scene import OUT
from watchkeeper.rehearsal.serve import Attended, Clients, _act
from watchkeeper.rehearsal.settings import Settings
from watchkeeper.rehearsal.verdict import Plan

ALL = Rule("-1", -1, -1, "0.0.0.0/0")
TEMPLATE = Launch("lt-1", "payroll", 3, ("m7i.large",))
APART = Apart("sg-1", "arn:rehearsal", "#!/bin/sh\n")


class Answering:
    """A client whose every call is remembered; `errors` are the codes with which operations are refused."""

    def __init__(self, answer: Any = None, **errors: str) -> None:
        self.answer = answer
        self.errors = errors
        self.calls: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**words: Any) -> Any:
            self.calls.append({"operation": operation, **words})
            if operation in self.errors:
                answered: Any = {
                    "Error": {"Code": self.errors[operation], "Message": "no"},
                    "ResponseMetadata": {"HTTPStatusCode": 400},
                }
                raise ClientError(answered, operation)
            return self.answer

        return call

    @property
    def operations(self) -> list[str]:
        return [one["operation"] for one in self.calls]


def test_rules_of_every_kind_are_read_and_taken_away_as_they_are() -> None:
    permissions: Any = [
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": "sg-2"}]},
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": "pl-1"}]},
    ]
    described: Any = {"GroupId": "sg-1", "IpPermissionsEgress": permissions, "IpPermissions": permissions[1:2]}
    ec2: Any = Answering()

    groups.narrow(ec2, groups.Group.from_boto(described), OUT)

    ingress, egress, allowed = ec2.calls
    assert ingress["IpPermissions"] == permissions[1:2]
    assert egress["IpPermissions"] == [
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        permissions[2],
        permissions[1],
    ]
    assert allowed["IpPermissions"] == [
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
    ]


def test_a_narrow_group_is_asked_nothing_and_what_another_look_did_is_done() -> None:
    ec2: Any = Answering(
        revoke_security_group_egress="InvalidPermission.NotFound",
        authorize_security_group_egress="InvalidPermission.Duplicate",
    )

    groups.narrow(ec2, group(), OUT)
    assert ec2.calls == []
    groups.narrow(ec2, group(outgoing=frozenset({ALL})), OUT)
    assert len(ec2.calls) == 2

    ec2.errors["revoke_security_group_egress"] = "UnauthorizedOperation"
    with pytest.raises(ClientError):
        groups.narrow(ec2, group(outgoing=frozenset({ALL})), OUT)


@pytest.mark.parametrize(
    ("code", "is_done"),
    [("InvalidGroup.NotFound", True), ("DependencyViolation", False), ("UnauthorizedOperation", None)],
)
def test_a_group_that_is_used_is_looked_at_again_and_one_that_is_gone_is_done(code: str, is_done: bool | None) -> None:
    ec2: Any = Answering(delete_security_group=code)
    if is_done is None:
        with pytest.raises(ClientError):
            groups.delete(ec2, "sg-1")
    else:
        assert groups.delete(ec2, "sg-1") is is_done


def test_a_group_of_that_name_is_somebody_elses_beginning() -> None:
    ec2: Any = Answering(create_security_group="InvalidGroup.Duplicate")

    assert groups.create(ec2, "name", "what", "vpc-1", {}) is False


def run(network: Network = NETWORK, number: int = 0) -> dict[str, Any]:
    """What RunInstances is asked."""
    ec2: Any = Answering({"Instances": [{"InstanceId": "i-1", "State": {"Name": "pending"}}]})
    scratch.run(ec2, TEMPLATE, network, APART, (number, "wk-1"), {"role": "rehearsal"})
    return dict(ec2.calls[0])


def test_a_scratch_host_has_nothing_of_the_templates_that_leads_to_production() -> None:
    asked = run()

    assert asked["UserData"] == "#!/bin/sh\n"
    assert asked["IamInstanceProfile"] == {"Arn": "arn:rehearsal"}
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert asked["DisableApiTermination"] is False
    assert asked["CapacityReservationSpecification"] == {"CapacityReservationPreference": "none"}
    interface = {"DeviceIndex": 0, "Groups": ["sg-1"], "DeleteOnTermination": True, "SubnetId": "subnet-1"}
    assert asked["NetworkInterfaces"] == [interface]
    assert "SecurityGroupIds" not in asked
    assert [one["ResourceType"] for one in asked["TagSpecifications"]] == ["instance", "volume"]
    assert "InstanceType" not in asked


def test_a_template_without_interfaces_has_the_group_on_the_instance_and_another_type_its_number() -> None:
    asked = run(Network("vpc-1"), number=1)

    assert asked["SecurityGroupIds"] == ["sg-1"]
    assert "NetworkInterfaces" not in asked
    assert asked["InstanceType"] == "m7i.large"


def test_the_disks_of_a_template_are_deleted_with_a_scratch_host() -> None:
    data = {
        "NetworkInterfaces": [
            {
                "SubnetId": "subnet-1",
                "AssociatePublicIpAddress": True,
                "NetworkInterfaceId": "eni-1",
                "Groups": ["sg-9"],
            }
        ],
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False, "VolumeSize": 20}},
            {"DeviceName": "/dev/sdb", "NoDevice": ""},
        ],
        "TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "watchkeeper:role", "Value": "database"}]}],
    }
    ec2: Any = SimpleNamespace(
        describe_launch_template_versions=lambda **_: {"LaunchTemplateVersions": [{"LaunchTemplateData": data}]},
        describe_subnets=lambda **_: {"Subnets": [{"VpcId": "vpc-9"}]},
    )

    network = scratch.find_network(ec2, TEMPLATE)
    asked = run(network)

    assert asked["BlockDeviceMappings"][0]["Ebs"] == {"DeleteOnTermination": True, "VolumeSize": 20}
    assert asked["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is True
    assert (network.vpc, network.fixed, network.claims) == ("vpc-9", ("NetworkInterfaceId",), ("watchkeeper:role",))


def test_an_account_without_a_default_network_has_none() -> None:
    ec2: Any = SimpleNamespace(
        describe_launch_template_versions=lambda **_: {"LaunchTemplateVersions": [{"LaunchTemplateData": {}}]},
        describe_subnets=lambda **_: {"Subnets": []},
    )

    assert scratch.find_network(ec2, TEMPLATE).vpc == ""


def doing(ec2: Any, *planned: actions.Action, ssm: Any = None, logs: Any = None) -> Attended:
    attended = Attended("payroll")
    clients = Clients(Readers(ec2, ssm), Writers(ec2, ssm, logs, logs), ec2)
    _act(clients, SETTINGS, scene(), Plan(planned), attended)
    return attended


def test_what_cannot_be_ended_keeps_nothing_else_from_its_end() -> None:
    ec2: Any = Answering(terminate_instances="OperationNotPermitted", delete_volume="VolumeInUse")
    planned = (actions.Terminate("i-1", ""), actions.DeleteVolume("vol-1", ""), actions.DeleteGroup("sg-1", ""))

    attended = doing(ec2, *planned)

    assert ec2.operations == ["terminate_instances", "delete_volume", "delete_security_group"]
    assert [one["step"] for one in attended.did] == ["DeleteGroup"]
    assert "OperationNotPermitted" in str(attended.error)


def test_people_who_cannot_be_told_keep_nothing_from_its_end() -> None:
    ec2, logs = Answering(), Answering(create_log_stream="ServiceUnavailableException")
    logs.exceptions = SimpleNamespace(ResourceAlreadyExistsException=KeyError)  # type: ignore[attr-defined]

    attended = doing(ec2, actions.Tell("key", "subject", "text", ""), actions.Terminate("i-1", ""), logs=logs)

    assert ec2.operations == ["terminate_instances"]
    assert "ServiceUnavailable" in str(attended.unheard)


def test_a_host_out_of_reach_is_asked_again_later() -> None:
    ssm: Any = Answering(send_command="InvalidInstanceId")

    attended = doing(Answering(), actions.Send("i-1", "start_database", "start", {}, ""), ssm=ssm)

    assert attended.did == []
    assert attended.error is None


@pytest.mark.parametrize(
    ("code", "asked", "failure"),
    [
        ("InsufficientInstanceCapacity", 2, "InsufficientInstanceCapacity"),
        ("UnauthorizedOperation", 1, "UnauthorizedOperation"),
        ("IdempotentInstanceTerminated", 1, "IdempotentInstanceTerminated"),
        ("InvalidGroup.NotFound", 1, ""),
    ],
)
def test_only_want_of_room_has_another_type_tried(code: str, asked: int, failure: str) -> None:
    ec2: Any = Answering(run_instances=code)
    seen, launch = Seen(), actions.Launch(LIVE, TEMPLATE, NETWORK, "sg-1", "")

    done = apply(Readers(ec2, ec2), Writers(ec2, ec2, ec2, ec2), SETTINGS, ready(), launch, seen)

    assert done is False
    assert len(ec2.calls) == asked
    assert (seen.failure.code if seen.failure else "") == failure
    assert len({one["ClientToken"] for one in ec2.calls}) == asked


@pytest.mark.parametrize(
    ("name", "value"), [("REHEARSAL_DAYS", "0"), ("REHEARSAL_PROFILE", ""), ("ALLOW_COLLATION_CHANGE", "yes")]
)
def test_a_variable_that_is_missing_or_wrong_is_named(name: str, value: str) -> None:
    env = {
        "APPLICATIONS": "*",
        "START_DOCUMENT": "start",
        "CHECK_DOCUMENT": "check",
        "NOTICES_LOG_GROUP": "notices",
        "NOTICES_TOPIC": "topic",
        "REHEARSAL_DAYS": "7",
        "REHEARSAL_PROFILE": "arn:profile",
        "ALLOW_COLLATION_CHANGE": "false",
        "AWS_LAMBDA_FUNCTION_NAME": "rehearse_restore",
    }
    assert Settings.from_env(env).sql == ""

    with pytest.raises(Refused, match=name):
        Settings.from_env(env | {name: value})
