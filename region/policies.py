"""Says whether a role's own policies allow a call: IAM's evaluation for what this project uses, and an error beyond it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Tags = Mapping[str, str]
Context = Mapping[str, Sequence[str]]

# The keys that region/questions.py has values for.
KEYS = re.compile(
    r"aws:(ResourceTag|RequestTag)/.+|aws:TagKeys|(elasticloadbalancing:R|ssm:r)esourceTag/.+|iam:PassedToService|cloudwatch:AlarmActions"
    r"|ec2:(Attribute|CreateAction|InstanceProfile|InstanceType|IsLaunchTemplateResource|LaunchTemplate|ParentSnapshot)"
    r"|kms:(GrantIsForAWSResource|ViaService)"
    r"|route53:ChangeResourceRecordSets(Actions|NormalizedRecordNames|RecordTypes)"
)
OPERATOR = re.compile(
    r"(ForAllValues:|ForAnyValue:)?(String(?:Equals|(?:Not)?Like)|ArnEquals|ArnLike|Bool|Null)(IfExists)?"
)
FREE = frozenset({"sts:GetCallerIdentity"})


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


def read(document: Mapping[str, Any]) -> tuple[Statement, ...]:
    """A policy document as statements. Raises PolicyError for an element, operator or key that is not known here."""
    return tuple(_statement(statement) for statement in _list(document["Statement"]))


def refused(statements: Sequence[Statement], asks: Iterable[Ask]) -> Ask | None:
    """The first question that the statements do not answer with yes; None if all is allowed."""
    return next((ask for ask in asks if ask.action not in FREE and not _is_allowed(statements, ask)), None)


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
    return _wild(pattern).fullmatch(value) is not None


@cache
def _wild(pattern: str) -> re.Pattern[str]:
    """Compiled once: a function that looks each minute asks IAM some thousand times a simulated day."""
    return re.compile("".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern), re.DOTALL)


def _holds(condition: tuple[str, str, tuple[str, ...]], context: Context) -> bool:
    """One operator. A key that is absent fails, but for ForAllValues, ...IfExists and ...Not...:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    operator, key, wanted = condition
    found = next((values for name, values in context.items() if name.lower() == key.lower()), ())
    quantifier, comparison, if_exists = OPERATOR.findall(operator)[0]
    if comparison == "Null":
        return (not found) == (wanted[0] == "true")
    is_negated = "Not" in comparison
    if not found:
        return bool(if_exists) or quantifier == "ForAllValues:" or (is_negated and not quantifier)
    compare = COMPARISONS[comparison.replace("Not", "")]
    matches = (any(compare(pattern, value) for pattern in wanted) != is_negated for value in found)
    return all(matches) if quantifier == "ForAllValues:" else any(matches)


def _arn_like(pattern: str, value: str) -> bool:
    """Each of the six parts on its own:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
    """
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(values) and all(map(_like, patterns, values))


COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "StringEquals": str.__eq__,
    "StringLike": _like,
}


def tagged(tags: Tags, prefix: str = "aws:ResourceTag/") -> dict[str, Sequence[str]]:
    """A resource's tags as condition keys."""
    return {f"{prefix}{key}": [value] for key, value in tags.items()}


def requested(tags: Iterable[Mapping[str, str]]) -> dict[str, Sequence[str]]:
    """A request's tags as condition keys."""
    given = {tag["Key"]: tag.get("Value", "") for tag in tags}
    return {**tagged(given, "aws:RequestTag/"), "aws:TagKeys": list(given)} if given else {}
