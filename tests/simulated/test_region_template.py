"""The region reads templates as CloudFormation does, and refuses what it does not know."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from region import Region, events, minutes
from region.parameters import TemplateError
from region.template import Template, load

if TYPE_CHECKING:
    from collections.abc import Callable

APP = Path(__file__).with_name("region_app")


class Nothing:
    """A lookup in which everything exists, under its own name."""

    def ref(self, name: str) -> Any:
        return f"<{name}>"

    def attribute(self, name: str, attribute: str) -> Any:
        return f"<{name}.{attribute}>"

    def ssm_parameter(self, name: str) -> str:
        return f"value of {name}"

    def choose(self, parameter_type: str) -> str | None:
        return "subnet-1" if "Subnet" in parameter_type else None


def read(folder: Path, text: str, **parameters: Any) -> Template:
    path = folder / "template.yaml"
    path.write_text(dedent(text))
    return load(path, parameters, Nothing())


def value(folder: Path, expression: str, **parameters: Any) -> Any:
    template = read(
        folder,
        f"""
        Parameters: {{Size: {{Type: Number, Default: 5}}, Names: {{Type: CommaDelimitedList, Default: "a, b"}}}}
        Conditions: {{IsBig: !Equals [!Ref Size, 9], IsSmall: !Not [Condition: IsBig]}}
        Resources: {{}}
        Outputs: {{It: {{Value: {expression}}}}}
        """,
        **parameters,
    )
    return template.resolve(template.outputs["It"]["Value"])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("!Ref Size", "5"),
        ("!Ref Queue", "<Queue>"),
        ("!GetAtt Queue.Arn", "<Queue.Arn>"),
        ("!GetAtt [Queue, Arn]", "<Queue.Arn>"),
        ("!Sub 'a ${Size} ${Queue} ${Queue.Arn} ${!literal}'", "a 5 <Queue> <Queue.Arn> ${literal}"),
        ("!Sub ['${mine} ${Size}', {mine: !Ref Queue}]", "<Queue> 5"),
        ("!Join ['-', [a, !Ref Size]]", "a-5"),
        ("!Select [1, !Ref Names]", "b"),
        ("!Split ['/', 'x/y']", ["x", "y"]),
        ("!If [IsBig, big, !If [IsSmall, small, none]]", "small"),
        ("!Base64 hello", "aGVsbG8="),
        ("{a: !Ref AWS::NoValue, b: [1, !Ref AWS::NoValue]}", {"b": [1]}),
        ("{Effect: Deny, Condition: {Bool: {x: y}}}", {"Effect": "Deny", "Condition": {"Bool": {"x": "y"}}}),
        ("{Version: 2012-10-17}", {"Version": "2012-10-17"}),
    ],
)
def test_an_intrinsic_comes_to_what_cloudformation_says(tmp_path: Path, expression: str, expected: Any) -> None:
    assert value(tmp_path, expression) == expected


def test_a_parameter_that_is_given_decides_a_condition(tmp_path: Path) -> None:
    assert value(tmp_path, "!If [IsBig, big, small]", Size=9) == "big"


@pytest.mark.parametrize("expression", ["!FindInMap [a, b, c]", "!ImportValue x", "{Ref: Size, more: 1}"])
def test_an_intrinsic_that_is_not_known_is_an_error(tmp_path: Path, expression: str) -> None:
    with pytest.raises(TemplateError):
        value(tmp_path, expression)


@pytest.mark.parametrize(
    ("rule", "given", "accepted"),
    [
        ("{Type: Number, MinValue: 5, MaxValue: 110}", 110, True),
        ("{Type: Number, MinValue: 5, MaxValue: 110}", 111, False),
        ("{Type: String, AllowedValues: [snapshot, skip]}", "skip", True),
        ("{Type: String, AllowedValues: [snapshot, skip]}", "Skip", False),
        ("{Type: String, AllowedPattern: '[0-9]+d'}", "7d", True),
        ("{Type: String, AllowedPattern: '[0-9]+d'}", "7d 4w", False),
        ("{Type: String, MinLength: 1}", "", False),
        ("{Type: String}", None, False),
        ("{Type: 'AWS::EC2::Subnet::Id'}", None, True),
    ],
)
def test_a_parameter_takes_only_what_its_rule_allows(tmp_path: Path, rule: str, given: Any, accepted: bool) -> None:
    text = f"Parameters: {{It: {rule}}}\nResources: {{}}"

    if accepted:
        assert read(tmp_path, text, It=given).parameters["It"]
    else:
        with pytest.raises(TemplateError):
            read(tmp_path, text, It=given)


@pytest.mark.parametrize(
    "text",
    [
        "Resources: {}\nHooks: {}",
        "Resources: {A: {Type: 'AWS::SNS::Topic', CreationPolicy: {}}}",
        "Resources: {}\nGlobals: {Api: {}}",
        "Resources: {}\nParameters: {A: {Type: String, Allowed: [b]}}",
    ],
)
def test_a_part_of_a_template_that_would_be_left_out_of_account_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(TemplateError):
        read(tmp_path, text)


def test_a_parameter_that_the_template_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="Emial"):
        read(tmp_path, "Resources: {}", Emial="a@example.com")


def test_globals_reach_functions_and_their_own_entries_win(tmp_path: Path) -> None:
    template = read(
        tmp_path,
        """
        Globals:
          Function: {Timeout: 60, Layers: [a], Environment: {Variables: {A: "1", B: "2"}}}
        Resources:
          F:
            Type: AWS::Serverless::Function
            Properties: {Timeout: 90, Layers: [b], Environment: {Variables: {B: "3"}}}
          T: {Type: AWS::SNS::Topic}
        """,
    )

    assert template.resources["F"]["Properties"] == {
        "Timeout": 90,
        "Layers": ["a", "b"],
        "Environment": {"Variables": {"A": "1", "B": "3"}},
    }
    assert "Properties" not in template.resources["T"]


def test_an_included_document_is_part_of_the_template(tmp_path: Path) -> None:
    (tmp_path / "document.yaml").write_text("description: '{{ name }}'\nsize: {Ref: Size}\n")

    included = value(tmp_path, "{Fn::Transform: {Name: AWS::Include, Parameters: {Location: document.yaml}}}")

    assert included == {"description": "{{ name }}", "size": "5"}


def test_a_short_form_in_an_included_document_is_an_error_as_it_is_for_aws(tmp_path: Path) -> None:
    (tmp_path / "document.yaml").write_text("size: !Ref Size\n")

    with pytest.raises(Exception, match="!Ref"):
        value(tmp_path, "{Fn::Transform: {Name: AWS::Include, Parameters: {Location: document.yaml}}}")


def test_a_resource_whose_condition_does_not_hold_is_not_wanted(tmp_path: Path) -> None:
    template = read(
        tmp_path,
        """
        Conditions: {Never: !Equals [a, b]}
        Resources: {A: {Type: AWS::SNS::Topic, Condition: Never}, B: {Type: AWS::SNS::Topic}}
        """,
    )

    assert template.wanted() == ["B"]


# What is deployed


@pytest.fixture
def deploy(region: Region, tmp_path: Path) -> Callable[..., Any]:
    """Deploys resources that are given as text."""

    def make(resources: str, outputs: str = "{}", **parameters: str) -> Any:
        path = tmp_path / "application.yaml"
        path.write_text(f"{dedent(resources)}\nOutputs: {outputs}\n")
        return region.deploy(path, **parameters)

    return make


def test_a_host_is_launched_from_a_launch_template_with_tags_of_its_own(
    region: Region, deploy: Callable[..., Any]
) -> None:
    made = deploy(
        """
        Parameters: {Subnet: {Type: "AWS::EC2::Subnet::Id"}}
        Resources:
          Launch:
            Type: AWS::EC2::LaunchTemplate
            Properties:
              LaunchTemplateData:
                ImageId: ami-0123456789abcdef0
                InstanceType: m7g.large
                NetworkInterfaces: [{DeviceIndex: 0, SubnetId: !Ref Subnet}]
              TagSpecifications:
                - ResourceType: launch-template
                  Tags: [{Key: role, Value: database-launch}]
          Host:
            Type: AWS::EC2::Instance
            Properties:
              LaunchTemplate: {LaunchTemplateId: !Ref Launch, Version: !GetAtt Launch.LatestVersionNumber}
              Tags: [{Key: role, Value: database-host}]
        """,
        "{Launch: {Value: !Ref Launch}, Host: {Value: !Ref Host}}",
    )

    ec2 = region.client("ec2")
    (host,) = ec2.describe_instances(InstanceIds=[made["Host"]])["Reservations"][0]["Instances"]
    filters = [{"Name": "tag:role", "Values": ["database-launch"]}]
    (template,) = ec2.describe_launch_templates(Filters=filters)["LaunchTemplates"]
    assert (host["InstanceType"], host["State"]["Name"]) == ("m7g.large", "running")
    assert {"Key": "role", "Value": "database-host"} in host["Tags"]
    assert template["LaunchTemplateId"] == made["Launch"]


def test_a_record_leads_to_a_network_interface_that_is_at_a_host(region: Region, deploy: Callable[..., Any]) -> None:
    made = deploy(
        """
        Parameters: {Subnet: {Type: "AWS::EC2::Subnet::Id"}, Vpc: {Type: "AWS::EC2::VPC::Id"}}
        Resources:
          Zone: {Type: "AWS::Route53::HostedZone", Properties: {Name: payroll.internal, VPCs: [{VPCId: !Ref Vpc}]}}
          Address:
            Type: AWS::EC2::NetworkInterface
            Properties: {SubnetId: !Ref Subnet, Tags: [{Key: application, Value: payroll}]}
          Host:
            Type: AWS::EC2::Instance
            Properties: {ImageId: ami-0123456789abcdef0, SubnetId: !Ref Subnet}
          There:
            Type: AWS::EC2::NetworkInterfaceAttachment
            Properties: {DeviceIndex: "1", InstanceId: !Ref Host, NetworkInterfaceId: !Ref Address}
          Name:
            Type: AWS::Route53::RecordSet
            Properties:
              HostedZoneId: !Ref Zone
              Name: db.payroll.internal
              Type: A
              TTL: "5"
              ResourceRecords: [!GetAtt Address.PrimaryPrivateIpAddress]
        """,
        "{Address: {Value: !Ref Address}, Host: {Value: !Ref Host}}",
    )

    (interface,) = region.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[made["Address"]])[
        "NetworkInterfaces"
    ]
    region.run(at_most=minutes(1))
    assert interface["Attachment"]["InstanceId"] == made["Host"]
    assert region.resolve("db.payroll.internal") == interface["PrivateIpAddress"]


@pytest.mark.parametrize(("state", "expected"), [("ENABLED", ["host-i-1"]), ("DISABLED", [])])
def test_a_rule_hears_of_alarms_by_the_beginning_of_their_names(
    region: Region, deploy: Callable[..., Any], state: str, expected: list[str]
) -> None:
    deploy(
        """
        Parameters: {State: {Type: String}}
        Resources:
          Heard: {Type: "AWS::SQS::Queue"}
          OnAlarm:
            Type: AWS::Events::Rule
            Properties:
              State: !Ref State
              EventPattern:
                source: [aws.cloudwatch]
                detail-type: [CloudWatch Alarm State Change]
                detail:
                  alarmName: [{prefix: host-}]
                  state: {value: [ALARM]}
              Targets: [{Id: Heard, Arn: !GetAtt Heard.Arn, RetryPolicy: {MaximumRetryAttempts: 0}}]
        """,
        State=state,
    )

    for name, value in (("host-i-1", "ALARM"), ("host-i-2", "OK"), ("queue", "ALARM")):
        alarm = {"AlarmName": name, "AlarmArn": f"arn:{name}", "Namespace": "n", "MetricName": "m"}
        alarm |= {"Period": "60", "Statistic": "Sum"}
        region.bus.emit(events.alarm_state, alarm, {"value": "OK"}, {"value": value})
    region.run(region.quiet, at_most=minutes(1))

    assert [event["detail"]["alarmName"] for event in region.queue("Heard")] == expected


@pytest.mark.parametrize(("state", "expected"), [("ENABLED", 5), ("DISABLED", 0)])
def test_a_schedule_falls_due_each_minute_if_it_is_enabled(
    region: Region, tmp_path: Path, state: str, expected: int
) -> None:
    folder = shutil.copytree(APP, tmp_path / "app")
    template = folder / "template.yaml"
    changed = template.read_text().replace("!Sub cron(30 ${Hour} * * ? *)", f"rate(1 minute)\n      State: {state}")
    template.write_text(changed)
    region.deploy(template, Email="a@example.com")

    region.run(at_most=minutes(5))

    assert len([one for one in region.functions.invocations if one.function.folder == "count_up"]) == expected


def test_a_managed_policy_allows_what_it_says_to_the_role_that_it_names(
    region: Region, deploy: Callable[..., Any]
) -> None:
    made = deploy(
        """
        Resources:
          Role: {Type: "AWS::IAM::Role", Properties: {AssumeRolePolicyDocument: {Statement: []}}}
          May:
            Type: AWS::IAM::ManagedPolicy
            Properties:
              Roles: [!Ref Role]
              PolicyDocument: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "sqs:*", Resource: "*"}]}
        """,
        "{Role: {Value: !GetAtt Role.Arn}}",
    )

    assert region.bus.allows(made["Role"], "sqs:SendMessage", "arn:aws:sqs:::q")
    assert not region.bus.allows(made["Role"], "sns:Publish", "arn:aws:sns:::t")
