"""A restore and its undo, written down while they last: how things stand each second, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from region.demo.outage import COMING, NOT_THERE, SIGNS, THERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from region import Region, Simulated
    from region.calls import Call

RESTORE, REHEARSE, SWEEP = "restore_database", "rehearse_restore", "replace_database_host"
WORD = "watchkeeper:"


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand at a time of the region's clock. `rows`: those that clients find, if they find any."""

    time: float
    first: str
    second: str
    database: str
    rows: int


@dataclass(frozen=True, slots=True)
class Job:
    """What a function did from when on, for how many seconds, and when it did each thing first, counted from there."""

    began: float
    seconds: float
    steps: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Swap:
    """One volume in the place of another. `found`: the rows of the database then, of `aside` that were put aside."""

    job: Job
    found: int
    aside: int


@dataclass(frozen=True, slots=True)
class Rescue:
    """What came of a mistake. `kept` are the rows that there were when the set was made, `copied` those that were
    restored; `left` is what there is still of the rehearsal, `sets` how many sets there are, and `did` what the sweeps
    of database hosts did meanwhile.
    """

    rehearsal: Job
    is_proven: bool
    recovery_ms: int
    left: tuple[str, ...]
    kept: int
    copied: int
    restored: Swap
    undone: Swap
    moments: tuple[Moment, ...]
    sets: int
    did: tuple[str, ...]
    clashes: int
    notices: tuple[str, ...]


@dataclass(slots=True)
class Recorder:
    """Who writes it down, and the client, which writes a row each second, from `begin` on."""

    region: Region
    machines: Simulated
    first: str
    second: str = ""
    copied: int = 0
    moments: list[Moment] = field(default_factory=list)

    def begin(self) -> None:
        """Look, and write, each second."""
        serving = self.machines.serving()
        for host in serving:
            self.machines.write(host)
        if not self.second and (made := [one for one in self._volumes("restored") if one != self.first]):
            self.second, self.copied = made[0], self.rows(made[0])
        begun = any(one.is_alive and one.served for one in self.machines.hosts.values())
        found = [volume for volumes in serving.values() for volume in volumes]
        self.moments.append(
            Moment(
                self.region.clock.now(),
                first=self._sign(self.first),
                second=self._sign(self.second),
                database=THERE if serving else COMING if begun else NOT_THERE,
                rows=self.rows(found[0]) if found else 0,
            )
        )
        self.region.clock.after(1, self.begin, background=True)

    def rows(self, volume: str) -> int:
        """How many rows are on a volume."""
        return self.machines.acknowledged(volume)

    def is_proven(self) -> bool:
        """Whether a set is, and nothing is at work any more."""
        return self.region.quiet() and bool(self._proven())

    def swap(self, **words: Any) -> Swap:
        """Ask for a restore, and write down what was done."""
        began, (old,) = self.region.clock.now(), self._volumes("database")
        self.region.invoke(RESTORE, {"application": "smallpayroll", **words})
        (new,) = self._volumes("database")
        return Swap(self._job(RESTORE, began), self.rows(new), self.rows(old))

    def end(self, restored: Swap, undone: Swap) -> Rescue:
        """What came of it."""
        region = self.region
        (proven,) = self._proven()
        made = region.ec2.get_snapshot(proven).start_time.timestamp()
        looks = [one for one in region.functions.invocations if one.name == SWEEP and one.began > restored.job.began]
        answers: list[Any] = [one.process.result for one in looks if one.process and one.process.result]
        mails = [(one["subject"], one["message"]) for one in region.bus.mail()]
        return Rescue(
            rehearsal=self._job(REHEARSE, 0),
            is_proven=self._tag(self.second, "restored-from") == proven,
            recovery_ms=int(self._tag(proven, "recovery-ms")),
            left=tuple(self._left()),
            kept=max((one.rows for one in self.moments if one.time <= made), default=0),
            copied=self.copied,
            restored=restored,
            undone=undone,
            moments=tuple(self.moments),
            sets=len(self._sets()),
            did=tuple(str(one["did"]) for answer in answers for one in answer["applications"] if one["did"]),
            clashes=len(self.machines.servers.clashes()),
            notices=tuple(text for subject, text in mails if subject.startswith("Watchkeeper")),
        )

    def _sign(self, volume: str) -> str:
        known = self.region.ec2.volumes.get(volume)
        signs = [SIGNS.get(one.status, NOT_THERE) for one in known.attachments] if known else []
        return signs[0] if signs else NOT_THERE

    def _sets(self) -> list[str]:
        """One snapshot of each: there is one volume."""
        return [one for one in self.region.ec2.snapshots if self._tag(one, "run")]

    def _proven(self) -> list[str]:
        return [one for one in self._sets() if self._tag(one, "proven-at")]

    def _tag(self, resource: str, key: str) -> str:
        return str(self.region.ec2.tags_of(resource).get(WORD + key, ""))

    def _volumes(self, role: str) -> list[str]:
        return [one for one in self.region.ec2.volumes if self._tag(one, "role") == role]

    def _left(self) -> Iterator[str]:
        """What a rehearsal made and is there still."""
        ours = [{"Name": f"tag:{WORD}role", "Values": ["rehearsal"]}]
        ec2 = self.region.client("ec2")
        yield from self._volumes("rehearsal")
        yield from (one["GroupId"] for one in ec2.describe_security_groups(Filters=ours)["SecurityGroups"])
        for one in self.region.ec2.all_instances():
            if self._tag(one.id, "role") == "rehearsal" and one.state != "terminated":
                yield str(one.id)

    def _job(self, caller: str, began: float) -> Job:
        """What a function did from then on, up to now."""
        writes = [one for one in self.region.calls if one.caller == caller and one.write and one.time >= began]
        first = began or min((one.time for one in writes), default=inf)
        steps: dict[str, float] = {}
        for call in writes:
            if not call.error:
                steps.setdefault(_step(call), call.time - first)
        return Job(first, max((one.time for one in writes), default=inf) - first, steps)


def _step(call: Call) -> str:
    """What a write is: its operation, or of a command and of tags what they are for."""
    if call.operation == "SendCommand":
        given, document = call.parameters["Parameters"], call.parameters["DocumentName"]
        return str(given["command"][0]) if "command" in given else "check" if "CheckDatabase" in document else "stop"
    if call.operation in ("CreateTags", "DeleteTags"):
        tags = {one["Key"].removeprefix(WORD): one.get("Value", "") for one in call.parameters["Tags"]}
        word = next((one for one in ("paused", "proven-at") if one in tags), tags.get("role", ""))
        return f"{call.operation} {word}"
    return call.operation
