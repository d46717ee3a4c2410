"""Waiting: the only place that sleeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait(look: Callable[[], T | None], *, seconds: float, pause: float) -> T | None:
    """What `look` finds first, looking every `pause` seconds; None if it found nothing within `seconds`."""
    end = time.time() + seconds
    while (found := look()) is None:
        if time.time() + pause > end:
            return None
        time.sleep(pause)
    return found
