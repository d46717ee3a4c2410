"""What people are told of a restore: answers, refusals, notices; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from watchkeeper import tags
from watchkeeper.look import stamp
from watchkeeper.restore import choice, copies
from watchkeeper.restore.actions import Tell, describe
from watchkeeper.restore.scene import FOR_DATABASE, came
from watchkeeper.restore.verdict import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watchkeeper.aws.snapshots import Snapshot
    from watchkeeper.aws.starts import Start
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.restore.scene import Operation, Scene
    from watchkeeper.restore.verdict import Plan


def undo(scene: Scene) -> str:
    """The event that puts back what was there before."""
    return json.dumps({"application": scene.application, "undo": True})


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
    return (
        f"PostgreSQL {what} on {host}: {said} All of {scene.application!r} stays paused: mend it there (aws ssm "
        f"start-session --target {host}) and send the event again, or send {undo(scene)} to put back what was."
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
        f"The database of {scene.application} was {what}; PostgreSQL takes writes on {scene.home}, on "
        f"{', '.join(one.id for one in scene.incoming)} (timeline {words.get('timeline', '?')}, recovered in "
        f"{words.get('recoveryMs', '?')} ms).",
        "",
        f"Put aside, and kept: {', '.join(aside) or 'nothing'}. To put them back: {undo(scene)} to restore_database.",
        "They cost what volumes cost; when they are not needed any more: aws ec2 delete-volume --volume-id (each)",
    ]
    subject = f"Watchkeeper: {scene.application} was {'restored' if of else 'put back'}"
    kind = "restored" if of else "undone"
    return Tell(f"{scene.application}.{kind}.{stamp(since)}", subject, "\n".join(lines), "it runs")


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
        "undo": {"application": scene.application, "undo": True},
        **({"seconds": round(seconds, 1)} if seconds is not None else {"note": "it had ended before"}),
    }


def planned(scene: Scene, plan: Plan, *, is_in_place: bool) -> dict[str, Any]:
    """What would be done: with which set, how old its data is, what would be lost, and where it stands."""
    of = scene.set
    words: dict[str, Any] = {"application": scene.application, "would": [describe(one) for one in plan.actions]}
    if of:
        words["set"] = choice.describe(of, scene.now)
        words["lost_since"] = choice.age(scene.now - of.started)
        words["volumes"] = [
            {"of": one.volume, "gib": one.size_gib, "type": kind}
            for one, (kind, _, _) in zip(of.members, copies.types(of), strict=True)
        ]
    words["now"] = [{"volume": one.id, "gib": one.size_gib, "type": one.type} for one in scene.present]
    words["steps"] = list(STEPS[plan.step :]) if is_in_place else []
    return words | {"waits_for": list(plan.waits)} | ({"refused": plan.refusal} if plan.refusal else {})


def _left_over(scene: Scene) -> list[str]:
    """What was made for the database's place and is not there: it costs, and serves a restore of the same set."""
    coming = {one.id for one in scene.incoming}
    made = [one for one in scene.of_role(tags.RESTORED) if one.tags.get(tags.RESTORED_FOR) == FOR_DATABASE]
    return [one.id for one in made if one.id not in coming]


def _is_of(volume: Volume, operation: Operation) -> bool:
    return volume.tags.get(tags.RETIRED) == operation.retired
