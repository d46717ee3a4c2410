"""What an operation needs before it begins, and how it pauses everything; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from watchkeeper import tags
from watchkeeper.aws.hosts import THERE
from watchkeeper.aws.starts import REMEMBERED
from watchkeeper.look import read_time
from watchkeeper.restore import choice
from watchkeeper.restore.actions import Tag
from watchkeeper.restore.scene import Operation, ago, came, group
from watchkeeper.restore.verdict import Plan

if TYPE_CHECKING:
    from datetime import datetime

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.restore.scene import Scene
    from watchkeeper.restore.wish import Wish

# A restore that has ended is not begun again by the same event, which Lambda may deliver twice, for so long; where a
# person insists, for as long as Lambda's own retries take.
ENDED, FORCED = timedelta(hours=1), timedelta(minutes=5)


def begin(scene: Scene, *, is_undo: bool) -> Plan:
    """The pause of all that an operation is about to touch, or why it may not begin."""
    if refusal := refuse(scene):
        return Plan(refusal=refusal)
    operation = Operation(_since(scene), "" if is_undo or scene.set is None else scene.set.id)
    everything = (*(one.id for one in scene.present), scene.home)
    if not is_undo:
        return Plan((Tag(everything, {tags.PAUSED: operation.word}, "nobody else is to touch it meanwhile"),))
    return _undo(operation, everything, put_back(scene))


def turn_round(scene: Scene, underway: Operation) -> Plan:
    """An undo of a restore that has not ended: everything is its from now on."""
    operation = Operation(max(_since(scene), underway.since + timedelta(minutes=1)))
    known = tuple(one.id for one in (*scene.outgoing, *scene.incoming))
    return _undo(operation, (*known, *((scene.host.id,) if scene.host else ())), put_back(scene))


def _undo(operation: Operation, everything: tuple[str, ...], back: tuple[Volume, ...] | str) -> Plan:
    """First what is put back is marked, so that whoever carries on means the same; then the rest is paused."""
    if isinstance(back, str):
        return Plan(refusal=back)
    ids = tuple(one.id for one in back)
    mark = {tags.PAUSED: operation.word, tags.RESTORED_FOR: operation.word}
    rest = tuple(one for one in everything if one not in ids)
    paused = Tag(rest, {tags.PAUSED: operation.word}, "nobody else is to touch it meanwhile")
    return Plan((Tag(ids, mark, "these are put back"), *((paused,) if rest else ())))


def put_back(scene: Scene) -> tuple[Volume, ...] | str:
    """The volumes that an undo puts back: those of the database before the last operation, or why it cannot.

    Where they are gone, or it put none aside, the newest that are there are of an older moment, and nobody meant them.
    """
    aside = [one for one in scene.of_role(tags.PUT_ASIDE) if _is_dated(one)]
    if scene.operation and not scene.operation.is_undo:
        aside = [one for one in aside if one.tags[tags.RETIRED] == scene.operation.retired]
        if not aside:
            return scene.leaving
    if not aside:
        return f"There is nothing to put back: no volume of {scene.application!r} has {tags.ROLE}={tags.PUT_ASIDE}."
    newest = max(aside, key=lambda one: one.tags[tags.RETIRED])
    last = None if scene.operation else _last(scene)
    if last and newest.tags[tags.RETIRED] != last.retired:
        return (
            f"Nothing is there that {last.word!r}, the last that was done, put aside. The newest that is, {newest.id}, "
            f"was put aside before ({newest.tags[tags.RETIRED]}): restore a set; or, to have that back all the same, "
            f"remove {tags.RESTORED_FOR} from the volumes of the database, and send the event again."
        )
    return members(scene, newest)


def members(scene: Scene, one: Volume) -> tuple[Volume, ...] | str:
    """The volumes that made a database together with this one, or which of them is not there."""
    names = one.tags.get(tags.VOLUMES, one.id).split()
    roles = (tags.DATABASE, tags.PUT_ASIDE)
    found = tuple(each for each in scene.volumes if each.id in names and each.tags.get(tags.ROLE) in roles)
    gone = sorted(set(names) - {each.id for each in found})
    if gone:
        return (
            f"{one.id} was put aside together with {', '.join(gone)}, which is not there any more, or not tagged "
            f"{tags.ROLE}={tags.PUT_ASIDE}: a part of a database is not put back. Restore a set instead."
        )
    return found


def ended(scene: Scene, within: timedelta = ENDED) -> Operation | None:
    """The operation that put in the volumes of the database so long ago or less; None if none did."""
    found = _last(scene)
    if found is None or ago(scene, found.since) > 3 * ENDED:
        return None  # a host may have been replaced since
    since = [one.attachment.since for one in scene.present if one.attachment and one.attachment.since]
    return found if ago(scene, max([found.since, *since])) <= within else None


def is_meant(scene: Scene, wish: Wish, over: Operation) -> bool:
    """Whether what has ended is what the wish asks for."""
    of = [one for one in scene.sets if one.id == over.set]
    return over.is_undo == wish.is_undo and (wish.is_undo or any(choice.fits(wish, one) for one in of))


def was_undone(scene: Scene, wish: Wish, over: Operation) -> bool:
    """Whether an undo has just put aside what the wish asks for: Lambda may deliver a restore late, and twice."""
    aside = [one for one in scene.of_role(tags.PUT_ASIDE) if one.tags.get(tags.RETIRED) == over.retired]
    undone = [of for of in map(came, aside) if of]
    return over.is_undo and not wish.is_undo and any(is_meant(scene, wish, of) for of in undone)


def _last(scene: Scene) -> Operation | None:
    """The operation that put in the volumes of the database, or left them there; None if it is not one for all."""
    operations = {came(one) for one in scene.present}
    return operations.pop() if len(operations) == 1 else None


def refuse(scene: Scene) -> str:
    """Why nothing may be begun now; empty if something may."""
    name = scene.application
    if others := {key: word for key, word in scene.paused.items() if not tags.is_restoring(word)}:
        which, why = next(iter(sorted(others.items())))
        return f"{name!r} is paused by somebody else ({which}: {why}): remove {tags.PAUSED} from it to restore it."
    if not scene.present:
        return (
            f"{name!r} has no volume tagged {tags.ROLE}={tags.DATABASE} in whose place a set could go: restore it "
            f'"into": "volumes", tag these as the database\'s and attach them.'
        )
    homes = {one.tags.get(tags.HOST, "") for one in scene.present}
    if len(homes) > 1 or not scene.home:
        return (
            f"The database of {name!r} was never settled on one host, so nobody has written down what lies where on "
            f'its volumes: it needs a launch template, and replace_database_host. Or restore "into": "volumes".'
        )
    recorded = {name for one in scene.present for name in one.tags.get(tags.VOLUMES, "").split()}
    if gone := sorted(recorded - {one.id for one in scene.present}):
        return (
            f"{', '.join(gone)} is recorded as a volume of {name!r} and is not tagged so, so that only a part of it "
            f"would be put aside: tag it {tags.APPLICATION}={name} and {tags.ROLE}={tags.DATABASE}; or, if it no "
            f"longer belongs to it, remove {tags.VOLUMES} from the others."
        )
    return _refuse_host(scene)


def _refuse_host(scene: Scene) -> str:
    """It stands as it was settled, and can be asked to stop PostgreSQL."""
    name, host = scene.application, scene.host
    if host is None or _is_moving(scene, host):
        return _moving(scene)
    if host.application != name or host.tags.get(tags.ROLE) != tags.DATABASE_HOST:
        return f"{host.id} is not tagged {tags.APPLICATION}={name} and {tags.ROLE}={tags.DATABASE_HOST}: tag it."
    if host.id not in scene.reached:
        return (
            f"SSM does not reach {host.id}, so PostgreSQL cannot be stopped there: its agent must run, with "
            f"AmazonSSMManagedInstanceCore. If the host hangs, stop the instance first."
        )
    if len(group(scene.present)) > tags.LONGEST:
        return f"{name!r} has too many volumes for one tag: {group(scene.present)}."
    return ""


def _is_moving(scene: Scene, host: Host) -> bool:
    is_away = any(one.host != scene.home for one in scene.present)
    return host.state != "running" or tags.RETIRED in host.tags or bool(_successors(scene)) or is_away


def _successors(scene: Scene) -> list[str]:
    """What was launched in the place of the host, and lives."""
    return [
        one.id
        for one in scene.hosts.values()
        if one.tags.get(tags.REPLACES) == scene.home and one.state in THERE and tags.RETIRED not in one.tags
    ]


def _moving(scene: Scene) -> str:
    away, new = [one.id for one in scene.present if one.host != scene.home], _successors(scene)
    state = scene.host.state if scene.host else "gone"
    what = f", {', '.join(away)} not attached to it" if away else ""
    more = f", {', '.join(new)} launched in its place" if new else ""
    return (
        f"A replacement of the host of {scene.application!r} is under way ({scene.home} is {state}{what}{more}): let "
        f"it end, see what it is waiting for, or start a host that nobody replaces; then send the event again."
    )


def _since(scene: Scene) -> datetime:
    """The minute of now, or the first after it that comes after every earlier operation and is no run of a set."""
    since = scene.now.replace(second=0, microsecond=0)
    before = [of.since for of in map(came, scene.volumes) if of]
    before += [read_time(one.tags[tags.RETIRED][:20]) for one in scene.volumes if _is_dated(one)]
    if before:
        since = max(since, max(before) + timedelta(minutes=1))
    while any(one.run == since for one in scene.sets):
        since += timedelta(minutes=1)
    return since


def _is_dated(volume: Volume) -> bool:
    try:
        return bool(read_time(volume.tags[tags.RETIRED][:20]))
    except (KeyError, ValueError):  # a person may have put it aside
        return False


def anew(scene: Scene, underway: Operation) -> Plan:
    """The same under a later name, of which a set can be made yet."""
    operation = Operation(_since(scene), underway.set)
    mark = {tags.PAUSED: operation.word} | ({tags.RESTORED_FOR: operation.word} if operation.is_undo else {})
    coming = tuple(one.id for one in scene.incoming)
    rest = (*(one.id for one in scene.leaving), scene.home)
    reason = f"{underway.word!r} is too long ago, and nothing was stopped yet"
    steps = [Tag(coming, mark, reason)] if coming else []
    return Plan((*steps, Tag(rest, {tags.PAUSED: operation.word}, reason)))


def was_in_use(scene: Scene) -> bool:
    """PostgreSQL took writes on what leaves; what a restore has just put in may never have been started.

    What an undo left in its place was, maybe for longer than SSM remembers its start.
    """
    since = [of.since for of in map(came, scene.outgoing) if of and not of.is_undo]
    if len(since) < len(scene.outgoing) or ago(scene, min(since)) > REMEMBERED:
        return True
    return any(one.command == "start" and one.is_success for one in scene.sent_out)
