"""A calm day: what keeps a database that is well ready to be moved, and tells early what would prevent it; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws import launches
from watchkeeper.replacement import obstacles, refusals, telling
from watchkeeper.replacement.actions import Protect, Rehearse, Terminate, Untag
from watchkeeper.replacement.arrival import BACKOFF, arrive, point, proven, start_words, starts_since
from watchkeeper.replacement.move import fence, is_busy, is_stuck, protect
from watchkeeper.replacement.refusals import Refusal
from watchkeeper.replacement.scene import MOST_REPLACEMENTS, retired_at
from watchkeeper.replacement.verdict import Plan
from watchkeeper.restore.actions import Send, Tag

if TYPE_CHECKING:
    from watchkeeper.aws.hosts import Host
    from watchkeeper.replacement.actions import Action
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

# A look lasts a minute, so none that wanted the host stopped is under way any more.
FORGOTTEN = timedelta(minutes=2)

# What nobody moved a volume to within half an hour was launched in vain.
STRAY = timedelta(minutes=30)


def plan(scene: Scene, settings: Settings, host: Host) -> Plan:
    """What to do for a database whose host runs and has all its volumes."""
    if not scene.has_all(host.id) or host.state != "running":
        hanging = tuple(one for one in scene.volumes if is_busy(one, host) or is_stuck(scene, one, host))
        if hanging and host.state == "running":
            return Plan(refusals.hanging(hanging))
        return Plan(waits=(f"{host.id} runs, with its volumes attached",))
    kept = (*protect(scene, host), *_clear_up(scene, settings))
    if scene.is_ailing(host):
        return Plan(actions=kept, waits=(f"the checks of {host.id} fail for two minutes, or no longer",))
    refusal = obstacles.templates(scene) or obstacles.not_ours(scene, host) or obstacles.volumes(scene)
    if refusal is None and scene.details and scene.details.failure:
        refusal = refusals.launch(scene, scene.details.failure, None)
    if refusal:
        return Plan(replace(refusal, is_advice=True), kept)
    if tags.RETIRED in host.tags:
        found = _forgive(scene, settings, host)
    elif scene.settled != host.id or scene.members != set(scene.ids):
        found = _remember(scene, settings, host)
    else:
        found = point(scene, settings, host)
    due = _daily(scene, host) if found.is_empty and not found.refusal else ()
    return Plan(found.refusal or obstacles.endings(scene, host), (*kept, *found.actions, *due), found.waits)


def _remember(scene: Scene, settings: Settings, host: Host) -> Plan:
    """Settles a database for the first time, or with a volume more: once its host has written down what lies where."""
    details = scene.details
    if details is None:
        return Plan(waits=("its host remembers what lies where",))
    if not details.is_reached.get(host.id):
        return _not_recorded(
            scene, host, "SSM does not reach it: its agent must run, with AmazonSSMManagedInstanceCore."
        )
    sent = [one for one in details.starts.get(host.id, ()) if one.command == "record"]
    if sent and sent[-1].outcome is None:
        return Plan(waits=(f"{host.id} writes down what lies where",))
    if sent and sent[-1].is_success:
        remembered = {tags.HOST: host.id, tags.VOLUMES: " ".join(scene.ids)}
        return Plan(actions=(Tag(scene.ids, remembered, "its server was seen there, on exactly these volumes"),))
    if sent and not scene.settled and tags.REPLACES in host.tags:  # we launched it, and its tags were lost on the way
        return arrive(scene, settings, host)
    failed = len(sent)
    said = sent[-1].outcome.error if sent and sent[-1].outcome else ""
    found = _not_recorded(scene, host, said) if failed >= len(BACKOFF) else Plan()
    if sent and scene.now - sent[-1].asked < BACKOFF[min(failed, len(BACKOFF)) - 1] * failed:
        return Plan(found.refusal, waits=("a while before its host is asked again",))
    send = Send(host.id, "record", {"volumeIds": " ".join(scene.ids)}, "its database is not settled yet")
    return Plan(found.refusal, (send,), found.waits)


def _not_recorded(scene: Scene, host: Host, said: str) -> Plan:
    if scene.age(host) < FORGOTTEN * 5:
        return Plan(waits=(f"{host.id} can be asked what lies where",))
    sentence = (
        f"{host.id} could not write down what of its database lies where, so that no other host would know where to "
        f"mount {', '.join(scene.ids)}: {said}"
    )
    return Plan(Refusal("not-recorded", sentence))


def _forgive(scene: Scene, settings: Settings, host: Host) -> Plan:
    """We had set out to stop this host, and it is well again, or was started again: it is settled as before.

    The tag must go, or the next stop by a person would be taken for ours.
    """
    details = scene.details
    if details is None:
        return Plan(waits=(f"{host.id} is well again",))
    moment = max(filter(None, (scene.began(host), retired_at(host))), default=scene.now)
    if scene.now - moment < FORGOTTEN:
        return Plan(waits=(f"{host.id} is well for two minutes",))
    if not details.is_reached.get(host.id):
        return Plan(waits=(f"SSM reaches {host.id}, which is well again",))
    sent = starts_since(scene, host, moment)
    if proof := proven(sent):
        over = Untag((host.id,), tags.RETIRED, "it is well again, and its database takes writes")
        return Plan(actions=telling.before(scene, proof, telling.kept(scene, host), over))
    if sent and (sent[-1].outcome is None or scene.now - sent[-1].asked < BACKOFF[-1]):
        return Plan(waits=(f"PostgreSQL is proven on {host.id}",))
    return Plan(
        actions=(Send(host.id, "start", start_words(scene, settings), "it was to be stopped, and is well again"),)
    )


def _clear_up(scene: Scene, settings: Settings) -> tuple[Action, ...]:
    """Stops what was launched in vain; terminates what was kept long enough, if it is to be at all."""
    steps: list[Action] = []
    for one in scene.hosts.values():
        if one.id == scene.home or one.application != scene.application or set(one.volumes) & set(scene.ids):
            continue
        holds_more = set(one.volumes) - {one.root}
        is_somebodys = tags.RETIRED in one.tags and not scene.is_retired(one)
        is_ours = _is_launched(scene, one) and not is_somebodys and not holds_more
        if is_ours and one.state in ("running", "stopping") and scene.age(one) > STRAY:
            steps += fence(scene, settings, one, "it was launched in vain")
        since = retired_at(one)
        days = settings.retired_host_days
        if days and one.state == "stopped" and since and not is_somebodys and scene.now - since > timedelta(days=days):
            whole = tuple(sorted(one.devices.values()))
            steps += [Protect(one.id, whole, "nothing of it is deleted"), Terminate(one.id, f"retired for {days} days")]
    return tuple(steps)


def _is_launched(scene: Scene, host: Host) -> bool:
    """We launched it for this database, by the token that AWS keeps: a tag may be copied."""
    of = host.tags.get(tags.REPLACES)
    tokens = (launches.token(scene.anchor.id, of, number) for number in range(MOST_REPLACEMENTS)) if of else ()
    return host.token in tokens


def _daily(scene: Scene, host: Host) -> tuple[Action, ...]:
    """Once a day: would a launch be allowed, and does the volume still know what lies where?"""
    details = scene.details
    if details is None or not details.is_due:
        return ()
    steps: list[Action] = [Rehearse(scene.launches[0], "once a day it is asked whether a launch would be allowed")]
    sent = [one for one in details.starts.get(host.id, ()) if one.command == "record"]
    if details.is_reached.get(host.id) and (not sent or scene.now - sent[-1].asked > timedelta(hours=1)):
        steps.append(Send(host.id, "record", {"volumeIds": " ".join(scene.ids)}, "once a day"))
    return tuple(steps)
