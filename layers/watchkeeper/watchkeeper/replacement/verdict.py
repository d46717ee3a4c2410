"""What a plan is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchkeeper.replacement.actions import Action
    from watchkeeper.replacement.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Plan:
    """Why nothing is done, or what is done now, and what is waited for. All empty: nothing is the matter."""

    refusal: Refusal | None = None
    actions: tuple[Action, ...] = ()
    waits: tuple[str, ...] = ()
    is_paused: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing is to be done, and nothing is waited for; a refusal that was told before may hold."""
        return not self.actions and not self.waits
