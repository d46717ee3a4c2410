"""What the stack's parameters say about replacing database hosts."""

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
    """What the stack's parameters say about replacing database hosts."""

    watched: tuple[str, ...]
    retired: tuple[str, ...]
    document: str
    alarm_prefix: str
    place: Place
    zones: tuple[str, ...]
    names: tuple[str, ...]
    ttl_seconds: int
    budget: int
    force_after: timedelta
    terminate_after: timedelta
    is_stopped_by_people_replaced: bool
    is_lost_volume_restored: bool
    retired_host_days: int
    keys: tuple[str, ...]
    is_collation_change_allowed: bool
    start_command: str
    function: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """The settings in a function's environment. Raises Refused, naming a variable that is missing or wrong."""
        return cls(
            _list(require(env, "APPLICATIONS")),
            _list(env.get("RETIRED", "")),
            require(env, "START_DOCUMENT"),
            require(env, "ALARM_PREFIX"),
            Place(require(env, "NOTICES_LOG_GROUP"), require(env, "NOTICES_TOPIC")),
            _list(env.get("ZONES", "")),
            _list(env.get("RECORD_NAMES", "")),
            number(env, "TTL_SECONDS", 1, 300),
            number(env, "BUDGET", 1, 5),
            timedelta(seconds=number(env, "FORCE_AFTER_SECONDS", 10, 3600)),
            timedelta(seconds=number(env, "TERMINATE_AFTER_SECONDS", 20, 7200)),
            _flag(env, "REPLACE_STOPPED_BY_PEOPLE"),
            _flag(env, "RESTORE_WHEN_VOLUME_LOST"),
            number(env, "RETIRED_HOST_DAYS", 0, 3650),
            _list(env.get("KEY_ARNS", "")),
            _flag(env, "ALLOW_COLLATION_CHANGE"),
            env.get("START_COMMAND", ""),
            require(env, "AWS_LAMBDA_FUNCTION_NAME"),
        )


def _list(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = require(env, name)
    if value not in ("true", "false"):
        raise Refused(f"The environment variable {name} is {value!r}; it must be true or false.")
    return value == "true"
