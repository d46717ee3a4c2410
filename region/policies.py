"""Says whether a role's own policies allow a call: IAM's evaluation for what this project uses, and an error beyond it.

Evaluation: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
Which resources and keys an action is asked about: https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Tags = Mapping[str, str]
Context = Mapping[str, Sequence[str]]

KEYS = re.compile(r"aws:(ResourceTag|RequestTag)/.+|aws:TagKeys|ec2:CreateAction|ssm:resourceTag/.+")
OPERATOR = re.compile(r"(ForAllValues:|ForAnyValue:)?(StringEquals|StringLike|Null)(IfExists)?")
# Actions without a resource to name. A Describe of EC2 is one always:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/ec2-api-permissions.html
UNSCOPED = "ssm:DescribeInstanceInformation ssm:GetCommandInvocation ssm:ListCommandInvocations"
NAMES = {"lambda:Invoke": "lambda:InvokeFunction"}  # of a permission that is not called as its operation
FREE = frozenset({"sts:GetCallerIdentity"})
KINDS = {"vol": "volume", "snap": "snapshot", "i": "instance", "ami": "image", "eni": "network-interface"}


class PolicyError(Exception):
    """A policy or a call that this evaluator does not know: it guesses neither yes nor no."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy, as lists."""

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question that a call puts to the policies: an action, on a resource, with what is known about both."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where ARNs begin, and what the region knows of a resource by its id or ARN: its tags; an instance's volumes."""

    region: str
    account: str
    tags: Callable[[str], Tags]
    volumes: Callable[[str], Sequence[str]]

    def ec2(self, resource_id: str) -> str:
        """An EC2 resource's ARN; those of snapshots and images name no account."""
        kind = KINDS.get(resource_id.partition("-")[0])
        if kind is None:
            raise PolicyError(f"no ARN is known for {resource_id}")
        return self._ec2(kind, resource_id)

    def _ec2(self, kind: str, name: str) -> str:
        return f"arn:aws:ec2:{self.region}:{'' if kind in ('snapshot', 'image') else self.account}:{kind}/{name}"

    def new_snapshot(self) -> str:
        """A snapshot that has no id yet."""
        return self._ec2("snapshot", "*")

    def arn(self, service: str, kind: str, name: str) -> str:
        """The ARN of what a request names by its name, or by its ARN."""
        return name if name.startswith("arn:") else f"arn:aws:{service}:{self.region}:{self.account}:{kind}{name}"


def read(document: Mapping[str, Any]) -> tuple[Statement, ...]:
    """A policy document as statements. Raises PolicyError for an element, operator or key that is not known here."""
    return tuple(_statement(statement) for statement in _list(document["Statement"]))


def refused(statements: Sequence[Statement], asks: Iterable[Ask]) -> Ask | None:
    """The first question that the statements do not answer with yes; None if all is allowed."""
    return next((ask for ask in asks if ask.action not in FREE and not _is_allowed(statements, ask)), None)


