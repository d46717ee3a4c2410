"""What the stack's parameters say, to one who only tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper.backup.settings import Settings as BackupSettings
from watchkeeper.registration.settings import Settings as RegistrationSettings
from watchkeeper.replacement.settings import Settings as ReplacementSettings
from watchkeeper.retention.settings import Settings as RetentionSettings
from watchkeeper.runtime import number, require

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the functions that are told of, and when these are woken."""

    backup: BackupSettings
    retention: RetentionSettings
    replacement: ReplacementSettings
    is_replacing: bool
    registration: RegistrationSettings
    is_registering: bool
    is_rehearsing: bool
    rehearse_every: timedelta
    snapshot_schedule: str
    prune_schedule: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """The settings in a function's environment. Raises Refused, naming a variable that is missing or wrong."""
        return cls(
            BackupSettings.from_env(env),
            RetentionSettings.from_env(env),
            ReplacementSettings.from_env(env),
            require(env, "REPLACE_DATABASE_HOSTS") == "true",
            RegistrationSettings.from_env(env),
            require(env, "REGISTER_WEB_NODES") == "true",
            require(env, "REHEARSE_RESTORES") == "true",
            timedelta(days=number(env, "REHEARSAL_DAYS", 1, 90)),
            require(env, "SNAPSHOT_SCHEDULE"),
            require(env, "PRUNE_SCHEDULE"),
        )
