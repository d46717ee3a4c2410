"""replace_database_host in the simulated region, killed at each of its writes: what the next looks make of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

from bench.figures import Part, table
from bench.recovery import KINDS, settle
from region import Death, LostAnswer, Region, Simulated, minutes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FUNCTION = "replace_database_host"
CHOSEN = ("terminated", "stopped by AWS", "hung")

TEXT = """\
A host dies, and a look that is at it is killed before or after one of its writes, or the answer to that write is lost.
Nobody carries on but the next look, which sweeps each minute; no event wakes it here. Each time it was counted how many
hosts were launched, how many servers ever had the volumes at once, where the address leads, how often people were
told, and what became of writes that had been acknowledged. "As undisturbed" is: one host launched, one server at any
time, the address at the new host, no acknowledged write lost, told once. Being told is at most once by design (the
claim comes before the mail): killed or unanswered between the two, the notice is in the log of notices alone."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write, and when the look began that made it."""

    operation: str
    look: float


@dataclass(frozen=True, slots=True)
class End:
    """What a death came to."""

    launched: int
    clashes: int
    is_found: bool
    told: int
    lost: int
    seconds: float

    def words(self) -> str:
        """As the table has it."""
        odd = [
            f"{self.launched} hosts launched" if self.launched != 1 else "",
            f"{self.clashes} times two servers" if self.clashes else "",
            "" if self.is_found else "the address leads elsewhere",
            f"{self.lost} writes lost" if self.lost else "",
            f"told {self.told} times" if self.told != 1 else "",
        ]
        return ", ".join(filter(None, odd)) or "as undisturbed"


def part(times: int = 1, kinds: Sequence[str] = CHOSEN, steps: slice = slice(None)) -> Part:
    """Each death, undisturbed and disturbed at each of its writes or at some; so often, each time with other delays."""
    found: dict[str, list[End]] = defaultdict(list)
    for kind, seed in product(kinds, range(times)):
        _, writes = end(kind, seed)
        for step, begins, fault in [*_killed(writes), *_unanswered(writes)][steps]:
            one = fault()
            found[f"{kind}: {step}"].append(end(kind, seed, one, begins=begins)[0])
            if not one.happened:
                raise AssertionError(f"{kind}: {step} never happened")
    ends = Counter(one.words() for some in found.values() for one in some)
    rows = [(step, _told(some), f"{max(one.seconds for one in some):.0f} s") for step, some in found.items()]
    safe = sum(count for text, count in ends.items() if text in ("as undisturbed", "told 0 times"))
    ratio = (
        f"Killed before and after each write of a replacement, or its answer lost, **{safe} of {ends.total()}** end "
        f"with one new host, one server, one address and no acknowledged write lost; {ends['told 0 times']} of them "
        f"without the mail."
    )
    head = ("killed at step k", "end state", "longest until it is settled")
    return Part("What becomes of a replacement that is killed", (ratio,), f"{TEXT}\n\n{table(head, *rows)}")


def _told(ends: Sequence[End]) -> str:
    words = Counter(one.words() for one in ends)
    return "; ".join(f"{text}{f' ({count})' if len(ends) > 1 else ''}" for text, count in words.items())


Step = tuple[str, float, "Callable[[], Death | LostAnswer]"]


def _killed(writes: Sequence[Write]) -> list[Step]:
    """A look is killed at each write, by its number within that look."""
    steps: list[Step] = []
    for number, one in enumerate(writes, 1):
        within = sum(other.look == one.look for other in writes[:number])
        for moment in ("before", "after"):
            step = f"killed {moment} write {number}, {one.operation}"
            steps.append((step, one.look, partial(Death, **{moment: within})))
    return steps


def _unanswered(writes: Sequence[Write]) -> list[Step]:
    items = reversed({one.operation: one.look for one in reversed(writes)}.items())  # of each the first, in order
    return [(f"answer lost of {name}", look, partial(LostAnswer, name, at_once=True)) for name, look in items]


def end(kind: str, seed: int, *faults: Death | LostAnswer, begins: float | None = None) -> tuple[End, list[Write]]:
    """What came of one death, and the writes that the function made for it.

    Only the sweeps wake it, so that one look at a time is at it; the one that begins then is disturbed.
    """
    with Region(Simulated(seed=seed), seed=seed) as region:
        old = settle(region)
        machines = region.machines
        assert isinstance(machines, Simulated)  # noqa: S101
        for _ in range(3):
            machines.write(old)
        volume = next(iter(machines.serving()[old]))
        region.calls.clear()
        region.notices.clear()
        region.bus.deliveries = lambda event: (0.0,) if event["source"] == "aws.scheduler" else ()
        died = region.clock.now()
        KINDS[kind](region, old)
        if begins is not None:
            region.run(at_most=max(0.0, begins - 0.2 - died))
        region.faults.add(*faults)
        region.run(lambda: set(machines.serving()) - {old} != set(), at_most=minutes(30))
        region.run(lambda: _settled(region) not in ("", old), at_most=minutes(30))
        seconds = region.clock.now() - died
        region.run(at_most=minutes(3))
        (new,) = machines.serving()
        return End(
            launched=sum("watchkeeper:replaces" in dict(host.tags) for host in region.world().hosts),
            clashes=len(machines.servers.clashes()),
            is_found=region.resolve("db.smallpayroll.internal") == _address(region, new),
            told=sum("has a new database host" in subject for subject, _ in region.notices),
            lost=3 - machines.acknowledged(volume),
            seconds=seconds,
        ), _writes(region)


def _writes(region: Region) -> list[Write]:
    """What the function wrote for the replacement; the alarms that it keeps are another matter."""
    looks = [one.began for one in region.functions.invocations if one.name == FUNCTION]
    made = [one for one in region.calls if one.write and one.caller == FUNCTION]
    own = [one for one in made if one.service not in ("lambda", "cloudwatch")]
    return [Write(one.operation, max(began for began in looks if began <= one.time)) for one in own]


def _settled(region: Region) -> str:
    return next((dict(one.tags).get("watchkeeper:host", "") for one in region.world().volumes if one.tags), "")


def _address(region: Region, host: str) -> str:
    return next(str(one.private_ip_address) for one in region.ec2.all_instances() if one.id == host)
