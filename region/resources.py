"""One small function per type of resource: it creates one through the API and answers what Ref and Fn::GetAtt give."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from region import load_balancers, networking, roles, serverless
from region.parameters import only
from region.stacks import Made, Stack

Properties = Mapping[str, Any]


def _log_group(stack: Stack, name: str, given: Properties) -> Made:
    only(given, "LogGroupName RetentionInDays Tags KmsKeyId", name)
    group = given.get("LogGroupName") or stack.physical(name)
    tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])}
    stack.call("logs", "CreateLogGroup", logGroupName=group, tags=tags)
    if "RetentionInDays" in given:
        stack.call("logs", "PutRetentionPolicy", logGroupName=group, retentionInDays=given["RetentionInDays"])
    return Made(group, {"Arn": stack.arn("logs", f"log-group:{group}:*")})


def _topic(stack: Stack, name: str, given: Properties) -> Made:
    only(given, "TopicName DisplayName KmsMasterKeyId Tags", name)
    attributes = {key: given[key] for key in ("DisplayName", "KmsMasterKeyId") if key in given}
    topic = given.get("TopicName") or stack.physical(name)
    arn = stack.call("sns", "CreateTopic", Name=topic, Attributes=attributes, Tags=given.get("Tags", []))["TopicArn"]
    return Made(arn, {"TopicArn": arn, "TopicName": topic})


def _subscription(stack: Stack, name: str, given: Properties) -> Made:
    only(given, "TopicArn Protocol Endpoint", name)
    return Made(stack.call("sns", "Subscribe", ReturnSubscriptionArn=True, **given)["SubscriptionArn"])


def _topic_policy(stack: Stack, name: str, given: Properties) -> Made:
    only(given, "Topics PolicyDocument", name)
    for topic in given["Topics"]:
        policy = {"AttributeName": "Policy", "AttributeValue": given["PolicyDocument"]}
        stack.call("sns", "SetTopicAttributes", TopicArn=topic, **policy)
    return Made(name)


def _queue(stack: Stack, name: str, given: Properties) -> Made:
    only(given, "QueueName MessageRetentionPeriod VisibilityTimeout KmsMasterKeyId SqsManagedSseEnabled Tags", name)
    queue = given.get("QueueName") or stack.physical(name)
    attributes = {key: value for key, value in given.items() if key not in ("QueueName", "Tags")}
    tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])}
    url = stack.call("sqs", "CreateQueue", QueueName=queue, Attributes=attributes, tags=tags)["QueueUrl"]
    return Made(url, {"Arn": stack.arn("sqs", queue), "QueueName": queue, "QueueUrl": url})


def _queue_policy(stack: Stack, name: str, given: Properties) -> Made:
    only(given, "Queues PolicyDocument", name)
    for queue in given["Queues"]:
        stack.call("sqs", "SetQueueAttributes", QueueUrl=queue, Attributes={"Policy": given["PolicyDocument"]})
    return Made(name)


def _alarm(stack: Stack, name: str, given: Properties) -> Made:
    alarm = given.get("AlarmName") or stack.physical(name, 255)
    stack.call("cloudwatch", "PutMetricAlarm", **{**given, "AlarmName": alarm})
    return Made(alarm, {"Arn": stack.arn("cloudwatch", f"alarm:{alarm}")})


def _document(stack: Stack, name: str, given: Properties) -> Made:
    """UpdateMethod concerns updates alone."""
    document = given.get("Name") or stack.physical(name)
    arguments = {"DocumentType": "Command", "DocumentFormat": "JSON", **given, "Name": document}
    arguments.pop("UpdateMethod", None)
    if isinstance(given["Content"], str) and "DocumentFormat" not in given:
        arguments["DocumentFormat"] = "JSON" if given["Content"].lstrip().startswith("{") else "YAML"
    stack.call("ssm", "CreateDocument", **arguments)
    return Made(document)


def _launch_template(stack: Stack, name: str, given: Properties) -> Made:
    only(given, "LaunchTemplateName LaunchTemplateData TagSpecifications VersionDescription", name)
    arguments = {"LaunchTemplateName": stack.physical(name, 128), **given}
    made = stack.call("ec2", "CreateLaunchTemplate", **arguments)["LaunchTemplate"]["LaunchTemplateId"]
    return Made(made, {"LaunchTemplateId": made, "DefaultVersionNumber": "1", "LatestVersionNumber": "1"})


def _instance(stack: Stack, name: str, given: Properties) -> Made:
    """The API wants the profile in a map, user data as text, tags as specifications; the rest is the same."""
    arguments = {key: value for key, value in given.items() if key not in ("IamInstanceProfile", "UserData", "Tags")}
    if "IamInstanceProfile" in given:
        arguments["IamInstanceProfile"] = {"Name": given["IamInstanceProfile"]}
    if "UserData" in given:
        arguments["UserData"] = base64.b64decode(given["UserData"]).decode()
    arguments |= _tagged("instance", given)
    made = stack.call("ec2", "RunInstances", MinCount=1, MaxCount=1, **arguments)["Instances"][0]
    names = {"InstanceIds": [made["InstanceId"]]}

    def is_running() -> bool:
        found = stack.client("ec2").describe_instances(**names)["Reservations"][0]["Instances"][0]
        return bool(found["State"]["Name"] == "running")

    stack.wait(is_running, f"{name} did not run")
    zone = made["Placement"]["AvailabilityZone"]
    attributes = {"InstanceId": made["InstanceId"], "PrivateIp": made["PrivateIpAddress"], "AvailabilityZone": zone}
    return Made(made["InstanceId"], attributes)


def _volume(stack: Stack, _: str, given: Properties) -> Made:
    arguments = {key: value for key, value in given.items() if key != "Tags"} | _tagged("volume", given)
    made = stack.call("ec2", "CreateVolume", **arguments)["VolumeId"]
    _wait_for_volume(stack, made, lambda volume: volume["State"] == "available")
    return Made(made, {"VolumeId": made})


def _attachment(stack: Stack, _: str, given: Properties) -> Made:
    stack.call("ec2", "AttachVolume", **given)
    _wait_for_volume(stack, given["VolumeId"], lambda volume: volume["Attachments"][0]["State"] == "attached")
    return Made(f"{given['VolumeId']}|{given['InstanceId']}")


def _wait_for_volume(stack: Stack, volume_id: str, claim: Callable[[Any], bool]) -> None:
    volumes = stack.client("ec2").describe_volumes
    stack.wait(lambda: claim(volumes(VolumeIds=[volume_id])["Volumes"][0]), f"{volume_id} did not become ready")


def _hosted_zone(stack: Stack, name: str, given: Properties) -> Made:
    """A private zone; EC2's DNS answers with it in its networks."""
    only(given, "Name VPCs", name)
    network, *others = given["VPCs"]
    asked = {"VPC": network, "HostedZoneConfig": {"PrivateZone": True}, "CallerReference": stack.physical(name, 128)}
    made = stack.call("route53", "CreateHostedZone", Name=given["Name"], **asked)["HostedZone"]["Id"].rsplit("/", 1)[-1]
    for other in others:
        stack.call("route53", "AssociateVPCWithHostedZone", HostedZoneId=made, VPC=other)
    return Made(made, {"Id": made})


