"""A database and its rehearsal at a moment, as AWS shows them; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws import launches
from watchkeeper.aws.groups import Rule
from watchkeeper.aws.scratch import Network
from watchkeeper.look import read_time, stamp
from watchkeeper.rehearsal import proofs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from watchkeeper.aws.groups import Group
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Failure, Launch
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.starts import Start
    from watchkeeper.aws.volumes import Volume

NOWHERE = Network("")

GONE = ("shutting-down", "terminated")
OFF = ("stopping", "stopped")

# Nothing that a rehearsal made is older; its host shuts itself down then, which terminates it.
LONGEST = timedelta(hours=6)
USER_DATA = f"#!/bin/sh\nshutdown -h +{int(LONGEST / timedelta(minutes=1))}\n"

# What EC2 has just made it may not show for a while, and then whatever belongs to it looks left over.
YOUNG = timedelta(minutes=5)

# An agent needs HTTPS alone, and what resolves names, tells the time and gives a role no group holds up:
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html
OUT = frozenset({Rule("tcp", 443, 443, "0.0.0.0/0"), Rule("tcp", 443, 443, "::/0")})

# A number is one of the template's types; more than these has none.
MOST_NUMBERS = 16

# What only a volume has that was a database's once.
OF_A_DATABASE = (tags.HOST, tags.VOLUMES, tags.REPLACED, tags.RETIRED, tags.RESTORED_FOR)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Which set is rehearsed, and since when: what everything that is made for it is tagged with."""

    set: str
    since: datetime

    @property
    def word(self) -> str:
        """As the tag `rehearses` has it."""
        return f"{self.set} {stamp(self.since)}"

    @property
    def tokens(self) -> tuple[str, ...]:
        """The client tokens of its scratch host, one for each type that it may have; AWS keeps them, and alone."""
        return tuple(launches.token(self.set, f"rehearsal {stamp(self.since)}", n) for n in range(MOST_NUMBERS))

    @classmethod
    def of(cls, words: Mapping[str, str]) -> Rehearsal | None:
        """What a thing with these tags was made for; None if they do not say so."""
        name, _, since = words.get(tags.REHEARSES, "").rpartition(" ")
        if words.get(tags.ROLE) != tags.REHEARSAL or not name:
            return None
        try:
            return cls(name, read_time(since))
        except ValueError:
            return None


def may_be_copy(volume: Volume) -> bool:
    """It says that a rehearsal made it of the snapshot that EC2 says, and never was a database's."""
    return (
        Rehearsal.of(volume.tags) is not None
        and volume.snapshot != ""
        and volume.tags.get(tags.RESTORED_FROM) == volume.snapshot
        and not any(key in volume.tags for key in OF_A_DATABASE)
    )