def questions(place: Place, service: str, operation: str, parameters: Mapping[str, Any]) -> list[Ask]:
    """What a call asks IAM. Raises PolicyError for a call whose resources are not known here."""
    action = NAMES.get(f"{service}:{operation}", f"{service}:{operation}")
    if known := ASKED.get(action):
        return known(place, action, parameters)
    if action in UNSCOPED.split() or action in FREE or action.startswith("ec2:Describe"):
        return [Ask(action, "*")]
    raise PolicyError(f"which resources {action} asks about is not known to region/policies.py")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _statement(statement: Mapping[str, Any]) -> Statement:
    if unknown := set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}:
        raise PolicyError(f"unknown element {', '.join(sorted(unknown))}")
    conditions = [
        (operator, key, tuple(map(str, _list(values))))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    for operator, key, values in conditions:
        if not OPERATOR.fullmatch(operator) or not KEYS.fullmatch(key):
            raise PolicyError(f"unknown condition {operator} on {key}")
        if any("${" in value for value in values):
            raise PolicyError(f"policy variables are not known here: {key}")
    return Statement(
        allows={"Allow": True, "Deny": False}[statement["Effect"]],
        actions=tuple(_list(statement["Action"])),
        resources=tuple(_list(statement["Resource"])),
        conditions=tuple(conditions),
    )


def _is_allowed(statements: Sequence[Statement], ask: Ask) -> bool:
    matching = [statement for statement in statements if _speaks_of(statement, ask)]
    return any(statement.allows for statement in matching) and all(statement.allows for statement in matching)


def _speaks_of(statement: Statement, ask: Ask) -> bool:
    return (
        any(_like(pattern.lower(), ask.action.lower()) for pattern in statement.actions)
        and any(_like(pattern, ask.resource) for pattern in statement.resources)
        and all(_holds(condition, ask.context) for condition in statement.conditions)
    )


def _like(pattern: str, value: str) -> bool:
    wild = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(wild, value, re.DOTALL) is not None


def _holds(condition: tuple[str, str, tuple[str, ...]], context: Context) -> bool:
    """One operator. A key that is absent fails, but for ForAllValues and ...IfExists:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    operator, key, wanted = condition
    found = next((values for name, values in context.items() if name.lower() == key.lower()), ())
    quantifier, comparison, if_exists = OPERATOR.findall(operator)[0]
    if comparison == "Null":
        return (not found) == (wanted[0] == "true")
    if not found:
        return bool(if_exists) or quantifier == "ForAllValues:"
    matches = (
        value in wanted if comparison == "StringEquals" else any(_like(pattern, value) for pattern in wanted)
        for value in found
    )
    return all(matches) if quantifier == "ForAllValues:" else any(matches)


def _tagged(tags: Tags, prefix: str = "aws:ResourceTag/") -> dict[str, Sequence[str]]:
    return {f"{prefix}{key}": [value] for key, value in tags.items()}


def _requested(tags: Iterable[Mapping[str, str]]) -> dict[str, Sequence[str]]:
    given = {tag["Key"]: tag.get("Value", "") for tag in tags}
    return {**_tagged(given, "aws:RequestTag/"), "aws:TagKeys": list(given)} if given else {}


def _each_resource(
    key: str, context: Callable[[Mapping[str, Any]], Mapping[str, Sequence[str]]] = lambda _: {}
) -> Callable[[Place, str, Mapping[str, Any]], list[Ask]]:
    """A call that names existing EC2 resources under one key."""

    def ask(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
        return [
            Ask(action, place.ec2(name), {**_tagged(place.tags(name)), **context(parameters)})
            for name in _list(parameters[key])
        ]

    return ask


def _create_snapshots(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    """Asks about the instance, each volume and the snapshots to be; tags at creation ask for ec2:CreateTags as well:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """
    instance = parameters["InstanceSpecification"]["InstanceId"]
    left_out = parameters["InstanceSpecification"].get("ExcludeDataVolumeIds", [])
    there = [instance, *(volume for volume in place.volumes(instance) if volume not in left_out)]
    tags = [tag for group in parameters.get("TagSpecifications", []) for tag in group["Tags"]]
    requested = _requested(tags)
    asks = [Ask(action, place.ec2(name), _tagged(place.tags(name))) for name in there]
    asks.append(Ask(action, place.new_snapshot(), requested))
    if tags:
        asks.append(Ask("ec2:CreateTags", place.new_snapshot(), {**requested, "ec2:CreateAction": ["CreateSnapshots"]}))
    return asks


def _send_command(place: Place, action: str, parameters: Mapping[str, Any]) -> list[Ask]:
    if "InstanceIds" not in parameters:
        raise PolicyError("ssm:SendCommand is known with InstanceIds alone")
    document = place.arn("ssm", "document/", parameters["DocumentName"])
    hosts = [
        Ask(action, place.ec2(name), {**_tagged(tags), **_tagged(tags, "ssm:resourceTag/")})
        for name in parameters["InstanceIds"]
        for tags in [place.tags(name)]
    ]
    return [Ask(action, document, _tagged(place.tags(parameters["DocumentName"]))), *hosts]


def _named(service: str, key: str, kind: str = "") -> Callable[[Place, str, Mapping[str, Any]], list[Ask]]:
    """A call that names one resource by its name or ARN."""
    return lambda place, action, parameters: [Ask(action, place.arn(service, kind, parameters[key]))]


ASKED: Mapping[str, Callable[[Place, str, Mapping[str, Any]], list[Ask]]] = {
    "ec2:CreateSnapshots": _create_snapshots,
    "ec2:CreateTags": _each_resource("Resources", lambda parameters: _requested(parameters["Tags"])),
    "ec2:DeleteSnapshot": _each_resource("SnapshotId"),
    "ssm:SendCommand": _send_command,
    "ssm:DescribeDocument": _named("ssm", "Name", "document/"),
    "ssm:GetDocument": _named("ssm", "Name", "document/"),
    "lambda:InvokeFunction": _named("lambda", "FunctionName", "function:"),
    "cloudwatch:PutMetricData": lambda _, action, given: [
        Ask(action, "*", {"cloudwatch:namespace": [given["Namespace"]]})
    ],
}
