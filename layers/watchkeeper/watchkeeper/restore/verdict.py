"""What a plan of a restore is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchkeeper.restore.actions import Action

MAKING = "make volumes of the set"

# What putting a set into the database's place consists of, in its order.
STEPS = (
    "pause the database and its host",
    "make a set of what is about to be put aside",
    MAKING,
    "stop PostgreSQL and unmount its volumes",
    "detach them",
    "put them aside, and the others in their place",
    "attach those",
    "start PostgreSQL on them and have it take a write",
    "tell, and unpause",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done now and what is waited for; `step` is where it stands in STEPS.

    `refusal` is the sentence with which it ends, once the actions are done; `is_done` ends it as it should.
    """

    actions: tuple[Action, ...] = ()
    waits: tuple[str, ...] = ()
    step: int = 0
    refusal: str = ""
    is_done: bool = False
