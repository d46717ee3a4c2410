"""When a schedule falls due: cron, rate and at expressions in a time zone, as EventBridge reads them.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
WEEKDAYS = "SUN MON TUE WED THU FRI SAT"
UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
LOOK_AHEAD = timedelta(days=4 * 366)  # the 29th of February comes once in four years


class ScheduleError(ValueError):
    """An expression that EventBridge would refuse, or a form of it that this region does not know."""


@dataclass(frozen=True, slots=True)
class Cron:
    """The allowed values of each field; a day must satisfy both of its fields, of which one is `?`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    def falls_on(self, day: date) -> bool:
        """Whether it is due on this day at all; weekdays count from 1, Sunday."""
        return (
            day.year in self.years
            and day.month in self.months
            and day.day in self.days
            and day.isoweekday() % 7 + 1 in self.weekdays
        )


def due(expression: str, zone: str, since: datetime, rate_from: datetime) -> Iterator[datetime]:
    """The times, in UTC, at which a schedule falls due after `since`, soonest first. A rate counts from `rate_from`."""
    kind, _, body = expression.strip().rstrip(")").partition("(")
    if kind == "cron":
        return _cron_times(parse_cron(body), ZoneInfo(zone), since)
    if kind == "rate":
        return _rate_times(_rate(body), since, rate_from)
    if kind == "at":
        when = datetime.fromisoformat(body).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        return iter([when] if when > since else [])
    raise ScheduleError(f"unknown schedule {expression}")


def parse_cron(body: str) -> Cron:
    """The six fields of a cron expression; raises ScheduleError for L, W and #, which are not known here."""
    fields = body.split()
    if len(fields) != 6 or (fields[2] == "?") == (fields[4] == "?"):
        raise ScheduleError(f"cron takes six fields, and `?` in one of both day fields: {body}")
    return Cron(
        minutes=_field(fields[0], 0, 59),
        hours=_field(fields[1], 0, 23),
        days=_field(fields[2], 1, 31),
        months=_field(fields[3], 1, 12, MONTHS),
        weekdays=_field(fields[4], 1, 7, WEEKDAYS),
        years=_field(fields[5], 1970, 2199),
    )


def _field(text: str, low: int, high: int, names: str = "") -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span in ("*", "?"):
            begin, end = low, high
        else:
            begin = _number(first, names)
            end = _number(last, names) if last else high if step else begin
        if not low <= begin <= end <= high:
            raise ScheduleError(f"{part} is not within {low} and {high}")
        values.update(range(begin, end + 1, int(step or 1)))
    return frozenset(values)


def _number(text: str, names: str) -> int:
    if text.upper() in names.split():
        return names.split().index(text.upper()) + 1
    if not text.isdigit():
        raise ScheduleError(f"{text} is not known in a cron expression")
    return int(text)


def _cron_times(cron: Cron, zone: ZoneInfo, since: datetime) -> Iterator[datetime]:
    """A local time that does not exist is skipped, one that comes twice counts once."""
    day = since.astimezone(zone).date()
    last = day + LOOK_AHEAD
    while day <= last:
        for hour in sorted(cron.hours) if cron.falls_on(day) else ():
            for minute in sorted(cron.minutes):
                local = datetime.combine(day, time(hour, minute), zone)
                moment = local.astimezone(UTC)
                if moment > since and moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                    yield moment
                    last = day + LOOK_AHEAD
        day += timedelta(days=1)


def _rate(body: str) -> timedelta:
    match = re.fullmatch(r"(\d+) (minute|hour|day)s?", body.strip())
    if not match or int(match[1]) < 1:
        raise ScheduleError(f"unknown rate {body}")
    return int(match[1]) * UNITS[match[2]]


def _rate_times(every: timedelta, since: datetime, rate_from: datetime) -> Iterator[datetime]:
    passed = max(0, (since - rate_from) // every + 1)
    moment = rate_from + passed * every
    while True:
        yield moment
        moment += every
