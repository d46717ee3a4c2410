"""Functions and what wakes them, as SAM describes them and as plain CloudFormation does.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from typing import TYPE_CHECKING, Any

from region import roles
from region.lambdas import Function
from region.parameters import TemplateError, only
from region.stacks import Made, Stack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FUNCTION = (
    "CodeUri Handler Runtime Architectures Timeout MemorySize Environment Policies Layers EventInvokeConfig "
    "ReservedConcurrentExecutions FunctionName Description Tags LoggingConfig"
)
CREATE_FUNCTION = "Handler Runtime Architectures Timeout MemorySize Layers Description LoggingConfig"
EVENT_INVOKE_CONFIG = "MaximumRetryAttempts MaximumEventAgeInSeconds DestinationConfig"
# SAM gives it to every role; logs are no API calls of the function.
BASIC = "AWSLambdaBasicExecutionRole"


def function(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::Serverless::Function with its role, retries and OnFailure; what wakes it are resources of their own."""
    only(given, FUNCTION, name)
    deployed = _function(stack, name, given, _role(stack, name, given))
    stack.call("lambda", "CreateFunction", **_configuration(deployed, given))
    stack.region.functions.deployed[deployed.name] = deployed
    return Made(deployed.name, {"Arn": deployed.arn})


def _function(stack: Stack, name: str, given: Mapping[str, Any], role: Made) -> Function:
    physical = given.get("FunctionName") or stack.physical(name)
    root = stack.template.path.parent
    absent = [_packages(root / folder) for arn, folder in _layers(stack).items() if arn not in given.get("Layers", [])]
    logging = given.get("LoggingConfig", {})
    environment = {key: _text(value) for key, value in given.get("Environment", {}).get("Variables", {}).items()}
    if logging.get("LogFormat") == "JSON":
        environment |= {"AWS_LAMBDA_LOG_FORMAT": "JSON"}
        environment |= {"AWS_LAMBDA_LOG_LEVEL": logging.get("ApplicationLogLevel", "INFO")}
    reserved = given.get("ReservedConcurrentExecutions")
    return Function(
        name=physical,
        arn=stack.arn("lambda", f"function:{physical}"),
        code=(root / given["CodeUri"]).resolve(),
        handler=given["Handler"],
        environment=environment,
        timeout=int(given.get("Timeout", 3)),
        memory=int(given.get("MemorySize", 128)),
        log_group=logging.get("LogGroup", f"/aws/lambda/{physical}"),
        role=role.attributes["Arn"],
        absent=frozenset().union(*absent),
        reserved=None if reserved is None else int(reserved),
        **_asynchronous(given.get("EventInvokeConfig", {}), name),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _asynchronous(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    only(given, EVENT_INVOKE_CONFIG, name)
    only(given.get("DestinationConfig", {}), "OnFailure", name)
    destination = given.get("DestinationConfig", {}).get("OnFailure")
    if destination and (":sqs:" not in destination["Destination"] or destination.get("Type", "SQS") != "SQS"):
        raise TemplateError(f"{name}: OnFailure is known to go to a queue alone")
    return {
        "retries": int(given.get("MaximumRetryAttempts", 2)),
        "max_age": int(given.get("MaximumEventAgeInSeconds", 21600)),
        "on_failure": destination and destination["Destination"],
    }


def _configuration(deployed: Function, given: Mapping[str, Any]) -> dict[str, Any]:
    """What CreateFunction takes, so that botocore checks it; the code stays where it is."""
    tags = {"Tags": given["Tags"]} if "Tags" in given else {}
    return {
        "FunctionName": deployed.name,
        "Role": deployed.role,
        "Environment": {"Variables": deployed.environment},
        "Code": {"ZipFile": _zip()},
        **{key: given[key] for key in CREATE_FUNCTION.split() if key in given},
        **tags,
    }


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", "")
    return content.getvalue()


def _role(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """The role that SAM makes; a destination that SAM knows the type of brings its own permission."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = stack.made[f"{name}Role"] = roles.role(stack, f"{name}Role", {"AssumeRolePolicyDocument": _policy(trust)})
    for number, policy in enumerate(given.get("Policies", [])):
        if policy == BASIC:
            continue
        if not isinstance(policy, dict) or "Statement" not in policy:
            raise TemplateError(f"{name}: only statements are known as policies here, not {policy}")
        roles.put_policy(stack, role.ref, f"{name}RolePolicy{number}", policy)
    on_failure = given.get("EventInvokeConfig", {}).get("DestinationConfig", {}).get("OnFailure", {})
    if on_failure.get("Type"):
        statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": on_failure["Destination"]}
        roles.put_policy(stack, role.ref, "OnFailure", _policy(statement))
    return role


def _policy(statement: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [statement]}


def _layers(stack: Stack) -> dict[str, str]:
    """The layers of the template by ARN, each with its folder."""
    wanted = stack.template.wanted()
    resources = {name: stack.template.resources[name] for name in wanted}
    return {
        stack.make(name).ref: resource["Properties"]["ContentUri"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::LayerVersion"
    }


def _packages(folder: Path) -> frozenset[str]:
    return frozenset(path.parent.name for path in folder.glob("*/__init__.py"))


def layer(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::Serverless::LayerVersion; a function that does not name it cannot import its packages."""
    only(given, "LayerName ContentUri CompatibleRuntimes CompatibleArchitectures Description RetentionPolicy", name)
    folder = stack.template.path.parent / given["ContentUri"]
    if not _packages(folder):
        raise TemplateError(f"{name}: there is no package in {given['ContentUri']}")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # Lambda unpacks a layer into a folder that Python imports from
    kept = {key: given[key] for key in ("CompatibleRuntimes", "CompatibleArchitectures", "Description") if key in given}
    content = {"Content": {"ZipFile": _zip()}}
    layer_name = given.get("LayerName") or stack.physical(name)
    return Made(stack.call("lambda", "PublishLayerVersion", LayerName=layer_name, **content, **kept)["LayerVersionArn"])


def schedule(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::Scheduler::Schedule, in the default group."""
    only(given, "Name Description ScheduleExpression ScheduleExpressionTimezone FlexibleTimeWindow State Target", name)
    only(given["Target"], "Arn RoleArn Input RetryPolicy DeadLetterConfig", name)
    made = given.get("Name") or stack.physical(name)
    arn = stack.call("scheduler", "CreateSchedule", **{**given, "Name": made})["ScheduleArn"]
    stack.region.bus.schedule(made)
    return Made(made, {"Arn": arn})


def rule(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::Events::Rule with a pattern, on the default bus."""
    only(given, "Name Description EventPattern State Targets", name)
    made = given.get("Name") or stack.physical(name)
    plain = {key: given[key] for key in ("Description", "EventPattern", "State") if key in given}
    arn = stack.call("events", "PutRule", Name=made, **plain)["RuleArn"]
    for target in given["Targets"]:
        only(target, "Id Arn Input RetryPolicy DeadLetterConfig", name)
    stack.call("events", "PutTargets", Rule=made, Targets=given["Targets"])
    return Made(made, {"Arn": arn})


def permission(stack: Stack, name: str, given: Mapping[str, Any]) -> Made:
    """AWS::Lambda::Permission."""
    only(given, "FunctionName Action Principal SourceArn SourceAccount", name)
    target = stack.region.functions.find(given["FunctionName"])
    if given["Action"] == "lambda:InvokeFunction":
        stack.region.bus.permissions.add((target.name, given["Principal"], given.get("SourceArn", "*")))
    stack.call("lambda", "AddPermission", StatementId=stack.physical(name), **{**given, "FunctionName": target.name})
    return Made(name)
