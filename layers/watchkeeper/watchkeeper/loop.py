"""Waiting: the only place that sleeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def pause(seconds: float) -> None:
    """Waits so long."""
    time.sleep(seconds)


def wait(look: Callable[[], T | None], *, seconds: float, pause: float) -> T | None:
    """What `look` finds first, looking every `pause` seconds; None if it found nothing within `seconds`."""
    end = time.time() + seconds
    while (found := look()) is None:
        if time.time() + pause > end:
            return None
        time.sleep(pause)
    return found


def pace(
    things: Iterable[T], cost: Callable[[T], int], *, at_once: float, per_second: float, seconds: float
) -> Iterator[T]:
    """Gives the things out no faster than a bucket allows, as AWS's own throttling counts, and none after `seconds`.

    The bucket holds `at_once` tokens, each thing takes its cost, and `per_second` come back.
    """
    end = (last := time.time()) + seconds
    tokens = at_once
    for thing in things:
        missing = max(0.0, cost(thing) - tokens - (time.time() - last) * per_second)
        if time.time() + missing / per_second >= end:
            return
        time.sleep(missing / per_second)
        tokens = min(at_once, tokens + (time.time() - last) * per_second) - cost(thing)
        last = time.time()
        yield thing
