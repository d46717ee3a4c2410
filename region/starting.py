"""What documents/start_database.yaml does on a host, played: one start at a time, the record, the probe."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from region.servers import Servers, is_deceived

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from region.clock import Clock
    from region.host import Command, Disk, Host

FAILED, RECOVERING, UNFIT, UNFIT_HOST = 210, 211, 212, 214
SCRIPT_SECONDS = (0.05, 0.2)
MOUNT_SECONDS = (0.05, 0.5)
RECOVERY_SECONDS = (0.5, 3.0)
LOCK_SECONDS = 300
DISK_SECONDS = 30
PROBE_SECONDS = 5
MAJOR, DATA = 16, "/database/main"
IMAGES_CLUSTER = "/var/lib/postgresql/16/main"


class Starting:
    """The starts of all hosts. `frozen` has the volumes whose file systems are frozen now."""

    def __init__(self, seed: int, servers: Servers, frozen: Mapping[str, str]) -> None:
        self.clock: Clock
        self._servers = servers
        self._frozen = frozen
        self._random = random.Random(f"starts {seed}")
        self.roles = {"start": self._enter, "record": self._enter, "probe": self._probe}

    def run(self, command: Command) -> None:
        """Begin a command."""
        role = self.roles[command.parameters["command"]]
        self._after(SCRIPT_SECONDS, command, lambda: role(command))

    def _enter(self, command: Command, patience: float = LOCK_SECONDS) -> None:
        """One start or record at a time: another waits for the lock."""
        if not command.host.starting:
            command.host.starting = True
            begin = self._await_disks if command.parameters["command"] == "start" else self._record
            begin(command)
        elif patience > 0:
            command.later(self.clock, 1, lambda: self._enter(command, patience - 1))
        else:
            command.answer(FAILED, "Another start does not end.")

    def _await_disks(self, command: Command, patience: float = DISK_SECONDS) -> None:
        away = [volume for volume in command.volumes if volume not in command.host.volumes]
        if not away:
            self._check(command)
        elif patience > 0:
            command.later(self.clock, 1, lambda: self._await_disks(command, patience - 1))
        else:
            self._end(command, FAILED, f"{' '.join(away)} is not attached to this host; nothing was mounted.")

    def _check(self, command: Command) -> None:
        host = command.host
        if unfit := self._find_unfit(host, command.volumes, _is_isolated(command)):
            self._end(command, UNFIT, unfit)
        elif host.unfit:
            self._end(command, UNFIT_HOST, host.unfit)
        elif failure := _take_failure(host) or self._find_unmountable(command.volumes):
            self._end(command, FAILED, failure)
        elif host.postgres and set(command.volumes) <= _served(command):
            self._await_recovery(command, {"mountMs": 0, "recoveryMs": 0, "stopped": []})
        else:
            mounting = self._random.uniform(*MOUNT_SECONDS)
            command.later(self.clock, mounting, lambda: self._start(command, mounting))

    def _find_unfit(self, host: Host, volumes: tuple[str, ...], is_isolated: bool) -> str:
        """What a retry would find again."""
        disks, given = [self._disk(volume) for volume in volumes], " ".join(volumes)
        bare = [volume for volume, disk in zip(volumes, disks, strict=True) if not disk.recorded]
        lacking = frozenset().union(*(disk.recorded for disk in disks)) - {disk.part for disk in disks}
        if bare or not disks:
            return f'{" ".join(bare)} carries no record: "record" was never sent to the host it was on.'
        if len({disk.cluster for disk in disks}) > 1:
            return f"{given} are of different clusters: {' '.join(sorted({disk.cluster for disk in disks}))}."
        if lacking:
            return f"The database lies on {' '.join(sorted(lacking))} as well, which is not among {given}."
        if set(volumes) & (host.served if is_isolated else host.isolated):
            return f"PostgreSQL runs on {given} {'for everybody' if is_isolated else 'in isolation'}."
        if host.served and not set(volumes) & host.served:
            return f"A database of {' '.join(sorted(host.served))} runs here, not that of {given}."
        return ""

    def _find_unmountable(self, volumes: tuple[str, ...]) -> str:
        broken = [(volume, disk) for volume in volumes if not (disk := self._disk(volume)).mountable]
        return f"{broken[0][0]} cannot be mounted: {broken[0][1].damage}" if broken else ""

    def _start(self, command: Command, mounting: float) -> None:
        host, seconds = command.host, self._random.uniform(*RECOVERY_SECONDS)
        seconds = seconds if host.recovering is None else host.recovering
        stopped = [IMAGES_CLUSTER] if is_deceived(host) else []
        host.empty_cluster = False
        self._begin_timeline(command)
        if _is_isolated(command):
            self._servers.isolate(host, command.volumes, seconds)
        else:
            self._servers.serve(host, command.volumes, seconds)
        words = {"mountMs": round(mounting * 1000), "recoveryMs": round(seconds * 1000), "stopped": stopped}
        self._await_recovery(command, words)

    def _begin_timeline(self, command: Command) -> None:
        """A new timeline, once for a snapshot and higher than any that is known: the volume remembers which it was."""
        snapshot, known = command.parameters.get("newTimeline", ""), command.parameters.get("timelineAfter", "")
        disks = [disk for disk in map(self._disk, command.volumes) if snapshot and snapshot != disk.begun]
        for disk in disks:
            disk.timeline, disk.begun = max(disk.timeline, int(known or 0)) + 1, snapshot
        if disks and not _is_isolated(command):
            self._servers.archived.append((disks[0].cluster, disks[0].timeline))

    def _await_recovery(self, command: Command, words: Mapping[str, Any]) -> None:
        patience = float(command.parameters.get("waitSeconds", "45"))
        left = command.host.ready - self.clock.now()
        if left <= patience:
            command.later(self.clock, max(0.0, left), lambda: self._prove(command, words))
        else:
            command.later(self.clock, patience, lambda: self._tell_recovery(command))

    def _tell_recovery(self, command: Command) -> None:
        seconds = round(self.clock.now() - command.host.began)
        self._end(command, RECOVERING, f"PostgreSQL in {DATA} recovers.", recovering=True, seconds=seconds)

    def _prove(self, command: Command, words: Mapping[str, Any]) -> None:
        host, volumes = command.host, command.volumes
        if lacks := self._find_lack(host, volumes, _served(command)):
            self._end(command, FAILED, lacks)
        else:
            if not _is_isolated(command):
                self._keep(volumes)
            self._end(command, 0, **words, **self._describe(host, volumes))

    def _describe(self, host: Host, volumes: tuple[str, ...]) -> dict[str, Any]:
        disk = self._disk(volumes[0])
        return {
            "timeline": disk.timeline,
            "lsn": f"0/{0x3000000 + 0x100 * disk.acknowledged:X}",
            "systemIdentifier": disk.cluster,
            "dataDirectory": DATA,
            "major": MAJOR,
            "writable": not host.standby,
            "standby": host.standby,
            "fullPercent": host.full_percent,
            "warnings": list(host.warnings),
        }

    def _find_lack(self, host: Host, volumes: tuple[str, ...], served: frozenset[str]) -> str:
        """Why the database of these volumes takes no write here."""
        if not host.postgres or not set(volumes) <= served or not volumes:
            return f"No PostgreSQL runs on {' '.join(volumes)}."
        if self.clock.now() < host.ready:
            return f"PostgreSQL in {DATA} recovers."
        if host.full_percent >= 100:
            return f"{DATA} takes no write: No space left on device"
        if host.read_only:
            return f"{DATA} takes no write: Read-only file system"
        return f"{DATA} takes no write: it is frozen" if set(self._frozen) & served else ""

    def _end(self, command: Command, code: int, sentence: str = "", **words: Any) -> None:
        command.host.starting = False
        command.answer(code, sentence, **words)

    def _record(self, command: Command) -> None:
        """What `start` on another host will know."""
        host, volumes = command.host, command.volumes
        strange = sorted(set(volumes) - (host.database or host.served))
        lacking = sorted(host.database - set(volumes))
        if not host.postgres or not set(volumes) & host.served:
            self._end(command, FAILED, f"No PostgreSQL runs on {' '.join(volumes)}.")
        elif strange:
            self._end(command, UNFIT, f"Nothing of the database in {DATA} lies on {' '.join(strange)}.")
        elif lacking:
            self._end(command, UNFIT, f"The database lies on {' '.join(lacking)} as well, not on {' '.join(volumes)}.")
        else:
            self._keep(volumes)
            words = self._describe(host, volumes)
            told = {key: words[key] for key in ("dataDirectory", "systemIdentifier", "major", "warnings")}
            self._end(command, 0, **told)

    def _keep(self, volumes: tuple[str, ...]) -> None:
        """The record, renewed with each start."""
        disks = [self._disk(volume) for volume in volumes]
        for disk in disks:
            disk.recorded = frozenset(one.part for one in disks)

    def _probe(self, command: Command, patience: float = PROBE_SECONDS) -> None:
        """Whether it takes a write. One that meets a freeze waits a while for its end."""
        host = command.host
        asked = command.parameters.get("volumeIds", "").split()  # without one: on whichever of all it runs
        lack = self._find_lack(host, tuple(asked or host.served or host.volumes), host.served)
        full: dict[str, Any] = {"fullPercent": host.full_percent} if host.served else {}
        if lack and set(self._frozen) & host.served and patience > 0:
            command.later(self.clock, 1, lambda: self._probe(command, patience - 1))
        else:
            words: dict[str, Any] = {"writable": not lack and not host.standby, "standby": host.standby}
            command.answer(0, **words, recovering=self._servers.recovers(host), **full, error=lack)

    def _disk(self, volume: str) -> Disk:
        return self._servers.disks[volume]

    def _after(self, seconds: tuple[float, float], command: Command, happen: Callable[[], object]) -> None:
        command.later(self.clock, self._random.uniform(*seconds), happen)


def _is_isolated(command: Command) -> bool:
    return command.parameters.get("isolated") == "true"


def _served(command: Command) -> frozenset[str]:
    """The volumes on which the server runs that a start is about."""
    return command.host.isolated if _is_isolated(command) else command.host.served


def _take_failure(host: Host) -> str:
    """The sentence of a start that fails, of which there may be so many."""
    if isinstance(host.start_fails, str):
        return host.start_fails
    if host.start_fails > 0:
        host.start_fails -= 1
        return "PostgreSQL did not start. FATAL:  could not create any TCP/IP sockets"
    return ""
