"""What the story claims. Each claim is checked when it is told; the demo fails if one does not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from region.demo.paper import Paper


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the story, and whether it is true."""

    sentence: str
    holds: bool


def tell(paper: Paper, claims: Sequence[Claim]) -> bool:
    """Write what was checked, a line each; whether all of it holds."""
    words = {True: paper.paint("yes", "green"), False: paper.paint("NO ", "red")}
    paper.draw([f"  {words[claim.holds]}  {claim.sentence}" for claim in claims])
    return all(claim.holds for claim in claims)
