"""What an event asks restore_database for, beside what every look says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from watchkeeper.errors import Refused
from watchkeeper.look import read_time, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

WORDS = ("set", "into", "zone", "instance", "path", "accept", "undo")

Into = Literal["volumes", "host", "database"]
OF = {"volumes": ("zone",), "host": ("instance", "path"), "database": ()}

LATEST, PROVEN = "latest", "latest-proven"
SNAPSHOT = re.compile(r"snap-(?:[0-9a-f]{17}|[0-9a-f]{8})")

# As documents/mount_copy.yaml takes a place, no longer than a tag that names it with its instance can be.
PATH = re.compile(r"(?=.{2,200}$)(/[A-Za-z0-9_@:+,-][A-Za-z0-9_.@:+,-]*)+")

SETS = f'"{LATEST}", "{PROVEN}", a run as 2026-11-20T03:00:00Z, a snapshot\'s id or {{"before": a time}}'


@dataclass(frozen=True, slots=True)
class Wish:
    """`set` is `latest`, `latest-proven`, a run's stamp or a snapshot's id, empty where `before` says which.

    `zone`, `instance` and `path` are empty where nothing is said about them.
    """

    into: Into = "database"
    set: str = ""
    before: datetime | None = None
    zone: str = ""
    instance: str = ""
    path: str = ""
    accepts_crash: bool = False
    is_undo: bool = False

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Wish:
        """What an event asks for. Raises Refused, in one sentence, for what cannot be meant."""
        if not event.get("application"):
            raise Refused('A restore is of one application: name it, as "application".')
        if _flag(event, "undo"):
            odd = sorted((set(WORDS) - {"undo"}) & set(event))
            if odd:
                raise Refused(f'"undo" puts back what was there before, so the event may not have {", ".join(odd)}.')
            return cls(is_undo=True)
        into = event.get("into")
        if into not in OF:
            raise Refused(f'"into" is {into!r} in the event; it must be one of {", ".join(OF)}.')
        given = {word: _text(event, word) for word in ("zone", "instance", "path")}
        odd = sorted(word for word, text in given.items() if text and word not in OF[into])
        if odd:
            raise Refused(f'"into": "{into}" goes without {" and ".join(odd)}.')
        if into == "host":
            _check_place(given["instance"], given["path"])
        accept = event.get("accept")
        if accept not in (None, "crash"):
            raise Refused(f'"accept" is {accept!r} in the event; it may be "crash".')
        name, before = _set(event.get("set"))
        return cls(cast("Into", into), name, before, given["zone"], given["instance"], given["path"], accept == "crash")


def _set(given: object) -> tuple[str, datetime | None]:
    try:
        if isinstance(given, dict) and set(given) == {"before"}:
            return "", read_time(str(given["before"]))
        if given in (LATEST, PROVEN) or (isinstance(given, str) and SNAPSHOT.fullmatch(given)):
            return str(given), None
        if isinstance(given, str):
            return stamp(read_time(given)), None
    except ValueError:
        pass
    raise Refused(f'"set" is {given!r} in the event; it must be {SETS}.')


def _check_place(instance: str, path: str) -> None:
    if not re.fullmatch(r"i-(?:[0-9a-f]{17}|[0-9a-f]{8})", instance):
        raise Refused(f'"instance" is {instance!r} in the event; "into": "host" needs the id of an instance.')
    if not PATH.fullmatch(path):
        raise Refused(
            f'"path" is {path!r} in the event; "into": "host" needs a directory, from the root, of letters, digits and '
            f"_ @ : + , - . only, no part of which begins with a dot."
        )


def _text(event: Mapping[str, Any], word: str) -> str:
    given = event.get(word, "")
    if not isinstance(given, str):
        raise Refused(f'"{word}" is {given!r} in the event; it must be a text.')
    return given


def _flag(event: Mapping[str, Any], word: str) -> bool:
    given = event.get(word, False)
    if not isinstance(given, bool):
        raise Refused(f'"{word}" is {given!r} in the event; write true, without quotes, or leave it out.')
    return given
