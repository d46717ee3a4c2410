"""The parameters of a template: what may be given, and what they come to.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from region.template import Lookup

RULES = (
    "Type Default Description AllowedValues AllowedPattern ConstraintDescription MinLength MaxLength MinValue MaxValue "
    "NoEcho"
)


class TemplateError(Exception):
    """The template says something that CloudFormation would refuse, or that this region does not know."""


def only(found: Iterable[str], known: str, where: str) -> None:
    """Raise TemplateError for a word that would be left out of account."""
    if unknown := sorted(set(found) - set(known.split())):
        raise TemplateError(f"{where}: does not know {', '.join(unknown)}")


def parameter(name: str, rule: Mapping[str, Any], given: Any, lookup: Lookup) -> Any:
    """The value that is given or the default, checked, as Ref answers it. Raises TemplateError if it may not be so."""
    only(rule, RULES, f"parameter {name}")
    value = rule.get("Default") if given is None else given
    if value is None:
        value = lookup.choose(rule["Type"])
    if value is None:
        raise TemplateError(f"parameter {name} has no default and was not given")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    _check(name, rule, text)
    if rule["Type"].startswith("AWS::SSM::Parameter::Value<"):
        return lookup.ssm_parameter(text)
    return [part.strip() for part in text.split(",")] if _is_list(rule["Type"]) else text


def _is_list(parameter_type: str) -> bool:
    return parameter_type == "CommaDelimitedList" or parameter_type.startswith("List<")


def _check(name: str, rule: Mapping[str, Any], text: str) -> None:
    for value in [part.strip() for part in text.split(",")] if _is_list(rule["Type"]) else [text]:
        refused = (
            ("AllowedValues" in rule and value not in [str(allowed) for allowed in rule["AllowedValues"]])
            or ("AllowedPattern" in rule and not re.fullmatch(rule["AllowedPattern"], value))
            or not int(rule.get("MinLength", 0)) <= len(value) <= int(rule.get("MaxLength", 4096))
            or (rule["Type"] == "Number" and not _in_range(rule, value))
        )
        if refused:
            raise TemplateError(f"parameter {name} may not be {value!r}: {rule.get('ConstraintDescription', rule)}")


def _in_range(rule: Mapping[str, Any], value: str) -> bool:
    return float(rule.get("MinValue", "-inf")) <= float(value) <= float(rule.get("MaxValue", "inf"))
