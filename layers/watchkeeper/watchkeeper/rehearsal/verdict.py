"""What a plan is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchkeeper.rehearsal.actions import Action


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing can be said of the set: the circumstances, by name and in a sentence; told, if that is news."""

    name: str
    sentence: str
    is_told: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done now, what is waited for, and what prevents the rehearsal; `why` nothing is to be done.

    `left` are things of rehearsals that somebody paused; `strange` those that only call themselves a rehearsal's.
    """

    actions: tuple[Action, ...] = ()
    waits: tuple[str, ...] = ()
    trouble: Trouble | None = None
    why: str = ""
    left: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing is to be done, and nothing is waited for."""
        return not self.actions and not self.waits
