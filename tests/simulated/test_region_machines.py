"""Simulated hosts: which server runs on which volumes, what ends it, and start_database as it is played."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from region import Region, Simulated, minutes
from region.documents import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from region.machines import Outcome

DOCUMENT: Mapping[str, Any] = yaml.safe_load(Path("documents/start_database.yaml").read_text())
SNAPSHOT = "snap-0000000000000001"
FREEZE = {"command": "pre-script", "executionId": "e", "volumeIds": "", "leaseSeconds": "20", "snapshotIds": ""}
A, B = "vol-000000000000000a", "vol-000000000000000b"


@dataclass
class Lab:
    """Machines without EC2: hosts and volumes are made here, and documents sent."""

    region: Region
    machines: Simulated
    outcomes: list[Outcome] = field(default_factory=list)

    def launch(self, name: str, *volumes: str) -> str:
        """A host whose agent is there, with these volumes; those that are new are made."""
        self.machines.launch(name, "")
        for volume in volumes:
            if volume not in self.machines.servers.disks:
                self.machines.create_volume(volume, 8, None)
            self.machines.attach(volume, name, "/dev/sdf")
        self.region.run(self.region.quiet)
        return name

    def recorded(self, name: str, *volumes: str) -> str:
        """A host that serves these volumes, and has recorded how."""
        self.launch(name, *volumes)
        assert self.ask(name, "record", *volumes)[0] == 0
        return name

    def send(self, host: str, command: str, *volumes: str, **parameters: str) -> None:
        given = {"command": command, "volumeIds": " ".join(volumes), **parameters}
        words = resolve(DOCUMENT, {name: [value] for name, value in given.items()})
        self.machines.run(host, DOCUMENT, words, self.outcomes.append)

    def ask(self, host: str, command: str, *volumes: str, **parameters: str) -> tuple[int, dict[str, Any]]:
        """The exit code of the document, and what it says."""
        self.outcomes.clear()
        self.send(host, command, *volumes, **parameters)
        self.region.run(lambda: bool(self.outcomes), at_most=minutes(10))
        return answer(self.outcomes[0])

    def start(self, host: str, *volumes: str, **parameters: str) -> tuple[int, dict[str, Any]]:
        return self.ask(host, "start", *volumes, **parameters)

    def move(self, volume: str, old: str, new: str) -> None:
        assert self.machines.detach(volume, old, force=False)
        self.machines.attach(volume, new, "/dev/sdf")


@pytest.fixture
def lab(region: Region) -> Lab:
    machines = region.machines
    assert isinstance(machines, Simulated)
    return Lab(region, machines)


@pytest.fixture(params=["shutdown", "power_cut", "hang", "forget"])
def end(lab: Lab, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Ends what runs on a host, in each way that there is."""
    return getattr(lab.machines, request.param)


def answer(outcome: Outcome) -> tuple[int, dict[str, Any]]:
    words = json.loads(outcome.stdout)
    assert (outcome.status == "Failed") == (outcome.code != 0) == bool(outcome.stderr)
    return outcome.code, words