@dataclass(frozen=True, slots=True)
class Details:
    """What is read of one application alone: where its template launches, and what its scratch host said.

    `failure` is what RunInstances answered in this look in place of a host. Of the snapshots `vanished` copies
    were made in it that are not there.
    """

    network: Network = NOWHERE
    is_reached: bool = False
    starts: tuple[Start, ...] = ()
    checks: tuple[Start, ...] = ()
    failure: Failure | None = None
    vanished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """An application: all volumes, instances and groups with its name, its templates and sets, and the moment.

    Without details it is one of many that were read together. `forced_at`: an outcome from before then does not count.
    `gone` are snapshots that copies were made of, and that EC2 does not know any more.
    """

    application: str
    now: datetime
    volumes: tuple[Volume, ...] = ()
    hosts: tuple[Host, ...] = ()
    groups: tuple[Group, ...] = ()
    launches: tuple[Launch, ...] = ()
    sets: tuple[SnapshotSet, ...] = ()
    is_retired: bool = False
    forced_at: datetime | None = None
    gone: frozenset[str] = frozenset()
    details: Details | None = field(default=None)

    @property
    def name(self) -> str:
        """What its rehearsals' group is called: of that name there is one in a network."""
        return f"watchkeeper rehearsal {self.application}"

    @property
    def paused(self) -> str:
        """The reason for which anything of its production is paused; empty if nothing is."""
        words = [one.tags for some in (self.volumes, self.hosts, self.launches) for one in some]
        production = [one for one in words if one.get(tags.ROLE) != tags.REHEARSAL]
        return next((one[tags.PAUSED] for one in production if tags.PAUSED in one), "")

    @property
    def is_unsettled(self) -> bool:
        """No host was ever sent start_database's `record` for its volumes, without which none of its sets starts."""
        present = [one for one in self.volumes if one.tags.get(tags.ROLE) == tags.DATABASE]
        return bool(present) and not any(tags.HOST in one.tags for one in present)

    @property
    def live(self) -> Rehearsal | None:
        """The rehearsal that goes on: its group is there, its time is not over, and it can be ended."""
        known = [Rehearsal.of(one.tags) for one in self.groups if one.name == self.name]
        found = sorted((one for one in known if one), key=lambda one: one.since)
        return next((one for one in found if not self.is_past(one)), None)

    def is_past(self, rehearsal: Rehearsal) -> bool:
        """It has had its time, or what it is of is gone."""
        is_over = abs(self.now - rehearsal.since) >= LONGEST  # somebody may have edited since when
        return is_over or self.is_retired or not self.launches or self.find_set(rehearsal) is None

    def find_set(self, rehearsal: Rehearsal) -> SnapshotSet | None:
        """The set that it is of, while it is whole."""
        return next((one for one in self.sets if one.id == rehearsal.set and one.is_finished), None)

    def has_outcome(self, rehearsal: Rehearsal) -> bool:
        """What came of it is written on its set."""
        of = self.find_set(rehearsal)
        return of is not None and any(
            at is not None and at >= rehearsal.since for at in (proofs.proven_at(of, self.now), proofs.failed_at(of))
        )

    def group(self, rehearsal: Rehearsal) -> Group | None:
        """The group that a rehearsal began with."""
        mine = [one for one in self.groups if one.name == self.name and Rehearsal.of(one.tags) == rehearsal]
        return mine[0] if mine else None

    def scratch_hosts(self, rehearsal: Rehearsal) -> list[Host]:
        """The instances that a rehearsal launched, dead or alive: who holds a copy first, then by number."""
        holding = {one.attachment.host for one in self.copies(rehearsal) if one.attachment}
        order = {token: number for number, token in enumerate(rehearsal.tokens)}
        mine = [one for one in self.hosts if self.is_ours(one) and Rehearsal.of(one.tags) == rehearsal]
        return sorted(mine, key=lambda one: (one.id not in holding, order[one.token], one.id))

    def is_ours(self, host: Host) -> bool:
        """A rehearsal launched it: its tags say so, and so does the token, which nobody can edit."""
        of = Rehearsal.of(host.tags)
        return of is not None and host.token in of.tokens

    def copies(self, rehearsal: Rehearsal) -> list[Volume]:
        """The volumes that a rehearsal made of its set, in the order of their ids."""
        return [one for one in self.volumes if self.is_copy(one) and Rehearsal.of(one.tags) == rehearsal]

    def is_copy(self, volume: Volume) -> bool:
        """A rehearsal made it, of one of our snapshots as EC2 itself says, and it never was a database's.

        A snapshot that was deleted meanwhile says no more whose it was, and what was made of it goes all the same.
        """
        known = {member.id for one in self.sets for member in one.members}
        return may_be_copy(volume) and volume.snapshot in known | self.gone

    def disks(self, host: Host) -> list[Volume]:
        """What a scratch host was launched with: tagged as it is, and no copy."""
        return [
            one
            for one in self.volumes
            if one.id in host.volumes
            and tags.RESTORED_FROM not in one.tags
            and Rehearsal.of(one.tags) == Rehearsal.of(host.tags)
        ]

    def age(self, host: Host) -> timedelta:
        """Since when it was launched."""
        return self.now - host.launched if host.launched else timedelta()
