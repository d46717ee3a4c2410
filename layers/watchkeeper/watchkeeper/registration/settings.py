"""What the stack's parameters say about registering web nodes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper.aws.notices import Place
from watchkeeper.runtime import number, require

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """What the stack's parameters say about registering web nodes."""

    watched: tuple[str, ...]
    floor_percent: int
    patience: timedelta
    place: Place

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """The settings in a function's environment. Raises Refused, naming a variable that is missing or wrong."""
        return cls(
            tuple(require(env, "APPLICATIONS").split(",")),
            number(env, "FLOOR_PERCENT", 0, 100),
            timedelta(seconds=number(env, "HEALTHY_SECONDS", 60, 3600)),
            Place(require(env, "NOTICES_LOG_GROUP"), require(env, "NOTICES_TOPIC")),
        )