class TestServers:
    def test_a_first_host_makes_a_database_on_what_it_gets_and_serves_it(self, lab: Lab) -> None:
        host = lab.launch("i-1", A, B)

        assert lab.machines.serving() == {host: {A, B}}
        assert lab.machines.write(host)
        assert not lab.machines.detach(A, host, force=False)

    def test_whatever_ends_a_host_ends_its_server(self, lab: Lab, end: Callable[[str], None]) -> None:
        lab.launch("i-1", A)

        end("i-1")

        assert lab.machines.serving() == {}
        assert not lab.machines.write("i-1")
        assert not lab.machines.has_agent("i-1")
        (period,) = lab.machines.servers.periods
        assert period.ended == lab.region.clock.now()

    def test_a_volume_pulled_out_ends_the_server(self, lab: Lab) -> None:
        host = lab.launch("i-1", A)

        assert lab.machines.detach(A, host, force=True)

        assert lab.machines.serving() == {}

    def test_a_host_that_boots_again_serves_all_its_volumes_or_nothing(self, lab: Lab) -> None:
        host = lab.launch("i-1", A, B)

        lab.machines.power_cut(host)
        lab.machines.boot(host)
        assert lab.machines.serving() == {host: {A, B}}

        lab.machines.shutdown(host)
        assert lab.machines.detach(B, host, force=False)
        lab.machines.boot(host)
        assert lab.machines.serving() == {}

    def test_a_volume_with_a_database_is_not_served_on_another_host_by_itself(self, lab: Lab) -> None:
        old, new = lab.launch("i-1", A), lab.launch("i-2")
        lab.machines.power_cut(old)

        lab.move(A, old, new)
        lab.machines.shutdown(new)
        lab.machines.boot(new)

        assert lab.machines.serving() == {}

    def test_an_empty_volume_beside_a_moved_database_becomes_no_other(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A), lab.launch("i-2")
        lab.machines.power_cut(old)
        lab.move(A, old, new)

        lab.machines.create_volume(B, 8, None)
        lab.machines.attach(B, new, "/dev/sdg")

        assert lab.machines.serving() == {}
        assert lab.start(new, A)[0] == 0

    def test_what_a_stopped_host_is_given_is_there_when_it_boots(self, lab: Lab) -> None:
        host = lab.launch("i-1")
        lab.machines.shutdown(host)
        lab.machines.create_volume(A, 8, None)
        lab.machines.attach(A, host, "/dev/sdf")
        assert lab.machines.serving() == {}

        lab.machines.boot(host)

        assert lab.machines.serving() == {host: {A}}

    def test_a_volume_of_a_host_that_hangs_is_busy_until_the_power_is_gone(self, lab: Lab) -> None:
        host = lab.launch("i-1", A)
        lab.machines.hang(host)

        assert not lab.machines.detach(A, host, force=False)
        lab.machines.shutdown(host)
        assert lab.machines.detach(A, host, force=False)
        lab.machines.boot(host)
        lab.region.run(lab.region.quiet)
        assert lab.machines.has_agent(host)

    def test_what_no_server_runs_on_is_not_frozen(self, lab: Lab) -> None:
        old, new = lab.launch("i-1", A), lab.launch("i-2")
        lab.machines.power_cut(old)
        lab.move(A, old, new)

        lab.machines.run(new, {}, FREEZE, lab.outcomes.append)
        lab.region.run(lab.region.quiet)

        assert [outcome.code for outcome in lab.outcomes] == [206]

    def test_a_freeze_outlasts_its_lease_on_a_host_that_hangs(self, lab: Lab) -> None:
        host = lab.launch("i-1", A)
        lab.machines.run(host, {}, FREEZE, lab.outcomes.append)
        lab.region.run(lambda: bool(lab.machines.frozen()), at_most=minutes(1))

        lab.machines.hang(host)
        lab.region.run(at_most=minutes(10))
        assert set(lab.machines.frozen()) == {A}
        lab.machines.power_cut(host)
        assert lab.machines.frozen() == {}

    def test_the_agent_comes_some_seconds_after_each_boot(self, lab: Lab) -> None:
        lab.machines.boot_seconds_to_agent = (15, 15)
        lab.machines.launch("i-1", "")
        lab.region.run(at_most=14)
        assert not lab.machines.has_agent("i-1")

        lab.region.run(at_most=1)
        assert lab.machines.has_agent("i-1")

        for _ in range(2):
            lab.machines.power_cut("i-1")
            lab.machines.boot("i-1")
            lab.region.run(at_most=10)
        assert not lab.machines.has_agent("i-1")

    def test_two_servers_of_one_database_at_once_are_found_and_one_after_the_other_are_not(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A), lab.launch("i-2")
        lab.machines.power_cut(old)
        lab.move(A, old, new)
        assert lab.start(new, A)[0] == 0
        assert lab.machines.servers.clashes() == []

        lab.machines.snapshot([(A, SNAPSHOT)])
        lab.machines.create_volume(B, 8, SNAPSHOT)
        copied = lab.launch("i-3", B)
        assert lab.start(copied, B)[0] == 0

        ((one, other),) = lab.machines.servers.clashes()
        assert (one.instance, other.instance) == (new, copied)

    def test_a_volume_that_two_hosts_have_is_served_by_two_which_is_found(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A), lab.launch("i-2")
        lab.machines.attach(A, new, "/dev/sdf")

        lab.start(new, A)

        assert lab.machines.serving() == {old: {A}, new: {A}}
        assert len(lab.machines.servers.clashes()) == 1


