"""Decides what to do now to put volumes into the database's place, a set's or those from before; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws.hosts import BY_PEOPLE, THERE
from watchkeeper.look import stamp
from watchkeeper.restore import arrival, begin, choice, copies, telling
from watchkeeper.restore.actions import Detach, Make, Protect, Tag
from watchkeeper.restore.commands import ask
from watchkeeper.restore.scene import FOR_DATABASE, OFF, ago, group
from watchkeeper.restore.verdict import STEPS, Plan

if TYPE_CHECKING:
    from watchkeeper.aws.snapshots import SnapshotSet
    from watchkeeper.look import Look
    from watchkeeper.restore.scene import Operation, Scene
    from watchkeeper.restore.settings import Settings
    from watchkeeper.restore.wish import Wish

# A set takes seconds; Lambda delivers a try that failed again after one minute, and after two.
PATIENCE = timedelta(minutes=5)

# snapshot_database refuses a run that is an hour old.
OLD = timedelta(minutes=45)

# So long a stop counts: what could start PostgreSQL again meanwhile is a person.
STOPPED_FOR = timedelta(minutes=1)

# From running to an agent that answers it takes some ten to thirty seconds.
NO_AGENT = timedelta(minutes=5)

# A write of the invocation that was at it before may be on its way still: what is sent once is answered in 15 s.
ON_ITS_WAY = timedelta(seconds=20)


def plan(scene: Scene, wish: Wish, look: Look, settings: Settings) -> Plan:
    """What to do now for a wish that is about the database's place."""
    operation = scene.operation
    if operation is None:
        return _begin(scene, wish, look)
    if refusal := _refuse(scene, operation, wish):
        return Plan(refusal=refusal)
    if wish.is_undo and not operation.is_undo:
        return begin.turn_round(scene, operation)
    if not scene.home:
        return Plan(refusal=telling.homeless(scene))
    return _pause(scene, operation) or _carry_on(scene, operation, look, settings)


def _begin(scene: Scene, wish: Wish, look: Look) -> Plan:
    """A look that was delivered twice, or killed after its last write, finds that it has ended."""
    if scene.worked and scene.worked == begin.ended(scene):
        return Plan(step=len(STEPS), is_done=True)
    if scene.worked:
        return Plan(refusal=f"Somebody else has ended {scene.worked.word!r} meanwhile, without a restore.")
    over = begin.ended(scene, begin.FORCED if look.force else begin.ENDED)
    if over and begin.is_meant(scene, wish, over):
        return Plan(step=len(STEPS), is_done=True)
    if over and not look.force and begin.was_undone(scene, wish, over):
        return Plan(refusal=telling.undone(scene, over))
    return begin.begin(scene, is_undo=wish.is_undo)


def _refuse(scene: Scene, operation: Operation, wish: Wish) -> str:
    """Why this wish has nothing to say about what is under way."""
    others = [name for name, word in scene.paused.items() if not tags.is_restoring(word)]
    if others:
        return (
            f"{', '.join(others)} was paused by somebody while {operation.word!r} is under way: remove {tags.PAUSED}."
        )
    if wish.is_undo:
        return ""
    undo = telling.undo(scene)
    if operation.is_undo:
        return f"An undo is under way ({operation.word}): {undo} carries on with it."
    if scene.set is None or (not scene.set.is_whole and (scene.leaving or scene.is_torn)):
        return f"The set {operation.set} of the restore under way is not there any more: {undo} puts back what was."
    if choice.fits(wish, scene.set):
        return ""
    return (
        f"Another restore is under way, of the run {stamp(scene.set.run)} ({operation.word}): "
        f"name its set to carry on with it, or send {undo} first."
    )


def _pause(scene: Scene, operation: Operation) -> Plan | None:
    """What two who began at once, or one who was killed, have left unlike; None once all is paused for the same."""
    if operation.is_undo and scene.incoming:
        back = begin.members(scene, scene.incoming[0])
        if isinstance(back, str):
            return Plan(() if _has_begun(scene) else arrival.unpause(scene), refusal=back)
        if unmarked := tuple(one.id for one in back if one not in scene.incoming):
            mark = {tags.PAUSED: operation.word, tags.RESTORED_FOR: operation.word}
            return Plan((Tag(unmarked, mark, "these are put back with the others"),))
    if not scene.leaving and not scene.is_torn:
        return None
    hosts = (scene.host,) if scene.host and scene.host.state in THERE else ()
    held = [(one.id, one.tags) for one in (*scene.leaving, *scene.incoming)] + [(one.id, one.tags) for one in hosts]
    open_ = tuple(name for name, words in held if words.get(tags.PAUSED) != operation.word)
    if open_:
        return Plan((Tag(open_, {tags.PAUSED: operation.word}, "nobody else is to touch it meanwhile"),))
    return None


def _carry_on(scene: Scene, operation: Operation, look: Look, settings: Settings) -> Plan:
    host = scene.host
    if host is None or host.state in OFF:
        return _without_host(scene, operation)
    if host.state != "running":
        return Plan(waits=(f"{host.id} is {host.state}",))
    if scene.turned and ago(scene, scene.turned) < ON_ITS_WAY:
        return Plan(waits=("what was asked of AWS before is done",))
    if host.id not in scene.reached:
        return _without_agent(scene, host.id)
    if scene.leaving:
        return _clear(scene, operation, look)
    if waiting := arrival.put_in(scene, operation):
        return waiting
    if waiting := arrival.attach(scene):
        return waiting
    return arrival.start(scene, settings)


