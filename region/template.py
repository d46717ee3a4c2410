"""Reads a SAM or CloudFormation template and answers what its parameters, conditions and intrinsics come to.

What it does not know is an error and never ignored, because a template is believed only as far as it was read:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from region.parameters import TemplateError, only, parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SECTIONS = "AWSTemplateFormatVersion Transform Description Metadata Parameters Conditions Globals Resources Outputs"
ATTRIBUTES = "Type Properties DependsOn Condition DeletionPolicy UpdateReplacePolicy Metadata"
NO_VALUE = object()


class Lookup(Protocol):
    """What a template cannot know of itself: the things made from it, and the account that it is deployed into."""

    def ref(self, name: str) -> Any: ...

    def attribute(self, name: str, attribute: str) -> Any: ...

    def ssm_parameter(self, name: str) -> str: ...

    def choose(self, parameter_type: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Template:
    """One template with the values of its parameters; resources stay as written until they are resolved."""

    path: Path
    resources: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Any]
    lookup: Lookup
    _conditions: Mapping[str, Any] = field(default_factory=dict)

    def condition(self, name: str) -> bool:
        """What the condition comes to. Raises TemplateError for a name that the template does not define."""
        if name not in self._conditions:
            raise TemplateError(f"no condition {name} in {self.path.name}")
        return _truth(self.resolve(self._conditions[name]))

    def wanted(self) -> list[str]:
        """The logical ids whose Condition, if they have one, holds."""
        return [n for n, r in self.resources.items() if "Condition" not in r or self.condition(r["Condition"])]

    def resolve(self, value: Any) -> Any:
        """The value with every intrinsic replaced; keys and items that come to AWS::NoValue are left out."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        intrinsic = next((k for k in value if k in ("Ref", "Condition") or k.startswith("Fn::")), None)
        if intrinsic is None or (intrinsic == "Condition" and not _is_condition(value)):
            resolved = {key: self.resolve(item) for key, item in value.items()}
            return {key: item for key, item in resolved.items() if item is not NO_VALUE}
        if len(value) > 1:
            raise TemplateError(f"{intrinsic} stands beside other keys: {', '.join(value)}")
        if intrinsic not in INTRINSICS:
            raise TemplateError(f"unknown intrinsic {intrinsic}")
        return INTRINSICS[intrinsic](self, value[intrinsic])

    def ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        return self.parameters[name] if name in self.parameters else self.lookup.ref(name)


def load(path: Path, given: Mapping[str, Any], lookup: Lookup) -> Template:
    """The template with its parameters checked. Raises TemplateError for anything unknown, missing or not allowed."""
    document = _parse(path.read_text(), _Tags)
    only(document, SECTIONS, path.name)
    for name, resource in document["Resources"].items():
        only(resource, ATTRIBUTES, name)
    rules = document.get("Parameters", {})
    if unknown := set(given) - set(rules):
        raise TemplateError(f"{path.name} has no parameter {', '.join(sorted(unknown))}")
    return Template(
        path=path,
        resources=_with_globals(document),
        outputs=document.get("Outputs", {}),
        parameters={name: parameter(name, rule, given.get(name), lookup) for name, rule in rules.items()},
        lookup=lookup,
        _conditions=document.get("Conditions", {}),
    )


class _Tags(yaml.SafeLoader):
    """YAML with CloudFormation's short forms; dates stay text, as CloudFormation reads them."""


def _short_form(loader: _Tags, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


@cache
def _parse(text: str, loader: type[yaml.SafeLoader]) -> Any:
    """A document, to be read only: a test suite reads the same one some hundred times, 0.3 s each."""
    return yaml.load(text, loader)  # noqa: S506 a SafeLoader


_Tags.add_multi_constructor("!", _short_form)
_Tags.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def _with_globals(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Globals reach functions alone here; maps merge and lists add up, the resource's own entries last:
    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html
    """
    only(document.get("Globals", {}), "Function", "Globals")
    shared = document.get("Globals", {}).get("Function", {})
    return {
        name: {**resource, "Properties": _merged(shared, resource.get("Properties", {}))}
        if resource["Type"] == "AWS::Serverless::Function"
        else resource
        for name, resource in document["Resources"].items()
    }


def _merged(shared: Any, own: Any) -> Any:
    if isinstance(shared, dict) and isinstance(own, dict):
        return {key: _merged(shared[key], own[key]) if key in shared and key in own else {**shared, **own}[key]
                for key in {**shared, **own}}  # fmt: skip
    return [*shared, *own] if isinstance(shared, list) and isinstance(own, list) else own


def _is_condition(value: Mapping[str, Any]) -> bool:
    """{Condition: Name} is an intrinsic; a policy statement's Condition is a map beside other keys."""
    return len(value) == 1 and isinstance(value["Condition"], str)


def _truth(value: Any) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise TemplateError(f"a condition came to {value!r}")


def _get_att(template: Template, argument: Any) -> Any:
    name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
    return template.lookup.attribute(name, attribute)


def _sub(template: Template, argument: Any) -> str:
    text, own = (argument, {}) if isinstance(argument, str) else (argument[0], template.resolve(argument[1]))

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("!"):
            return "${" + name[1:] + "}"
        if name in own:
            return str(own[name])
        return str(_get_att(template, name) if "." in name else template.ref(name))

    return re.sub(r"\$\{([^}]*)\}", value, text)


def _if(template: Template, argument: Any) -> Any:
    condition, yes, no = argument
    return template.resolve(yes if template.condition(condition) else no)


def _equals(template: Template, argument: Any) -> bool:
    left, right = template.resolve(argument)
    return str(left) == str(right)


def _include(template: Template, argument: Any) -> Any:
    """AWS::Include knows no short forms, hence the plain loader, which refuses their tags:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-include.html
    """
    if argument.get("Name") != "AWS::Include":
        raise TemplateError(f"unknown transform {argument.get('Name')}")
    location = template.resolve(argument["Parameters"]["Location"])
    return template.resolve(_parse((template.path.parent / location).read_text(), yaml.SafeLoader))


INTRINSICS: Mapping[str, Callable[[Template, Any], Any]] = {
    "Ref": Template.ref,
    "Condition": Template.condition,
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::Join": lambda template, argument: str(argument[0]).join(map(str, template.resolve(argument[1]))),
    "Fn::Split": lambda template, argument: template.resolve(argument[1]).split(argument[0]),
    "Fn::Select": lambda template, argument: template.resolve(argument[1])[int(template.resolve(argument[0]))],
    "Fn::Base64": lambda template, argument: base64.b64encode(template.resolve(argument).encode()).decode(),
    "Fn::If": _if,
    "Fn::Equals": _equals,
    "Fn::Not": lambda template, argument: not _truth(template.resolve(argument[0])),
    "Fn::And": lambda template, argument: all(_truth(template.resolve(item)) for item in argument),
    "Fn::Or": lambda template, argument: any(_truth(template.resolve(item)) for item in argument),
    "Fn::Transform": _include,
}