class TestStart:
    def test_a_moved_database_has_every_acknowledged_write_and_goes_on(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A), lab.launch("i-2")
        acknowledged = sum(lab.machines.write(old) for _ in range(7))
        lab.machines.power_cut(old)
        lab.move(A, old, new)

        code, words = lab.start(new, A)

        assert (code, words["writable"], words["timeline"], words["stopped"]) == (0, True, 1, [])
        assert lab.machines.serving() == {new: {A}}
        assert lab.machines.acknowledged(A) == acknowledged == 7
        lab.machines.shutdown(new)
        lab.machines.boot(new)
        assert lab.machines.serving() == {new: {A}}

    def test_it_is_safe_twice_and_at_once(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A), lab.launch("i-2")
        lab.machines.power_cut(old)
        lab.move(A, old, new)

        lab.outcomes.clear()
        for _ in range(3):
            lab.send(new, "start", A)
        lab.region.run(lab.region.quiet)

        assert [outcome.code for outcome in lab.outcomes] == [0, 0, 0]
        assert [period.instance for period in lab.machines.servers.periods] == [old, new]

    def test_it_waits_for_all_volumes_and_starts_nothing_without(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A, B), lab.launch("i-2")
        lab.machines.power_cut(old)
        lab.move(A, old, new)

        code, words = lab.start(new, A, B)
        assert (code, B in words["error"], lab.machines.serving()) == (210, True, {})

        lab.outcomes.clear()
        lab.send(new, "start", A, B)
        lab.region.run(at_most=10)
        lab.move(B, old, new)
        lab.region.run(lab.region.quiet)
        assert answer(lab.outcomes[0])[0] == 0
        assert lab.machines.serving() == {new: {A, B}}

    def test_a_volume_left_out_is_named_and_nothing_is_started(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A, B), lab.launch("i-2")
        lab.machines.power_cut(old)
        lab.move(A, old, new)

        code, words = lab.start(new, A)

        assert (code, B in words["error"], lab.machines.serving()) == (212, True, {})

    def test_volumes_of_two_databases_without_a_record_or_beside_another_database_are_unfit(self, lab: Lab) -> None:
        lab.recorded("i-1", A)
        lab.recorded("i-2", B)
        new, bare = lab.launch("i-3"), "vol-000000000000000c"
        lab.launch("i-4", bare)
        for host, volume in (("i-1", A), ("i-2", B), ("i-4", bare)):
            lab.machines.power_cut(host)
            lab.move(volume, host, new)

        assert [lab.start(new, *volumes)[0] for volumes in ((A, B), (bare,), (A,), (B,))] == [212, 212, 0, 212]
        assert lab.machines.serving() == {new: {A}}

    def test_recovery_is_told_when_it_lasts_and_goes_on_meanwhile(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A), lab.launch("i-2")
        lab.machines.power_cut(old)
        lab.move(A, old, new)
        lab.machines.hosts[new].recovering = 60

        code, words = lab.start(new, A, waitSeconds="45")
        assert (code, words["recovering"], words["seconds"]) == (211, True, 45)
        assert lab.machines.serving() == {}
        assert lab.ask(new, "probe", A)[1]["recovering"]

        assert lab.start(new, A, waitSeconds="45")[0] == 0
        assert len(lab.machines.servers.periods) == 2

    def test_what_it_refuses_and_how_often_it_fails_is_set(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A), lab.launch("i-2")
        lab.machines.power_cut(old)
        lab.move(A, old, new)
        host = lab.machines.hosts[new]
        codes = []

        host.unfit = "The database is of PostgreSQL 15, and this host has 16."
        codes.append(lab.start(new, A)[0])
        host.unfit, host.start_fails = "", 2
        codes += [lab.start(new, A)[0] for _ in range(3)]
        host.full_percent = 100
        codes.append(lab.start(new, A)[0])
        host.full_percent, host.read_only = 99, True
        codes.append(lab.start(new, A)[0])
        host.read_only, host.start_fails = False, "FATAL:  out of memory"
        codes.append(lab.start(new, A)[0])

        assert codes == [214, 210, 210, 0, 210, 210, 210]

    def test_a_server_that_died_is_started_again(self, lab: Lab) -> None:
        host = lab.recorded("i-1", A)
        lab.machines.hosts[host].postgres = False
        assert lab.machines.serving() == {}

        assert lab.start(host, A)[0] == 0

        assert lab.machines.serving() == {host: {A}}

    def test_an_empty_cluster_of_the_image_is_seen_and_makes_room(self, lab: Lab) -> None:
        old = lab.recorded("i-1", A)
        lab.machines.launched_with = {"empty_cluster": True}
        new = lab.launch("i-2")
        lab.machines.power_cut(old)
        assert lab.machines.serving() == {new: frozenset()}
        assert lab.machines.write(new)
        lab.move(A, old, new)
        assert not lab.ask(new, "probe", A)[1]["writable"]

        code, words = lab.start(new, A)

        assert (code, len(words["stopped"])) == (0, 1)
        assert lab.machines.acknowledged(A) == 0
        assert lab.machines.serving() == {new: {A}}
        lab.machines.power_cut(new)
        lab.move(A, new, old)
        lab.machines.boot(new)
        assert lab.machines.serving() == {}

    def test_a_new_timeline_is_begun_once_for_a_snapshot(self, lab: Lab) -> None:
        lab.recorded("i-1", A)
        lab.machines.snapshot([(A, SNAPSHOT)])
        lab.machines.create_volume(B, 8, SNAPSHOT)
        lab.machines.power_cut("i-1")
        new = lab.launch("i-2", B)

        assert lab.start(new, B, newTimeline=SNAPSHOT)[1]["timeline"] == 2
        third = lab.launch("i-3")
        lab.machines.power_cut(new)
        lab.move(B, new, third)
        assert lab.start(third, B, newTimeline=SNAPSHOT)[1]["timeline"] == 2
        assert lab.machines.servers.disks[A].timeline == 1

    def test_a_host_that_dies_in_a_start_says_nothing_and_another_start_finds_no_lock(self, lab: Lab) -> None:
        old, new = lab.recorded("i-1", A), lab.launch("i-2")
        lab.machines.power_cut(old)
        lab.move(A, old, new)
        lab.outcomes.clear()
        lab.machines.hosts[new].recovering = 20
        lab.send(new, "start", A)
        lab.region.run(at_most=5)

        lab.machines.power_cut(new)
        lab.region.run(at_most=minutes(5))
        assert lab.outcomes == []

        lab.machines.boot(new)
        assert lab.start(new, A)[0] == 0


