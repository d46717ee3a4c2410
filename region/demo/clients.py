"""Clients of a simulated database: connections of a pool, which lose their host and look for it by its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from region import Region, Simulated

EACH_SECONDS = 1.0

# A connection to a host that vanished without a word ends by tcp_user_timeout, which is set to ten seconds; then a
# client tries anew each second, and waits two for an address from which nothing answers.
USER_TIMEOUT, RETRY, CONNECT_TIMEOUT = 10.0, 1.0, 2.0


@dataclass(slots=True)
class Client:
    """One connection, which writes each second. `answered` are the moments at which a write was acknowledged."""

    region: Region
    machines: Simulated
    name: str
    answered: list[float] = field(default_factory=list)

    def live(self) -> None:
        """For ever: write to a host until it is silent, give it up, and look for another."""
        clock = self.region.clock
        host = self._connect()
        while True:
            while host in self.machines.serving():
                if self.machines.write(host):
                    self.answered.append(clock.now())
                clock.sleep(EACH_SECONDS)
            host = self.reconnect()

    def reconnect(self) -> str:
        """Gives up a connection that is silent, and looks for another host: its id."""
        self.region.clock.sleep(USER_TIMEOUT)
        return self._connect()

    def _connect(self) -> str:
        while True:
            address = self.region.resolve(self.name)
            running = [one for one in self.region.ec2.all_instances() if one.state == "running"]
            there = [str(one.id) for one in running if one.private_ip_address == address]
            if there and there[0] in self.machines.serving():
                return there[0]
            self.region.clock.sleep(RETRY if there else CONNECT_TIMEOUT + RETRY)
