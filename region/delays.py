"""How long AWS takes for what it was asked: the one place, which whoever measures overrides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Delay = tuple[float, float] | Callable[[Random], float]
"""The shortest and the longest, in seconds, between which it is drawn; or how it is drawn."""


@dataclass(frozen=True, slots=True)
class Delays:
    """AWS promises none of these. "Minutes" is all that it says of a host that hangs:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/TroubleshootingInstancesStopping.html
    """

    launch: Delay = (10, 30)
    """Of RunInstances and StartInstances, until the instance runs."""
    stop: Delay = (5, 30)
    """With the operating system's own shutdown; of TerminateInstances too."""
    abrupt_stop: Delay = (3, 10)
    """Without it: SkipOsShutdown."""
    hung_stop: Delay = (180, 600)
    """Of a host that hangs, with SkipOsShutdown or without."""
    forced_stop: Delay = (10, 60)
    """Of a host that hangs, from the moment that Force asks for it; of TerminateInstances too."""
    hung_termination: Delay = (20, 90)
    check: Delay = (60, 120)
    """Until a status check, which looks each minute, calls a host impaired that hangs."""
    attach: Delay = (1, 4)
    detach: Delay = (1, 4)
    create_from_snapshot: Delay = (1, 5)
    attach_interface: Delay = (1, 4)
    detach_interface: Delay = (1, 10)
    register_target: Delay = (2, 20)
    """Of a target, until its load balancer asks whether it is well."""
    forget_target: Delay = (30, 180)
    """Until a load balancer deregisters an instance by itself that was terminated."""
    insync: Delay = (5, 60)
    """Of a change in Route 53, until all name servers have it, "generally within 60 seconds"; the first have it soon:
    https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
    """


def drawn(delay: Delay, random: Random) -> float:
    """One such delay, in seconds."""
    return delay(random) if callable(delay) else random.uniform(*delay)
