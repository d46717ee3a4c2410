"""What people are told of a restore: answers, refusals, notices; pure."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from watchkeeper import tags
from watchkeeper.look import stamp
from watchkeeper.restore import choice, copies
from watchkeeper.restore.actions import Tag, Tell, describe
from watchkeeper.restore.scene import FOR_DATABASE, came
from watchkeeper.restore.verdict import MAKING, STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.snapshots import Snapshot
    from watchkeeper.aws.starts import Start
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.restore.scene import Operation, Scene
    from watchkeeper.restore.verdict import Plan
    from watchkeeper.restore.wish import Wish


ENDED = 'it had ended before, so nothing was done; "force": true does it once more, from five minutes after its end on'


MINUTE = timedelta(minutes=1)


def undo(scene: Scene) -> str:
    """The event that puts back what was there before."""
    return json.dumps(_undo(scene))


def _undo(scene: Scene, of: Operation | None = None) -> dict[str, Any]:
    """An undo that follows an undo is by force, or it is taken for the same that was delivered twice."""
    return {"application": scene.application, "undo": True, **({"force": True} if of and of.is_undo else {})}


def undone(scene: Scene, over: Operation) -> str:
    """The restore that is asked for was undone a moment ago, and the event may be older than that."""
    return (
        f"What this restores in {scene.application!r} was put aside by an undo at {stamp(over.since)}, less than an "
        f'hour ago: send it with "force": true if you mean it once more.'
    )


def homeless(scene: Scene) -> str:
    """No volume that is involved remembers a host."""
    return f"No volume of {scene.application!r} remembers the host that it was settled on ({tags.HOST})."


def elsewhere(volumes: Sequence[Volume], home: str) -> str:
    """Somebody has attached to another instance what is to be moved."""
    where = ", ".join(f"{one.id} to {one.attachment.host}" for one in volumes if one.attachment)
    return f"Somebody has attached {where}, not to {home}: detach it there, then send the event again."


def unmade(missing: Sequence[Snapshot]) -> str:
    """EBS has answered with volumes, and shows none."""
    return (
        f"EBS shows no volume of {', '.join(one.id for one in missing)}, of which it was asked to make one: may the "
        f"stack use their key (its parameter KeyArns)?"
    )


def unprotected(scene: Scene, operation: Operation) -> str:
    """snapshot_database has not made the set of what would be put aside."""
    return (
        f"snapshot_database has made no set of {scene.application!r} for the run {stamp(operation.since)} within five "
        f'minutes, so nothing was touched: see its log. With "force": true it goes on without that set, since the '
        f"volumes that are put aside are kept all the same."
    )


def failed(scene: Scene, host: str, command: str, said: str) -> str:
    """A command failed on the host, and will fail again."""
    if command == "mount":
        return f"The copies are attached to {host}, and not mounted: {said}"
    what = "is not stopped" if command == "stop" else "does not start"
    way_out = f"send {undo(scene)} to put back what was"
    if scene.operation and scene.operation.is_undo:
        way_out = f"remove {tags.PAUSED} from all of it and restore a set"
    return (
        f"PostgreSQL {what} on {host}: {said} All of {scene.application!r} stays paused: mend it there (aws ssm "
        f"start-session --target {host}) and send the event again, or {way_out}."
    )


def stopped(host: Host, operation: Operation) -> str:
    """A host that somebody stopped is not replaced, and who starts it again finds a database that is half there."""
    return (
        f"{host.id} was stopped by somebody ({host.reason}) in the middle of {operation.word!r}: start it again, or "
        f"terminate it to have it replaced, then send the event again. Until then all stays paused."
    )


def restored(scene: Scene, proof: Start) -> Tell:
    """The notice that the database runs on other volumes."""
    operation = scene.operation
    words = proof.outcome.words if proof.outcome else {}
    since = operation.since if operation else scene.now
    of = scene.set
    what = f"restored from the set of {stamp(of.run)}" if of else "put back to what it was before"
    aside = [one.id for one in scene.outgoing]
    lines = [
        f"The database of {scene.application} was {what}, which took {took(scene):.0f} s; PostgreSQL takes writes on "
        f"{scene.home}, on {', '.join(one.id for one in scene.incoming)} (timeline {words.get('timeline', '?')}, "
        f"recovered in {words.get('recoveryMs', '?')} ms).",
        "",
        f"Put aside, and kept: {', '.join(aside) or 'nothing'}. To put them back: "
        f"{json.dumps(_undo(scene, operation))} to restore_database.",
        "They cost what volumes cost; when they are not needed any more: aws ec2 delete-volume --volume-id (each)",
    ]
    subject = f"Watchkeeper: {scene.application} was {'restored' if of else 'put back'}"
    kind = "restored" if of else "undone"
    return Tell(f"{scene.application}.{kind}.{stamp(since)}", subject, "\n".join(lines), "it runs")


def took(scene: Scene) -> float:
    """The seconds since the operation was begun: by this look, or in the minute that it is named by, or before."""
    since = scene.operation.since if scene.operation else scene.now
    began = scene.began if scene.began and scene.began < since + MINUTE else since
    return (scene.now - began).total_seconds()


def answer(scene: Scene, seconds: float | None) -> dict[str, Any]:
    """What came of a restore into the database's place, or of an undo."""
    found = [one for one in (scene.operation, *map(came, scene.present)) if one]
    operation = found[0] if found else None
    one = next((each for each in scene.sets if operation and each.id == operation.set), None)
    aside = [each for each in scene.of_role(tags.PUT_ASIDE) if operation and _is_of(each, operation)]
    aside += [each for each in scene.outgoing if each not in aside and scene.operation]
    host = scene.host
    is_dead = host is None or host.state != "running"
    return {
        "application": scene.application,
        "did": "undo" if operation and operation.is_undo else "restore",
        **({"set": choice.describe(one, scene.now)} if one else {}),
        "volumes": [each.id for each in (scene.incoming if scene.operation else scene.present)],
        "host": scene.home,
        **({"note": f"{scene.home} is gone or stopped: replace_database_host brings it up"} if is_dead else {}),
        "put_aside": [each.id for each in aside],
        **({"left_over": left} if (left := _left_over(scene)) else {}),
        "undo": _undo(scene, operation),
        **({"seconds": round(seconds, 1)} if seconds is not None else {"note": ENDED}),
    }


