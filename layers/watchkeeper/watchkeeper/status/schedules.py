"""When a schedule of EventBridge comes next."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

# minutes, hours, days of the month, months, days of the week (Sunday is 1), years
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, MONTHS),
    (1, 7, WEEKDAYS),
    (1970, 2199, ()),
)

# From one 29 February to the next it can be eight years, over a year such as 2100.
FARTHEST_DAYS = 8 * 366


def next_time(expression: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The next time that a schedule falls due after `after`, in UTC.

    None if that cannot be told: a rate counts from when it was made, and L, W and # are not known here. A local time
    that the clocks skip is skipped: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    try:
        minutes, hours, days, months, weekdays, years = _read(expression)
    except ValueError:
        return None
    first = after.astimezone(zone).date()
    for day in (first + timedelta(days=number) for number in range(FARTHEST_DAYS)):
        is_due = day.month in months and day.day in days and day.isoweekday() % 7 + 1 in weekdays and day.year in years
        times = [time(hour, minute) for hour in hours for minute in minutes] if is_due else []
        for moment in (_moment(day, clock, zone) for clock in times):
            if moment and moment > after:
                return moment
    return None


def _read(expression: str) -> list[list[int]]:
    kind, _, body = expression.strip().removesuffix(")").partition("(")
    fields = body.split()
    if kind != "cron" or len(fields) != len(FIELDS):
        raise ValueError(expression)
    return [_values(text, *field) for text, field in zip(fields, FIELDS, strict=True)]


def _values(text: str, low: int, high: int, names: tuple[str, ...]) -> list[int]:
    values: set[int] = set()
    for part in text.upper().split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = low if span in ("*", "?") else _number(first, names)
        end = _number(last, names) if last else high if step or span in ("*", "?") else begin
        if not low <= begin <= end <= high:
            raise ValueError(part)
        values.update(range(begin, end + 1, int(step or 1)))
    return sorted(values)


def _number(text: str, names: tuple[str, ...]) -> int:
    return names.index(text) + 1 if text in names else int(text)


def _moment(day: date, clock: time, zone: ZoneInfo) -> datetime | None:
    local = datetime.combine(day, clock, zone)
    moment = local.astimezone(UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None) else None
