"""How long AWS takes for what it was asked: the one place, which whoever measures overrides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Delay = tuple[float, float] | Callable[[Random], float]
"""The shortest and the longest, in seconds, between which it is drawn; or how it is drawn."""


@dataclass(frozen=True, slots=True)
class Delays:
    """AWS promises none of these. Which are published, and by whom, stands with each; the others are ours, and why."""

    launch: Delay = (10, 30)
    """Of RunInstances and StartInstances, until the instance runs. Published: about 16 seconds from pending to running,
    of any type (https://github.com/brevdev/ec2-coldboot-research). Ours: how much it varies.
    """
    stop: Delay = (5, 30)
    """With the operating system's own shutdown; of TerminateInstances too. Ours: what a small Linux takes for that."""
    abrupt_stop: Delay = (3, 10)
    """Without it: SkipOsShutdown. Ours: a stop less that shutdown."""
    hung_stop: Delay = (180, 600)
    """Of a host that hangs, with SkipOsShutdown or without. Published: "minutes"; ours: three to ten of them.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/TroubleshootingInstancesStopping.html
    """
    forced_stop: Delay = (10, 60)
    """Of a host that hangs, from the moment that Force asks for it; of TerminateInstances too. Ours: it takes
    longer than one that does not hang, and less than without Force, which would else be of no use.
    """
    hung_termination: Delay = (20, 90)
    """Ours, for the same reasons."""
    check: Delay = (60, 120)
    """Until a status check calls a host impaired that hangs. Published: they look each minute. Ours: the second counts.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html
    """
    attach: Delay = (1, 4)
    """Published: "Most attach/detach operations on AWS finish within 1-4 seconds",
    https://github.com/kubernetes-sigs/aws-ebs-csi-driver, pkg/cloud/cloud.go.
    """
    detach: Delay = (1, 4)
    """Published: as attach."""
    create_from_snapshot: Delay = (1, 5)
    """Published: "p99 time until volume creation is ~4 seconds", in the same file."""
    delete_volume: Delay = (1, 10)
    """Published: "The volume can remain in the deleting state for several minutes"; ours: seconds, mostly.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVolume.html
    """
    attach_interface: Delay = (1, 4)
    """Ours: as a volume's."""
    detach_interface: Delay = (1, 10)
    """Ours: a little longer, since nothing is published of it and clients wait for it."""
    register_target: Delay = (2, 20)
    """Of a target, until its load balancer asks whether it is well. Ours: nothing is published."""
    forget_target: Delay = (30, 180)
    """Until a load balancer deregisters an instance by itself that was terminated. Ours: nothing is published."""
    insync: Delay = (5, 60)
    """Of a change in Route 53, until all name servers have it. Published: "generally within 60 seconds". Ours: the
    shortest. https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
    """


def drawn(delay: Delay, random: Random) -> float:
    """One such delay, in seconds."""
    return delay(random) if callable(delay) else random.uniform(*delay)
