"""Why a host is not replaced although something is the matter: each a named value with a sentence; pure.

What would prevent it on any day is in obstacles.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import applications, tags
from watchkeeper.look import read_time, stamp
from watchkeeper.replacement.scene import STOPPED, retired_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Failure
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A name that never changes, for tags and metrics, and a sentence for people: what is wrong, and what to do.

    `is_advice` where the host is well, and it is only told: nothing is refused at this moment.
    """

    name: str
    sentence: str
    is_advice: bool = False


def stopped_by_people(host: Host) -> Refusal:
    """A stop that somebody wished is no death."""
    return Refusal(
        "stopped-by-people",
        f"{host.id} was stopped by somebody ({host.reason}), and is left so: start it again, terminate it to have it "
        f"replaced, or deploy with ReplaceStoppedByPeople=true.",
    )


def detached(scene: Scene, host: Host) -> Refusal:
    """A volume is away though its host is well: somebody is at it."""
    away = ", ".join(one.id for one in scene.volumes if one.host != host.id)
    return Refusal(
        "detached-while-healthy",
        f"{away} is not attached to {host.id}, which runs and is well: somebody is at it, so nothing is done. Attach "
        f"it again, or terminate {host.id} to have it replaced.",
    )


def hanging(volumes: Sequence[Volume]) -> Refusal:
    """A volume of a host that runs stays half attached."""
    said = ", ".join(f"{one.id} is {one.attachment.state}" for one in volumes if one.attachment)
    first = volumes[0]
    return Refusal(
        "volume-hangs",
        f"{said} on {first.host}, which runs: unmount it there, which ends a detachment that is busy, or stop the host "
        f"and aws ec2 detach-volume --force --volume-id {first.id}; then attach it again.",
    )


def moved_by_hand(scene: Scene) -> Refusal:
    """The anchor is on an instance that nothing says we may use."""
    return Refusal(
        "moved-by-hand",
        f"{scene.anchor.id} is attached to {scene.holder}, and the database was settled on {scene.home}: tag "
        f"{scene.holder} {tags.APPLICATION}={scene.application} and {tags.ROLE}={tags.DATABASE_HOST} if that is its "
        f"host now, or attach the volume where it was.",
    )


def never_settled(scene: Scene) -> Refusal:
    """Nobody remembers where it ran, nor what lies where on its volumes."""
    return Refusal(
        "never-settled",
        f"{', '.join(scene.ids)} were never seen with a server that runs on them, so nobody knows where another host "
        f"would have to mount them: attach them to the instance that the database shall run on, tagged "
        f"{tags.APPLICATION}={scene.application} and {tags.ROLE}={tags.DATABASE_HOST}, and start it there.",
    )


def zone(scene: Scene, host: Host) -> Refusal | None:
    """Many hosts of the zone look dead at once."""
    found = scene.details.zone if scene.details else None
    if found is None or not found.is_in_trouble:
        return None
    seen = (
        f"{found.dead} of {found.hosts} database hosts"
        if found.is_read
        else "an unknown number of hosts (EC2 does not say)"
    )
    return Refusal(
        "zone-looks-dead",
        f"{seen} in {host.zone} look dead at once, so {host.id}, which still runs, is left alone: see the health of "
        f"the zone; hosts that are stopped or terminated are replaced all the same.",
    )


def answers(host: Host) -> Refusal:
    """EC2 holds the host for dead, and its database answers."""
    return Refusal(
        "host-answers",
        f"EC2 says that {host.id} is impaired, and its database takes writes all the same, so it is left alone: "
        f"look at its network and its status checks, or terminate it to have it replaced.",
    )


def budget(scene: Scene, settings: Settings) -> Refusal | None:
    """So many replacements in a day mean that something else is wrong."""
    spent = entries(scene)
    if len(spent) < settings.budget or f"{scene.home}.{scene.next_number}" in spent.values():
        return None
    return Refusal(
        "budget-spent",
        f"Its host was replaced {len(spent)} times within 24 hours, which is all that ReplacementsPerDay allows: find "
        f"out what ends its hosts; remove {tags.REPLACED} from {scene.anchor.id} to let it be replaced again.",
    )


def entries(scene: Scene, age: timedelta = DAY) -> dict[str, str]:
    """The replacements within this age that the anchor remembers: by time, which host and which number."""
    found = (one.partition("=") for one in scene.anchor.tags.get(tags.REPLACED, "").split())
    return {time: of for time, _, of in found if _is_recent(time, scene, age)}


