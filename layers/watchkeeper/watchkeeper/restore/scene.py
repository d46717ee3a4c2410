"""A database, what was and what may be its volumes, and the operation that is under way on it: values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.look import read_time, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Launch
    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
    from watchkeeper.aws.starts import Start
    from watchkeeper.aws.volumes import Volume

OPERATION = re.compile(r"(restore (?P<set>\S+)|undo) since (?P<since>\S+)")

# A volume is seen within seconds of the answer; one whose key may not be used is gone again.
UNSEEN = timedelta(minutes=2)

# An operation may be named by a minute that is yet to come.
EARLY = timedelta(minutes=10)

# What a volume that is made for the database's place says before it is put there.
FOR_DATABASE = "database"

OFF = ("stopped", "terminated")


@dataclass(frozen=True, slots=True)
class Operation:
    """A restore, of a set, or an undo: `since` names it, and is the run of the set that protects from it."""

    since: datetime
    set: str = ""

    @property
    def is_undo(self) -> bool:
        """It puts back what was there before."""
        return not self.set

    @property
    def word(self) -> str:
        """What it pauses everything with, and what it says of itself on the volumes that it put in."""
        return f"{f'restore {self.set}' if self.set else 'undo'} since {stamp(self.since)}"

    @property
    def retired(self) -> str:
        """What it writes on the volumes that it puts aside: when, and why."""
        return f"{stamp(self.since)} {f'restore {self.set}' if self.set else 'undone'}"


def read(word: str) -> Operation | None:
    """The operation that a word names; None if it names none."""
    found = OPERATION.fullmatch(word)
    try:
        return Operation(read_time(found["since"]), found["set"] or "") if found else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Scene:
    """One application at a moment: its volumes of each role in the order of their ids, hosts, sets and SSM's memory.

    `set` is the one that is restored, `sent_out` are the commands for the volumes that leave, and once they have left
    `sent_in` those for the ones that come; `reached` the instances whose agent answers, `launch_zone` where the launch
    template's subnet is.
    `began` is when this look began, `worked` the operation that it was at, `made`
    when it first asked for volumes, `turned` when it turned a restore round.
    """

    application: str
    now: datetime
    volumes: tuple[Volume, ...] = ()
    hosts: Mapping[str, Host] = field(default_factory=dict)
    launches: tuple[Launch, ...] = ()
    sets: tuple[SnapshotSet, ...] = ()
    operation: Operation | None = None
    set: SnapshotSet | None = None
    launch_zone: str = ""
    reached: frozenset[str] = frozenset()
    sent_out: tuple[Start, ...] = ()
    sent_in: tuple[Start, ...] = ()
    began: datetime | None = None
    worked: Operation | None = None
    made: datetime | None = None
    turned: datetime | None = None

    def of_role(self, role: str) -> tuple[Volume, ...]:
        """The volumes that have this role."""
        return tuple(one for one in self.volumes if one.tags.get(tags.ROLE) == role)

    @property
    def present(self) -> tuple[Volume, ...]:
        """The volumes of the database, as everybody sees them now."""
        return self.of_role(tags.DATABASE)

    @property
    def incoming(self) -> tuple[Volume, ...]:
        """The volumes that the operation puts in, one of each snapshot, wherever they are on their way."""
        if self.operation is None:
            return ()
        word = self.operation.word
        if self.operation.is_undo:
            return tuple(one for one in self.volumes if one.tags.get(tags.RESTORED_FOR) == word)
        made = [one for one in self.present if one.tags.get(tags.RESTORED_FOR) == word]
        made += [one for one in self.copies(FOR_DATABASE) if one.zone == self.zone and _is_free(one)]
        first: dict[str, Volume] = {}
        for one in made:
            first.setdefault(one.tags.get(tags.RESTORED_FROM, ""), one)
        return tuple(sorted(first.values(), key=lambda one: one.id))

    def copies(self, of: str) -> tuple[Volume, ...]:
        """The volumes that were made of the set for this purpose, and that are not a database's."""
        members = {member.id for member in self.set.members} if self.set else set()
        return tuple(
            one
            for one in self.of_role(tags.RESTORED)
            if one.tags.get(tags.RESTORED_FOR) == of and one.tags.get(tags.RESTORED_FROM) in members
        )

    @property
    def outgoing(self) -> tuple[Volume, ...]:
        """The volumes that the operation puts aside, or has put aside already."""
        if self.operation is None:
            return self.present
        coming, reason = {one.id for one in self.incoming}, self.operation.retired
        return tuple(
            one
            for one in self.volumes
            if one.id not in coming
            and (
                one.tags.get(tags.ROLE) == tags.DATABASE
                or (one.tags.get(tags.ROLE) == tags.PUT_ASIDE and one.tags.get(tags.RETIRED) == reason)
            )
        )

    @property
    def leaving(self) -> tuple[Volume, ...]:
        """Those of the outgoing that are the database's still."""
        return tuple(one for one in self.outgoing if one.tags.get(tags.ROLE) == tags.DATABASE)

    @property
    def missing(self) -> tuple[Snapshot, ...]:
        """The snapshots of the set of which no volume is there yet."""
        there = {one.tags.get(tags.RESTORED_FROM) for one in self.incoming}
        return tuple(member for member in self.set.members if member.id not in there) if self.set else ()

    @property
    def is_torn(self) -> bool:
        """Neither what was there before nor what comes is the whole of a database, by their roles."""
        is_old_whole = bool(self.outgoing) and self.leaving == self.outgoing
        is_new_whole = bool(self.incoming) and all(one.tags.get(tags.ROLE) == tags.DATABASE for one in self.incoming)
        return not (is_old_whole or (is_new_whole and not self.leaving))

    @property
    def zone(self) -> str:
        """The zone of the database, or of what was put aside last; empty if it has no volume."""
        aside = sorted(self.of_role(tags.PUT_ASIDE), key=lambda one: one.tags.get(tags.RETIRED, ""))
        return next((one.zone for one in (*self.present, *reversed(aside))), "")

    @property
    def home(self) -> str:
        """The instance that the database was last settled on, as its volumes remember; empty if none does."""
        known = (one.tags.get(tags.HOST, "") for one in (*self.outgoing, *self.incoming))
        return next(filter(None, known), "")

    @property
    def host(self) -> Host | None:
        """That instance; None if EC2 does not know it any more."""
        return self.hosts.get(self.home)

    @property
    def timeline(self) -> int:
        """The highest timeline of PostgreSQL that is known; 0 if none is."""
        sent = (*self.sent_out, *self.sent_in)
        said = [one.outcome.words.get("timeline") for one in sent if one.outcome and one.is_success]
        tagged = [one.tags.get(tags.TIMELINE, "") for one in self.volumes]
        numbers = [int(one) for one in tagged if one.isdecimal()] + [one for one in said if isinstance(one, int)]
        return max(numbers, default=0)

    @property
    def paused(self) -> dict[str, str]:
        """Why what matters is paused, by its id: the database, its host, its launch template."""
        hosts = (self.host,) if self.host else ()
        words = {one.id: one.tags.get(tags.PAUSED, "") for one in (*self.present, *hosts)}
        words |= {one.id: one.paused for one in self.launches}
        return {name: word for name, word in words.items() if word}

    def asked(self, command: str, since: datetime | None = None) -> list[Start]:
        """The commands of this name that were sent since a moment, oldest first: to stop is about what leaves."""
        sent = self.stops if command == "stop" else self.sent_in
        return [one for one in sent if one.command == command and (since is None or one.asked >= since)]

    @property
    def stops(self) -> list[Start]:
        """The stops of what leaves that belong to the operation: nothing of it was started after them."""
        if self.operation is None:
            return []
        began = [one.asked for one in self.sent_out if one.command == "start" and one.is_success]
        least = max([self.operation.since - EARLY, *began])
        return [one for one in self.sent_out if one.command == "stop" and one.asked >= least]

    @property
    def is_making_late(self) -> bool:
        """What EBS was asked to make should have been seen long ago."""
        return self.made is not None and self.now - self.made > UNSEEN

    def began_on(self, host: Host | None, volumes: Iterable[Volume]) -> datetime | None:
        """When a host was started last, or given the last of these volumes: older commands say nothing of now."""
        given = [one.attachment.since for one in volumes if one.attachment]
        return max(filter(None, (host.launched if host else None, *given)), default=None)


def current(words: Iterable[str]) -> Operation | None:
    """The operation that is under way, of all that things are paused with: an undo turns a restore round."""
    found = [one for one in map(read, set(words)) if one]
    return max(found, key=lambda one: (one.is_undo, one.since, one.set), default=None)


def came(volume: Volume) -> Operation | None:
    """The operation that put a volume in; None if none did."""
    return read(volume.tags.get(tags.RESTORED_FOR, ""))


def group(volumes: Iterable[Volume]) -> str:
    """The ids of volumes as commands and tags name them."""
    return " ".join(one.id for one in volumes)


def ago(scene: Scene, moment: datetime | None) -> timedelta:
    """How long ago something was; nothing at all, for ever."""
    return scene.now - moment if moment else timedelta.max


def _is_free(volume: Volume) -> bool:
    """No person wants it left as it is."""
    paused = volume.tags.get(tags.PAUSED, "")
    return not paused or tags.is_restoring(paused)
