"""Whatever happens to a database's hosts, in whatever order: worlds that Hypothesis makes up, and what holds in all.

What is judged, and how much doubt a reader who lags is given, is in witness.py.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from region import Death, Interleave, Lag, LaunchFails, LostAnswer, NoCapacity, ServerError, Stuck, Throttle, minutes
from region.delays import Delays
from tests.simulated import dying
from tests.simulated.witness import Witness

if TYPE_CHECKING:
    import pytest

    from region import Region

APPLICATION = "smallpayroll"
# A look asks once a second, so what takes long costs its time here; the shortest that AWS ever takes are as good.
DELAYS = Delays(launch=(2, 8), stop=(2, 6), abrupt_stop=(2, 5), hung_stop=(100, 300), insync=(1, 5))
AGENT_SECONDS = (1, 6)
SWEEPS = 30

SOME = st.integers(0, 3)
SECONDS = st.sampled_from([1, 5, 15, 40, 130, 330, 650, 2400])
WRITES = ("CreateTags", "RunInstances", "StopInstances", "DetachVolume", "AttachVolume", "SendCommand", "Publish")
READS = ("DescribeVolumes", "DescribeInstances", "DescribeInstanceStatus", "ListCommandInvocations")
FAULTS = st.one_of(
    st.sampled_from(["StopInstances", "AttachVolume", "DetachVolume", "SendCommand"]).map(Stuck),
    st.builds(Lag, st.sampled_from([2.0, 8.0, 30.0]), st.sampled_from([None, 1, 2])),
    st.just(None).map(lambda _: NoCapacity()),
    st.builds(Interleave, st.integers(0, 9)),
    st.builds(LaunchFails, st.integers(1, 3)),
    st.builds(Throttle, st.sampled_from(WRITES + READS), st.integers(1, 6)),
    st.builds(ServerError, st.sampled_from(WRITES + READS), st.integers(1, 6)),
    st.builds(LostAnswer, st.sampled_from(WRITES), at_once=st.booleans()),
)
NEW_HOSTS = st.sampled_from(
    [{}, {"start_fails": 2}, {"start_fails": 9}, {"recovering": 100.0}, {"agent": False}, {"empty_cluster": True}]
)
PEOPLE = st.one_of(
    st.sampled_from(["stop", "start", "reboot", "terminate", "detach", "unmount and detach", "attach"]),
    st.sampled_from(["start", "put right", "put right", "pause", "unpause", "unpause", "let it go"]),
)
THEN = st.sampled_from(["", "", "look", "sweep", "wait", "wait, look", "wait, sweep, sweep"])


class Worlds(RuleBasedStateMachine):
    """A region in which anything may happen between two requests of a look."""

    region: Region
    witness: Witness

    def __init__(self) -> None:
        super().__init__()
        self._opened = contextlib.ExitStack()
        self._unmounted: set[str] = set()

    @initialize(
        seed=st.integers(0, 3), volumes=st.sampled_from([2, 1]), people=st.booleans(), budget=st.sampled_from([5, 2])
    )
    def begin(self, seed: int, volumes: int, people: bool, budget: int) -> None:
        parameters = {"ReplaceStoppedByPeople": str(people).lower(), "ReplacementsPerDay": str(budget)}
        self.region = self._opened.enter_context(dying.open_region(seed, volumes=volumes, **parameters))
        self.region.delays = DELAYS
        self.region.machines.boot_seconds_to_agent = AGENT_SECONDS
        self.witness = Witness(self.region, stops_are_deaths=people)

    # What is there

    def hosts(self, *states: str) -> list[str]:
        """The database's hosts in these states, those with a volume first."""
        ec2 = self.region.ec2
        mine = [one for one in ec2.all_instances() if ec2.tags_of(one.id).get("watchkeeper:role") == "database-host"]
        found = [one.id for one in mine if one.state in states]
        return sorted(found, key=lambda one: (not self.witness.attachments(one), one))

    def pick(self, which: int, *states: str) -> str:
        found = self.hosts(*states)
        return found[which % len(found)] if found else ""

    # Looks, and time without them

    @rule(
        trigger=st.sampled_from(["sweep", "event", "application", "by force"]),
        times=st.sampled_from([1, 1, 1, 2, 3]),
        seconds=st.sampled_from([2, 10, 25, 60]),
        death=st.one_of(
            st.none(),
            st.builds(Death, before=st.integers(1, 8)),
            st.builds(Death, after=st.integers(1, 8)),
            st.builds(Death, at_call=st.integers(1, 60)),
        ),
    )
    def look(self, trigger: str, times: int, seconds: float, death: Death | None) -> None:
        """Looks that may overlap with each other, with those that are under way, and with what happens next."""
        dies = [replace(death)] if death else []
        self.region.faults.add(*dies)
        for _ in range(times):
            self.region.start(dying.FUNCTION, self.event(trigger))
            self.region.run(at_most=seconds / times)
        self.region.faults.remove(*dies)

    def event(self, trigger: str) -> dict[str, Any]:
        if trigger == "event":
            return {"detail-type": "EC2 Instance State-change Notification", "detail": {"i": self.witness.settled}}
        forced = {"force": True} if trigger == "by force" else {}
        return {} if trigger == "sweep" else {"application": APPLICATION, **forced}

    @rule(times=st.integers(1, 4))
    def minutes_of_sweeps(self, times: int) -> None:
        for _ in range(times):
            self.sweep()

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.region.run(at_most=seconds)

    # What happens

    @rule(
        which=SOME,
        what=st.sampled_from(["dies", "dies", "hangs", "hangs", "impaired", "comes back", "silent", "answers"]),
        how=SOME,
        then=THEN,
    )
    def host(self, which: int, what: str, how: int, then: str) -> None:
        """Something happens to a host that runs."""
        name = self.pick(which, "running")
        machine = self.region.machines.hosts.get(name)
        if machine is None:
            return
        if what == "dies":
            self.die(name, how)
        elif what == "hangs" and machine.is_alive:
            self.region.hang(name)
            self.region.faults.add(*[Stuck("StopInstances")] * (how == 0))
        elif what == "impaired":
            self.region.impair(name, ("instance", "system", "instance", "ebs")[how], (None, 90, 400, None)[how])
        elif what == "comes back" and name not in self.region.ec2.hung:
            self.region.ec2.calm(name)
        elif what in ("silent", "answers"):
            machine.silent = what == "silent" and how > 1
            machine.agent = what == "answers" or machine.silent
        self.go_on(then)

    def go_on(self, then: str) -> None:
        """What comes next: at once something else, a look that is interrupted, some time, or sweeps."""
        if "wait" in then:
            self.region.run(at_most=240)
        if "look" in then:
            self.look("event", 1, 8, None)
        for _ in range(then.count("sweep")):
            self.sweep()

    def die(self, name: str, how: int) -> None:
        if how < 2:
            self.region.stop(name, ("Server.InternalError", "Server.ScheduledStop")[how])
        else:
            self.region.terminate(name, ("Client.UserInitiatedShutdown", "Server.SpotInstanceTermination")[how - 2])

    @rule(which=SOME, volume=SOME, what=PEOPLE, then=THEN)
    def person(self, which: int, volume: int, what: str, then: str) -> None:
        """What somebody does in the console."""
        name = self.volume(volume)
        host = self.pick(which, *(("stopped",) if what == "start" else ("running", "stopping", "stopped")))
        if what in ("pause", "unpause"):
            tag = {"Resources": [name], "Tags": [{"Key": "watchkeeper:paused", "Value": "repair"}]}
            self.ask("create_tags" if what == "pause" else "delete_tags", **tag)
        elif host and what in ("stop", "start", "reboot", "terminate"):
            self.ask(f"{what}_instances", InstanceIds=[host])
        elif host and what == "attach":
            self.ask("attach_volume", VolumeId=name, InstanceId=host, Device=f"/dev/sd{'xyz'[volume % 3]}")
        elif what in ("detach", "unmount and detach"):
            self.detach(name, what != "detach")
        elif what == "put right":
            for device, one in zip("uvw", self.witness.volumes, strict=False):
                self.ask("attach_volume", VolumeId=one, InstanceId=self.witness.settled, Device=f"/dev/sd{device}")
        elif what == "let it go":
            self.endanger(name)
        self.go_on(then)

    def ask(self, operation: str, **words: Any) -> None:
        """EC2 refuses what cannot be, and people are told."""
        with contextlib.suppress(ClientError):
            getattr(self.region.client("ec2"), operation)(**words)

    def detach(self, volume: str, unmounts: bool) -> None:
        holding = [one for one in self.hosts("running", "stopped") if volume in self.region.machines.hosts[one].volumes]
        for host in holding:
            if unmounts and self.region.machines.hosts[host].is_alive:
                self.region.machines.unmount(host)
                self._unmounted.add(host)
            self.ask("detach_volume", VolumeId=volume, InstanceId=host)

    def endanger(self, volume: str) -> None:
        """Should its host be terminated before a look sees it, a person has deleted it. One comes, if nothing fails."""
        for host in self.hosts("running", "stopped", "stopping"):
            for device, block in self.region.ec2.get_instance(host).get_block_device_mapping:
                if block.volume_id == volume:
                    mapping = {"DeviceName": device, "Ebs": {"DeleteOnTermination": True}}
                    self.ask("modify_instance_attribute", InstanceId=host, BlockDeviceMappings=[mapping])
        self.sweep()

    def volume(self, which: int) -> str:
        return self.witness.volumes[which % len(self.witness.volumes)]

    @rule(fault=st.one_of(FAULTS, FAULTS, NEW_HOSTS, st.none()))
    def requests(self, fault: Any) -> None:
        """Something goes wrong with requests, or with hosts that are launched from now on, or no more."""
        faults = self.region.faults
        if isinstance(fault, dict):
            self.region.machines.launched_with = fault
        elif fault:
            faults.remove(*[one for one in faults.active if type(one) is type(fault)])
            faults.add(replace(fault))
        else:
            faults.remove(*faults.active)

    @rule(volume=SOME, what=st.sampled_from(["sick", "cured", "cured", "error", "gone"]), luck=SOME)
    def volume_is(self, volume: int, what: str, luck: int) -> None:
        name = self.volume(volume)
        if name in self.witness.lost or name not in self.region.ec2.volumes:
            return
        if what == "sick":
            self.region.sicken_volume(name)
        elif what == "cured":
            self.ask("enable_volume_io", VolumeId=name)
        elif (luck, volume) == (0, 0):  # what is lost is not moved any more, so it is rare
            self.witness.lost.add(name)
            self.region.lose_volume(name, what)

    # What holds

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "witness"):
            self.write()
            assert not self.witness.look(), self.witness.wrongs

    def write(self) -> None:
        """A client's transaction, at the address that it finds."""
        address = self.region.resolve(dying.ADDRESS)
        if address and (host := self.witness.host_at(address)) and self.region.machines.write(host):
            self.witness.acknowledged += 1

    # How it ends

    def teardown(self) -> None:
        try:
            if hasattr(self, "witness") and sys.exc_info()[0] is None:
                self.mend()
                self.settle()
        finally:
            self._opened.close()

    def mend(self) -> None:
        """Nothing goes wrong any more, and people end what they began; whom they stopped, they leave so."""
        self.requests(None)
        self.region.run(at_most=minutes(3))
        self.region.machines.launched_with = {}
        for one in self.region.machines.hosts.values():
            one.agent, one.silent, one.start_fails, one.recovering = True, False, 0, None
        for volume in {*self.witness.volumes} - self.witness.lost:
            self.ask("enable_volume_io", VolumeId=volume)
            self.ask("delete_tags", Resources=[volume], Tags=[{"Key": "watchkeeper:paused"}])
        for host in self.hosts("running"):
            if "busy" in self.witness.attachments(host):
                self.region.machines.unmount(host)

    def settle(self) -> None:
        """After some minutes it is served, or a refusal says why not; and then nothing is done any more."""
        self.calm_down()
        if self.witness.refused in ("start-failed", "start-refused"):
            self.look("by force", 1, 60, None)
        host = self.witness.settled
        if host in self._unmounted and self.witness.holds_all(host) and not self.witness.serves(host):
            self.region.machines.servers.serve(self.region.machines.hosts[host], self.witness.volumes)
        self.calm_down()
        self.region.run(at_most=minutes(35))
        self.calm_down()
        self.nothing_is_wrong()
        written = self.sweep()
        assert not written, written
        assert self.is_explained(), (self.witness.refused, self.witness.settled)

    def calm_down(self) -> None:
        for _ in range(SWEEPS):
            if not self.sweep() and (self.witness.served() or self.witness.refused):
                return

    def sweep(self) -> list[str]:
        """A look, and what it wrote; a question to a database is no write, nor is what AWS refuses again."""
        before = len(self.region.calls)
        self.region.start(dying.FUNCTION, {})
        self.region.run(at_most=60)
        calls = [one for one in self.region.calls[before:] if one.caller == dying.FUNCTION and one.write]
        calls = [one for one in calls if not (one.error and one.operation in ("CreateLogStream", "RunInstances"))]
        return [one.operation for one in calls if one.parameters.get("Parameters", {}).get("command") != ["probe"]]

    def is_explained(self) -> bool:
        """It is served, or not for a reason that holds."""
        witness, host = self.witness, self.witness.settled
        state, elsewhere = witness.state(host), not witness.holds_all(host)
        holds = {
            "": bool(witness.served()),
            "budget-spent": not witness.served(),
            "detached-while-healthy": state == "running" and elsewhere,
            "host-answers": bool(witness.served()) and witness.is_impaired(host),
            "moved-by-hand": elsewhere,
            "stopped-by-people": state in ("stopping", "stopped") and not witness.stops_are_deaths,
            "volume-hangs": state == "running" and elsewhere,
            "volume-lost": bool(witness.lost),
            "volume-missing": bool(witness.lost),
        }
        return holds.get(witness.refused, False) or len(witness.lost) == len(witness.volumes)


def test_whatever_happens(pytestconfig: pytest.Config) -> None:
    run_state_machine_as_test(
        Worlds,
        settings=settings(
            max_examples=4 * pytestconfig.getoption("--times"),
            stateful_step_count=20,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
