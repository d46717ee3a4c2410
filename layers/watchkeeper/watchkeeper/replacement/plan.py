"""Decides what to do about a database's host now: a refusal, or the writes that make sense at this moment; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.look import stamp
from watchkeeper.replacement import calm, loss, obstacles, pauses, refusals
from watchkeeper.replacement.actions import Launch, StartAgain, Untag
from watchkeeper.replacement.move import fence, move
from watchkeeper.replacement.scene import GONE, YOUNG
from watchkeeper.replacement.verdict import Plan
from watchkeeper.restore.actions import Send, Tag, Tell

if TYPE_CHECKING:
    from watchkeeper.aws.hosts import Host
    from watchkeeper.replacement.actions import Action
    from watchkeeper.replacement.refusals import Refusal
    from watchkeeper.replacement.scene import Scene
    from watchkeeper.replacement.settings import Settings

# How long a host whose checks fail may take to answer "writable" before its silence counts, and for how long it does.
ANSWER = timedelta(seconds=10)
ANSWERED = timedelta(minutes=1)

# A move lasts a minute or two; with a host that hangs, and a replacement that hangs too, a quarter of an hour.
LONG = timedelta(minutes=20)

# The last word of what the anchor remembers of a refusal, where it was only told of a host that is well.
ADVICE = "well"

# A volume that was made a moment ago is about to be attached.
NEW = timedelta(minutes=30)


def plan(scene: Scene, settings: Settings) -> Plan:
    """What to do now; without details only whether anything is. Telling of a refusal once is part of it."""
    found = _in_time(scene, _plan(scene, settings))
    return replace(found, actions=(*found.actions, *_tell(scene, found)))


def _in_time(scene: Scene, found: Plan) -> Plan:
    """What a move still waits for after so long is told; it goes on all the same."""
    if found.refusal or not found.waits or not scene.volumes or not scene.details:
        return found
    since = refusals.last_step(scene)
    if since is None:
        return replace(found, refusal=obstacles.address_hangs(scene, LONG))
    if scene.now - since < LONG:
        return found
    return replace(found, refusal=refusals.takes_long(scene, since, found.waits))


def _plan(scene: Scene, settings: Settings) -> Plan:
    if not scene.launches:
        return Plan(refusals.template_gone(scene))
    host = scene.hosts.get(scene.home) if scene.volumes else None
    paused = pauses.paused(scene, host)
    if refusal := refusals.name(scene) or (None if paused else loss.returned(scene)):
        return Plan(refusal)
    is_whole = bool(scene.volumes) and not scene.members - set(scene.ids)
    is_calm = is_whole and scene.condition(host) in ("alive", "starting") and scene.holds_all(scene.home)
    if paused:
        is_left = is_calm or pauses.is_being_restored(scene, host)
        return Plan(is_paused=True) if is_left else Plan(paused)
    if not is_whole:
        return loss.plan(scene, settings)
    if is_calm and host:
        return calm.plan(scene, settings, host)
    return _away(scene, settings, host)


def _away(scene: Scene, settings: Settings, host: Host | None) -> Plan:
    """What to do for a database whose host is not well, or has not all its volumes: a death, or somebody's doing?"""
    condition = scene.condition(host)
    if not scene.settled:
        is_new = any(scene.now - one.created < NEW for one in scene.volumes)
        return Plan(waits=("its volumes are attached",)) if is_new else Plan(refusals.never_settled(scene))
    if scene.holder not in ("", scene.home) and not _may_hold(scene):
        return Plan(refusals.moved_by_hand(scene))
    # That a replacement runs entitles to nothing: it may have been launched in vain.
    has_begun = scene.holder not in ("", scene.home) or bool(host and tags.RETIRED in host.tags)
    is_away = has_begun and scene.holder != scene.home
    if condition == "stopped-by-people" and host and not settings.is_stopped_by_people_replaced and not is_away:
        return Plan(refusals.stopped_by_people(host))
    if condition in ("alive", "starting") and host and not has_begun:
        return Plan(refusals.detached(scene, host))
    return _replace(scene, settings, host)


def _may_hold(scene: Scene) -> bool:
    holder = scene.hosts.get(scene.holder)
    return holder is None or (
        holder.application == scene.application and holder.tags.get(tags.ROLE) == tags.DATABASE_HOST
    )


def _replace(scene: Scene, settings: Settings, host: Host | None) -> Plan:
    details = scene.details
    if details is None:
        return Plan(waits=(f"{scene.home} is {scene.condition(host)}",))
    if host is None and any(one.attachment and one.attachment.host == scene.home for one in scene.volumes):
        return Plan(refusals.host_unknown(scene), waits=(f"EC2 describes {scene.home}, or its volumes without it",))
    if unfinished := loss.finish(scene, settings):
        return unfinished
    there = host if host and host.state not in GONE else None
    refusal = obstacles.volumes(scene)
    if not refusal and not scene.target:
        refusal = obstacles.templates(scene) or obstacles.not_ours(scene, there) or refusals.budget(scene, settings)
    if refusal:
        return Plan(refusal)
    if doubt := _doubt(scene, host):
        return doubt
    if scene.target:
        return move(scene, settings, scene.target)
    if host and scene.age(host) < YOUNG and details.failure is None:
        return Plan(waits=(f"{host.id} was started less than ten minutes before it died",))
    if details.failure:
        return Plan(refusals.launch(scene, details.failure, there), _restart(scene, settings, host))
    return Plan(actions=(_launch(scene),))


