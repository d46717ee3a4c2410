"""What the stack's parameters say about snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from watchkeeper.errors import Refused
from watchkeeper.runtime import number, require

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """What the stack's parameters say about snapshots."""

    watched: tuple[str, ...]
    retired: tuple[str, ...]
    document: str
    lease_seconds: int
    overdue: timedelta
    on_freeze_failure: Literal["snapshot", "skip"]
    function: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """The settings in a function's environment. Raises Refused, naming a variable that is missing or wrong."""
        failure = require(env, "ON_FREEZE_FAILURE")
        if failure not in ("snapshot", "skip"):
            raise Refused(f"The environment variable ON_FREEZE_FAILURE is {failure!r}; it must be snapshot or skip.")
        return cls(
            tuple(require(env, "APPLICATIONS").split(",")),
            tuple(env.get("RETIRED", "").split(",")),
            require(env, "FREEZE_DOCUMENT"),
            number(env, "LEASE_SECONDS", 5, 110),
            timedelta(hours=number(env, "OVERDUE_HOURS", 1, 24 * 31)),
            "snapshot" if failure == "snapshot" else "skip",
            require(env, "AWS_LAMBDA_FUNCTION_NAME"),
        )
