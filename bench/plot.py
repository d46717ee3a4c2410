"""A plot as SVG, drawn here: how large a share of the trials is over after how many seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, TOP = 720, 360, 60, 20
COLOURS = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9")
STEP_SECONDS = 30


def steps(series: Mapping[str, Sequence[float]], promised: Mapping[str, tuple[float, float]]) -> str:
    """A plot of the shares over time, with a mark where a share was promised within so many seconds."""
    most = max(max(values) for values in series.values())
    end = STEP_SECONDS * (int(most) // STEP_SECONDS + 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 180} {HEIGHT + 70}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH + 180}" height="{HEIGHT + 70}" fill="white"/>',
        *_grid(end),
    ]
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{_x(at(values, share / 200), end):.1f},{_y(share / 200):.1f}" for share in range(200))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines.append(_text(WIDTH + 20, TOP + 20 * (number + 1), name, colour))
        if name in promised:
            share, seconds = promised[name]
            x, y = _x(seconds, end), _y(share)
            lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="{colour}" stroke-width="2"/>')
    lines.append(_text(WIDTH + 20, TOP + 20 * (len(series) + 2), "o  promised", "#333"))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _grid(end: float) -> list[str]:
    lines = []
    for seconds in range(0, int(end) + 1, STEP_SECONDS * (1 + int(end) // 600)):
        x = _x(seconds, end)
        lines.append(f'<line x1="{x:.1f}" y1="{_y(0)}" x2="{x:.1f}" y2="{_y(1)}" stroke="#ddd"/>')
        lines.append(_text(x - 8, _y(0) + 20, str(seconds), "#333"))
    for share in range(0, 101, 25):
        lines.append(f'<line x1="{LEFT}" y1="{_y(share / 100)}" x2="{WIDTH}" y2="{_y(share / 100)}" stroke="#ddd"/>')
        lines.append(_text(10, _y(share / 100) + 4, f"{share} %", "#333"))
    lines.append(_text(LEFT, _y(0) + 42, "seconds from the event until a client has written again", "#333"))
    return lines


def _text(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{text}</text>'


def _x(seconds: float, end: float) -> float:
    return LEFT + (WIDTH - LEFT) * seconds / end


def _y(share: float) -> float:
    return TOP + HEIGHT * (1 - share)
