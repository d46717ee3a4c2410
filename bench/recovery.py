"""replace_database_host in the simulated region: how long clients wait for their database after each kind of death."""

from __future__ import annotations

import random
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench import plot
from bench.figures import Part, at, table
from region import Delays, NoCapacity, Region, Simulated, minutes
from region.demo.clients import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random
    from typing import Any

TIMES = 500
ADDRESS = "db.smallpayroll.internal"
FIGURE = "recovery.svg"

# What the promises are, in seconds: the median after a termination, the 99th percentile with a host that hangs.
PROMISED = {"terminated": (0.5, 75), "hung": (0.99, 240)}

# From RunInstances to running were measured, in seconds: 4.9,
# https://www.daemonology.net/blog/2021-08-12-EC2-boot-time-benchmarking.html,
# and about 16, https://github.com/brevdev/ec2-coldboot-research; here up to 30. From running to an agent that
# answers: region/simulated.py. EBS: "most attach/detach operations on AWS finish within 1-4 seconds"
# (https://github.com/kubernetes-sigs/aws-ebs-csi-driver, pkg/cloud/cloud.go). Route 53: changes reach all name servers
# "generally within 60 seconds". A host that hangs stops "within minutes": region/delays.py says what is drawn.
LAUNCH = (5.0, 30.0, 17.0)


def launch(draw: Random) -> float:
    """Seconds from RunInstances to running."""
    return draw.triangular(*LAUNCH)


@dataclass(slots=True)
class Trial:
    """One death: seconds from its event, and from itself, until a client wrote again; when each phase ended, and how
    long after it could be done something was asked for.
    """

    kind: str
    from_event: float
    from_death: float
    phases: Mapping[str, float]
    gaps: Mapping[str, float]


