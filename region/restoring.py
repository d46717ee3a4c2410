"""What stop_database, mount_copy and check_database do on a host, played."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from region.host import Command
from region.starting import DISK_SECONDS, FAILED, LOCK_SECONDS, RECOVERING, SCRIPT_SECONDS, UNFIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from region.clock import Clock
    from region.host import Disk
    from region.servers import Servers

Role = Callable[[Command], None]

DAMAGED = 213
STOP_SECONDS = (0.3, 3.0)
CHECK_SECONDS = (5.0, 30.0)
UNMOUNTED = (0.05, 0.3)


class Restoring:
    """These documents on all hosts. `queries` is the SQL that was asked, with the host."""

    def __init__(self, seed: int, servers: Servers) -> None:
        self.clock: Clock
        self.queries: list[tuple[str, str]] = []
        self._servers = servers
        self._random = random.Random(f"restores {seed}")

    def role(self, parameters: Mapping[str, str]) -> Role | None:
        """What plays the document that has these parameters; None: it is none of these."""
        if "places" in parameters:
            return self._mount
        if "queries" in parameters:
            return self._check
        if "volumeIds" in parameters and "command" not in parameters:
            return lambda command: self._enter(command, self._stop)
        return None

    def run(self, command: Command, role: Role) -> None:
        """Begin a command."""
        self._after(SCRIPT_SECONDS, command, lambda: role(command))

    def _enter(self, command: Command, role: Role, patience: float = LOCK_SECONDS) -> None:
        """One at a time, starts included: another waits for the lock."""
        if not command.host.starting:
            command.host.starting = True
            role(command)
        elif patience > 0:
            command.later(self.clock, 1, lambda: self._enter(command, role, patience - 1))
        else:
            command.answer(FAILED, "Another start or stop does not end.")

    def _end(self, command: Command, code: int, sentence: str = "", **words: Any) -> None:
        command.host.starting = False
        command.answer(code, sentence, **words)

    # stop_database

    def _stop(self, command: Command) -> None:
        """In order; sent again it answers the same, as long as nothing of these volumes runs or is mounted again."""
        host, volumes = command.host, frozenset(command.volumes)
        if host.stops.get(volumes) and not volumes & host.mounted:
            self._end(command, 0, **host.stops[volumes])
        elif not volumes & set(host.volumes):
            self._end(command, FAILED, f"Nothing of {' '.join(sorted(volumes))} is attached to this host.")
        elif host.held:
            self._end(command, FAILED, f"{' '.join(sorted(volumes))} cannot be unmounted: in use by {host.held}.")
        else:
            was_running = host.postgres and bool(volumes & (host.served | host.isolated))
            seconds = self._random.uniform(*(STOP_SECONDS if was_running else UNMOUNTED))
            command.later(self.clock, seconds, lambda: self._unmount(command, was_running, seconds))

    def _unmount(self, command: Command, was_running: bool, seconds: float) -> None:
        host, volumes = command.host, frozenset(command.volumes)
        mounted, disk = sorted(volumes & host.mounted), self._disk(min(volumes))
        if volumes & host.served:
            self._servers.stop(host)
        if volumes & host.isolated:
            host.lose_processes()
        host.stops[volumes] = {
            "wasRunning": was_running,
            "timeline": disk.timeline if mounted else None,
            "system": disk.cluster if mounted else None,
            "stopMs": round(1000 * seconds) if was_running else 0,
            "unmounted": [host.places.pop(volume, f"/database/{volume}") for volume in mounted],
        }
        host.mounted -= volumes
        self._end(command, 0, **host.stops[volumes])

    # mount_copy

    def _mount(self, command: Command, patience: float = DISK_SECONDS) -> None:
        """Each volume at its place, with a file system UUID of its own."""
        host, places = command.host, command.parameters["places"].split()
        wanted = dict(zip(command.volumes, places, strict=False))
        away = [volume for volume in wanted if volume not in host.volumes]
        if len(places) != len(command.volumes):
            command.answer(UNFIT, f"{len(places)} places are named for {len(command.volumes)} volumes.")
        elif away and patience > 0:
            command.later(self.clock, 1, lambda: self._mount(command, patience - 1))
        elif away:
            command.answer(FAILED, f"{' '.join(away)} is not attached to this host; nothing was changed.")
        elif unfit := self._find_unfit(command, wanted):
            command.answer(*unfit)
        else:
            self._after(UNMOUNTED, command, lambda: self._put(command, wanted))

    def _find_unfit(self, command: Command, wanted: Mapping[str, str]) -> tuple[int, str] | None:
        host = command.host
        for volume, place in wanted.items():
            disk, at = self._disk(volume), host.places.get(volume)
            if not disk.mountable:
                return FAILED, f"{volume} cannot be mounted: {disk.damage}"
            if at != place and (at or volume in host.mounted):
                return UNFIT, f"{volume} is mounted at {at or 'the place of a database'}."
            if at is None and (place in host.occupied or place in host.places.values()):
                return UNFIT, f"{place} is not an empty directory."
        return None

    def _put(self, command: Command, wanted: Mapping[str, str]) -> None:
        host = command.host
        for volume in wanted.keys() - host.places.keys():
            self._disk(volume).uuid = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        host.places |= wanted
        host.mounted |= wanted.keys()
        found = [{"volume": one, "path": path, "uuid": self._disk(one).uuid} for one, path in wanted.items()]
        command.answer(0, mounted=found)

    # check_database

    def _check(self, command: Command) -> None:
        """A check goes on by itself; asked again for the same, one waits on for the same."""
        host, volumes, now = command.host, frozenset(command.volumes), self.clock.now()
        if host.postgres and volumes & host.served:
            return command.answer(UNFIT, "PostgreSQL is not isolated, and nothing is checked where others are served.")
        if not host.postgres or not volumes <= host.isolated or now < host.ready:
            return command.answer(FAILED, f"No PostgreSQL runs on {' '.join(command.volumes)}.")
        if not host.amcheck:
            return command.answer(UNFIT, "pg_amcheck is not installed: it is in postgresql-16 or postgresql16-contrib.")
        run = volumes, command.parameters["queries"]
        if run not in host.checks:
            seconds = self._random.uniform(*CHECK_SECONDS) if host.checking is None else host.checking
            host.checks[run] = now + seconds
            self.queries.append((host.id, base64.b64decode(run[1]).decode()))
        left, patience = host.checks[run] - now, float(command.parameters.get("waitSeconds", "45"))
        if left <= patience:
            return command.later(self.clock, max(0.0, left), lambda: self._conclude(command))
        return command.later(
            self.clock, patience, lambda: command.answer(RECOVERING, "The check goes on.", checking=True)
        )

    def _conclude(self, command: Command) -> None:
        damaged = [disk.damage for disk in map(self._disk, command.volumes) if disk.damage]
        if complaint := command.host.check_fails or " ".join(damaged[:1]):
            command.answer(DAMAGED, complaint)
        else:
            command.answer(0, amcheckMs=2000, sqlMs=100, databases=1)

    def _disk(self, volume: str) -> Disk:
        return self._servers.disks[volume]

    def _after(self, seconds: tuple[float, float], command: Command, happen: Callable[[], object]) -> None:
        command.later(self.clock, self._random.uniform(*seconds), happen)
