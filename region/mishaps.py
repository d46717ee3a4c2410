"""Things that happen to hosts, volumes and snapshots, by nobody's request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from region.ec2 import EC2


class Mishaps:
    """What a region lets happen. A host is named by its id or its tag Name."""

    @property
    def ec2(self) -> EC2:
        """EC2 as the region keeps it."""
        raise NotImplementedError

    def host(self, name: str) -> str:
        """The id of the instance with this id or Name, which is not terminated."""
        found = [one.id for one in self.ec2.all_instances() if one.state != "terminated"]
        named = [one for one in found if name in (one, self.ec2.tags_of(one).get("Name"))]
        if len(named) != 1:
            raise LookupError(f"{len(named)} instances are called {name}")
        return named[0]

    def power_cut(self, name: str) -> None:
        """A host loses its power; EC2 sees it stopped, by no one's wish."""
        self.ec2.fail(self.ec2.get_instance(self.host(name)))

    def stop(self, name: str, reason: str = "Server.InternalError") -> None:
        """A host stops, at once if AWS fails, else in order, and not by a request; see region/states.py for reasons."""
        if reason == "Server.InternalError":
            self.power_cut(name)
        else:
            self.ec2.leave(self.ec2.get_instance(self.host(name)), reason)

    def terminate(self, name: str, reason: str = "Client.UserInitiatedShutdown") -> None:
        """A host is terminated, by a person or by AWS itself, which cuts its power."""
        self.ec2.kill(self.ec2.get_instance(self.host(name)), reason)

    def hang(self, name: str) -> None:
        """A host's operating system stops doing anything, until its power is cut; its status check notices later."""
        self.ec2.hang(self.ec2.get_instance(self.host(name)))

    def impair(
        self, name: str, check: str = "instance", seconds: float | None = None, status: str = "impaired"
    ) -> None:
        """A status check ("instance", "system" or "ebs") of a host says so from now on, while the host goes on."""
        self.ec2.impair(self.ec2.get_instance(self.host(name)), check, seconds, status)

    def lose_volume(self, volume_id: str, state: str = "error") -> None:
        """A volume and what is on it is lost: EC2 shows it in `error`, or it is `gone`."""
        self.ec2.lose_volume(volume_id, state)

    def sicken_volume(self, volume_id: str) -> None:
        """A volume's I/O is disabled, since its data may be inconsistent."""
        self.ec2.sicken(volume_id)

    def fail_snapshot(self, snapshot_id: str) -> None:
        """A pending snapshot ends in `error`."""
        self.ec2.settle(self.ec2.get_snapshot(snapshot_id), "error")