def _doubt(scene: Scene, host: Host | None) -> Plan | None:
    """Whether a host that still runs is dead: the zone speaks for it, or its database; None when nothing does."""
    if host is None or scene.condition(host) != "impaired" or scene.is_fenced(host):
        return None
    refusal = refusals.zone(scene, host)
    return Plan(refusal) if refusal else _ask(scene, host)


def _ask(scene: Scene, host: Host) -> Plan | None:
    """Whether its database answers, which vetoes: the question, its wait, the veto; None when it is silent."""
    details = scene.details
    if details is None or not details.is_reached.get(host.id):
        return None
    asked = [
        one for one in details.starts.get(host.id, ()) if one.command == "probe" and scene.now - one.asked < ANSWERED
    ]
    if not asked:
        words = {"volumeIds": " ".join(scene.ids)}
        return Plan(actions=(Send(host.id, "probe", words, "its checks fail: does its database answer?"),))
    last = asked[-1]
    if last.outcome is None and scene.now - last.asked < ANSWER:
        return Plan(waits=(f"{host.id} answers whether it is writable",))
    if last.is_success and last.outcome and (last.outcome.words.get("writable") or last.outcome.words.get("standby")):
        return Plan(refusals.answers(host))
    return None


def _launch(scene: Scene) -> Launch:
    number = scene.next_number
    spent = refusals.entries(scene)
    mine = f"{scene.home}.{number}"
    replaced = None
    if mine not in spent.values():
        replaced = " ".join(f"{time}={of}" for time, of in {**spent, stamp(scene.now): mine}.items())
    return Launch(number, scene.launches[0], replaced, f"{scene.home} is dead, and has no replacement yet")


def _restart(scene: Scene, settings: Settings, host: Host | None) -> tuple[Action, ...]:
    """No other host is to be had: the old one again, on other hardware. It is never terminated, being the only one."""
    if host is None or host.state in GONE or not scene.holds_all(host.id):
        return ()
    fenced = fence(scene, replace(settings, terminate_after=timedelta.max), host, "no other host is to be had")
    if host.state == "stopped":  # as one that we stopped, it is proven when it runs, and told
        return (*fenced, StartAgain(host.id, "no other host is to be had"))
    return fenced


def _tell(scene: Scene, found: Plan) -> tuple[Action, ...]:
    """Tells of a refusal when it begins: the anchor remembers which one it is of, and since when."""
    if found.is_paused or (not scene.volumes and not found.refusal):
        return ()
    if not scene.volumes and found.refusal:  # nothing is left that could remember it but the notice itself
        sets = scene.details.sets if scene.details else ()
        return (tell(scene, found.refusal, sets[-1].id if sets else "never"),)
    words = scene.anchor.tags.get(tags.REFUSED, "").split(" ")
    before, was_advice = words[0], words[-1] == ADVICE
    if scene.details is None and was_advice and (found.refusal is None or found.refusal.is_advice):
        return ()  # most of it is seen only closely, which once a day is enough for
    if found.refusal is None:
        is_over = before and found.is_empty  # while it is asked or waited for, nobody knows yet
        return (Untag((scene.anchor.id,), tags.REFUSED, f"{before} no longer holds"),) if is_over else ()
    if (found.refusal.name, found.refusal.is_advice) == (before, was_advice):
        return ()
    return _begin(scene, found.refusal, is_told=found.refusal.name == before and not was_advice)


def _begin(scene: Scene, refusal: Refusal, *, is_told: bool) -> tuple[Action, ...]:
    """What tells of a refusal and remembers it; as a refusal that was told before it is only remembered as advice."""
    if is_told and scene.details and scene.details.failure:
        return ()  # of the move that this look has seen end
    kind = f" {ADVICE}" if refusal.is_advice else ""
    told = tell(scene, refusal, f"{scene.home}.{scene.now:%Y-%m-%d}{kind.replace(' ', '.')}")
    words = {tags.REFUSED: f"{refusal.name} {stamp(scene.now)}{kind}"}
    remembered = Tag((scene.anchor.id,), words, refusal.name)
    return (remembered,) if is_told else (told, remembered)


def tell(scene: Scene, refusal: Refusal, of: str) -> Tell:
    """The notice of a refusal; `of` tells one occasion from another."""
    said = "is well; to be mended" if refusal.is_advice else "is not replaced"
    return Tell(
        f"{scene.application}.{refusal.name}.{of}",
        f"Watchkeeper: the host of {scene.application} {said} ({refusal.name})",
        f"{scene.application}: {refusal.sentence}",
        refusal.name,
    )
