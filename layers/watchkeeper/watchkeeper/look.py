"""The one event that every function takes: a look at the world, at a time, for one application or for all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from watchkeeper.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

# Watchkeeper's shortest period: a run that begins later than this belongs to the next one.
LATE = timedelta(hours=1)

WORDS = ("time", "application", "dry_run", "force", "if_overdue")


@dataclass(frozen=True, slots=True)
class Look:
    """`time` names the run, so that a retry decides the same thing; without `application` it is a look at all."""

    time: datetime
    application: str | None = None
    dry_run: bool = False
    force: bool = False
    if_overdue: bool = False

    @classmethod
    def from_event(cls, event: Mapping[str, Any], now: datetime) -> Look:
        """The Look that an event asks for; without `time`, of the minute `now`. Raises Refused for any other word."""
        unknown = sorted(set(event) - set(WORDS))
        if unknown:
            raise Refused(f"The event has {', '.join(unknown)}; it may have {', '.join(WORDS)}.")
        flags = {word: event.get(word, False) for word in ("dry_run", "force", "if_overdue")}
        for word, value in flags.items():
            if not isinstance(value, bool):
                raise Refused(f'"{word}" is {value!r} in the event; write true or false, without quotes.')
        application = event.get("application")
        if application is not None and (not isinstance(application, str) or not application):
            raise Refused(
                f'"application" is {application!r} in the event; write the name of one, or leave it out for all.'
            )
        return cls(_time(event.get("time"), now), application, **flags)

    def refuse_late(self, now: datetime) -> None:
        """Raises Refused if the run is an hour or more from `now`: a set must not claim the run of another day."""
        if abs(now - self.time) >= LATE:
            raise Refused(
                f"The run {stamp(self.time)} is not of now ({stamp(now)}), so what it made would carry a wrong time. "
                f"Send the event again without a time."
            )

    def to_event(self, application: str) -> dict[str, Any]:
        """The event that asks the same of one application."""
        words = {"dry_run": self.dry_run, "force": self.force, "if_overdue": self.if_overdue}
        return {"time": stamp(self.time), "application": application} | {word: True for word, on in words.items() if on}


def stamp(time: datetime) -> str:
    """A time as tags and events hold it: `2026-11-22T04:30:00Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_time(text: str) -> datetime:
    """The aware time of an ISO 8601 text. Raises ValueError for anything else, and for one without an offset."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return time.astimezone(UTC)


def _time(given: object, now: datetime) -> datetime:
    if given is None:
        return now.replace(second=0, microsecond=0)
    try:
        return read_time(str(given))
    except ValueError:
        raise Refused(f'"time" is {given!r} in the event; write it as {stamp(now)}, or leave it out for now.') from None