class TestRecordAndProbe:
    def test_a_record_is_of_exactly_the_volumes_that_the_server_lies_on(self, lab: Lab) -> None:
        host = lab.launch("i-1", A, B)
        lab.machines.hosts[host].database = frozenset({A})
        lab.machines.hosts[host].warnings = ("The configuration lies outside of the volumes.",)

        code, words = lab.ask(host, "record", A)

        assert (code, len(words["warnings"])) == (0, 1)
        assert lab.ask(host, "record", A, B)[0] == 212
        lab.machines.hosts[host].database = frozenset({A, B})
        assert lab.ask(host, "record", A)[0] == 212
        lab.machines.unmount(host)
        assert lab.ask(host, "record", A)[0] == 210

    def test_a_probe_says_whether_a_write_is_taken_and_starts_nothing(self, lab: Lab) -> None:
        name = lab.launch("i-1", A)
        host = lab.machines.hosts[name]

        def writable() -> bool:
            code, words = lab.ask(name, "probe", A)
            assert code == 0
            assert words["writable"] == (not words["error"] and not words["standby"])
            return words["writable"]

        assert writable()
        for toggle, value in (("read_only", True), ("standby", True), ("full_percent", 100), ("postgres", False)):
            before = getattr(host, toggle)
            setattr(host, toggle, value)
            assert (writable(), lab.machines.serving()) == (False, {})
            setattr(host, toggle, before)
        lab.machines.freeze(A)
        assert not writable()
        assert not lab.machines.write(name)
        lab.machines.thaw(A)
        lab.machines.unmount(name)
        assert not writable()

    def test_a_probe_that_meets_a_freeze_waits_for_its_end(self, lab: Lab) -> None:
        host = lab.launch("i-1", A)
        lab.machines.freeze(A)
        lab.region.clock.after(2, lambda: lab.machines.thaw(A))

        assert lab.ask(host, "probe", A)[1]["writable"]

    def test_a_silent_agent_is_there_and_never_answers(self, lab: Lab) -> None:
        host = lab.launch("i-1", A)
        lab.machines.hosts[host].silent = True

        lab.send(host, "probe", A)
        lab.region.run(lab.region.quiet)

        assert lab.machines.has_agent(host)
        assert lab.outcomes == []

    def test_a_document_that_nobody_plays_is_an_error(self, lab: Lab) -> None:
        with pytest.raises(NotImplementedError):
            lab.machines.run(lab.launch("i-1"), {"description": "Copies files."}, {}, lab.outcomes.append)
