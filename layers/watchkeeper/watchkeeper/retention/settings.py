"""What the stack's parameters say about retention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from watchkeeper.errors import Refused
from watchkeeper.retention.policy import Policy
from watchkeeper.runtime import number, require

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """What the stack's parameters say about retention."""

    watched: tuple[str, ...]
    retired: tuple[str, ...]
    policy: Policy
    zone: ZoneInfo
    keep_last: int
    function: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """The settings in a function's environment. Raises Refused, naming a variable that is missing or wrong."""
        return cls(
            tuple(require(env, "APPLICATIONS").split(",")),
            tuple(env.get("RETIRED", "").split(",")),
            Policy.read(require(env, "KEEP"), "The environment variable KEEP"),
            _zone(require(env, "TIME_ZONE")),
            number(env, "KEEP_LAST", 1, 1000),
            require(env, "AWS_LAMBDA_FUNCTION_NAME"),
        )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, no name of a file, a folder such as Europe
        raise Refused(
            f"The environment variable TIME_ZONE is {name!r}, which is no time zone; write it like Europe/Berlin."
        ) from None