def part(times: int = TIMES) -> Part:
    """Let hosts die so often in each way."""
    with ProcessPoolExecutor(2) as pool:
        shares = [(kind, seed, times // SHARES + (seed < times % SHARES)) for kind in KINDS for seed in range(SHARES)]
        return write_up([one for some in pool.map(_trials, *zip(*shares, strict=True)) for one in some], times)


def write_up(found: Sequence[Trial], times: int) -> Part:
    """The figures of these trials, and their plot."""
    by_kind: dict[str, list[Trial]] = defaultdict(list)
    for one in found:
        by_kind[one.kind].append(one)
    drawing = plot.steps({kind: [one.from_event for one in some] for kind, some in by_kind.items()}, PROMISED)
    rows = [_row(kind, by_kind[kind]) for kind in KINDS]
    ratios = tuple(
        f"When a host is {kind}, {'half of' if share == 0.5 else '99 of 100'} clients write again within "
        f"**{at([one.from_event for one in by_kind[kind]], share):.0f} s** of the event; {most} s are promised."
        for kind, (share, most) in PROMISED.items()
    )
    head = ("kind of death", "median", "90th percentile", "99th percentile", "longest", "median from the death itself")
    body = "\n\n".join(
        (TEXT.format(times=times), table(head, *rows), f"![Time to recovery]({FIGURE})",
         "What is waited for on the critical path, medians:", table(("phase", *KINDS), *_phases(by_kind)),
         BESIDE, table(("asked for", *KINDS), *_gaps(by_kind)), ADDRESS_LAST)
    )  # fmt: skip
    return Part("How long clients wait when a host dies", ratios, body, {FIGURE: drawing})


TEXT = """\
In the simulated region {times} hosts died in each way, with delays drawn from published figures, which
`bench/recovery.py` and `region/delays.py` name. A client has a pool of open connections: these end by
tcp_user_timeout after 10 s, then it asks for the address and tries again each second. Counted is until the client's
first write is acknowledged, from the event that AWS sends (its alarm for one that hangs or is impaired: two of two
minutes), and from the death itself. Sweeps run each minute beside the event, as deployed."""

BESIDE = """\
What could run beside something else did: so many seconds after it could be done each was asked for, medians."""

ADDRESS_LAST = """\
The address waits for the proof that the right server takes a write, since clients must never reach an empty one."""


def _row(kind: str, trials: list[Trial]) -> tuple[object, ...]:
    seconds = [one.from_event for one in trials]
    told = [f"{at(seconds, share):.0f} s" for share in (0.5, 0.9, 0.99)]
    return kind, *told, f"{max(seconds):.0f} s", f"{at([one.from_death for one in trials], 0.5):.0f} s"


def _phases(by_kind: Mapping[str, list[Trial]]) -> list[tuple[object, ...]]:
    return [(name, *(_median([one.phases for one in by_kind[kind]], name) for kind in KINDS)) for name in PHASES]


def _gaps(by_kind: Mapping[str, list[Trial]]) -> list[tuple[object, ...]]:
    return [(name, *(_median([one.gaps for one in by_kind[kind]], name, 1) for kind in KINDS)) for name in GAPS]


def _median(trials: Sequence[Mapping[str, float]], name: str, digits: int = 0) -> str:
    """Of those in which it came; where none was launched there is none."""
    known = [one[name] for one in trials if name in one]
    return f"{at(known, 0.5):.{digits}f} s" if known else "-"


# By the write that ends each, or the state of an instance; cumulative, from the event.
PHASES = (
    "the launch is asked for",
    "the old host is stopped",
    "the new host runs",
    "its agent answers and all volumes are attached",
    "PostgreSQL has taken a write, and the address moves",
    "a client has written",
)

# What may be done once something else has come, and what that is.
GAPS = (
    "the old host's stop, after the launch",
    "the first volume's leave, after the launch and the old host's stop",
    "the first volume's attaching, after the new host ran and the old one was stopped",
)


def terminated(region: Region, host: str) -> None:
    """Somebody terminates it."""
    region.terminate(host)


def stopped(region: Region, host: str) -> None:
    """AWS stops it."""
    region.stop(host)


def hung(region: Region, host: str) -> None:
    """Its operating system hangs."""
    region.hang(host)


def impaired(region: Region, host: str) -> None:
    """EC2's system check fails, and its network with it."""
    region.impair(host, check="system")
    machines = region.machines
    assert isinstance(machines, Simulated)  # noqa: S101
    machines.hosts[host].silent = True
    machines.hosts[host].postgres = False


def without_room(region: Region, host: str) -> None:
    """AWS stops it and has no room for another for three minutes, of any type."""
    full = NoCapacity()
    region.faults.add(full)
    region.stop(host)
    region.clock.after(180, lambda: region.faults.remove(full))


KINDS: Mapping[str, Callable[[Region, str], None]] = {
    "terminated": terminated,
    "stopped by AWS": stopped,
    "hung": hung,
    "impaired": impaired,
    "no capacity": without_room,
}
SHARES = 2


def _trials(kind: str, seed: int, times: int) -> list[Trial]:
    return [trial(kind, 1000 * seed + number) for number in range(times)]


def trial(kind: str, seed: int) -> Trial:
    """One death, from its event to the write of a client."""
    with Region(Simulated(seed=seed), seed=seed, delays=Delays(launch=launch)) as region:
        host = settle(region)
        # Deaths come at any second of the minute in which the sweep falls due.
        region.run(at_most=random.Random(seed).uniform(0, 60))
        heard: list[tuple[float, str, str]] = []
        region.bus.deliveries = partial(_hear, region, heard)
        region.calls.clear()
        died = region.clock.now()
        KINDS[kind](region, host)
        client = region.clock.spawn(partial(_write_again, region, host), "client")
        region.run(client, at_most=minutes(60))
        if client.error:
            raise client.error
        event = next((when for when, _, state in heard if state in ("stopped", "terminated", "ALARM")), died)
        wrote = region.clock.now()
        return Trial(kind, wrote - event, wrote - died, *_course(region, heard, host, event))


def _hear(region: Region, heard: list[tuple[float, str, str]], event: Mapping[str, Any]) -> tuple[float]:
    """Notes what AWS tells on its bus, and lets it through."""
    detail = event.get("detail", {})
    if "instance-id" in detail:
        heard.append((region.clock.now(), detail["instance-id"], detail["state"]))
    if detail.get("state") and "alarmName" in detail:
        heard.append((region.clock.now(), detail["alarmName"], detail["state"]["value"]))
    return (0.0,)


def _write_again(region: Region, host: str) -> None:
    """A client with an open connection to a host, until it has written again to whoever its address leads to."""
    machines = region.machines
    assert isinstance(machines, Simulated)  # noqa: S101
    while host in machines.serving():
        region.clock.sleep(0.1)
    machines.write(Client(region, machines, ADDRESS).reconnect())


def _course(
    region: Region, heard: Sequence[tuple[float, str, str]], host: str, event: float
) -> tuple[dict[str, float], dict[str, float]]:
    """When each phase ended, and how long after it could be done something was asked for."""

    def called(operation: str, after: float = 0.0) -> float | None:
        done = (one for one in region.calls if one.operation == operation and one.error is None)
        return next((one.time for one in done if one.time >= after), None)

    def told(is_old: bool, *states: str) -> float | None:
        return next((when for when, name, state in heard if (name == host) == is_old and state in states), None)

    launch, over, runs = called("RunInstances"), told(True, "stopped", "terminated"), told(False, "running")
    ends = (
        launch,
        over,
        runs,
        called("SendCommand", runs) if runs else None,
        called("ChangeResourceRecordSets"),
        region.clock.now(),
    )
    begun = (
        (called("StopInstances"), launch),
        (called("DetachVolume"), max(launch, over) if launch and over else None),
        (called("AttachVolume"), max(runs, over) if runs and over else None),
    )
    phases = {name: end - event for name, end in zip(PHASES, ends, strict=True) if end is not None}
    return phases, {name: did - could for name, (did, could) in zip(GAPS, begun, strict=True) if did and could}


def settle(region: Region) -> str:
    """Watchkeeper with its sweeps and smallpayroll, settled for a quarter of an hour: the host."""
    app = region.deploy("examples/smallpayroll.yaml", HostedZone="smallpayroll.internal", AddressName=ADDRESS)
    parameters = {
        "HostedZoneIds": app["HostedZone"],
        "RecordNames": "*.smallpayroll.internal",
        "LaunchRoleArns": app["DatabaseRole"],
        "RegisterWebNodes": "false",
    }
    region.deploy("template.yaml", **parameters)
    region.run(at_most=minutes(15))
    return region.host("smallpayroll-database")
