"""The rehearsal that goes on: its group, its scratch host, the copies of its set, and what comes of them; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper.aws import launches
from watchkeeper.aws.hosts import BY_PEOPLE
from watchkeeper.aws.volumes import DEVICES
from watchkeeper.rehearsal import cleanup, outcome
from watchkeeper.rehearsal.actions import Copy, Launch, Narrow
from watchkeeper.rehearsal.scene import GONE, OFF, OUT
from watchkeeper.rehearsal.verdict import Plan, Trouble
from watchkeeper.restore import copies
from watchkeeper.restore.actions import Attach

if TYPE_CHECKING:
    from watchkeeper.aws.groups import Group
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Failure
    from watchkeeper.aws.scratch import Network
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.rehearsal.scene import Details, Rehearsal, Scene
    from watchkeeper.rehearsal.settings import Settings

# From running to an agent that answers it takes some ten to thirty seconds; an image that has much to do, minutes.
NO_AGENT = timedelta(minutes=15)

STUCK = timedelta(minutes=5)


def step(scene: Scene, settings: Settings, live: Rehearsal, of: SnapshotSet) -> Plan:
    """What makes sense now for the live rehearsal. Where nothing more can come of it, its time is waited for:

    a host launched anew has the token of the one that is gone, which AWS refuses for a day.
    """
    group = scene.group(live)
    if scene.details is None or group is None:
        return Plan(waits=(f"the rehearsal of {live.set} goes on",))
    if not is_narrow(group):
        return Plan((Narrow(group, "nothing comes in, and nothing but HTTPS goes out"),), ("its group is narrow",))
    launched = scene.scratch_hosts(live)
    usable = [one for one in launched if one.state not in (*GONE, *OFF)]
    if not usable:
        return _launch(scene, scene.details, live, group, launched)
    others = cleanup.merge([cleanup.retire(scene, one) for one in usable[1:]])
    return cleanup.merge([others, _go_on(scene, settings, live, of, usable[0])])


def is_narrow(group: Group) -> bool:
    """It was read to let nothing in, and out what an agent needs and no more."""
    return not group.incoming and group.outgoing == OUT


def obstacle(network: Network) -> Trouble | None:
    """What of a launch template prevents that a host is launched from it beside production."""
    if not network.vpc:
        return Trouble(
            "no-network", "The launch template names no subnet, nor has the account a default; or it is gone."
        )
    if network.claims:
        told = ", ".join(network.claims)
        return Trouble(
            "template-has-our-tags",
            f"The launch template tags what is launched from it with {told}, so that a scratch host would pass for one "
            f"of production: make a version without it the default.",
        )
    if network.is_spot:
        return Trouble(
            "template-is-spot",
            "The launch template asks for a spot instance, which would be no host of a database, and whose request may "
            "outlive it: make a version without it the default.",
        )
    if network.fixed or network.interfaces > 1:
        told = ", ".join(network.fixed) or f"{network.interfaces} network interfaces"
        return Trouble(
            "template-has-an-address",
            f"The launch template names {told}, which a scratch host would have in production's place: make a version "
            f"without it the default.",
        )
    return None


def _launch(scene: Scene, details: Details, live: Rehearsal, group: Group, before: list[Host]) -> Plan:
    if before:
        ended = f"{before[0].id} is {before[0].state} ({before[0].reason})"
        return _end(scene, live, _gone(ended, is_told=before[0].reason not in BY_PEOPLE))
    if trouble := obstacle(details.network) or _refusal(details.failure):
        return _end(scene, live, trouble)
    launch = Launch(live, scene.launches[0], details.network, group.id, "the set is restored beside production")
    return Plan((launch,), ("the scratch host is launched",))


def _refusal(failure: Failure | None) -> Trouble | None:
    """What RunInstances said in place of a host."""
    if failure is None:
        return None
    if failure.is_capacity:
        return Trouble("no-capacity", f"No scratch host is to be had now: {failure.message}")
    if failure.code in (launches.OF_A_TERMINATED, launches.OTHER_PARAMETERS):  # of another version, and not there
        return _gone("what RunInstances made is terminated", is_told=False)
    return Trouble("launch-refused", f"The scratch host cannot be launched: {failure.code}: {failure.message}")


def _gone(what: str, *, is_told: bool) -> Trouble:
    """That it was ended, by whom that was, is no news: what it was ended for was told."""
    return Trouble("host-gone", f"The scratch host is gone before anything came of it: {what}.", is_told)


def _end(scene: Scene, live: Rehearsal, trouble: Trouble) -> Plan:
    """Nothing more comes of it: all goes but its group, which keeps it from beginning anew each hour; by force, all."""
    if scene.forced_at and live.since < scene.forced_at:
        return cleanup.clean(scene, live, is_ended=True, with_group=True)
    found = cleanup.clean(scene, live, is_ended=True)
    return replace(found, trouble=trouble)


def _go_on(scene: Scene, settings: Settings, live: Rehearsal, of: SnapshotSet, host: Host) -> Plan:
    """What is next for the scratch host. Nothing is given to it before it is seen to be nobody else."""
    if kept := cleanup.let_go(scene, host):
        return Plan(kept, ("its own disks end with it",))
    if host.state != "running":
        return Plan(waits=(f"{host.id} is running",))
    if trouble := _exposed(scene, settings, live, host):
        return _end(scene, live, trouble)
    made = list({one.snapshot: one for one in reversed(scene.copies(live))}.values())[::-1]
    if len(made) < len(of.members):
        return _copy(scene, live, of, host, made)
    if any(one.attachment is None or (one.host, one.attachment.state) != (host.id, "attached") for one in made):
        return _attach(scene, live, host, made)
    found = outcome.conclude(scene, settings, of, host, made)
    return _end(scene, live, found.trouble) if found.trouble else found


def _exposed(scene: Scene, settings: Settings, live: Rehearsal, host: Host) -> Trouble | None:
    """As EC2 shows it: behind its own group alone, and with its own profile."""
    group = scene.group(live)
    if group and host.groups == {group.id} and host.profile == settings.profile:
        return None
    return Trouble(
        "not-alone",
        f"The scratch host {host.id} came up with the groups {', '.join(sorted(host.groups)) or 'none'} and the "
        f"profile {host.profile or 'none'}, so that nothing was given to it: see the launch template.",
    )


def _copy(scene: Scene, live: Rehearsal, of: SnapshotSet, host: Host, made: list[Volume]) -> Plan:
    """The copies cost most, so they are made when there is somebody to start them."""
    if not (scene.details and scene.details.is_reached):
        if scene.age(host) < NO_AGENT:
            return Plan(waits=(f"the agent of {host.id} answers",))
        minutes = int(NO_AGENT / timedelta(minutes=1))
        sentence = (
            f"The agent of the scratch host {host.id} did not answer in {minutes} minutes. "
            f"The image of {scene.launches[0].id} must run one, without the template's user data; it needs HTTPS to "
            f"SSM and the network's own name server, and nothing else is let out."
        )
        return _end(scene, live, Trouble("no-agent", sentence))
    if vanished := scene.details.vanished:
        sentence = (
            f"The copies of {', '.join(vanished)} were made, and are not there: so it is where EC2 may not use a key. "
            f"See the stack's parameter KeyArns."
        )
        return _end(scene, live, Trouble("copy-unusable", sentence))
    there = {one.snapshot for one in made}
    missing = [
        Copy(live, member, kind, host.zone, "a set is restored whole")
        for member, kind in zip(of.members, copies.types(of), strict=True)
        if member.id not in there
    ]
    return Plan(tuple(missing), ("the copies are made",))


def _attach(scene: Scene, live: Rehearsal, host: Host, made: list[Volume]) -> Plan:
    strange = [one for one in made if one.attachment and one.attachment.host != host.id]
    if broken := [one.id for one in made if one.state == "error"] or [one.id for one in strange]:
        sentence = f"{', '.join(broken)}, made of the set, cannot be attached to {host.id}."
        return _end(scene, live, Trouble("copy-unusable", sentence))
    names = [name for name in DEVICES if name not in host.devices.values()]
    if not names:
        sentence = f"{host.id} has no device name free of {DEVICES[0]} to {DEVICES[-1]} for all copies of the set."
        return _end(scene, live, Trouble("copy-unusable", sentence))
    turn = int(scene.age(host) / STUCK) % len(names)
    free = [one for one in made if one.attachment is None and one.state == "available"]
    actions = tuple(
        Attach(one.id, host.id, name, "the scratch host starts PostgreSQL on the copies")
        for one, name in zip(free, names[turn:] + names[:turn], strict=False)
    )
    return Plan(actions, ("the copies are attached",))
