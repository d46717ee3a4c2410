"""The one event that every function takes: a look at the world, at a time, for one application or for all."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from watchkeeper.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Watchkeeper's shortest period: a run that begins later than this belongs to the next one.
LATE = timedelta(hours=1)

# Lambda cuts a chain of invocations at 16: https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
MOST_HOPS = 8

FLAGS = ("dry_run", "force", "if_overdue")
WORDS = ("time", "application", *FLAGS, "hop")

# What an alarm, a topic or EC2 itself sends has one of these, and what people and schedules send has none.
AWS_WORDS = ("detail-type", "alarmData", "Records")
INSTANCE = re.compile(r"\bi-(?:[0-9a-f]{17}|[0-9a-f]{8})\b")


@dataclass(frozen=True, slots=True)
class Look:
    """`time` names the run, so that a retry decides the same thing; without `application` it is a look at all.

    `hop` counts the invocations that were needed before this one, each having run out of time. `asked` is when it was
    asked for, to measure from: `time`, or the moment of an event without one. `instance` is the one that an event of
    AWS's names: a hint where to look first, and never evidence.
    """

    time: datetime
    application: str | None = None
    dry_run: bool = False
    force: bool = False
    if_overdue: bool = False
    hop: int = 0
    asked: datetime | None = field(default=None, compare=False)
    instance: str | None = None

    @classmethod
    def from_event(cls, event: Mapping[str, Any], now: datetime, besides: Sequence[str] = ()) -> Look:
        """The Look that an event asks for; without `time`, of the minute `now`. Raises Refused for any other word.

        Of an event of AWS's it is a look at the instance that this names, whatever its shape; at all, if it names none.

        `besides` are words of one function alone, which that function reads.
        """
        if any(word in event for word in AWS_WORDS):
            return cls(_time(None, now), asked=now, instance=_instance(event))
        known = (*WORDS, *besides)
        unknown = sorted(set(event) - set(known))
        if unknown:
            raise Refused(f"The event has {', '.join(unknown)}; it may have {', '.join(known)}.")
        flags = {word: event.get(word, False) for word in FLAGS}
        for word, value in flags.items():
            if not isinstance(value, bool):
                raise Refused(f'"{word}" is {value!r} in the event; write true or false, without quotes.')
        application = event.get("application")
        if application is not None and (not isinstance(application, str) or not application):
            raise Refused(
                f'"application" is {application!r} in the event; write the name of one, or leave it out for all.'
            )
        time = _time(event.get("time"), now)
        asked = time if "time" in event else now
        return cls(time, application, **flags, hop=_hop(event.get("hop", 0)), asked=asked)

    def refuse_late(self, now: datetime) -> None:
        """Raises Refused if the run is an hour or more from `now`: a set must not claim the run of another day."""
        if abs(now - self.time) >= LATE:
            raise Refused(
                f"The run {stamp(self.time)} is not of now ({stamp(now)}), so what it made would carry a wrong time. "
                f"Send the event again without a time."
            )

    def to_event(self, application: str | None) -> dict[str, Any]:
        """The event that asks the same of one application, or of all."""
        words = {"application": application, **{word: getattr(self, word) for word in FLAGS}, "hop": self.hop}
        return {"time": stamp(self.time)} | {word: value for word, value in words.items() if value}


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


def _instance(event: Mapping[str, Any]) -> str | None:
    """The one instance that an event is about, wherever it stands: in a dimension, a name, a JSON within the JSON."""
    named = set(INSTANCE.findall(json.dumps(event)))
    return named.pop() if len(named) == 1 else None


def _hop(given: object) -> int:
    if type(given) is not int or not 0 <= given <= MOST_HOPS:
        raise Refused(f'"hop" is {given!r} in the event; Watchkeeper itself writes it, so leave it out.')
    return given