def _tagged(kind: str, given: Properties) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": given["Tags"]}]} if given.get("Tags") else {}


CREATORS: Mapping[str, Callable[[Stack, str, Properties], Made]] = {
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::EC2::Instance": _instance,
    "AWS::EC2::LaunchTemplate": _launch_template,
    "AWS::EC2::NetworkInterface": networking.network_interface,
    "AWS::EC2::NetworkInterfaceAttachment": networking.network_interface_attachment,
    "AWS::EC2::SecurityGroup": networking.security_group,
    "AWS::EC2::Volume": _volume,
    "AWS::EC2::VolumeAttachment": _attachment,
    "AWS::ElasticLoadBalancing::LoadBalancer": load_balancers.classic,
    "AWS::ElasticLoadBalancingV2::Listener": load_balancers.listener,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": load_balancers.load_balancer,
    "AWS::ElasticLoadBalancingV2::TargetGroup": load_balancers.target_group,
    "AWS::Events::Rule": serverless.rule,
    "AWS::IAM::InstanceProfile": roles.instance_profile,
    "AWS::IAM::ManagedPolicy": roles.managed_policy,
    "AWS::IAM::Policy": roles.policy,
    "AWS::IAM::Role": roles.role,
    "AWS::Lambda::Permission": serverless.permission,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Route53::HostedZone": _hosted_zone,
    "AWS::Route53::RecordSet": networking.record_set,
    "AWS::Scheduler::Schedule": serverless.schedule,
    "AWS::Serverless::Function": serverless.function,
    "AWS::Serverless::LayerVersion": serverless.layer,
    "AWS::SNS::Subscription": _subscription,
    "AWS::SNS::Topic": _topic,
    "AWS::SNS::TopicPolicy": _topic_policy,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::SSM::Document": _document,
}
