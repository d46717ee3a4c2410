"""What the stack's parameters say about rehearsals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper.aws.notices import Place
from watchkeeper.errors import Refused
from watchkeeper.runtime import number, require

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """What the stack's parameters say about rehearsals."""

    watched: tuple[str, ...]
    retired: tuple[str, ...]
    start_document: str
    check_document: str
    place: Place
    every: timedelta
    sql: str
    profile: str
    is_collation_change_allowed: bool
    function: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """The settings in a function's environment. Raises Refused, naming a variable that is missing or wrong."""
        return cls(
            tuple(require(env, "APPLICATIONS").split(",")),
            tuple(filter(None, env.get("RETIRED", "").split(","))),
            require(env, "START_DOCUMENT"),
            require(env, "CHECK_DOCUMENT"),
            Place(require(env, "NOTICES_LOG_GROUP"), require(env, "NOTICES_TOPIC")),
            timedelta(days=number(env, "REHEARSAL_DAYS", 1, 90)),
            env.get("REHEARSAL_SQL", ""),
            require(env, "REHEARSAL_PROFILE"),
            _flag(env, "ALLOW_COLLATION_CHANGE"),
            require(env, "AWS_LAMBDA_FUNCTION_NAME"),
        )


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = require(env, name)
    if value not in ("true", "false"):
        raise Refused(f"The environment variable {name} is {value!r}; it must be true or false.")
    return value == "true"
