"""An AWS region on this machine: the demo, the tests, the bench and `sam local` stand on it."""

from __future__ import annotations

from region.delays import Delays
from region.failure import Failed
from region.faults import (
    Death,
    Interleave,
    Lag,
    LaunchFails,
    LostAnswer,
    NoCapacity,
    ServerError,
    Stuck,
    Throttle,
    VolumeFails,
)
from region.process import Died
from region.region import Region, StillWaiting
from region.simulated import Simulated
from region.wall import hours, minutes

__all__ = [
    "Death",
    "Delays",
    "Died",
    "Failed",
    "Interleave",
    "Lag",
    "LaunchFails",
    "LostAnswer",
    "NoCapacity",
    "Region",
    "ServerError",
    "Simulated",
    "StillWaiting",
    "Stuck",
    "Throttle",
    "VolumeFails",
    "hours",
    "minutes",
]
