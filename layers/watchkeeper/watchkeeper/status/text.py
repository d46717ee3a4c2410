"""Writes a status: as text that a person reads, or as plain values for a program; pure."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from datetime import datetime
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from watchkeeper import tags
from watchkeeper.errors import Refused
from watchkeeper.look import stamp
from watchkeeper.status import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from watchkeeper.status.care import Care
    from watchkeeper.status.describe import Application, Newest, Status
    from watchkeeper.status.proof import Proof
    from watchkeeper.status.web import Pool, Web

WIDTH = 110
INDENT = 13

HOW_TO_BEGIN = """\
To have a database watched, tag every volume that it lies on, and the instance that they are attached to:

  aws ec2 create-tags --resources vol-... \\
    --tags Key=watchkeeper:application,Value=NAME Key=watchkeeper:role,Value=database
  aws ec2 create-tags --resources i-... \\
    --tags Key=watchkeeper:application,Value=NAME Key=watchkeeper:role,Value=database-host

Then ask again. The first set is made within the hour. To have web nodes kept in their pools, tag the instances with
watchkeeper:role=web-node, and the target groups with watchkeeper:role=web-pool and the same NAME."""


def writer(form: object) -> Callable[[Status], dict[str, Any] | str]:
    """What writes a status in the form that an event asks for. Raises Refused for one that there is not."""
    writers: dict[object, Callable[[Status], dict[str, Any] | str]] = {"text": to_text, "json": to_values}
    if form not in writers:
        raise Refused(f'"format" is {form!r} in the event; it may be {" or ".join(map(str, writers))}.')
    return writers[form]


def to_text(status: Status) -> str:
    """The status as paragraphs, the applications that lack something first."""
    ordered = sorted(status.applications, key=lambda one: (not one.lacks, one.name))
    paragraphs = [_heading(status), *(_paragraph(one, status) for one in ordered)]
    if not ordered:
        paragraphs.append(HOW_TO_BEGIN)
    if status.remarks:
        paragraphs.append("\n".join(["Also seen", *(_lines("", [remark]) for remark in status.remarks)]))
    return "\n\n".join(paragraphs)


def to_values(status: Status) -> dict[str, Any]:
    """The status as JSON holds it; times are ISO 8601 in UTC."""
    values = asdict(status) | {"zone": str(status.zone)}
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _heading(status: Status) -> str:
    needy = sum(1 for one in status.applications if one.lacks)
    found = words.count(len(status.applications), "application") if status.applications else "nothing"
    asked = f", {needy} in need of somebody" if needy else ""
    watched = ",".join(status.watched)
    snapshots, pruning = status.schedules
    return "\n".join(
        [
            f"{_clock(status.time, status)} {status.zone}. Watched, with Applications={watched}: {found}{asked}.",
            f"Next snapshots {_when(status.next_snapshots, snapshots, status)}; what is overdue, within the hour.",
            f"Next pruning {_when(status.next_pruning, pruning, status)}.",
            "Next look at the hosts of databases within the minute."
            if status.is_replacing
            else "Nobody looks after the hosts of databases: ReplaceDatabaseHosts is false.",
            "Next look at web nodes within the minute."
            if status.is_registering
            else "Nobody looks after web nodes: RegisterWebNodes is false.",
            "Next rehearsals within the hour, where no proof is new enough."
            if status.is_rehearsing
            else "Nobody rehearses restores: RehearseRestores is false.",
        ]
    )


def _when(moment: datetime | None, expression: str, status: Status) -> str:
    if moment is None:
        return f"as {expression} says"
    return f"in {words.span(moment - status.time)} ({_clock(moment, status)})"


def _clock(moment: datetime, status: Status) -> str:
    return moment.astimezone(status.zone).strftime("%Y-%m-%d %H:%M")


def _paragraph(one: Application, status: Status) -> str:
    of = "the database of " if one.web.nodes or one.web.pools else ""  # a pause of these is their own
    title = one.name
    if one.paused:
        is_left = not tags.is_restoring(one.paused)
        how = "is paused, and left exactly as it is" if is_left else "is paused by restore_database"
        title = f"{of}{one.name} {how}: {one.paused}"
    return "\n".join(
        [
            title,
            _lines("has", _has(one, status)),
            _lines("lacks", one.lacks or ["nothing"]),
            *([_lines("waits for", one.waits_for)] if one.waits_for else []),
            *([_lines("next", one.next)] if one.next else []),
        ]
    )


def _has(one: Application, status: Status) -> Iterable[str]:
    if one.newest:
        yield _of_set(one.newest, status)
    if one.newest_application and one.newest and one.newest.started != one.newest_application:
        yield f"an application-consistent set from {words.ago(status.time - one.newest_application)}"
    if one.sets:
        kept = f"; kept are {one.policy}" if one.policy else ""
        yield f"{words.count(one.sets, 'set')} of {words.count(one.snapshots, 'snapshot')}{kept}"
    if one.volumes:
        named = ", ".join(f"{volume} ({gib:,} GiB)" for volume, gib in one.volumes.items())
        yield f"{words.count(len(one.volumes), 'volume')}, {sum(one.volumes.values()):,} GiB: {named}"
    if one.host:
        yield f"the host {one.host}, {one.host_state}{', which SSM reaches' if one.is_reached else ''}"
    yield from _of_proof(one.proof, status)
    yield from _of_care(one.care, status)
    yield from _of_web(one.web)


def _of_care(care: Care, status: Status) -> Iterable[str]:
    if care.template and not care.why_not:
        yield f"a new host when this one dies, by {care.template}, {_found_at(care.address)}"
    elif care.why_not:
        yield f"no new host when this one dies: {care.why_not}"
    if care.replaced:
        begun, last = words.count(len(care.replaced), "replacement"), words.ago(status.time - max(care.replaced))
        yield f"{begun} begun within 24 h, the last {last}"
    if care.retired:
        since = ", ".join(f"{name} ({words.span(status.time - moment)})" for name, moment in care.retired.items())
        yield f"{words.count(len(care.retired), 'retired host')}, stopped, of which the root volumes cost: {since}"


def _of_proof(proof: Proof, status: Status) -> Iterable[str]:
    if proof.at and proof.taken:
        recovered = f", and PostgreSQL recovered in {proof.recovery_ms:,} ms" if proof.recovery_ms else ""
        taken = words.ago(status.time - proof.taken)
        yield f"a proof from {words.ago(status.time - proof.at)}: the set from {taken} was restored{recovered}"
    aside = {**proof.retired, **proof.copies}
    if aside:
        kinds = {"retired": len(proof.retired), "restored": len(proof.copies)}
        said = " and ".join(f"{number:,} {kind}" for kind, number in kinds.items() if number)
        which = ", ".join(f"{name} ({word})" if word else name for name, word in aside.items())
        yield (
            f"{words.count(len(aside), 'volume')} beside those of its database ({said}), {proof.gib_aside:,} GiB, to "
            f"be paid for until deleted: {which}"
        )


def _of_web(web: Web) -> Iterable[str]:
    if web.nodes:
        yield words.count(len(web.nodes), "web node")
    yield from map(_of_pool, web.pools)
    yield from web.stays


def _of_pool(pool: Pool) -> str:
    parts = {"joining": pool.joining, "leaving": pool.leaving}
    counts = [f"{words.count(len(pool.healthy), 'node')} in"] if pool.healthy or not pool.why_not else []
    counts += [f"{len(some):,} {name}" for name, some in parts.items() if some]
    counts += (
        [f"{words.count(len(pool.unknown), 'unknown member')} ({', '.join(pool.unknown)})"] if pool.unknown else []
    )
    kept = f", {pool.why_not}" if pool.why_not else ""
    return f"the pool {pool.name}{kept}{': ' if counts else ''}{', '.join(counts)}"


def _found_at(address: str | None) -> str:
    return f"found at {address} as before" if address else "of which clients have to be told, for want of an address"


def _of_set(newest: Newest, status: Status) -> str:
    kind = "an application-consistent" if newest.consistency == "application" else "a crash-consistent"
    frozen = f", frozen for {newest.frozen_ms:,} ms" if newest.frozen_ms else ""
    copied = "" if newest.is_finished else ", still being copied"
    return f"{kind} set from {words.ago(status.time - newest.started)}{frozen}{copied}"


def _lines(label: str, sentences: Iterable[str]) -> str:
    return "\n".join(
        textwrap.fill(
            sentence,
            WIDTH,
            initial_indent=f"  {name}".ljust(INDENT),
            subsequent_indent=" " * (INDENT + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, sentence in zip(chain([label], repeat("")), sentences, strict=False)
    )
