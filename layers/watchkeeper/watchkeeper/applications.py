"""Applications: which there are, by the names on their resources, and handing each on to an invocation of its own."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from watchkeeper.errors import Refused
from watchkeeper.look import MOST_HOPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mypy_boto3_lambda import LambdaClient

    from watchkeeper.look import Look

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
WHAT_A_NAME_IS = "it may have letters, digits, dots, dashes and underscores"


def asked_for(look: Look, watched: Sequence[str]) -> list[str]:
    """The names (or patterns) to ask AWS for: the look's application, else all that are watched. Raises Refused."""
    if look.application is None:
        return list(watched)
    if not NAME.fullmatch(look.application):
        raise Refused(f"{look.application!r} is no name of an application: {WHAT_A_NAME_IS}.")
    if not is_watched(look.application, watched):
        raise Refused(
            f"{look.application!r} is not watched by this stack, whose parameter Applications is {','.join(watched)}."
        )
    return [look.application]


def is_watched(name: str, watched: Sequence[str]) -> bool:
    """Whether a name is among those (or their patterns) that the stack watches."""
    return any(fnmatchcase(name, pattern) for pattern in watched)


def refuse_unknown(look: Look, existing: Iterable[str], all_names: Iterable[str]) -> None:
    """Raises Refused, with the names that exist, when the look's application is not among the existing."""
    if look.application is not None and look.application not in set(existing):
        names = (
            ", ".join(sorted(set(all_names)))
            or "none: tag a volume watchkeeper:application and watchkeeper:role=database"
        )
        raise Refused(f"There is no application {look.application!r}; those that exist are: {names}.")


def hand_on(client: LambdaClient, function: str, look: Look, names: Iterable[str]) -> list[str]:
    """Invokes the function for each application, asynchronously and with the same time; the names, in order."""
    handed = sorted(names)
    for name in handed:
        client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(look.to_event(name)).encode())
        logger.info("application handed on", extra={"application": name})
    return handed


def carry_on(client: LambdaClient, function: str, look: Look) -> bool:
    """Invokes the function again for what is left of a look, unless that was done eight times; whether it was invoked.

    Lambda cuts a chain of invocations at 16, without a word.
    """
    if look.hop >= MOST_HOPS:
        return False
    again = replace(look, hop=look.hop + 1).to_event(look.application)
    client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(again).encode())
    logger.info("look carried on", extra={"hop": look.hop + 1})
    return True
