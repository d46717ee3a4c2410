"""An outage, written down while it lasts: how things stand each second, and what came of it, by the region's truth."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from region.demo.clients import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from region import Region, Simulated
    from region.calls import Call
    from region.world import World

FUNCTION = "replace_database_host"
CLIENTS = 4

# Of each step of an answer: the write by which it is known, and what it is in plain words.
STEPS = {
    "Launch": ("RunInstances", "launches another host"),
    "Attach": ("AttachVolume", "attaches the volume to it"),
    "Send": ("SendCommand", "has PostgreSQL started"),
    "Point": ("ChangeResourceRecordSets", "lets the name lead to it"),
    "Tag": ("CreateTags", "writes down the new host"),
    "Tell": ("Publish", "tells people"),
}

# How a thing stands: it is there, it is on its way, or neither.
THERE, COMING, NOT_THERE = "█", "▄", " "
SIGNS = {"running": THERE, "attached": THERE, "pending": COMING, "attaching": COMING}


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand, so many seconds after the death. `name`: it leads clients to a server that takes writes."""

    after: float
    old: str
    new: str
    volume: str
    database: str
    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """What the function answered that it did, and why; when, by the write that was seen."""

    after: float
    words: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outage:
    """What came of a death. Seconds count from it: `woken` when its event had reached the function, `answered` when
    clients' writes were acknowledged, of which `missing` are not on the volume. `writes` are those of the look that it
    woke, and `is_killed` is what became of that. `is_led`: the name moved once, to a server that took writes already.
    `clashes`: two servers on the volume at once.
    """

    old: str
    new: tuple[str, ...]
    woken: float
    answered: tuple[float, ...]
    missing: int
    moments: tuple[Moment, ...]
    steps: tuple[Step, ...]
    writes: tuple[str, ...]
    notices: tuple[str, ...]
    alarms: tuple[str, ...]
    clashes: int
    is_killed: bool
    is_led: bool
    world: World

    @property
    def back(self) -> float:
        """When a client's write was acknowledged again; infinite if none was."""
        return min((one for one in self.answered if one > 0), default=inf)


@dataclass(slots=True)
class Recorder:
    """Who writes it down. `died` is when the host is going to die."""

    region: Region
    machines: Simulated
    old: str
    volume: str
    address: str
    died: float
    clients: list[Client] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    mails: int = 0

    def begin(self) -> None:
        """Let clients write from now on, each at another part of a second, and look each second."""
        self.mails = len(self.region.bus.mail())
        for number in range(CLIENTS):
            client = Client(self.region, self.machines, self.address)
            self.clients.append(client)
            self.region.clock.after(number / CLIENTS, partial(self.region.clock.spawn, client.live, "client"))
        self._look()

    def _look(self) -> None:
        ec2, serving = self.region.ec2, self.machines.serving()
        states = {one.id: SIGNS.get(one.state, NOT_THERE) for one in ec2.all_instances()}
        begun = any(one.is_alive and (one.served or one.starting) for one in self.machines.hosts.values())
        leads = self.region.resolve(self.address) in [ec2.get_instance(one).private_ip for one in serving]
        self.moments.append(
            Moment(
                self.region.clock.now() - self.died,
                old=states.pop(self.old),
                new=_best(states.values()),
                volume=_best(SIGNS.get(one.status, NOT_THERE) for one in ec2.volumes[self.volume].attachments),
                database=THERE if serving else COMING if begun else NOT_THERE,
                name=THERE if leads else NOT_THERE,
            )
        )
        self.region.clock.after(1, self._look, background=True)

    def end(self) -> Outage:
        """What came of it."""
        region = self.region
        looks = [one for one in region.functions.invocations if one.name == FUNCTION and one.began > self.died]
        writes = [one for one in region.calls if one.caller == FUNCTION and one.write and one.time > self.died]
        first, then = [*(one.began for one in looks), inf, inf][:2]
        answered = sorted(moment for client in self.clients for moment in client.answered)
        mails = [(one["subject"], one["message"]) for one in region.bus.mail()[self.mails :]]
        alarms = [json.loads(text)["AlarmName"] for subject, text in mails if subject.startswith("ALARM")]
        new = tuple(one.id for one in region.ec2.all_instances() if one.id != self.old)
        return Outage(
            old=self.old,
            new=new,
            woken=first - self.died,
            answered=tuple(one - self.died for one in answered),
            missing=len(answered) - self.machines.acknowledged(self.volume),
            moments=tuple(self.moments),
            steps=tuple(self._steps([one.process.result for one in looks if one.process], iter(writes))),
            writes=tuple(one.operation for one in writes if first <= one.time < then),
            notices=tuple(text for subject, text in mails if subject.startswith("Watchkeeper")),
            alarms=tuple(region.stacks.logical(one) for one in alarms),
            is_killed=bool(looks and looks[0].process and looks[0].process.killed),
            clashes=len(self.machines.servers.clashes()),
            is_led=self._is_led(new),
            world=region.world().plain(),
        )

    def _is_led(self, new: Sequence[str]) -> bool:
        moved = [one.time for one in self.region.addresses.changes if one.time > self.died]
        if len(new) != 1 or len(moved) != 1:
            return False
        leads = self.region.resolve(self.address) == self.region.ec2.get_instance(new[0]).private_ip
        return leads and self.machines.hosts[new[0]].ready <= moved[0]

    def _steps(self, answers: Sequence[Any], writes: Iterator[Call]) -> Iterator[Step]:
        """What was answered, each beside its write."""
        done = [step for answer in answers if answer for one in answer["applications"] for step in one["did"]]
        for step in done:
            operation, words = STEPS[step["step"]]
            for call in writes:
                if call.operation == operation:
                    yield Step(call.time - self.died, words, step["reason"])
                    break


def _best(signs: Any) -> str:
    found = set(signs)
    return next((one for one in (THERE, COMING) if one in found), NOT_THERE)
