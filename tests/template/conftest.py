"""The template as it is written: short forms are maps of one key, and nothing is resolved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from watchkeeper.look import Look
from watchkeeper.restore import wish

Node = Any


class Short(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref X` is {Ref: X}."""


def short(loader: Short, name: str, node: yaml.Node) -> dict[str, Node]:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    raise TypeError(f"!{name} of a map")


Short.add_multi_constructor("!", short)


@dataclass(frozen=True)
class Template:
    """The parsed template, its text, and what tests ask it for."""

    text: str
    parsed: dict[str, Node]

    @property
    def parameters(self) -> dict[str, Node]:
        return self.parsed["Parameters"]

    @property
    def resources(self) -> dict[str, Node]:
        return self.parsed["Resources"]

    @property
    def globals(self) -> dict[str, Node]:
        return self.parsed["Globals"]["Function"]

    def of_type(self, kind: str) -> dict[str, Node]:
        """The properties of the resources of a type, by logical id."""
        return {name: one["Properties"] for name, one in self.resources.items() if one["Type"] == kind}

    @property
    def functions(self) -> dict[str, Node]:
        """Functions by the stem of their logical ids: SnapshotDatabase of SnapshotDatabaseFunction."""
        kind = "AWS::Serverless::Function"
        return {name.removesuffix("Function"): one for name, one in self.of_type(kind).items()}

    @property
    def statements(self) -> list[tuple[str, Node]]:
        """Every statement that a role of ours has, with the resource that brings it."""
        documents = [(f"{name}Function", one) for name, given in self.functions.items() for one in given["Policies"]]
        documents += [
            (name, one["PolicyDocument"])
            for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
            for name, one in self.of_type(kind).items()
        ]
        documents += [
            (name, policy["PolicyDocument"])
            for name, one in self.of_type("AWS::IAM::Role").items()
            for policy in one.get("Policies", [])
        ]
        return [(name, statement) for name, document in documents for statement in document["Statement"]]


OURS = {"aws:ResourceTag/watchkeeper:application": {"Ref": "Applications"}}
NEW = {"aws:RequestTag/watchkeeper:application": {"Ref": "Applications"}}


def of_role(*roles: str) -> dict[str, Node]:
    """The part of a condition that asks what a resource is."""
    return {"aws:ResourceTag/watchkeeper:role": roles[0] if len(roles) == 1 else list(roles)}


def as_role(*roles: str) -> dict[str, Node]:
    """The part of a condition that asks what a request says that something will be."""
    return {"aws:RequestTag/watchkeeper:role": roles[0] if len(roles) == 1 else list(roles)}


def listed(value: Node) -> list[Node]:
    """One or several, as a list."""
    return value if isinstance(value, list) else [value]


def kind(resource: Node) -> str:
    """`instance` of an ARN that ends in instance/*; what has no kind stays as it is written."""
    text = resource.get("Sub", "") if isinstance(resource, dict) else resource
    return text.split(":")[-1].removesuffix("/*") if text.endswith("/*") else str(resource)


def conditions(template: Template, name: str, action: str, of: str) -> list[Node]:
    """The conditions under which a function may do something to a kind of resource, one for each statement."""
    return [
        one.get("Condition", {})
        for by, one in template.statements
        if by.startswith(name) and action in listed(one["Action"]) and of in map(kind, listed(one["Resource"]))
    ]


def words(*names: str) -> dict[str, Node]:
    """The part of a condition that limits tags to these keys."""
    return {"aws:TagKeys": [f"watchkeeper:{name}" for name in names]}


def folder(name: str) -> str:
    """SnapshotDatabase is snapshot_database everywhere else."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def refs(node: Node) -> set[str]:
    """Every name that a part of the template refers to."""
    if isinstance(node, dict):
        found = {str(value).split(".")[0] for key, value in node.items() if key in ("Ref", "GetAtt")}
        return found.union(*(refs(value) for value in node.values()))
    return set().union(*(refs(one) for one in node)) if isinstance(node, list) else set()


def each_rule_wakes_and_may(template: Template, name: str) -> None:
    """Each rule of a function's section invokes that function alone, which permits it."""
    rules = {rule: one for rule, one in template.of_type("AWS::Events::Rule").items() if rule.startswith(name)}
    allowed = {
        one["SourceArn"]["GetAtt"]
        for one in template.of_type("AWS::Lambda::Permission").values()
        if one["Principal"] == "events.amazonaws.com" and one["FunctionName"] == {"Ref": f"{name}Function"}
    }
    assert rules
    assert allowed == {f"{rule}.Arn" for rule in rules}
    for rule in rules.values():
        assert [one["Arn"] for one in rule["Targets"]] == [{"GetAtt": f"{name}Function.Arn"}]


# Words of one function alone, which that function reads.
BESIDES = {"RestoreDatabase": wish.WORDS, "ShowStatus": ("format",)}


def asked_in(text: str) -> list[tuple[str, str]]:
    """The functions that a text invokes by an event, with that event."""
    return sorted(set(re.findall(r"invoke (\w+)Function(?:[^'\n]|\\\n)*--event '([^']+)'", text)))


def understand(function: str, event: dict[str, Any]) -> None:
    """Reads an event as the function does. Raises Refused if that cannot."""
    Look.from_event(event, datetime(2026, 11, 22, tzinfo=UTC), besides=BESIDES.get(function, ()))
    if function == "RestoreDatabase":
        wish.Wish.from_event(event)


@pytest.fixture(scope="session")
def template() -> Template:
    text = Path("template.yaml").read_text()
    return Template(text, yaml.load(text, Short))  # noqa: S506 Short is a SafeLoader
