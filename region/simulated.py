"""Machines that are a few numbers: no disks and no root, but the contract of documents/freeze_database.yaml in full.

What a test must know and no API tells is kept: what is frozen now, and which freeze held a volume when its snapshot
was taken.
"""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from region.machines import Done, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from region.clock import Clock, Event

# By the document: a keeper that has not frozen by then gives up.
KEEPER_START_SECONDS = 60
SCRIPT_SECONDS = (0.05, 0.2)
BACKUP_START_SECONDS = (0.3, 1.2)
FREEZE_SECONDS = (0.03, 0.15)
THAW_SECONDS = (0.02, 0.1)


@dataclass(slots=True)
class Keeper:
    """The process on a host that holds a freeze, and the lease that ends it."""

    execution: str
    freeze_id: str
    volumes: tuple[str, ...]
    lsn: str
    answer: Done
    frozen_at: float | None = None
    lease: Event | None = None
    alive: bool = True


@dataclass(slots=True)
class Host:
    """A machine. What a test sets: `refuses` (code, sentence), `database` (volumes that PostgreSQL lies on), `slow`."""

    on: bool = True
    boots: int = 1
    agent: bool = True
    postgres: bool = True
    refuses: tuple[int, str] | None = None
    database: frozenset[str] = frozenset()
    slow: float = 0
    volumes: dict[str, str] = field(default_factory=dict)
    mounted: set[str] = field(default_factory=set)
    keeper: Keeper | None = None
    finished: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    expired: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class Simulated:
    """Hosts and volumes without disks; everything that takes time takes one drawn from the seed."""

    real = False

    def __init__(self, seed: int = 0) -> None:
        self.hosts: dict[str, Host] = {}
        self.taken: dict[str, str] = {}
        self._frozen: dict[str, str] = {}
        self._random = random.Random(seed)
        self._lsn = self._lsns()
        self._clock: Clock

    def open(self, clock: Clock) -> None:
        """Take the region's clock."""
        self._clock = clock

    def close(self) -> None:
        """Nothing to remove."""

    def create_volume(self, volume_id: str, gib: int, snapshot_id: str | None) -> None:
        """Nothing to make: no content is simulated."""

    def delete_volume(self, volume_id: str) -> None:
        """Nothing to remove."""

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Remember which freeze holds each volume now, if any does."""
        self.taken |= {snapshot: self._frozen[volume] for volume, snapshot in pairs if volume in self._frozen}

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget it."""
        self.taken.pop(snapshot_id, None)

    def launch(self, instance_id: str, user_data: str) -> None:
        """A host with a running PostgreSQL and an agent."""
        self.hosts[instance_id] = Host()

    def boot(self, instance_id: str) -> None:
        """The same host again; nothing of /run is left."""
        self.hosts[instance_id].on = True

    def shutdown(self, instance_id: str) -> None:
        """All that ran is gone, and with it every freeze."""
        host = self.hosts.get(instance_id)
        if host is None:
            return
        for volume in host.volumes:
            self._frozen.pop(volume, None)
        if host.keeper and host.keeper.lease:
            host.keeper.lease.cancel()
        host.on, host.boots, host.keeper = False, host.boots + 1, None
        host.finished, host.expired = {}, {}

    power_cut = shutdown

    def forget(self, instance_id: str) -> None:
        """Remove the host."""
        self.hosts.pop(instance_id, None)

    def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Give a volume to a host."""
        self.hosts[instance_id].volumes[volume_id] = device

    def detach(self, volume_id: str, instance_id: str, force: bool) -> bool:
        """Take it, unless it is mounted."""
        host = self.hosts.get(instance_id)
        if host and host.on and volume_id in host.mounted and not force:
            return False
        if host:
            host.volumes.pop(volume_id, None)
            self._frozen.pop(volume_id, None)
        return True

    def has_agent(self, instance_id: str) -> bool:
        """Whether the host is on and its agent was not taken away."""
        host = self.hosts.get(instance_id)
        return bool(host and host.on and host.agent)

    def frozen(self) -> Mapping[str, str]:
        """Volumes by the id of the freeze that holds them."""
        return dict(self._frozen)

    # What goes wrong on hosts

    def freeze(self, volume_id: str) -> None:
        """Somebody else froze this volume's file system, and leaves it so."""
        self._frozen[volume_id] = "somebody"

    def thaw(self, volume_id: str) -> None:
        """Somebody thaws a file system, whoever froze it."""
        self._frozen.pop(volume_id, None)

    def kill_keeper(self, instance_id: str) -> None:
        """SIGKILL for the keeper; the lease is another process."""
        keeper = self.hosts[instance_id].keeper
        if keeper:
            keeper.alive = False

    # The document

    def run(self, instance_id: str, document: Mapping[str, Any], parameters: Mapping[str, str], done: Done) -> None:
        """Play the document's part; what a host was doing when it lost power is never answered."""
        host = self.hosts[instance_id]
        boots = host.boots

        def answer(outcome: Outcome) -> None:
            if host.boots == boots:
                done(outcome)

        def begin() -> None:
            if host.boots == boots:
                self._obey(host, parameters, answer)

        self._after(SCRIPT_SECONDS, begin)

    def _obey(self, host: Host, parameters: Mapping[str, str], answer: Done) -> None:
        match parameters.get("command"):
            case "pre-script":
                self._pre(host, parameters, answer)
            case "post-script":
                self._after(THAW_SECONDS, lambda: self._post(host, parameters, answer))
            case "dry-run":
                answer(self._unready(host, parameters) or _said(0, parameters, mounts=["/database"]))
            case _:
                answer(Outcome("Success", 0))

    def _unready(self, host: Host, parameters: Mapping[str, str]) -> Outcome | None:
        volumes = parameters["volumeIds"].split() or list(host.volumes)
        if host.refuses:
            return _said(host.refuses[0], parameters, error=host.refuses[1])
        if not host.postgres:
            return _said(206, parameters, error="No PostgreSQL runs on these volumes")
        for volume in [*volumes, *sorted(host.database)]:
            if volume not in host.volumes or volume not in volumes:
                where = "is not attached to this host" if volume in volumes else "holds WAL, and is not of the set"
                return _said(206, parameters, error=f"{volume} {where}")
        return None

    def _pre(self, host: Host, parameters: Mapping[str, str], answer: Done) -> None:
        execution = parameters["executionId"]
        record = host.finished.get(execution)
        if record and record["snapshotIds"]:
            return answer(_said(204, parameters, **record, finished=True))
        host.finished.pop(execution, None)
        volumes = tuple(parameters["volumeIds"].split() or host.volumes)
        if host.keeper or any(volume in self._frozen for volume in volumes):
            return answer(_said(204, parameters, error="A freeze is under way here", finished=False))
        if unready := self._unready(host, parameters):
            return answer(unready)
        freeze_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        keeper = host.keeper = Keeper(execution, freeze_id, volumes, next(self._lsn), answer)
        host.expired.pop(execution, None)
        self._after(BACKUP_START_SECONDS, lambda: self._freeze(host, keeper, parameters))
        return None

    def _freeze(self, host: Host, keeper: Keeper, parameters: Mapping[str, str]) -> None:
        if host.keeper is not keeper:
            return
        seconds = self._random.uniform(*FREEZE_SECONDS) + host.slow
        lease = float(parameters["leaseSeconds"])
        if not keeper.alive or min(seconds, lease) > KEEPER_START_SECONDS:
            host.keeper = None
            keeper.answer(_said(201, parameters, error="The keeper ended before it froze anything"))
            return
        began = self._clock.now()
        keeper.lease = self._clock.after(lease, lambda: self._expire(host, keeper, began))
        self._clock.after(seconds, lambda: self._hold(host, keeper, parameters, began))

    def _hold(self, host: Host, keeper: Keeper, parameters: Mapping[str, str], began: float) -> None:
        if host.keeper is not keeper:  # cancelled, or out of time: the lease thaws what freezes late
            keeper.answer(_said(201, parameters, error="The file systems did not freeze in time"))
            return
        keeper.frozen_at = began
        self._frozen |= dict.fromkeys(keeper.volumes, keeper.freeze_id)
        spent = _milliseconds(self._clock.now() - began)
        keeper.answer(
            _said(
                0,
                parameters,
                freezeId=keeper.freeze_id,
                mounts=["/database"],
                freezeMs=spent,
                lsn=keeper.lsn,
                timeline=1,
                dataDirectory="/database/main",
            )
        )

    def _expire(self, host: Host, keeper: Keeper, began: float) -> None:
        if host.keeper is keeper:
            frozen = _milliseconds(self._clock.now() - began)
            host.expired[keeper.execution] = {"freezeId": keeper.freeze_id, "held": False, "frozenMs": frozen}
            self._release(host, keeper)

    def _release(self, host: Host, keeper: Keeper) -> bool:
        """Thaw what the keeper froze, and nothing else; whether all of it was still frozen by it."""
        held = [volume for volume in keeper.volumes if self._frozen.get(volume) == keeper.freeze_id]
        for volume in held:
            del self._frozen[volume]
        if keeper.lease:
            keeper.lease.cancel()
        host.keeper = None
        return len(held) == len(keeper.volumes) and keeper.alive

    def _post(self, host: Host, parameters: Mapping[str, str], answer: Done) -> None:
        execution, keeper = parameters["executionId"], host.keeper
        if execution in host.finished:
            return answer(_said(0, parameters, **host.finished[execution]))
        if keeper and keeper.execution != execution:
            return answer(_said(204, parameters, error="The freeze of another execution is under way"))
        if execution in host.expired:
            return answer(_said(203, parameters, error="The lease ran out", **host.expired[execution]))
        if keeper is None or keeper.frozen_at is None:
            host.keeper = None
            return answer(_said(205, parameters, error="Nothing is frozen"))
        frozen = _milliseconds(self._clock.now() - keeper.frozen_at)
        words = {"freezeId": keeper.freeze_id, "held": True, "frozenMs": frozen}
        if not self._release(host, keeper):
            host.expired[execution] = {**words, "held": False}
            return answer(_said(203, parameters, error="The freeze was not held", **host.expired[execution]))
        host.finished[execution] = {
            **words,
            "lsn": keeper.lsn,
            "stopLsn": next(self._lsn),
            "snapshotIds": parameters["snapshotIds"],
        }
        return answer(_said(0, parameters, **host.finished[execution]))

    def _after(self, seconds: tuple[float, float], happen: Callable[[], object]) -> None:
        self._clock.after(self._random.uniform(*seconds), happen)

    def _lsns(self) -> Iterator[str]:
        lsn = 0x1000028
        while True:
            yield f"0/{lsn:X}"
            lsn += self._random.randrange(0x100, 0x100000, 8)


def _said(code: int, parameters: Mapping[str, str], *, error: str = "", **words: Any) -> Outcome:
    line = json.dumps({"executionId": parameters["executionId"], **words})
    return Outcome("Success" if code == 0 else "Failed", code, line + "\n", error + "\n" if error else "")


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
