"""Which simulated PostgreSQL runs on which volumes, and when one ever did: two at once on one database are found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from region.host import Disk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from region.clock import Clock
    from region.host import Host


@dataclass(slots=True)
class Period:
    """A server's life on volumes. The end of one that runs is infinite."""

    instance: str
    volumes: frozenset[str]
    cluster: str
    began: float
    ended: float = float("inf")

    def clashes(self, later: Period) -> bool:
        """Whether this and a later one are of one cluster, on its volumes or copies, at once: a host has one server."""
        return self.cluster == later.cluster and later.began < self.ended


class Servers:
    """The servers of all hosts, and what lies on all volumes.

    `archived` are the timelines that were begun by servers that archive, with their cluster: the second of a pair would
    write over the archive of the first.
    """

    def __init__(self) -> None:
        self.clock: Clock
        self.disks: dict[str, Disk] = {}
        self.periods: list[Period] = []
        self.torn: list[tuple[str, frozenset[str]]] = []
        self.archived: list[tuple[str, int]] = []

    def serve(self, host: Host, volumes: Iterable[str], seconds: float = 0) -> None:
        """Start a server on volumes, also at every boot from now on; its recovery takes so long."""
        self.stop(host)
        self.join(host.id, volumes)
        now = self.clock.now()
        host.served = host.enabled = frozenset(volumes)
        host.mounted |= host.served
        host.postgres, host.began, host.ready = True, now, now + seconds
        self.periods.append(Period(host.id, host.served, self.disks[min(host.served)].cluster, now))

    def isolate(self, host: Host, volumes: Iterable[str], seconds: float) -> None:
        """Start a server that nobody reaches: it takes no client's writes, is no second one, and is gone at a boot."""
        host.isolated = frozenset(volumes)
        self.join(host.id, host.isolated)
        host.mounted |= host.isolated
        host.postgres, host.began = True, self.clock.now()
        host.ready = host.began + seconds

    def join(self, host: str, volumes: Iterable[str]) -> None:
        """A server opens these volumes; that they are not of one moment is kept in `torn`."""
        if len({self.disks[volume].moment for volume in volumes}) > 1:
            self.torn.append((host, frozenset(volumes)))

    def stop(self, host: Host) -> None:
        """The host's server ends, in whichever way."""
        if host.served:
            self.period(host).ended = self.clock.now()
            host.served = frozenset()

    def make(self, host: Host) -> None:
        """A database on volumes that never had one, as a first host's user data makes it; more room, if it is there."""
        there = set(host.volumes)
        blank = {volume for volume in there if not self.disks[volume].cluster}
        if blank and there - blank <= host.enabled <= there:
            self._create(host.enabled, blank)
            self.serve(host, there)

    def boot(self, host: Host) -> None:
        """What was enabled starts, if its volumes are all there: that is what its RequiresMountsFor is for."""
        if host.enabled and host.enabled <= set(host.volumes):
            self.serve(host, host.enabled, host.recovering or 0)
        self.make(host)

    def _create(self, known: frozenset[str], blank: set[str]) -> None:
        """A cluster, or more room for the one that is known."""
        like = self.disks[min(known)] if known else Disk(_identifier(min(blank)))
        for volume in blank:
            self.disks[volume] = replace(like, part=volume, recorded=frozenset(), uuid=f"uuid of {volume}")

    def takes_writes(self, host: Host) -> bool:
        """Whether a server of this host's volumes takes writes now."""
        runs = host.is_alive and host.postgres and bool(host.served) and not self.recovers(host)
        return runs and not host.read_only and not host.standby and host.full_percent < 100

    def recovers(self, host: Host) -> bool:
        """Whether the host's server still replays what was written before the crash."""
        return bool(host.served) and self.clock.now() < host.ready

    def write(self, host: Host) -> bool:
        """A client's transaction; whether it is acknowledged. An acknowledged one is on the volumes."""
        if self.takes_writes(host):
            for volume in host.served:
                self.disks[volume].acknowledged += 1
            return True
        return is_deceived(host)

    def clashes(self) -> list[tuple[Period, Period]]:
        """Each pair of periods that may never be."""
        return [pair for pair in combinations(self.periods, 2) if pair[0].clashes(pair[1])]

    def period(self, host: Host) -> Period:
        """The latest of a host."""
        return next(one for one in reversed(self.periods) if one.instance == host.id)


def is_deceived(host: Host) -> bool:
    """Whether the empty cluster of the host's image answers in place of the database."""
    return host.is_alive and host.empty_cluster and not host.served


def _identifier(volume: str) -> str:
    """A system identifier: 64 bits, drawn once for a cluster."""
    return str(int(volume.removeprefix("vol-"), 16) % 10**19)
