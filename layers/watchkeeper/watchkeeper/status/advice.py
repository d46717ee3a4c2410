"""What is wrong with tags that nobody reads: words with a typo, and words on the wrong kind of thing; pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from watchkeeper import tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Launch
    from watchkeeper.aws.volumes import Volume

KEYS = (*tags.WRITTEN_BY_PEOPLE, *tags.WRITTEN_BY_WATCHKEEPER)
ROLES_OF_VOLUMES = (tags.DATABASE,)
ROLES_OF_INSTANCES = (tags.DATABASE_HOST, tags.WEB_NODE)
ROLES_OF_TEMPLATES = (tags.DATABASE_LAUNCH,)

# What restores and rehearsals write themselves, on volumes and on instances.
WRITTEN = {ROLES_OF_VOLUMES: (tags.RESTORED, tags.PUT_ASIDE, tags.REHEARSAL), ROLES_OF_INSTANCES: (tags.REHEARSAL,)}

# Who writes one of these elsewhere waits for what never happens.
READ_ON = {tags.ADDRESS: ROLES_OF_VOLUMES, tags.KEEP: ROLES_OF_VOLUMES, tags.INSTANCE_TYPES: ROLES_OF_TEMPLATES}

GONE = ("shutting-down", "terminated")


def advise(volumes: Iterable[Volume], hosts: Iterable[Host], launches: Iterable[Launch] = ()) -> tuple[str, ...]:
    """A sentence for each tag of ours that is never read as it stands, with the nearest one that is."""
    sentences = [sentence for one in volumes for sentence in _advise(one.id, one.tags, ROLES_OF_VOLUMES)]
    living = [one for one in hosts if one.state not in GONE]
    sentences += [sentence for one in living for sentence in _advise(one.id, one.tags, ROLES_OF_INSTANCES)]
    return (*sentences, *(sentence for one in launches for sentence in _advise(one.id, one.tags, ROLES_OF_TEMPLATES)))


def _advise(resource: str, words: Mapping[str, str], roles: tuple[str, ...]) -> list[str]:
    ours = {key: value for key, value in words.items() if key.startswith(tags.PREFIX)}
    sentences = [
        f"{resource} has the tag {key}, which means nothing{_nearest(key, tags.WRITTEN_BY_PEOPLE) or '.'}"
        for key in ours
        if key not in KEYS
    ]
    sentences += [
        f"{resource} has the tag {key}, which is read on what has {tags.ROLE}={READ_ON[key][0]} alone."
        for key in ours
        if key in READ_ON and READ_ON[key] != roles
    ]
    role = ours.get(tags.ROLE)
    if role is not None and role not in (*roles, *WRITTEN.get(roles, ())):
        known = f": it may be {' or '.join(roles)}."
        sentences.append(f"{resource} has {tags.ROLE}={role}, which it cannot be{_nearest(role, roles) or known}")
    if role is not None and not ours.get(tags.APPLICATION):
        sentences.append(f"{resource} has {tags.ROLE}={role} and no {tags.APPLICATION}, so it belongs to none.")
    if role is None and tags.APPLICATION in ours:
        sentences.append(f"{resource} has {tags.APPLICATION}={ours[tags.APPLICATION]} and no {tags.ROLE}.")
    return sentences


def _nearest(word: str, known: Sequence[str]) -> str:
    # Without the prefix, which would make every word like every other.
    short = {one.removeprefix(tags.PREFIX): one for one in known}
    found = get_close_matches(word.removeprefix(tags.PREFIX).lower(), short, n=1)
    return f"; did you mean {short[found[0]]}?" if found else ""
