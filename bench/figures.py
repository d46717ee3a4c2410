"""How figures are written down: parts with their ratios, tables, bars, and the middle of what was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BAR = 32
EIGHTHS = " ▏▎▍▌▋▊▉"
NEWEST_POSTGRES = "$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)"


@dataclass(frozen=True, slots=True)
class Part:
    """What was measured of one thing: `ratios` stand at the head of the file, `body` is Markdown.

    `drawings` lie beside the file, by their names.
    """

    title: str
    ratios: tuple[str, ...]
    body: str
    drawings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """When it was measured, and how busy this machine was just before."""

    began: datetime
    load: float

    @classmethod
    def now(cls) -> Machine:
        """This machine, before anything is measured."""
        return cls(datetime.now(UTC), os.getloadavg()[0])

    def words(self) -> str:
        """The machine and the versions of what runs on it."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        versions = [f"{name} {version(name)}" for name in ("boto3", "moto")]
        postgres = subprocess.run(
            ["sh", "-c", f"{NEWEST_POSTGRES}/postgres --version"], capture_output=True, text=True, check=False
        ).stdout
        if postgres:
            versions.append(f"PostgreSQL {postgres.split()[2]}")
        return (
            f"{os.cpu_count()} cores{_processor()}, {memory:.0f} GiB, {platform.system()} {platform.release()}, Python "
            f"{platform.python_version()}, {', '.join(versions)}; its load before was {self.load:.1f}."
        )


def at(values: Sequence[float], share: float) -> float:
    """The value that this share of the others does not exceed: at 0.5 the median. Never one between two."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def table(head: Sequence[str], *rows: Sequence[object]) -> str:
    """A Markdown table; all but its first column stand to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def bars(values: Mapping[str, float], unit: str) -> str:
    """A bar for each value, the longest over the whole width."""
    width, most = max(map(len, values)), max(values.values())
    lines = [f"{name:<{width}}  {_bar(value / most):<{BAR}}  {value:,.2f} {unit}" for name, value in values.items()]
    return "\n".join(["```", *lines, "```"])


def write(parts: Mapping[str, Part | str], machine: Machine) -> str:
    """The whole file: ratios first, then each part; of one that was not run, the reason."""
    measured = [part for part in parts.values() if isinstance(part, Part)]
    minutes = (datetime.now(UTC) - machine.began).total_seconds() / 60
    paragraphs = [
        "# Figures",
        f"Measured on {machine.began:%Y-%m-%d} by `make bench`, which writes this file anew, in {minutes:.0f} minutes "
        f"on {machine.words()} Seconds are this machine's; ratios say more, for what they compare was run in turns.",
        "\n".join(f"- {ratio}" for part in measured for ratio in part.ratios),
        *(f"**Not run: {name}.** {why}" for name, why in parts.items() if isinstance(why, str)),
        *(f"## {part.title}\n\n{part.body}" for part in measured),
    ]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _bar(share: float) -> str:
    whole, rest = divmod(round(share * BAR * 8), 8)
    return "█" * whole + EIGHTHS[rest].strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f" ({names[0]})" if names else ""
