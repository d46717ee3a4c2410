"""A simulated host, what lies on a simulated volume, and a document's command on the way to its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from region.machines import Done, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from region.clock import Clock
    from region.freezing import Keeper


@dataclass(slots=True)
class Disk:
    """What lies on a volume: a part of a database cluster, or nothing while `cluster` is empty.

    A part is called after the volume that it first lay on; `recorded` are all parts, as the document's record has them.
    `damage` is what a check complains of, or the mount where it is not `mountable`; `taken` the instant that it is a
    copy of.
    """

    cluster: str = ""
    part: str = ""
    recorded: frozenset[str] = frozenset()
    timeline: int = 1
    begun: str = ""  # the snapshot for which the timeline was begun
    acknowledged: int = 0
    uuid: str = ""
    damage: str = ""
    mountable: bool = True
    taken: int = 0

    @property
    def moment(self) -> tuple[int, int, str, int]:
        """What is the same on all volumes of a database, unless some are of another moment than the others."""
        return self.taken, self.timeline, self.begun, self.acknowledged


@dataclass(slots=True)
class Host:
    """A machine. Above the line is what tests set; below, what happened to it.

    `refuses` (code, sentence) answers a freeze, `unfit` (sentence) and `start_fails` (how many times, or the sentence
    of each time) a start. `postgres` is set to False when PostgreSQL dies. `database` is what it lies on, if not on all
    that is asked for. `recovering`: how many seconds its crash recovery takes. `empty_cluster`: one of the image's runs
    on the root disk. An agent that is `silent` takes commands and never answers. `web`: whether a web server answers,
    or the status with which it does; it starts when the agent does. `held`: what else than PostgreSQL holds its
    mounts. `occupied` are places where no copy may be mounted. `checking`: how many seconds a check takes, which
    ends with the sentence `check_fails`; without `amcheck` there is none.
    """

    id: str = ""
    agent: bool = True
    silent: bool = False
    postgres: bool = True
    refuses: tuple[int, str] | None = None
    database: frozenset[str] = frozenset()
    slow: float = 0
    unfit: str = ""
    start_fails: int | str = 0
    recovering: float | None = None
    empty_cluster: bool = False
    read_only: bool = False
    standby: bool = False
    full_percent: int = 10
    warnings: tuple[str, ...] = ()
    web: bool | int = True
    held: str = ""
    occupied: frozenset[str] = frozenset()
    checking: float | None = None
    check_fails: str = ""
    amcheck: bool = True
    # -----
    on: bool = True
    hung: bool = False
    boots: int = 1  # what ran before the last of them, or before a hang, says nothing more
    online: bool = False
    volumes: dict[str, str] = field(default_factory=dict)
    mounted: set[str] = field(default_factory=set)
    enabled: frozenset[str] = frozenset()  # the volumes on which PostgreSQL starts at boot, if all are there
    served: frozenset[str] = frozenset()  # the volumes on which a server runs
    isolated: frozenset[str] = frozenset()  # the volumes on which one runs that nobody reaches
    places: dict[str, str] = field(default_factory=dict)  # the copies, and where each is mounted
    stops: dict[frozenset[str], dict[str, Any]] = field(default_factory=dict)  # by volumes, what stopping them came to
    checks: dict[tuple[frozenset[str], str], float] = field(default_factory=dict)  # by volumes and SQL, when each ends
    began: float = 0  # when the server did
    ready: float = 0  # when its recovery is over
    starting: bool = False
    keeper: Keeper | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether anything runs on it."""
        return self.on and not self.hung

    def lose_processes(self, volume: str | None = None) -> None:
        """Of the isolated server and its checks nothing runs any more: on a volume, or at all."""
        if volume is None or volume in self.isolated:
            self.isolated = frozenset()
            self.checks = {}


@dataclass(frozen=True, slots=True)
class Command:
    """One run of a document. A host that lost power meanwhile says nothing more."""

    host: Host
    parameters: Mapping[str, str]
    done: Done
    boots: int

    @property
    def volumes(self) -> tuple[str, ...]:
        """The set; without one, all that the host has."""
        return tuple(self.parameters.get("volumeIds", "").split() or self.host.volumes)

    def answer(self, code: int, sentence: str = "", **words: Any) -> None:
        """One line of JSON, and the sentence if it failed."""
        if self.host.boots == self.boots and not self.host.silent:
            line = json.dumps({**({"error": sentence} if sentence else {}), **words})
            status = "Failed" if code else "Success"
            self.done(Outcome(status, code, f"{line}\n", f"{sentence}\n" if sentence else ""))

    def later(self, clock: Clock, seconds: float, happen: Callable[[], object]) -> None:
        """Go on after so many seconds, if the host runs on."""

        def still() -> None:
            if self.host.boots == self.boots:
                happen()

        clock.after(seconds, still)
