"""SSM documents: the parameters of a command, checked as SSM checks them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Of a delivery and of a step alike: https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html
DEFAULT_SECONDS = 3600


def resolve(document: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """A document's parameters with its defaults, checked as SSM checks them. Raises Refusal(InvalidParameters)."""
    rules = document.get("parameters", {})
    values: dict[str, str] = {}
    for name in given:
        if name not in rules:
            raise Refusal("InvalidParameters", f"Parameter {name} is not defined in the document.")
    for name, rule in rules.items():
        if name not in given and "default" not in rule:
            raise Refusal("InvalidParameters", f"Parameter {name} is required.")
        if rule["type"] != "String" or len(given.get(name, [""])) != 1:
            raise NotImplementedError(f"{name}: only parameters with one String are known here")
        value = values[name] = str(given[name][0] if name in given else rule["default"])
        if value not in rule.get("allowedValues", [value]) or not re.search(rule.get("allowedPattern", ""), value):
            raise Refusal("InvalidParameters", f"Parameter {name} may not be {value!r}.")
    return values


def execution_seconds(document: Mapping[str, Any]) -> float:
    """How long all steps of a document may take."""
    return sum(float(step.get("inputs", {}).get("timeoutSeconds", DEFAULT_SECONDS)) for step in document["mainSteps"])