def planned(scene: Scene, plan: Plan, wish: Wish) -> dict[str, Any]:
    """What would be done: with which data, how old it is, what would be lost, and where it stands."""
    words: dict[str, Any] = {"application": scene.application, "would": [describe(one) for one in plan.actions]}
    words |= _back(scene, plan) if wish.is_undo else _of_set(scene, wish)
    words["now"] = [{"volume": one.id, "gib": one.size_gib, "type": one.type} for one in scene.present]
    steps = [one for one in STEPS[plan.step :] if not (wish.is_undo and one == MAKING)]
    is_nothing = wish.into != "database" or (plan.refusal and not plan.step)
    words["steps"] = [] if is_nothing else steps
    return words | {"waits_for": list(plan.waits)} | ({"refused": plan.refusal} if plan.refusal else {})


def _of_set(scene: Scene, wish: Wish) -> dict[str, Any]:
    of = scene.set
    if of is None:
        return {}
    since = f"{stamp(of.started)} ({choice.age(scene.now - of.started)})"
    lost = f"what was written since {since}; the volumes that are put aside keep it"
    return {
        "set": choice.describe(of, scene.now),
        "lost": lost if wish.into == "database" else "nothing: the database stays as it is",
        "volumes": [
            {"of": one.volume, "gib": one.size_gib, "type": kind}
            for one, (kind, _, _) in zip(of.members, copies.types(of), strict=True)
        ],
    }


def _back(scene: Scene, plan: Plan) -> dict[str, Any]:
    """What an undo puts back; nothing if it is refused."""
    marks = [one for one in plan.actions if isinstance(one, Tag) and tags.RESTORED_FOR in one.words]
    back = [one for one in scene.volumes if any(one.id in mark.ids for mark in marks)]
    if scene.operation and scene.operation.is_undo:
        back = list(scene.incoming)
    if not back:
        return {}
    shown = [{"volume": one.id, "gib": one.size_gib, "put_aside": one.tags.get(tags.RETIRED, "")} for one in back]
    lost = (
        "what was written since these were put aside; the volumes that they replace are put aside in turn, and keep it"
    )
    return {"volumes": shown, "lost": lost}


def _left_over(scene: Scene) -> list[str]:
    """What was made for the database's place and is not there: it costs, and serves a restore of the same set."""
    coming = {one.id for one in scene.incoming}
    made = [one for one in scene.of_role(tags.RESTORED) if one.tags.get(tags.RESTORED_FOR) == FOR_DATABASE]
    return [one.id for one in made if one.id not in coming]


def _is_of(volume: Volume, operation: Operation) -> bool:
    return volume.tags.get(tags.RETIRED) == operation.retired
