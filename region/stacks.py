"""Deploys templates: each resource is created through the API, so that botocore checks what CloudFormation would."""

from __future__ import annotations

import json
import random
import string
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore import xform_name

from region.bus import ACCOUNT
from region.parameters import TemplateError
from region.template import Template, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from region.region import Region

# Public parameters of AWS and of those who publish images; the value is any image that moto has.
PUBLIC = "/aws/service/"
CREATE_SECONDS = 900.0  # EC2's resources stabilize long before; what does not is an error


@dataclass(frozen=True, slots=True)
class Made:
    """What a resource became: what Ref answers, and Fn::GetAtt."""

    ref: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Stack:
    """One deployed template. Resources are made when something refers to them, or in the order of the template."""

    def __init__(self, region: Region, name: str, choose: random.Random) -> None:
        self.region = region
        self.name = name
        self.made: dict[str, Made] = {}
        self.template: Template
        self._random = choose
        self._under_way: list[str] = []

    def client(self, service: str) -> Any:
        """A client for the region that the stack is in."""
        return self.region.client(service)

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        """Call an operation with a template's values: text becomes numbers where the API wants them, and maps JSON."""
        client = self.client(service)
        shape = client.meta.service_model.operation_model(operation).input_shape
        return getattr(client, xform_name(operation))(**_fit(shape, arguments))

    def arn(self, service: str, name: str) -> str:
        """The ARN of something in this account and region."""
        return f"arn:aws:{service}:{self.ref('AWS::Region')}:{ACCOUNT}:{name}"

    def physical(self, logical: str, longest: int = 64) -> str:
        """A name as CloudFormation makes one: stack, logical id and a random end."""
        end = "".join(self._random.choices(string.ascii_uppercase + string.digits, k=12))
        return f"{self.name}-{logical}"[: longest - 13] + f"-{end}"

    def wait(self, claim: Callable[[], bool], what: str) -> None:
        """Let time pass until a resource is what it shall be."""
        if not claim() and not self.region.clock.run(claim, CREATE_SECONDS):
            raise TemplateError(f"{what} within {CREATE_SECONDS} s")

    def make(self, name: str) -> Made:
        """The resource, created now if it does not exist. Raises TemplateError for a circle or an unknown name."""
        from region.resources import CREATORS  # noqa: PLC0415 creators know stacks

        if name in self.made:
            return self.made[name]
        if name not in self.template.resources:
            return self._made_along(name)
        if name in self._under_way:
            raise TemplateError(f"circular dependency: {' -> '.join([*self._under_way, name])}")
        resource = self.template.resources[name]
        if resource["Type"] not in CREATORS:
            raise TemplateError(f"{name}: unknown resource type {resource['Type']}")
        self._under_way.append(name)
        for other in _list(resource.get("DependsOn", [])):
            self.make(other)
        self.made[name] = CREATORS[resource["Type"]](self, name, self.template.resolve(resource.get("Properties", {})))
        self._under_way.pop()
        return self.made[name]

    def _made_along(self, name: str) -> Made:
        """SAM makes a role beside each function and lets templates name it."""
        owner = name.removesuffix("Role")
        if owner != name and owner in self.template.resources:
            self.make(owner)
        if name not in self.made:
            raise TemplateError(f"nothing is called {name}")
        return self.made[name]

    def ref(self, name: str) -> Any:
        pseudo = {
            "AWS::Region": self.region.wire.session.region_name,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self.name,
        }
        return pseudo[name] if name in pseudo else self.make(name).ref

    def attribute(self, name: str, attribute: str) -> Any:
        attributes = self.make(name).attributes
        if attribute not in attributes:
            raise TemplateError(f"{name} has no attribute {attribute} here")
        return attributes[attribute]

    def ssm_parameter(self, name: str) -> str:
        if not name.startswith(PUBLIC):
            return str(self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
        return str(self.client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"])

    def choose(self, parameter_type: str) -> str | None:
        """What a person would pick in the console's list: a new account has default subnets, one in each zone."""
        first, second, *_ = self.client("ec2").describe_subnets()["Subnets"]
        return {
            "AWS::EC2::Subnet::Id": first["SubnetId"],
            "AWS::EC2::VPC::Id": first["VpcId"],
            "List<AWS::EC2::Subnet::Id>": f"{first['SubnetId']},{second['SubnetId']}",
        }.get(parameter_type)


class Stacks:
    """All stacks of the region."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.deployed: dict[str, Stack] = {}
        self._random = random.Random(region.seed)

    def deploy(self, path: Path, parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Create what a template describes; its outputs. Raises TemplateError, and botocore's errors, as AWS would."""
        stack = Stack(self.region, _stack_name(path.resolve()), self._random)
        stack.template = load(path.resolve(), parameters, stack)
        self.deployed[stack.name] = stack
        for resource in stack.template.wanted():
            stack.make(resource)
        outputs = stack.template.outputs.items()
        return {
            key: str(stack.template.resolve(output["Value"]))
            for key, output in outputs
            if "Condition" not in output or stack.template.condition(output["Condition"])
        }

    def physical(self, logical: str) -> str:
        """The name of what a logical id became, the last part of an ARN or URL; a name that is none stays itself."""
        for stack in self.deployed.values():
            if logical in stack.made:
                return stack.made[logical].ref.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        return logical

    def logical(self, physical: str) -> str:
        """The logical id of a name; a name that no template made stays itself."""
        names = [name for stack in self.deployed.values() for name, made in stack.made.items() if made.ref == physical]
        return names[0] if names else physical


def _stack_name(path: Path) -> str:
    """That of `sam deploy`; without a samconfig.toml beside the template, one from its path."""
    settings = path.with_name("samconfig.toml")
    if path.stem == "template" and settings.exists():
        return str(tomllib.loads(settings.read_text())["default"]["global"]["parameters"]["stack_name"])
    return (path.parent.name if path.stem == "template" else path.stem).replace("_", "-")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fit(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    match kind, value:
        case "structure", dict():
            fitted = {key: _fit(shape.members[key], value[key]) for key in shape.members if key in value}
            return {**value, **fitted}
        case "map", dict():
            return {key: _fit(shape.value, item) for key, item in value.items()}
        case "list", list():
            return [_fit(shape.member, item) for item in value]
        case "string", (dict() | list() | bool() | int()):
            return json.dumps(value)  # which writes true and 5 as CloudFormation does
    plain: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "long": int,
        "float": float,
        "double": float,
        "boolean": "true".__eq__,
    }
    return plain[kind](value) if kind in plain and isinstance(value, str) else value
