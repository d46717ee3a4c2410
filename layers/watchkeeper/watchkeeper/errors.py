"""What went wrong, by consequence. Nothing but the standard library may be imported here.

WatchkeeperError
├── Skipped   a valid event that asks nothing of us: logged, counted, answered; Lambda does not retry
├── NotYet    another is at it, or AWS has not answered: raised, and Lambda's retry looks afresh
└── Refused   it cannot be done as asked, or the world contradicts itself: one sentence, raised to the failure queue
"""

from __future__ import annotations


class WatchkeeperError(Exception):
    """Anything that Watchkeeper itself has to say."""


class Skipped(WatchkeeperError):
    """A valid event that asks nothing of us."""


class NotYet(WatchkeeperError):
    """Not finished, and nothing is wrong: the next look carries on."""


class Refused(WatchkeeperError):
    """What was asked cannot be done; the sentence says what was wrong, what exists and what to do."""
