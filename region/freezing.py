"""What documents/freeze_database.yaml does on a host, played: a keeper, its lease, and the record that it leaves."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from region.host import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from region.clock import Clock
    from region.host import Host
    from region.process import Event

SCRIPT_SECONDS = (0.05, 0.2)
BACKUP_START_SECONDS = (0.3, 1.2)
FREEZE_SECONDS = (0.03, 0.15)
THAW_SECONDS = (0.02, 0.1)
NOTICE_SECONDS = (0.05, 0.5)


@dataclass(slots=True)
class Keeper:
    """The process that holds a freeze, and the event that ends its lease."""

    execution: str
    freeze: str
    volumes: tuple[str, ...]
    lsn: str
    began: float = 0
    lease: Event | None = None
    holds: bool = False
    alive: bool = True


@dataclass(frozen=True, slots=True)
class Freeze(Command):
    """One run of the document."""

    @property
    def execution(self) -> str:
        """The id of the run that it is for."""
        return self.parameters["executionId"]

    def answer(self, code: int, sentence: str = "", **words: Any) -> None:
        """The same line, with the run's id."""
        Command.answer(self, code, sentence, executionId=self.execution, **words)


class Freezing:
    """The freezes of all hosts: `frozen` has the volumes whose file systems are frozen now, each with its freeze."""

    def __init__(self, seed: int) -> None:
        self.clock: Clock
        self.frozen: dict[str, str] = {}
        self._random = random.Random(seed)
        self._wal = 0x1000028

    def run(self, command: Freeze) -> None:
        """Begin a command."""
        roles = {"pre-script": self._pre, "post-script": self._post, "dry-run": self._check}
        self._after(SCRIPT_SECONDS, command, lambda: roles[command.parameters["command"]](command))

    def stop(self, host: Host) -> None:
        """The host loses its power: all that ran is gone, and what was in /run."""
        for volume in host.volumes:
            self.frozen.pop(volume, None)
        self.hang(host)
        host.records = {}

    def hang(self, host: Host) -> None:
        """Nothing runs on: what is frozen stays frozen, since the lease does not run out either."""
        if host.keeper and host.keeper.lease:
            host.keeper.lease.cancel()
        host.keeper = None

    def kill(self, host: Host) -> None:
        """SIGKILL for the keeper. The lease is another process, and thaws when it notices."""
        keeper = host.keeper
        if keeper:
            keeper.alive = False
            if keeper.lease:
                self.clock.after(self._random.uniform(*NOTICE_SECONDS), lambda: self._expire(host, keeper))

    def _check(self, command: Freeze) -> None:
        if self._is_ready(command):
            command.answer(0, mounts=["/database"], dataDirectory="/database/main")

    def _is_ready(self, command: Freeze) -> bool:
        host, lacks = command.host, ""
        if not host.postgres or set(command.volumes) - host.served:
            lacks = f"No PostgreSQL runs on {' '.join(command.volumes)}."
        for volume in command.volumes:
            if volume not in host.volumes:
                lacks = f"{volume} is not attached to this host."
        for volume in sorted(host.database - set(command.volumes)):
            lacks = f"pg_wal lies on {volume}, outside of the set ({' '.join(command.volumes)})."
        if host.refuses or lacks:
            command.answer(*(host.refuses or (206, lacks)))
        return not (host.refuses or lacks)

    def _pre(self, command: Freeze) -> None:
        host, record = command.host, command.host.records.get(command.execution, {})
        if host.keeper:
            return command.answer(204, "Another freeze is under way.", finished=False)
        if record.get("held") and record.get("snapshotIds") and command.execution != "None":
            return command.answer(204, "This run is finished.", **record, finished=True)
        host.records.pop(command.execution, None)
        if any(volume in self.frozen for volume in command.volumes):
            return command.answer(204, "Somebody else has frozen /database.", finished=False)
        if self._is_ready(command):
            freeze = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            keeper = host.keeper = Keeper(command.execution, freeze, command.volumes, self._lsn())
            self._after(BACKUP_START_SECONDS, command, lambda: self._freeze(command, keeper))
        return None

    def _freeze(self, command: Freeze, keeper: Keeper) -> None:
        """The lease is armed before the file systems begin to freeze, which lasts as long as writes are under way."""
        if self._gave_up(command, keeper):
            return
        seconds, lease = self._random.uniform(*FREEZE_SECONDS), float(command.parameters["leaseSeconds"])
        keeper.began = self.clock.now()
        keeper.lease = self.clock.after(lease, lambda: self._expire(command.host, keeper))
        self._after((seconds + command.host.slow,) * 2, command, lambda: self._hold(command, keeper))

    def _gave_up(self, command: Freeze, keeper: Keeper) -> bool:
        if command.host.keeper is not keeper:
            command.answer(205, "Given up before it was complete.")
        elif not keeper.alive:
            command.host.keeper = None
            command.answer(201, "The keeper was killed.")
        return command.host.keeper is not keeper

    def _hold(self, command: Freeze, keeper: Keeper) -> None:
        if command.host.keeper is not keeper:
            why = "The freeze took longer than the lease." if keeper.alive else "The keeper was killed."
            return command.answer(201, why)
        keeper.holds = True
        self.frozen |= dict.fromkeys(keeper.volumes, keeper.freeze)
        if keeper.alive:
            command.answer(
                0,
                freezeId=keeper.freeze,
                freezeMs=self._milliseconds(keeper),
                lsn=keeper.lsn,
                timeline=1,
                mounts=["/database"],
                dataDirectory="/database/main",
            )
        return None

    def _expire(self, host: Host, keeper: Keeper) -> None:
        if host.keeper is keeper:
            self._thaw(host, keeper)
            words = {"freezeId": keeper.freeze, "held": False, "frozenMs": self._milliseconds(keeper)}
            host.records[keeper.execution] = words

    def _thaw(self, host: Host, keeper: Keeper) -> bool:
        """Thaw what this keeper froze and nothing else; whether all of it was still frozen by it."""
        held = [volume for volume in keeper.volumes if self.frozen.get(volume) == keeper.freeze]
        for volume in held:
            del self.frozen[volume]
        if keeper.lease:
            keeper.lease.cancel()
        host.keeper = None
        return len(held) == len(keeper.volumes)

    def _post(self, command: Freeze) -> None:
        host, keeper = command.host, command.host.keeper
        if keeper and keeper.execution != command.execution:
            command.answer(204, "Another freeze is under way.", finished=False)
        elif keeper and not keeper.holds:
            self._thaw(host, keeper)
            command.answer(205, "Nothing is frozen for this execution.")
        else:
            self._after(THAW_SECONDS, command, lambda: self._end(command, keeper))

    def _end(self, command: Freeze, keeper: Keeper | None) -> None:
        host = command.host
        if keeper and host.keeper is keeper and keeper.alive:
            host.records[keeper.execution] = {
                "freezeId": keeper.freeze,
                "held": self._thaw(host, keeper),
                "frozenMs": self._milliseconds(keeper),
                "lsn": keeper.lsn,
                "stopLsn": self._lsn(),
                "snapshotIds": command.parameters["snapshotIds"],
            }
        elif keeper:
            self._expire(host, keeper)
        record = host.records.get(command.execution)
        if record is None:
            command.answer(205, "Nothing is frozen for this execution.")
        elif record["held"]:
            command.answer(0, **record)
        else:
            command.answer(203, "The lease ran out before.", **record)

    def _after(self, seconds: tuple[float, float], command: Freeze, happen: Callable[[], object]) -> None:
        command.later(self.clock, self._random.uniform(*seconds), happen)

    def _milliseconds(self, keeper: Keeper) -> int:
        return round((self.clock.now() - keeper.began) * 1000)

    def _lsn(self) -> str:
        self._wal += self._random.randrange(0x100, 0x100000, 8)
        return f"0/{self._wal:X}"
