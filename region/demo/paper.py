"""What the story is written on: a terminal with colours and a line that moves, or plain text."""

from __future__ import annotations

import os
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH = 92

# Where the output cannot hold a character of the drawings, one that every encoding has stands for it.
SIMPLE = str.maketrans(dict(zip("─│┌┐└┘┤╮╯·▁▂▃▄▅▆▇█▌", "-|+++++++..:-=+*%#|", strict=True)))

COLOURS = {"green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "grey": 90, "red": 31, "bold": 1}


@dataclass(frozen=True, slots=True)
class Paper:
    """Somewhere to write. `is_terminal`: a line of it can be written over; `is_coloured`: it shows colours."""

    stream: TextIO
    is_terminal: bool = False
    is_coloured: bool = False

    @classmethod
    def at(cls, stream: TextIO | None = None, env: Mapping[str, str] = os.environ) -> Paper:
        """The paper that a stream is, or standard output; no colours where NO_COLOR is set: https://no-color.org"""
        stream = stream or sys.stdout
        is_terminal = stream.isatty() and env.get("TERM") != "dumb"
        return cls(stream, is_terminal, is_terminal and not env.get("NO_COLOR"))

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, where colours are shown."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.is_coloured else text

    def head(self, text: str) -> None:
        """The title of a scene."""
        self.draw([f"\n{self.paint(text, 'bold')}", self.paint("─" * WIDTH, "grey")])

    def say(self, text: str) -> None:
        """A paragraph of prose."""
        self.draw([*textwrap.wrap(text, WIDTH), ""])

    def quote(self, text: str) -> None:
        """What somebody else wrote, line by line, indented."""
        for line in text.splitlines():
            indent = " " * (2 + len(line) - len(line.lstrip()))
            self.draw(textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent=indent) or [""])
        self.draw([""])

    def draw(self, lines: Sequence[str]) -> None:
        """Lines as they are."""
        self._put("".join(f"{line}\n" for line in lines))

    def progress(self, text: str) -> None:
        """What is going on now, on a line that the next one takes; nothing where lines cannot be written over."""
        if self.is_terminal:
            self._put(f"\r\x1b[K{self.paint(text, 'grey')}")

    def wipe(self) -> None:
        """End the progress: its line is empty again."""
        if self.is_terminal:
            self._put("\r\x1b[K")

    def _put(self, text: str) -> None:
        try:
            text.encode(self.stream.encoding or "utf-8")
        except UnicodeEncodeError:
            text = text.translate(SIMPLE)
        self.stream.write(text)
        self.stream.flush()
