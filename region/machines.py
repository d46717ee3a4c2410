"""What a machine is: the one thing in which the simulated region and the one on real disks differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from region.clock import Clock


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command on a host ended, in the words of the SSM agent: Success, Failed or TimedOut."""

    status: str
    code: int
    stdout: str = ""
    stderr: str = ""


Done = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Check:
    """How a balancer asks whether a target is well: HTTP with a path and the codes that say so, or TCP.

    `port` is asked, or each target's own. A target is well after so many answers in a row, the first that it gets
    counting as enough if `first_decides`, and not after so many failures.
    """

    protocol: str = "HTTP"
    port: int | None = None
    path: str = "/"
    codes: str = "200"
    interval_seconds: float = 30
    timeout_seconds: float = 5
    well_after: int = 5
    unwell_after: int = 2
    first_decides: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """A place that requests are sent to; `host` is the instance that has its address, if one has.

    One that is `draining` gets no new requests, and ends those that it has; nobody asks whether it is well.
    """

    address: str
    port: int
    host: str | None = None
    draining: bool = False


# What a check found that did not find a target well; a status of HTTP is another.
REFUSED = "refused"
TIMEOUT = "timeout"


class Machines(Protocol):
    """Volumes, snapshots and hosts. Calls come from the thread that holds the baton; `done` is called in the kernel."""

    real: bool

    @property
    def taken(self) -> Mapping[str, str]:
        """By snapshot, the freeze that held its volume's file system at that instant; without one, none did."""

    def open(self, clock: Clock) -> None:
        """Be ready: clean up what an earlier run left behind."""

    def close(self) -> None:
        """Leave nothing behind."""

    def create_volume(self, volume_id: str, gib: int, snapshot_id: str | None) -> None:
        """An empty volume, or one with a snapshot's content."""

    def delete_volume(self, volume_id: str) -> None:
        """Forget a volume that is attached nowhere."""

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Take (volume, snapshot) pairs at ONE instant over all of them: now, before this returns."""

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot."""

    def launch(self, instance_id: str, user_data: str) -> None:
        """First boot of a new host; its user data runs once."""

    def boot(self, instance_id: str) -> None:
        """Start a stopped host."""

    def shutdown(self, instance_id: str) -> None:
        """Stop a host in order: its file systems are written out."""

    def power_cut(self, instance_id: str) -> None:
        """Stop a host as a failing power supply does: what was not on its volumes is lost."""

    def hang(self, instance_id: str) -> None:
        """The operating system of a host stops: nothing runs and no agent answers, until its power is gone."""

    def forget(self, instance_id: str) -> None:
        """Remove a host that is terminated."""

    def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Give a volume to a host, running or stopped."""

    def detach(self, volume_id: str, instance_id: str, force: bool) -> bool:
        """Take a volume from a host. False: it is mounted there, and nothing was done."""

    def has_agent(self, instance_id: str) -> bool:
        """Whether the host's SSM agent answers."""

    def run(self, instance_id: str, document: Mapping[str, Any], parameters: Mapping[str, str], done: Done) -> None:
        """Run a document as the SSM agent does and call `done` once, later; never, if the host dies meanwhile."""

    def frozen(self) -> Mapping[str, str]:
        """The volumes whose file systems are frozen now, each with the freeze's id."""

    def serving(self) -> Mapping[str, frozenset[str]]:
        """The hosts whose PostgreSQL takes writes now, each with its volumes: none, if it lies on the root disk."""

    def balance(self, pool: str, check: Check, targets: Mapping[str, Target]) -> None:
        """Let the balancer of this name have these targets, by name, from now on; without any it is no more.

        A target that it had goes on as it was found, unless the check is another now.
        """

    def health(self, pool: str, ago: float = 0) -> Mapping[str, str | None]:
        """What a balancer says of its targets by name, so many seconds ago if that is known: "" of one that is well,
        None of one of which it does not know yet, else what the check found: REFUSED, TIMEOUT or a status of HTTP.
        """
