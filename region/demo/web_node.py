"""A web node dies in the simulated region and another is launched; then again, with all events of EC2's lost."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING

from region import Region, Simulated, minutes
from region.bus import drop, once
from region.checks import INITIALIZING_SECONDS
from region.demo.absence import HEALTHY, REQUESTS, Recorder
from region.demo.drawing import HEIGHTS, SIGNS, Strip
from region.demo.outage import COMING, NOT_THERE, THERE
from region.demo.story import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from region.demo.absence import Absence, Moment

BEFORE_SECONDS, LAUNCH_SECONDS, AFTER_SECONDS = 10, 30, 20

# By an event of EC2's, and without one, by a sweep; and what a load balancer takes of itself: two checks that fail.
PROMISED_SECONDS, SWEPT_SECONDS, CHECKED_SECONDS = 5, 65, 25
DOES = {"DeregisterTargets": "takes the old node out", "RegisterTargets": "registers the new one"}
STANDS = {"running": THERE, "pending": COMING, HEALTHY: THERE, "initial": COMING, "draining": COMING}


def live(name: str, progress: Callable[[str], object]) -> tuple[Absence, Absence]:
    """Let a node of the application's die and another come: with EC2's events, and with all events lost."""
    machines = Simulated(seed=7)
    with Region(machines=machines, seed=7) as region:
        made = region.deploy(f"examples/{name}.yaml")
        region.deploy("template.yaml", Email="you@example.com", ReplaceDatabaseHosts="false", RehearseRestores="false")
        progress("two nodes come into their pool")
        region.run(lambda: is_full(region, made["WebPool"]), at_most=minutes(10))
        region.run(at_most=minutes(5))
        progress("a node dies, and another comes")
        told = _lose(region, machines, made)
        region.run(at_most=minutes(5))
        progress("another dies, and nobody hears of it")
        region.bus.deliveries = lambda event: drop(event) if "detail" in event else once(event)
        untold = _lose(region, machines, made)
        region.bus.deliveries = once
        return told, untold


def is_full(region: Region, pool: str) -> bool:
    """Whether two nodes are in the pool, and get requests."""
    return [*region.pool(pool).values()] == [HEALTHY] * 2


def _lose(region: Region, machines: Simulated, made: Mapping[str, str]) -> Absence:
    """Its power goes, AWS terminates it, and somebody launches another like it."""
    pool, ec2 = made["WebPool"], region.client("ec2")
    old = min(region.pool(pool))
    recorder = Recorder(region, machines, pool, old, region.clock.now() + BEFORE_SECONDS)
    recorder.begin()
    region.run(at_most=BEFORE_SECONDS)
    subnet = region.ec2.get_instance(old).subnet_id
    region.terminate(old, "Server.InternalError")
    region.run(at_most=LAUNCH_SECONDS)
    launched = region.clock.now()
    wanted = {"LaunchTemplateId": made["WebLaunch"]}
    new = ec2.run_instances(LaunchTemplate=wanted, SubnetId=subnet, MinCount=1, MaxCount=1)["Instances"][0]
    region.run(lambda: is_full(region, pool), at_most=minutes(10))
    region.run(at_most=AFTER_SECONDS)
    return recorder.end(new["InstanceId"], launched)


def strips_of(absence: Absence) -> list[Strip]:
    """The absence as a picture."""
    columns = _columns(absence)
    firsts = [one[0] for one in columns]
    return [
        Strip("dead node", "".join(_sign(one.nodes, absence.old) for one in firsts), "yellow"),
        Strip("in its pool", "".join(_sign(one.pool, absence.old) for one in firsts), "yellow"),
        Strip("new node", "".join(_sign(one.nodes, absence.new) for one in firsts), "green"),
        Strip("in its pool", "".join(_sign(one.pool, absence.new) for one in firsts), "green"),
        Strip("answered", "".join(_height(one, is_answered=True) for one in columns), "cyan"),
        Strip("failed", "".join(_height(one, is_answered=False) for one in columns), "red"),
    ]


def notes_of(absence: Absence) -> dict[int, str]:
    """What is told below the picture, by column."""
    each = len(_columns(absence)[0]) / REQUESTS
    words = {
        0.0: "its power is gone",
        absence.launched: f"after {absence.launched:.0f} s somebody launches another",
        absence.back: f"after {absence.back:.0f} s it gets requests",
    }
    return {int((BEFORE_SECONDS + after) / each): text for after, text in words.items()}


def _columns(absence: Absence) -> list[Sequence[Moment]]:
    """The moments of each column, which is a whole number of seconds."""
    each = ceil(len(absence.moments) / REQUESTS / SIGNS) * REQUESTS
    return [absence.moments[place : place + each] for place in range(0, len(absence.moments), each)]


def _sign(states: Mapping[str, str], node: str) -> str:
    return STANDS.get(states.get(node, ""), NOT_THERE)


def _height(moments: Sequence[Moment], *, is_answered: bool) -> str:
    return HEIGHTS[ceil(8 * sum(one.is_answered == is_answered for one in moments) / len(moments))]


def steps_of(absence: Absence) -> list[tuple[str, ...]]:
    """Who did what and why, with the second of each step."""
    steps = [(one.after, "Watchkeeper", DOES[one.operation], one.reason) for one in absence.changes]
    steps += [
        (0, "AWS", "terminates the old node", "its hardware fails"),
        (absence.out, "the balancer", "sends it nothing more", f"to the balancer it is {absence.word}"),
        (absence.gone, "the balancer", "forgets it", "it has drained"),
        (absence.launched, "somebody", "launches another", "the template gives it the tags"),
        (absence.back, "the balancer", "sends the new one requests", f"to the balancer it is {HEALTHY}"),
    ]
    in_order = sorted(steps, key=lambda step: step[0])
    return [("after", "who", "does", "because"), *((_seconds(after), *words) for after, *words in in_order)]


def rows_of(told: Absence, untold: Absence) -> list[tuple[str, ...]]:
    """Both deaths beside each other."""
    head = ("EC2's events", "taken out after", "no requests after", "requests failed", "another in after")
    return [
        head,
        *(
            (
                name,
                _seconds(one.changed("DeregisterTargets", one.old)),
                _seconds(one.out),
                f"{len(one.failed)} of {len(one.moments)}",
                _seconds(one.back),
            )
            for name, one in {"come": told, "are lost": untold}.items()
        ),
    ]


def _seconds(after: float) -> str:
    return f"{after:.1f} s" if after < 10 else f"{after:.0f} s"


def claims_of(told: Absence, untold: Absence) -> tuple[Claim, ...]:
    """What is said of both deaths."""
    both = (told, untold)
    out, swept = (one.changed("DeregisterTargets", one.old) for one in both)
    return (
        Claim(
            f"woken by EC2's event, Watchkeeper took the dead node out after {_seconds(out)}", out <= PROMISED_SECONDS
        ),
        Claim(
            f"unheard, the balancer sent it nothing after {_seconds(untold.out)}; a sweep came after {_seconds(swept)}",
            untold.out <= CHECKED_SECONDS and swept <= SWEPT_SECONDS,
        ),
        Claim("requests failed until then, and not one after it", all(map(_is_short, both))),
        Claim("nothing else was changed: the other node was in, and healthy, all the time", all(map(_is_calm, both))),
        Claim(
            "both times the new node came in once EC2, and then the balancer, called it well", all(map(_is_back, both))
        ),
        Claim("no mail went out: nothing was asked of people but another node", not any(one.mails for one in both)),
    )


def _is_short(absence: Absence) -> bool:
    return all(0 <= after < absence.out for after in absence.failed)


def _is_calm(absence: Absence) -> bool:
    """The third node stays as it is, and each of the two others is changed once."""
    ends = (absence.old, absence.new)
    others = [[state for node, state in one.pool.items() if node not in ends] for one in absence.moments]
    changes = [(one.operation, one.node) for one in absence.changes]
    return changes == list(zip(DOES, ends, strict=True)) and all(states == [HEALTHY] for states in others)


def _is_back(absence: Absence) -> bool:
    """It was running for long enough that its status checks can pass."""
    runs = min((one.after for one in absence.moments if one.nodes.get(absence.new) == "running"), default=inf)
    registered = absence.changed("RegisterTargets", absence.new)
    return runs + INITIALIZING_SECONDS <= registered < absence.back < inf and absence.gone < inf
