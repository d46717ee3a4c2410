"""What the stack's parameters say about restoring databases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchkeeper.aws.notices import Place
from watchkeeper.runtime import require

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """What the stack's parameters say about restoring databases."""

    watched: tuple[str, ...]
    start_document: str
    stop_document: str
    mount_document: str
    snapshot_function: str
    place: Place
    collation_change: str
    start_command: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """The settings in a function's environment. Raises Refused, naming a variable that is missing."""
        return cls(
            tuple(filter(None, require(env, "APPLICATIONS").split(","))),
            require(env, "START_DOCUMENT"),
            require(env, "STOP_DOCUMENT"),
            require(env, "MOUNT_DOCUMENT"),
            require(env, "SNAPSHOT_FUNCTION"),
            Place(require(env, "NOTICES_LOG_GROUP"), require(env, "NOTICES_TOPIC")),
            require(env, "ALLOW_COLLATION_CHANGE"),
            env.get("START_COMMAND", ""),
        )
