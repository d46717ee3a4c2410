"""What is wanted of an application's pools, and what is remembered and told: values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from watchkeeper.aws.pools import DRAINING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchkeeper.aws.pools import Member, Pool, Target
    from watchkeeper.registration.observe import Node
    from watchkeeper.registration.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Tag:
    """Nodes remember these words."""

    nodes: tuple[str, ...]
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tell:
    """People are told, once for each key."""

    key: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A target that is put in or taken out, the node that it is, and why."""

    target: Target
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Care:
    """What is wanted of one pool. `nodes` are the known ones of its members by what they are called there.

    `register` and `deregister` change it; `left` are nodes that stay as they are, in or out, each with the reason;
    `unknown` are members that are no node of the application, which are never touched.
    """

    pool: Pool
    refusal: Refusal | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    register: tuple[Change, ...] = ()
    deregister: tuple[Change, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def known(self, *, draining: bool = False) -> list[tuple[Node, Member]]:
        """The members that are nodes, those that are on their way out or the others."""
        return [
            (self.nodes[one.target.id], one)
            for one in self.pool.members
            if one.target.id in self.nodes and (one.state == DRAINING) == draining
        ]


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of an application's pools, what its nodes remember or forget, and what is told; or why not."""

    application: str
    cares: tuple[Care, ...] = ()
    tags: tuple[Tag, ...] = ()
    untag: tuple[str, ...] = ()
    tell: tuple[Tell, ...] = ()
    refusal: Refusal | None = None
