"""A database and all around it that bears on replacing its host: values, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from watchkeeper import tags
from watchkeeper.aws import launches
from watchkeeper.aws.hosts import BY_PEOPLE
from watchkeeper.look import read_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from watchkeeper.aws.addresses import Interface, Odd, Record
    from watchkeeper.aws.checks import Check
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Failure, Launch
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.starts import Start
    from watchkeeper.aws.volumes import Volume

# More than two types, thrice in a day, and each terminated again: beyond that something else is wrong.
MOST_REPLACEMENTS = 30

IMPAIRED_FOR = timedelta(minutes=2)
YOUNG = timedelta(minutes=10)

# From the tag to the stop of a host that runs it is seconds; later the tag is of a fence that was given up.
FENCED_FOR = timedelta(minutes=10)

STOPPED, GONE = ("stopped", "stopping"), ("terminated", "shutting-down")

Condition = Literal["alive", "starting", "impaired", "dead", "stopped-by-people", "gone"]


@dataclass(frozen=True, slots=True)
class Zone:
    """How the managed hosts of a zone look: how many there are, and how many look dead; unread, EC2 did not say."""

    hosts: int = 0
    dead: int = 0
    is_read: bool = True

    @property
    def is_in_trouble(self) -> bool:
        """More than two, and more than a third: that is a bad hour of the zone, or of our looking."""
        return not self.is_read or (self.dead > 2 and 3 * self.dead > self.hosts)


@dataclass(frozen=True, slots=True)
class Details:
    """What is read only of a database that something is the matter with, or whose turn of the day it is (`is_due`).

    `launch_role` is what the launch template tags volumes with; `starts` are the commands of start_database by host;
    `missing` the states of recorded volumes that are not there, `made` those that an earlier restore made where none
    is found, and `last_host` who had them; `failure` is what RunInstances answered in this look, and `last_gone` the
    number of which it said that its instance is terminated, which nothing shows after an hour; `forced_at` is when a
    person asked for one more try.
    """

    zone: Zone = field(default_factory=Zone)
    is_reached: Mapping[str, bool] = field(default_factory=dict)
    starts: Mapping[str, tuple[Start, ...]] = field(default_factory=dict)
    launch_zone: str = ""
    launch_role: str = ""
    is_stop_protected: bool = False
    is_termination_protected: bool = False
    foreign: tuple[str, ...] = ()
    sick: tuple[str, ...] = ()
    foreign_keys: tuple[str, ...] = ()
    sets: tuple[SnapshotSet, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    made: tuple[Volume, ...] = ()
    last_host: Host | None = None
    failure: Failure | None = None
    last_gone: int = -1
    is_due: bool = False
    forced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One application at a moment. `checks` are the impaired hosts; `record` is where its address leads now.

    `details` are None in a look at all, which only asks whether anything is to be done. `restoring` is the pause of
    volumes that restore_database has taken out of their place, or not yet put there.
    """

    application: str
    now: datetime
    volumes: tuple[Volume, ...]
    hosts: Mapping[str, Host]
    launches: tuple[Launch, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    record: Record | Odd | Interface | None = None
    details: Details | None = None
    restoring: str = ""

    @property
    def anchor(self) -> Volume:
        """The volume with the lowest id: where it is attached, the others follow."""
        return self.volumes[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the volumes."""
        return tuple(one.id for one in self.volumes)

    @property
    def settled(self) -> str:
        """The instance that the database was last settled on, as its anchor remembers; empty before the first time."""
        return self.anchor.tags.get(tags.HOST, "")

    @property
    def members(self) -> frozenset[str]:
        """The volumes that it was last settled with, as any of them remembers; empty before the first time."""
        return frozenset(name for one in self.volumes for name in one.tags.get(tags.VOLUMES, "").split())

    @property
    def home(self) -> str:
        """The settled host; before the first time the one that all volumes are attached to, if it is one."""
        holding = {one.attachment.host if one.attachment else "" for one in self.volumes}
        return self.settled or (holding.pop() if len(holding) == 1 else "")

    @property
    def holder(self) -> str:
        """The instance that the anchor is attached to and not leaving; empty if there is none."""
        return self.anchor.host or ""

    def holds_all(self, host: str) -> bool:
        """Every volume is attached to this instance, and none is leaving it."""
        return all(one.host == host for one in self.volumes)

    def has_all(self, host: str) -> bool:
        """Every volume is attached to this instance, and EBS is done with attaching."""
        return self.holds_all(host) and all(
            one.attachment and one.attachment.state == "attached" for one in self.volumes
        )

    def is_retired(self, host: Host) -> bool:
        """We set out to stop it, and nobody has started it since."""
        moment = retired_at(host)
        return moment is not None and (host.launched is None or moment >= host.launched)

    def is_fenced(self, host: Host) -> bool:
        """We set out to stop it a moment ago: what it is replaced for was looked into."""
        moment = retired_at(host)
        return moment is not None and self.now - moment < FENCED_FOR

    def condition(self, host: Host | None) -> Condition:
        """How a host is, by EC2's own word of this moment; an event is never asked."""
        if host is None or host.state in GONE:
            return "gone"
        if host.state in STOPPED:
            return "dead" if self.is_retired(host) or host.reason not in BY_PEOPLE else "stopped-by-people"
        if host.state == "pending":
            return "starting"
        check = self.checks.get(host.id)
        if check is None or not self._counts(host, check):
            return "alive"
        return "impaired" if self.now - (check.since or self.now) >= IMPAIRED_FOR else "alive"

    def is_ailing(self, host: Host) -> bool:
        """Its checks fail, and not for long enough yet."""
        check = self.checks.get(host.id)
        return check is not None and self._counts(host, check) and self.condition(host) == "alive"

    def _counts(self, host: Host, check: Check) -> bool:
        return check.is_host and self.age(host) >= YOUNG and not check.is_planned(self.now)

    def age(self, host: Host) -> timedelta:
        """Since when it was started last."""
        return self.now - host.launched if host.launched else timedelta.max

    def began(self, host: Host) -> datetime | None:
        """When it was started last, or given the last of its volumes: of what runs there, older words say nothing."""
        given = [one.attachment.since for one in self.volumes if one.attachment and one.attachment.host == host.id]
        return max(filter(None, (host.launched, *given)), default=None)

    def number(self, host: Host) -> int | None:
        """The how-many-eth replacement of the settled host it is, by the token that AWS keeps; None if it is none."""
        return self._numbers().get(host.token)

    def _numbers(self) -> dict[str, int]:
        return {launches.token(self.anchor.id, self.home, number): number for number in range(MOST_REPLACEMENTS)}

    @property
    def replacements(self) -> tuple[Host, ...]:
        """The replacements of the settled host that live and were not given up; the lowest number first."""
        numbers = self._numbers()
        own = [one for one in self.hosts.values() if one.token in numbers and one.id != self.home]
        living = [one for one in own if self.condition(one) in ("alive", "starting") and tags.RETIRED not in one.tags]
        return tuple(sorted(living, key=lambda one: numbers[one.token]))

    @property
    def next_number(self) -> int:
        """The number of the replacement to launch: beyond all that are seen, dead or given up."""
        numbers = self._numbers()
        seen = [numbers[one.token] for one in self.hosts.values() if one.token in numbers]
        return 1 + max([*seen, self.details.last_gone if self.details else -1], default=-1)

    @property
    def target(self) -> Host | None:
        """Where the database goes: who has its anchor already, if that is not a host to leave, else a replacement."""
        holder = self.hosts.get(self.holder)
        if holder and holder.id != self.home and not self.is_retired(holder) and self.condition(holder) == "alive":
            return holder
        return self.replacements[0] if self.replacements else None


def counted(found: Sequence[Volume]) -> tuple[Volume, ...]:
    """The volumes that are a database's: its tags make none of what another than its settled host was launched with.

    Only what an instance is launched with is deleted with it, unless somebody says so:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/preserving-volumes-on-termination.html
    """
    members = {name for one in found for name in one.tags.get(tags.VOLUMES, "").split()}
    settled = {one.tags.get(tags.HOST) for one in found}
    return tuple(
        one
        for one in found
        if not members
        or one.id in members
        or one.attachment is None
        or one.attachment.host in settled
        or not one.attachment.is_deleted_with_host
    )


def retired_at(host: Host) -> datetime | None:
    """When we set out to stop a host; None if we did not, or if the tag cannot be read."""
    try:
        return read_time(host.tags[tags.RETIRED].split(" ")[0])
    except (KeyError, ValueError):
        return None