def _without_host(scene: Scene, operation: Operation) -> Plan:
    """Its host died: what is torn is made whole, which takes no host, and replace_database_host does the rest."""
    host = scene.host
    is_left = host and host.state == "stopped" and host.reason in BY_PEOPLE and tags.RETIRED not in host.tags
    if host and is_left and (_has_begun(scene) or not scene.leaving):
        return Plan(refusal=telling.stopped(host, operation))
    if scene.is_torn:
        held = tuple(f"{one.id} is detached" for one in scene.leaving if one.attachment)
        if held:  # it was, or nothing would have been put aside: somebody is at it
            return Plan(waits=held, step=4)
        return (_put_aside(scene) if scene.leaving else None) or arrival.put_in(scene, operation) or Plan()
    if not scene.leaving:
        return arrival.finish(scene, ())
    return Plan(
        arrival.unpause(scene),
        refusal=(
            f"{scene.home} is {scene.host.state if scene.host else 'gone'}, so nothing was put into its database's "
            f"place: replace_database_host brings it up elsewhere, or start it again; then send the event again."
        ),
    )


def _without_agent(scene: Scene, host: str) -> Plan:
    if ago(scene, scene.began) < NO_AGENT:
        return Plan(waits=(f"the SSM agent of {host} answers",))
    return Plan(
        refusal=(
            f"SSM does not reach {host}, on which PostgreSQL is to be stopped or started: see to its agent and send "
            f"the event again; if it hangs, stop the instance first. Until then all stays paused."
        )
    )


def _clear(scene: Scene, operation: Operation, look: Look) -> Plan:
    """What was there before makes room: kept by a set, stopped, detached, and put aside."""
    if not _has_begun(scene) and (waiting := _protect(scene, operation, look)):
        return waiting
    if waiting := _make(scene, operation):  # what was made may be gone again
        return waiting
    held = [one for one in scene.leaving if one.attachment]
    strange = [one for one in held if one.attachment and one.attachment.host != scene.home]
    if strange:
        return Plan(refusal=telling.elsewhere(strange, scene.home))
    if held:
        return _free(scene)
    return _put_aside(scene)


def _has_begun(scene: Scene) -> bool:
    """PostgreSQL was stopped for it, or a volume has left: then there is its set, and all that is to come."""
    return bool(scene.stops) or any(
        one.attachment is None or one.attachment.state != "attached" or one not in scene.leaving
        for one in scene.outgoing
    )


def _protect(scene: Scene, operation: Operation, look: Look) -> Plan | None:
    made = [
        one
        for one in scene.sets
        if one.run == operation.since and one.is_whole and one.is_concluded and not one.has_failed
    ]
    if ago(scene, operation.since) > OLD:
        return begin.anew(scene, operation)
    if made or not begin.was_in_use(scene):
        return None
    if ago(scene, scene.began) < PATIENCE:
        protect = Protect(stamp(operation.since), "what is put aside is kept twice")
        return Plan((protect,), (f"snapshot_database has made the set of {stamp(operation.since)}",), 1)
    if look.force:
        return None
    return Plan(arrival.unpause(scene), refusal=telling.unprotected(scene, operation), step=1)


def _make(scene: Scene, operation: Operation) -> Plan | None:
    if scene.missing and scene.is_making_late:
        return Plan(refusal=f"{telling.unmade(scene.missing)} {telling.undo(scene)} ends the restore.", step=2)
    if scene.missing and scene.set:
        words = copies.place(scene.outgoing) | {tags.RESTORED_FOR: FOR_DATABASE, tags.PAUSED: operation.word}
        wanted: SnapshotSet = replace(scene.set, members=scene.missing)
        zone = scene.outgoing[0].zone
        return Plan((Make(wanted, zone, words, operation.word, "they take the database's place"),), step=2)
    creating = [one.id for one in scene.incoming if one.state == "creating"]
    if creating:
        return Plan(waits=(f"EBS has made {', '.join(creating)}",), step=2)
    strange = [one for one in scene.incoming if one.attachment and one.attachment.host != scene.home]
    broken = [one.id for one in scene.incoming if one.state not in ("available", "in-use")]
    if strange or broken:
        why = telling.elsewhere(strange, scene.home) if strange else f"EBS could not make {', '.join(broken)}."
        return Plan(refusal=why, step=2)
    return None


def _free(scene: Scene) -> Plan:
    """PostgreSQL is stopped and unmounted a moment ago; the anchor leaves last."""
    mounted = [one for one in scene.leaving if one.attachment and one.attachment.state != "detaching"]
    sent = scene.stops
    is_stopped = bool(sent) and sent[-1].is_success and ago(scene, sent[-1].asked) < STOPPED_FOR
    if mounted and not is_stopped:
        return ask(scene, scene.home, "stop", {"volumeIds": group(scene.outgoing)}, 3)
    if told := _remember(scene):
        return Plan((told,), step=4)
    steps = [Detach(one.id, scene.home, "nothing of it is mounted any more") for one in reversed(mounted)]
    return Plan(tuple(steps), tuple(f"{one.id} leaves {scene.home}" for one in scene.leaving if one.attachment), 4)


def _remember(scene: Scene) -> Tag | None:
    """The highest timeline outlives SSM's memory on the volumes: one that is begun twice ruins an archive."""
    known = scene.timeline
    if not known or all(one.tags.get(tags.TIMELINE) == str(known) for one in scene.leaving):
        return None
    return Tag(tuple(one.id for one in scene.leaving), {tags.TIMELINE: str(known)}, "the highest timeline is kept")


def _put_aside(scene: Scene) -> Plan:
    operation = scene.operation
    reason = operation.retired if operation else ""
    words = {tags.ROLE: tags.PUT_ASIDE, tags.RETIRED: reason} | arrival.timeline(scene)
    ids = tuple(one.id for one in scene.leaving)
    return Plan((Tag(ids, words, "first none is the database's, then the others: never two"),), step=5)
