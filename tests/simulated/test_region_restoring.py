"""Simulated hosts: stop_database, mount_copy, check_database and isolated starts as they are played."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from region import Region, Simulated, minutes

if TYPE_CHECKING:
    from region.machines import Outcome

OLD, WAL, COPY, OF_WAL = (f"vol-000000000000000{last}" for last in "abcd")
SNAPSHOT, OTHER = "snap-0000000000000001", "snap-0000000000000002"
SQL = "SELECT count(*) FROM payslips"


@dataclass
class Lab:
    """Machines without EC2, with a database on two volumes of `production`, and copies of both."""

    region: Region
    machines: Simulated
    outcomes: list[Outcome] = field(default_factory=list)

    def launch(self, name: str, *volumes: str) -> str:
        self.machines.launch(name, "")
        for volume in volumes:
            self.machines.attach(volume, name, "/dev/sdf")
        self.region.run(self.region.quiet)
        return name

    def ask(self, host: str, *volumes: str, **parameters: str) -> tuple[int, dict[str, Any]]:
        """The exit code of the document that has these parameters, and what it says."""
        self.outcomes.clear()
        self.machines.run(host, {}, {"volumeIds": " ".join(volumes), **parameters}, self.outcomes.append)
        self.region.run(lambda: bool(self.outcomes), at_most=minutes(10))
        return self.outcomes[0].code, json.loads(self.outcomes[0].stdout)

    def start(self, host: str, *volumes: str, isolated: str = "false", **parameters: str) -> tuple[int, dict[str, Any]]:
        return self.ask(host, *volumes, command="start", isolated=isolated, **parameters)

    def check(self, host: str, *volumes: str, **parameters: str) -> tuple[int, dict[str, Any]]:
        return self.ask(host, *volumes, queries=base64.b64encode(SQL.encode()).decode(), **parameters)


@pytest.fixture
def lab(region: Region) -> Lab:
    machines = region.machines
    assert isinstance(machines, Simulated)
    for volume in (OLD, WAL):
        machines.create_volume(volume, 8, None)
    made = Lab(region, machines)
    made.launch("production", OLD, WAL)
    assert made.ask("production", OLD, WAL, command="record")[0] == 0
    machines.snapshot([(OLD, SNAPSHOT), (WAL, OTHER)])
    machines.create_volume(COPY, 8, SNAPSHOT)
    machines.create_volume(OF_WAL, 8, OTHER)
    return made


class TestIsolated:
    def test_nobody_reaches_it_and_its_volumes_are_in_use(self, lab: Lab) -> None:
        scratch = lab.launch("scratch", COPY, OF_WAL)

        code, words = lab.start(scratch, COPY, OF_WAL, isolated="true", newTimeline=SNAPSHOT)

        assert (code, words["timeline"]) == (0, 2)
        assert set(lab.machines.serving()) == {"production"}
        assert lab.machines.servers.clashes() == []
        assert not lab.machines.write(scratch)
        assert not lab.machines.detach(COPY, scratch, force=False)
        assert lab.machines.servers.archived == []

    def test_it_is_gone_with_the_power_and_does_not_come_back(self, lab: Lab) -> None:
        scratch = lab.launch("scratch", COPY, OF_WAL)
        lab.start(scratch, COPY, OF_WAL, isolated="true")

        lab.machines.shutdown(scratch)
        lab.machines.boot(scratch)
        lab.region.run(lab.region.quiet)

        assert lab.check(scratch, COPY, OF_WAL)[0] == 210
        assert lab.machines.detach(COPY, scratch, force=False)

    def test_one_for_everybody_and_one_in_isolation_do_not_share_volumes(self, lab: Lab) -> None:
        scratch = lab.launch("scratch", COPY, OF_WAL)
        lab.start(scratch, COPY, OF_WAL, isolated="true")

        assert lab.start(scratch, COPY, OF_WAL)[0] == 212
        assert lab.start("production", OLD, WAL, isolated="true")[0] == 212


class TestTimelines:
    def test_a_new_one_is_higher_than_the_highest_known(self, lab: Lab) -> None:
        scratch = lab.launch("scratch", COPY, OF_WAL)
        lab.machines.power_cut("production")

        assert lab.start(scratch, COPY, OF_WAL, newTimeline=SNAPSHOT, timelineAfter="4")[1]["timeline"] == 5
        assert lab.start(scratch, COPY, OF_WAL, newTimeline=SNAPSHOT, timelineAfter="7")[1]["timeline"] == 5

    def test_a_copy_has_that_of_its_original_and_what_is_archived_is_known(self, lab: Lab) -> None:
        lab.machines.power_cut("production")
        scratch = lab.launch("scratch", COPY, OF_WAL)
        lab.start(scratch, COPY, OF_WAL, newTimeline=SNAPSHOT)
        lab.machines.power_cut(scratch)
        lab.machines.snapshot([(COPY, "snap-3"), (OF_WAL, "snap-4")])
        for volume, snapshot in (("vol-e", "snap-3"), ("vol-f", "snap-4")):
            lab.machines.create_volume(volume, 8, snapshot)

        third = lab.launch("third", "vol-e", "vol-f")

        assert lab.start(third, "vol-e", "vol-f", newTimeline="snap-3")[1]["timeline"] == 3
        assert [number for _, number in lab.machines.servers.archived] == [2, 3]

    def test_volumes_of_two_moments_are_served_and_found(self, lab: Lab) -> None:
        scratch = lab.launch("scratch", COPY)
        lab.machines.power_cut("production")
        lab.machines.detach(WAL, "production", force=True)
        lab.machines.attach(WAL, scratch, "/dev/sdg")

        assert lab.machines.servers.torn == []
        assert lab.start(scratch, COPY, WAL)[0] == 0
        assert lab.machines.servers.torn == [(scratch, frozenset({COPY, WAL}))]


class TestStopping:
    def test_it_stops_and_unmounts_and_says_so_again(self, lab: Lab) -> None:
        assert not lab.machines.detach(OLD, "production", force=False)

        code, words = lab.ask("production", OLD, WAL)

        assert (code, words["wasRunning"], words["timeline"], len(words["unmounted"])) == (0, True, 1, 2)
        assert lab.machines.serving() == {}
        assert lab.machines.detach(OLD, "production", force=False)
        assert lab.ask("production", OLD, WAL) == (0, words)

    def test_what_was_started_again_is_stopped_again(self, lab: Lab) -> None:
        first = lab.ask("production", OLD, WAL)
        lab.start("production", OLD, WAL)

        assert lab.ask("production", OLD, WAL)[1]["wasRunning"]
        assert lab.machines.serving() == {}
        assert first[0] == 0

    def test_what_holds_a_mount_is_named_and_nothing_is_stopped(self, lab: Lab) -> None:
        lab.machines.hosts["production"].held = "bash (process 321)"

        code, words = lab.ask("production", OLD, WAL)

        assert (code, "bash (process 321)" in words["error"]) == (210, True)
        assert set(lab.machines.serving()) == {"production"}
        assert not lab.machines.detach(OLD, "production", force=False)

    def test_another_hosts_volumes_are_not_stopped_and_after_a_boot_nothing_is_remembered(self, lab: Lab) -> None:
        other = lab.launch("other")
        assert lab.ask(other, OLD, WAL)[0] == 210

        lab.ask("production", OLD, WAL)
        lab.machines.shutdown("production")
        lab.machines.boot("production")
        lab.region.run(lab.region.quiet)
        assert lab.machines.serving() == {"production": {OLD, WAL}}
        assert lab.ask("production", OLD, WAL)[1]["wasRunning"]
        for volume in (OLD, WAL):
            assert lab.machines.detach(volume, "production", force=False)
        lab.machines.shutdown("production")
        lab.machines.boot("production")
        lab.region.run(lab.region.quiet)
        assert lab.ask("production", OLD, WAL)[0] == 210
        lab.machines.attach(OLD, "production", "/dev/sdf")
        assert lab.ask("production", OLD, WAL)[1] == {
            **{"wasRunning": False, "timeline": None, "system": None},
            **{"stopMs": 0, "unmounted": []},
        }

    def test_it_takes_its_turn_with_starts(self, lab: Lab) -> None:
        host = lab.machines.hosts["production"]
        host.starting = True
        lab.region.clock.after(20, lambda: setattr(host, "starting", False))
        began = lab.region.clock.now()

        assert lab.ask("production", OLD, WAL)[0] == 0
        assert lab.region.clock.now() - began > 19


class TestMounting:
    def test_a_copy_beside_production_has_an_id_of_its_own_and_changes_nothing(self, lab: Lab) -> None:
        lab.machines.attach(COPY, "production", "/dev/sdh")
        assert lab.machines.servers.disks[COPY].uuid == lab.machines.servers.disks[OLD].uuid

        code, words = lab.ask("production", COPY, places="/copy")

        (mounted,) = words["mounted"]
        assert (code, mounted["volume"], mounted["path"]) == (0, COPY, "/copy")
        disks = lab.machines.servers.disks
        assert disks[COPY].uuid == mounted["uuid"] != disks[OLD].uuid
        assert lab.machines.serving() == {"production": {OLD, WAL}}
        assert lab.ask("production", command="probe")[1]["writable"]
        assert not lab.machines.detach(COPY, "production", force=False)
        assert lab.ask("production", COPY, places="/copy") == (0, words)

    def test_a_place_or_a_volume_that_is_taken_is_refused(self, lab: Lab) -> None:
        lab.machines.attach(COPY, "production", "/dev/sdh")
        lab.machines.hosts["production"].occupied = frozenset({"/etc"})

        assert lab.ask("production", COPY, places="/etc")[0] == 212
        assert lab.ask("production", OLD, places="/copy")[0] == 212
        assert lab.ask("production", COPY, places="/copy /more")[0] == 212
        assert lab.ask("production", OF_WAL, places="/copy")[0] == 210


class TestChecking:
    def test_it_checks_what_runs_in_isolation_and_only_that(self, lab: Lab) -> None:
        scratch = lab.launch("scratch", COPY, OF_WAL)
        assert lab.check(scratch, COPY, OF_WAL)[0] == 210
        lab.start(scratch, COPY, OF_WAL, isolated="true")

        assert lab.check(scratch, COPY, OF_WAL)[0] == 0
        assert lab.machines.queries == [(scratch, SQL)]
        assert lab.check("production", OLD, WAL)[0] == 212

    def test_one_that_takes_long_goes_on_and_is_waited_for(self, lab: Lab) -> None:
        scratch = lab.launch("scratch", COPY, OF_WAL)
        lab.start(scratch, COPY, OF_WAL, isolated="true")
        lab.machines.hosts[scratch].checking = 100

        codes = [lab.check(scratch, COPY, OF_WAL, waitSeconds="45")[0] for _ in range(3)]

        assert codes == [211, 211, 0]
        assert len(lab.machines.queries) == 1

    def test_what_was_damaged_in_the_snapshot_is_found_by_check_or_mount(self, lab: Lab) -> None:
        scratch = lab.launch("scratch")
        lab.machines.damage(OTHER, "btree index is corrupt")
        lab.machines.create_volume("vol-e", 8, OTHER)
        lab.machines.damage(SNAPSHOT, "bad superblock", mountable=False)
        lab.machines.create_volume("vol-f", 8, SNAPSHOT)
        for volume in (COPY, "vol-e", "vol-f"):
            lab.machines.attach(volume, scratch, "/dev/sdf")

        assert lab.start(scratch, COPY, "vol-e", isolated="true")[0] == 0
        assert lab.check(scratch, COPY, "vol-e") == (213, {"error": "btree index is corrupt"})
        lab.machines.unmount(scratch)
        assert lab.start(scratch, "vol-e", "vol-f", isolated="true")[1]["error"].endswith("bad superblock")
        assert lab.ask(scratch, "vol-f", places="/copy")[0] == 210

    def test_what_fails_and_what_is_missing_is_set(self, lab: Lab) -> None:
        scratch = lab.launch("scratch", COPY, OF_WAL)
        lab.start(scratch, COPY, OF_WAL, isolated="true")
        host = lab.machines.hosts[scratch]

        host.check_fails = "payslips has no rows"
        assert lab.check(scratch, COPY, OF_WAL) == (213, {"error": "payslips has no rows"})
        host.amcheck = False
        assert lab.check(scratch, COPY, OF_WAL)[0] == 212
