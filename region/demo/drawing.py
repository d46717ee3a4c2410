"""The pictures of the demo: from values to lines of text; pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

Paint = Callable[[str, str], str]
"""A text and the name of a colour, to the text in that colour."""

WIDTH = 92
INSIDE = 76
"""Columns in a box."""
BARS = 74
HEIGHTS = " ▁▂▃▄▅▆▇█"
SIGNS = 76
"""At most in a strip."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A volume as it hangs on its host."""

    id: str
    device: str
    gib: int
    is_database: bool


@dataclass(frozen=True, slots=True)
class Host:
    """An instance of the application."""

    id: str
    name: str
    role: str
    state: str
    disks: tuple[Disk, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """What a load balancer of this kind sends requests to: its word for each target, by the target's id."""

    name: str
    kind: str
    targets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Application:
    """An application as its tags describe it."""

    name: str
    hosts: tuple[Host, ...]
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """A function and when it is woken."""

    function: str
    when: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign of the calendar: what it looks like, and what it means."""

    sign: str
    colour: str
    words: str


@dataclass(frozen=True, slots=True)
class Night:
    """A night and what became of its sets; `note` is a sign that something of it is told below."""

    day: date
    mark: Mark
    note: str = " "


@dataclass(frozen=True, slots=True)
class Strip:
    """How a thing stood, a sign for each moment."""

    name: str
    signs: str
    colour: str


def draw_application(application: Application, watches: Sequence[Watch], paint: Paint) -> list[str]:
    """The hosts with their volumes, and the functions that look after them."""
    lines = [f"{paint(application.name, 'bold')}, found by the tag watchkeeper:application={application.name}"]
    pooled = {target for pool in application.pools for target in pool.targets}
    for pool in application.pools:
        lines += _box(f"{pool.kind} load balancer · {pool.name} · web-pool", _targets(pool, application.hosts, paint))
        lines.append(
            f"      {paint('│', 'grey')} register_web_nodes puts in who is well by EC2, and takes out the dead"
        )
    for host in application.hosts:
        if host.id not in pooled:
            title = f"{host.name} · {host.id} · {host.role or 'not ours'} · {host.state}"
            lines += _box(title, _disks(host, paint))
    lines.append(f"      {paint('│', 'grey')} frozen by SSM for an instant, snapshotted by EC2, thawed")
    width = max(len(watch.function) for watch in watches)
    return [*lines, *(f"  {paint(watch.function.ljust(width), 'cyan')}  {watch.when}" for watch in watches)]


def _targets(pool: Pool, hosts: Sequence[Host], paint: Paint) -> list[tuple[str, int]]:
    """The lines of a pool's nodes, each with its length as it is seen: what EC2 and the balancer say of it."""
    lines = []
    for host in hosts:
        if word := pool.targets.get(host.id):
            plain = f"{host.name} · {host.id} · {host.state} · balancer: "
            lines.append((plain + paint(word, "green" if word == "healthy" else "yellow"), len(plain + word)))
    return lines


def _disks(host: Host, paint: Paint) -> list[tuple[str, int]]:
    """The lines of a host's volumes, each with its length as it is seen; a brace holds together what one set is of."""
    ours = [disk for disk in host.disks if disk.is_database]
    lines = []
    for disk in host.disks:
        plain = f"{disk.device:<10}{disk.id}  {disk.gib:>4} GiB  "
        words, colour = "left alone", "grey"
        if disk.is_database:
            words, colour = f"database {_brace(ours.index(disk), len(ours))}", "green"
        lines.append((plain + paint(words, colour), len(plain + words)))
    return lines


def _brace(index: int, number: int) -> str:
    if number == 1:
        return "─ one set"
    return "╮" if index == 0 else "╯ one set, of one instant" if index == number - 1 else "┤"


def _box(title: str, lines: Sequence[tuple[str, int]]) -> list[str]:
    top = f"  ┌─ {title} " + "─" * (INSIDE - len(title) - 3) + "┐"
    body = [f"  │  {text}{' ' * (INSIDE - length - 2)}│" for text, length in lines]
    return [top, *body, "  └" + "─" * INSIDE + "┘"]


def draw_calendar(nights: Sequence[Night], paint: Paint) -> list[str]:
    """The weeks of the nights, a row each from Monday to Sunday, one sign per night."""
    by_day = {night.day: night for night in nights}
    first, last = min(by_day), max(by_day)
    lines = [paint(f"{'':9}{'      '.join(('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'))}", "grey")]
    monday = first - timedelta(days=first.weekday())
    while monday <= last:
        week = [monday + timedelta(days=number) for number in range(7)]
        cells = [_cell(by_day.get(day), day, paint) for day in week]
        starts = next((day for day in week if day in by_day and (day.day == 1 or day == first)), None)
        name = f"{starts:%B}"[:8] if starts else ""
        lines.append(f"{paint(f'{name:<9}', 'grey')}{''.join(cells)}".rstrip())
        monday += timedelta(days=7)
    return lines


def _cell(night: Night | None, day: date, paint: Paint) -> str:
    if night is None:
        return " " * 9
    sign = paint(night.mark.sign, night.mark.colour)
    return f"{paint(f'{day.day:>2}', 'grey')} {sign}{paint(night.note, 'yellow')}    "


def draw_legend(legend: Sequence[tuple[Mark, int]], notes: Sequence[tuple[str, str]], paint: Paint) -> list[str]:
    """What the signs mean, with the number of nights of each, and what happened in the nights that have a note."""
    lines = [f"  {paint(mark.sign, mark.colour)}  {number:>2}  {mark.words}" for mark, number in legend]
    for sign, text in notes:
        first, *rest = textwrap.wrap(text, WIDTH - 5)
        lines += ["", f"  {paint(sign, 'yellow')}  {first}", *(f"     {line}" for line in rest)]
    return lines


def draw_load(times: Sequence[float], moment: float, note: str, end: str, paint: Paint) -> list[str]:
    """How often something happened, as a row of bars from the first time to the last, with a note at a moment."""
    first, span = min(times), max(times) - min(times)
    counts = [0] * BARS
    for time in times:
        counts[min(BARS - 1, int((time - first) / span * BARS))] += 1
    usual = max(1, sorted(counts)[BARS * 9 // 10])  # a peak does not make all others small
    bars = "".join(HEIGHTS[min(8, -(-count * 8 // usual))] for count in counts)
    place = min(BARS - 1, int((moment - first) / span * BARS))
    return [f"  {paint(bars, 'green')}{paint('▌', 'red')} {end}", f"  {' ' * place}└ {note}"]


def draw_strips(strips: Sequence[Strip], notes: Mapping[int, str], paint: Paint) -> list[str]:
    """Strips below each other, and notes below the moments that they are of."""
    width = max(len(strip.name) for strip in strips)
    lines = [f"  {strip.name:<{width}}  {paint(strip.signs.rstrip(), strip.colour)}" for strip in strips]
    return [*lines, *(_note(width + place + 4, note) for place, note in notes.items())]


def _note(column: int, note: str) -> str:
    """A note below a column: right of it, or left of it if it would not fit there."""
    right = f"{' ' * column}└ {note}"
    return right if len(right) <= WIDTH else f"{note} ┘".rjust(column + 1)


def draw_table(rows: Sequence[Sequence[str]], paint: Paint) -> list[str]:
    """Rows with their columns below each other; the first is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [paint(lines[0], "grey"), *lines[1:]]


def draw_figures(figures: Mapping[str, str]) -> list[str]:
    """A list of figures: their names, then their values."""
    width = max(len(name) for name in figures)
    return [f"  {name:<{width}}  {value}" for name, value in figures.items()]
