"""EC2's status checks and scheduled events, and what goes wrong with hosts and volumes while they run.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from region.interfaces import Interfaces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.ec2.models.instances import Instance

# They begin with a minute of "initializing".
INITIALIZING_SECONDS = 60
CHECKS = {"instance": "InstanceStatus", "system": "SystemStatus", "ebs": "AttachedEbsStatus"}
MINUTE = 60
CALM_MINUTES = 2


@dataclass(slots=True)
class Trouble:
    """A check that says so of an instance, from one moment to another."""

    check: str
    since: float
    until: float = float("inf")
    status: str = "impaired"


class Checks(Interfaces):
    """What the status checks of each instance say, and when they began to."""

    def __init__(self, region_name: str, account_id: str) -> None:
        self.running_since: dict[str, float] = {}
        self.hung: set[str] = set()
        self.troubles: dict[str, list[Trouble]] = defaultdict(list)
        self.planned: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self._reporting: set[str] = set()
        super().__init__(region_name, account_id)

    def hang(self, instance: Instance) -> None:
        """The operating system stops doing anything; a check notices a minute or two later."""
        self.home.machines.hang(instance.id)
        self.hung.add(instance.id)
        self._trouble(instance, Trouble("instance", self.home.clock.now() + self.home.takes(self.home.delays.check)))

    def impair(self, instance: Instance, check: str, seconds: float | None, status: str) -> None:
        """A check fails from now on, or for so long, while the machine goes on."""
        if check not in CHECKS:
            raise ValueError(f"{check}: the checks are {', '.join(CHECKS)}")
        now = self.home.clock.now()
        self._trouble(instance, Trouble(check, now, now + (float("inf") if seconds is None else seconds), status))

    def _trouble(self, instance: Instance, trouble: Trouble) -> None:
        self.troubles[instance.id].append(trouble)
        self.home.clock.at(trouble.since, lambda: self.report(instance.id), background=True)

    def calm(self, instance_id: str) -> None:
        """The instance's power is cut: what was wrong with it is over."""
        self.hung.discard(instance_id)
        for trouble in self.troubles[instance_id]:
            trouble.until = min(trouble.until, self.home.clock.now())

    def plan_event(self, instance_id: str, code: str, not_before: datetime, not_after: datetime) -> None:
        """AWS schedules something for an instance, such as `system-maintenance` or `instance-retirement`."""
        event = {
            "InstanceEventId": f"instance-event-{len(self.planned[instance_id]):017x}",
            "Code": code,
            "Description": "The instance is running on hardware that is degraded",
            "NotBefore": not_before,
            "NotAfter": not_after,
        }
        self.planned[instance_id].append(event)

    def check_failed(self, instance_id: str) -> int | None:
        """The metric StatusCheckFailed as it would be measured now: 0 or 1, or None of one that does not run."""
        instance = self.known.get(instance_id)
        if instance is None or instance.state != "running":
            return None
        now = self.home.clock.now()
        return int(any(self._check(instance_id, check, now)["Status"] == "impaired" for check in CHECKS))

    def report(self, instance_id: str, calm: int = 0) -> None:
        """Measure StatusCheckFailed now, and each minute until it was well for two: idle months cost nothing."""
        if instance_id not in self._reporting:
            self._reporting.add(instance_id)
            self._report(instance_id, calm)

    def _report(self, instance_id: str, calm: int) -> None:
        failed = self.check_failed(instance_id)
        calm = 0 if failed else calm + 1
        if failed is not None:
            self.home.watch.record("AWS/EC2", "StatusCheckFailed", {"InstanceId": instance_id}, failed)
        if failed is None or calm > CALM_MINUTES:
            self._reporting.discard(instance_id)
        else:
            self.home.clock.after(MINUTE, lambda: self._report(instance_id, calm), background=True)

    def show_status(self, instance_id: str, lag: float = 0) -> Mapping[str, Any] | None:
        """As DescribeInstanceStatus answers it; None if the instance does not exist."""
        seen = self.seen(instance_id, lag)
        if seen is None:
            return None
        moment = self.home.clock.now() - lag
        runs = seen["State"]["Name"] == "running"
        checks = {
            name: self._check(instance_id, check, moment) if runs else {"Status": "not-applicable"}
            for check, name in CHECKS.items()
        }
        return {
            "InstanceId": instance_id,
            "AvailabilityZone": seen["Placement"]["AvailabilityZone"],
            "InstanceState": seen["State"],
            "Operator": seen["Operator"],
            "Events": self.planned.get(instance_id, []),
            **checks,
        }

    def _check(self, instance_id: str, check: str, moment: float) -> Mapping[str, Any]:
        if moment - self.running_since[instance_id] < INITIALIZING_SECONDS:
            return {"Status": "initializing", "Details": [{"Name": "reachability", "Status": "initializing"}]}
        found = [
            one for one in self.troubles.get(instance_id, ()) if one.check == check and one.since <= moment < one.until
        ]
        if not found:
            return {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]}
        status = found[0].status
        if status != "impaired":
            return {"Status": status, "Details": [{"Name": "reachability", "Status": status}]}
        since = datetime.fromtimestamp(min(one.since for one in found), UTC)
        return {"Status": status, "Details": [{"Name": "reachability", "Status": "failed", "ImpairedSince": since}]}

    # Volumes

    def sicken(self, volume_id: str) -> None:
        """EBS finds that a volume's data may be inconsistent, and lets nobody read or write it."""
        self.sick[self.get_volume(volume_id).id] = self.home.clock.now()

    def show_volume_status(self, volume_id: str, lag: float = 0) -> Mapping[str, Any] | None:
        """As DescribeVolumeStatus answers it; None if the volume does not exist.
        https://docs.aws.amazon.com/ebs/latest/userguide/monitoring-volume-checks.html
        """
        seen = self.seen(volume_id, lag)
        if seen is None:
            return None
        is_sick = self.sick.get(volume_id, float("inf")) <= self.home.clock.now() - lag
        enabled = {"Name": "io-enabled", "Status": "failed" if is_sick else "passed"}
        event = {"EventId": f"evol-{volume_id[4:]}", "EventType": "potential-data-inconsistency"}
        details = [enabled, {"Name": "io-performance", "Status": "not-applicable"}]
        return {
            "VolumeId": volume_id,
            "AvailabilityZone": seen["AvailabilityZone"],
            "VolumeStatus": {"Status": "impaired" if is_sick else "ok", "Details": details},
            "Events": [{**event, "Description": "The data may be inconsistent"}] if is_sick else [],
            "Actions": [{**event, "Code": "enable-volume-io", "Description": "Enable volume I/O"}] if is_sick else [],
        }

    def enable_io(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """EnableVolumeIO: a person takes the risk."""
        self.sick.pop(asked["VolumeId"], None)
        return {}
