"""A witness of a region: judges each write of replace_database_host by the truth, which no request can show.

A reader who lags, and whoever reads before somebody else writes, acts on what was true a while ago, and EC2 has no
condition to write under. So a write is right if it was right at some moment since the oldest thing that its look can
have read: `doubt()` seconds, which is `CALLS` seconds where nothing lags.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from region import Interleave
from tests.simulated import dying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from region import Region
    from region.calls import Call

# An observation is some ten requests of 0.05 s each, or of up to a second where they interleave; a retry waits as long.
CALLS, SLOW_CALLS = 5.0, 30.0
APART = 60.0

OFF = ("stopped", "terminated")
BY_PEOPLE = ("Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown")
OUR_FAULTS = ("AttributeError", "IndexError", "KeyError", "TypeError", "ValueError", "StopIteration", "ParamValidation")
DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthorizationError")


class Witness:
    """`wrongs` are what ought not to have happened; `lost` the volumes that the test itself lost or endangered.

    `stops_are_deaths`: a host that people stop is to be replaced, as ReplaceStoppedByPeople=true has it.
    """

    def __init__(self, region: Region, *, stops_are_deaths: bool = False) -> None:
        self.region = region
        self.stops_are_deaths = stops_are_deaths
        self.volumes = tuple(one["VolumeId"] for one in dying.volumes(region))
        self.lost: set[str] = set()
        self.acknowledged = 0
        self.wrongs: list[str] = []
        self._ended_by_us: set[str] = set()
        self._goes_with: dict[str, str] = {}
        self._known: set[str] = set()
        self._doubts: list[tuple[float, float]] = []
        self._read = 0
        self._claimed: defaultdict[str, set[str]] = defaultdict(set)
        self._told: Counter[str] = Counter()
        self._last_launch = (0.0, True)
        judges: Mapping[tuple[str, str], Callable[[Call], None]] = {
            ("ec2", "CreateTags"): self._retire,
            ("ec2", "DetachVolume"): self._detach,
            ("ec2", "StartInstances"): self._start,
            ("ec2", "StopInstances"): self._stop,
            ("ec2", "TerminateInstances"): self._stop,
            ("route53", "ChangeResourceRecordSets"): self._point,
        }
        for key, judge in judges.items():
            region.wire.answers[key] = partial(self._judge, region.wire.answers[key], judge)

    # The truth, now or so many seconds ago

    def state(self, host: str, ago: float = 0) -> str:
        seen = self.region.ec2.seen(host, ago)
        return str(seen["State"]["Name"]) if seen else "terminated"

    def attachments(self, host: str, ago: float = 0) -> list[str]:
        """The states of the attachments of the database's volumes to a host."""
        seen = [self.region.ec2.seen(one, ago) for one in self.volumes]
        held = [one for volume in seen if volume for one in volume["Attachments"]]
        return [one["State"] for one in held if one["InstanceId"] == host]

    def holds_all(self, host: str, ago: float = 0) -> bool:
        return self.attachments(host, ago) == ["attached"] * len(self.volumes)

    def is_impaired(self, host: str, ago: float = 0) -> bool:
        shown = self.region.ec2.show_status(host, ago)
        checks = [shown[name]["Status"] for name in ("InstanceStatus", "SystemStatus")] if shown else []
        return "impaired" in checks

    def is_retired(self, host: str, ago: float = 0) -> bool:
        """We set out to stop it once, whoever has started it since."""
        return "watchkeeper:retired" in self.region.ec2.tags_of(host, ago)

    def is_fenced(self, host: str, ago: float = 0) -> bool:
        """Its last stop was ours."""
        tag, seen = self.region.ec2.tags_of(host, ago).get("watchkeeper:retired", ""), self.region.ec2.seen(host, ago)
        return bool(tag and seen) and tag[:20] >= f"{seen['LaunchTime']:%Y-%m-%dT%H:%M:%SZ}"

    def holds_anchor(self, host: str, ago: float = 0) -> bool:
        seen = self.region.ec2.seen(min(self.volumes), ago)
        return bool(seen) and [one["InstanceId"] for one in seen["Attachments"] if one["State"] == "attached"] == [host]

    def serves(self, host: str, ago: float = 0) -> bool:
        moment = self.region.clock.now() - ago
        return any(
            one.instance == host and set(self.volumes) <= one.volumes and one.began <= moment < one.ended
            for one in self.region.machines.servers.periods
        )

    def is_well(self, host: str, ago: float = 0) -> bool:
        """What may never be touched."""
        return self._is_unimpaired(host, ago) and self.holds_all(host, ago) and self.serves(host, ago)

    def word(self, key: str) -> str:
        """What a volume that is there has as the value of a tag, the first that has one; empty if none has."""
        there = [one for one in self.volumes if one not in self.lost]
        found = [self.region.ec2.tags_of(one).get(f"watchkeeper:{key}", "") for one in there]
        return next(filter(None, found), "")

    @property
    def settled(self) -> str:
        return self.word("host")

    @property
    def refused(self) -> str:
        return self.word("refused").split(" ")[0]

    def address(self) -> str:
        """The host that the record names, whatever resolvers still believe; empty if there is none."""
        values = [
            one["ResourceRecords"][0]["Value"]
            for records in self.region.addresses.records().values()
            for one in records.values()
            if (one["Name"], one["Type"]) == (f"{dying.ADDRESS}.", "A")
        ]
        return self.host_at(values[0]) if values else ""

    def served(self) -> str:
        """The host on which all is as it should be; empty if there is none."""
        host = self.settled
        rest = all(self.region.ec2.tags_of(one).get("watchkeeper:host") == host for one in self.volumes)
        return host if rest and self.holds_all(host) and self.serves(host) and self.address() == host else ""

    def host_at(self, ip: str) -> str:
        instances = self.region.ec2.all_instances()
        found = [one.id for one in instances if one.state != "terminated" and one.private_ip == ip]
        return found[0] if found else ""

    # What a write could have seen

    def doubt(self) -> float:
        """How old the oldest is that a look which writes now can have read."""
        faults, now = self.region.faults, self.region.clock.now()
        lags = [one.seconds for one in faults.active if hasattr(one, "behind")]
        slow = SLOW_CALLS if any(isinstance(one, Interleave) for one in faults.active) else CALLS
        self._doubts = [(until, seconds) for until, seconds in self._doubts if until > now]
        doubt = max(lags, default=0.0) + slow
        self._doubts.append((now + APART, doubt))
        return max(seconds for _, seconds in self._doubts)

    def _moments(self, host: str) -> list[float]:
        """How long ago something changed of what a look at this host reads; its beginning and now besides."""
        ec2, now, doubt = self.region.ec2, self.region.clock.now(), self.doubt()
        ids = (host, *self.volumes)
        times = [time for one in ids for time, _ in (*ec2.former.get(one, ()), *ec2.former_tags.get(one, ()))]
        times += [time for one in ec2.troubles.get(host, ()) for time in (one.since, one.until)]
        times += [time for one in self.region.machines.servers.periods for time in (one.began, one.ended)]
        return sorted({0.0, doubt, *(now - time for time in times if now - doubt < time <= now)})

    def ever(self, claim: Callable[[str, float], bool], host: str) -> bool:
        return any(claim(host, ago) for ago in self._moments(host))

    def always(self, claim: Callable[[str, float], bool], host: str) -> bool:
        return all(claim(host, ago) for ago in self._moments(host))

    # Judging

    def _judge(self, own: Callable[[Call], Any], judge: Callable[[Call], None], call: Call) -> Any:
        before = list(self.wrongs)
        if call.caller == dying.FUNCTION:
            judge(call)
        try:
            return own(call)
        except Exception:
            self.wrongs = before  # what was refused did no harm
            raise

    def _wrong(self, what: str) -> None:
        self.wrongs.append(f"{self.region.clock.moment():%H:%M:%S} {what}")

    def _retire(self, call: Call) -> None:
        """What is written on a host before anything is done to it."""
        if "watchkeeper:retired" not in [one["Key"] for one in call.parameters["Tags"]]:
            return
        for host in call.parameters["Resources"]:
            if self.always(self.is_well, host):
                self._wrong(f"{host} is retired, which is well")
            if not self.stops_are_deaths and host == self.settled and self.always(self._is_left, host):
                self._wrong(f"{host} is retired, which people stopped")

    def _is_left(self, host: str, ago: float) -> bool:
        """People stopped it, with the anchor."""
        shown = self.region.ec2.seen(host, ago) or {}
        is_stopped = (shown.get("StateReason") or {}).get("Code", "") in BY_PEOPLE
        return is_stopped and self.holds_anchor(host, ago) and not self.is_fenced(host, ago)

    def _detach(self, call: Call) -> None:
        host, volume = call.parameters["InstanceId"], call.parameters["VolumeId"]
        is_off = self.ever(lambda one, ago: self.state(one, ago) in OFF, host)
        is_stuck = self.ever(lambda one, ago: "attaching" in self.attachments(one, ago), host)
        if not is_off and (call.parameters.get("Force") or not is_stuck):
            self._wrong(f"{volume} is taken from {host}, which is {self.state(host)}: {dict(call.parameters)}")
        if self.always(self.is_well, host):
            self._wrong(f"{volume} is taken from {host}, which is well")

    def _start(self, call: Call) -> None:
        for host in call.parameters["InstanceIds"]:
            seen = self.region.ec2.show(host) or {}
            reason = (seen.get("StateReason") or {}).get("Code", "")
            if reason in BY_PEOPLE and not self.ever(self.is_fenced, host):
                self._wrong(f"{host} is started, which people stopped")

    def _stop(self, call: Call) -> None:
        for host in call.parameters["InstanceIds"]:
            if call.operation == "TerminateInstances" and self.state(host) not in ("shutting-down", "terminated"):
                self._ended_by_us.add(host)
            if self.state(host) != "running":
                continue
            if not self.ever(self.is_fenced, host):
                self._wrong(f"{host} is stopped before it is written down: it would look like a stop by people")
            if self.always(self.holds_all, host) and self.always(self._is_unimpaired, host):
                self._wrong(f"{host} is stopped, which has all volumes and is not impaired")
            is_at_home = host == self.settled and not self.is_retired(host, self.doubt())
            if is_at_home and self.always(self.holds_anchor, host) and self.always(self._is_unimpaired, host):
                self._wrong(f"{host} is stopped, which has the anchor and is not impaired: somebody is at it")
            if self.always(self.holds_all, host) and not self._has_another(host):
                self._wrong(f"{host} is stopped, and there is no other, nor was one refused")

    def _is_unimpaired(self, host: str, ago: float) -> bool:
        return self.state(host, ago) == "running" and not self.is_impaired(host, ago)

    def _has_another(self, host: str) -> bool:
        self._read_calls()
        time, made = self._last_launch
        living = [one.id for one in self.region.ec2.all_instances() if one.state in ("pending", "running")]
        tags = {one: self.region.ec2.tags_of(one) for one in living if one != host}
        others = [one for one, words in tags.items() if words.get("watchkeeper:replaces") in (host, self.settled)]
        return bool(others) or self.region.clock.now() - time < (APART if made else 2 * APART)

    def _point(self, call: Call) -> None:
        (created,) = [one for one in call.parameters["ChangeBatch"]["Changes"] if one["Action"] == "CREATE"]
        host = self.host_at(created["ResourceRecordSet"]["ResourceRecords"][0]["Value"])
        if not host or not self.ever(self.holds_all, host):
            self._wrong(f"the address leads to {host or 'nobody'}, who has not all volumes")

    # What may be at no moment

    def look(self) -> Iterable[str]:
        """All that is wrong by now."""
        self._read_calls()
        self._look_at_disks()
        return self.wrongs

    def _look_at_disks(self) -> None:
        machines = self.region.machines
        for pair in machines.servers.clashes():
            self._wrong(f"two servers at once: {pair}")
        self._look_for_deleted()
        for volume in self.volumes:
            holding = [one.id for one in machines.hosts.values() if volume in one.volumes]
            if len(holding) > 1:
                self._wrong(f"{volume} is in {holding}")
            if not self.lost and machines.servers.disks[volume].acknowledged != self.acknowledged:
                self._wrong(f"{volume} has {machines.servers.disks[volume].acknowledged} of {self.acknowledged} writes")

    def _look_for_deleted(self) -> None:
        """Who terminates a host means what goes with it; we never do."""
        ec2 = self.region.ec2
        for volume in self._known - set(ec2.volumes) - self.lost:
            if volume not in self._goes_with or self._goes_with[volume] in self._ended_by_us:
                self._wrong(f"{volume} is deleted")
            self.lost |= {volume} & set(self.volumes)
        self._known = set(ec2.volumes)
        for one in ec2.all_instances():
            blocks = [block for _, block in one.get_block_device_mapping if block.delete_on_termination]
            self._goes_with |= {block.volume_id: one.id for block in blocks}

    def _read_calls(self) -> None:
        for call in self.region.calls[self._read :]:
            if call.caller != dying.FUNCTION:
                continue
            if call.operation == "RunInstances" and not call.parameters.get("DryRun"):
                self._last_launch = (call.time, call.error is None)
            if call.error in DENIED:
                self._wrong(f"IAM denies {call.operation} {dict(call.parameters)}")
            if call.operation == "PutLogEvents":
                self._claimed[call.parameters["logEvents"][0]["message"]].add(call.parameters["logStreamName"])
            if call.operation == "Publish" and call.error in (None, "lost"):
                text = f"{call.parameters['Subject']}\n\n{call.parameters['Message']}"
                self._told[text] += 1
                if self._told[text] > len(self._claimed[text]):
                    self._wrong(f"told once more than {self._claimed[text]}: {text}")
        self._read = len(self.region.calls)
        for one in self.region.functions.invocations:
            for entry in one.logs:
                said = str(entry.get("exception_name") or entry.get("errorType") or "")
                if any(name in said for name in OUR_FAULTS):
                    self._wrong(f"an error of ours: {entry}")
            one.logs.clear()