def last_step(scene: Scene) -> datetime | None:
    """When a move that has begun last got on, as all that it touches remembers; None if there is none."""
    home, target = scene.hosts.get(scene.home), scene.target
    # A host that EC2 does not know has no other trace: what is remembered of it holds for longer than a day.
    counted = entries(scene, DAY if home else timedelta.max)
    moments = [read_time(time) for time, of in counted.items() if of.startswith(f"{scene.home}.")]
    if home and (retired := retired_at(home)):
        moments.append(retired)
    elif scene.condition(home) in ("alive", "starting") and scene.holds_all(scene.home):
        return None  # what is remembered is of a host that was found well
    if moments:
        moments += [began for one in (home, target) if one and (began := scene.began(one))]
        sent = scene.details.starts if scene.details else {}
        moments += [start.asked for one in (home, target) if one for start in sent.get(one.id, ())]
    return max(moments, default=None)


def _is_recent(time: str, scene: Scene, age: timedelta) -> bool:
    try:
        return scene.now - read_time(time) < age
    except ValueError:
        return False


def takes_long(scene: Scene, since: datetime, waits: Sequence[str]) -> Refusal:
    """A move waits for what should have come long ago."""
    goal = scene.target.id if scene.target else scene.home
    held = [(one.id, one.attachment) for one in scene.volumes if one.attachment]
    leaving = [at.host for _, at in held if at.host != goal]
    arriving = [name for name, at in held if at.host == goal and at.state != "attached"]
    first = leaving[0] if leaving else goal
    way_out = ""
    if leaving:
        way_out = (
            f" Volumes do not leave {first}: stop it, and when it is seen stopped or terminated, aws ec2 detach-volume "
            f"--force --instance-id {first} --volume-id (each that hangs); the move then goes on by itself."
        )
    elif arriving:
        way_out = (
            f" Attaching {', '.join(arriving)} to {goal} does not end: aws ec2 detach-volume --instance-id {goal} "
            f"--volume-id (each), after which it is tried under another name; or terminate {goal}, and another host is "
            f"tried."
        )
    return Refusal(
        "takes-long",
        f"Its move away from {scene.home} stands still since {stamp(since)}, until {'; '.join(waits)}. See what AWS "
        f"says: aws ec2 describe-instances --instance-ids {first}; aws ec2 describe-volumes --volume-ids "
        f"{' '.join(scene.ids)}.{way_out}",
    )


def host_unknown(scene: Scene) -> Refusal:
    """A volume is attached to what EC2 does not describe, so nobody can see it stopped."""
    held = ", ".join(one.id for one in scene.volumes if one.attachment and one.attachment.host == scene.home)
    return Refusal(
        "host-unknown",
        f"EC2 says that {held} is attached to {scene.home}, and does not know {scene.home}: if that stays so, and you "
        f"know that it is gone, aws ec2 detach-volume --force --instance-id {scene.home} --volume-id (its id) lets the "
        f"next look go on; else ask AWS.",
    )


def template_gone(scene: Scene) -> Refusal | None:
    """A move has begun, and nothing says any more from what its hosts are launched."""
    if not scene.volumes or last_step(scene) is None:
        return None
    return Refusal(
        "launch-template-gone",
        f"The move of its volumes away from {scene.home} has begun, and no launch template is tagged for it any more: "
        f"tag one {tags.APPLICATION}={scene.application} and {tags.ROLE}={tags.DATABASE_LAUNCH}, and the move goes on.",
    )


def launch(scene: Scene, failure: Failure, host: Host | None) -> Refusal:
    """AWS makes no instance now."""
    again = ""
    if host and host.state in (*STOPPED, "running", "pending"):
        again = f" Meanwhile {host.id} is stopped and started again, on other hardware."
    if failure.is_capacity:
        tried = " ".join(("its own type", *scene.launches[0].types))
        return Refusal(
            "no-capacity",
            f"AWS has no room for {tried} in {scene.anchor.zone} now ({failure.code}). It is tried again each minute; "
            f"name other types in {tags.INSTANCE_TYPES} of {scene.launches[0].id}.{again}",
        )
    return Refusal(
        "launch-refused",
        f"AWS refuses to launch {scene.launches[0].id}: {failure.message} ({failure.code}). Mend the template, or the "
        f"stack's parameters LaunchRoleArns and KeyArns; it is tried again each minute.{again}",
    )


def name(scene: Scene) -> Refusal | None:
    """Its name is none, so that nothing may be done with it."""
    if applications.NAME.fullmatch(scene.application):
        return None
    return Refusal("odd-name", f"{scene.application!r} is no name of an application: {applications.WHAT_A_NAME_IS}.")
