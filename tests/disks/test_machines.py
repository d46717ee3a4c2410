"""The machines themselves: what EC2 promises of instances and volumes, and what the kernel has to be talked into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from region.disks import agent, kernel
from region.disks.instance import EBS
from tests.disks import database
from tests.disks.database import BINARIES, DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from region.disks import Disks
    from region.disks.instance import Instance
    from tests.disks.database import Database

# Writes a number to the first volume, then to the second: at any instant the second is at most one behind.
COUNT = """
import os
devices = [os.open(f"/dev/nvme{n}n1", os.O_WRONLY | os.O_SYNC) for n in (1, 2)]
for number in range(1 << 40):
    for device in devices:
        os.pwrite(device, number.to_bytes(8), 0)
"""


def test_snapshots_of_several_volumes_are_of_one_instant(
    machines: Disks, new_host: Callable[[], Instance], trial: int
) -> None:
    first, second = two_volumes_written_in_turn(machines, new_host())

    machines.snapshot([(second, "snap-second"), (first, "snap-first")])

    numbers = [content(machines, snapshot) for snapshot in ("snap-first", "snap-second")]
    assert numbers[0] - numbers[1] in (0, 1)


def test_snapshots_one_after_the_other_are_not(machines: Disks, new_host: Callable[[], Instance]) -> None:
    first, second = two_volumes_written_in_turn(machines, new_host())

    machines.snapshot([(second, "snap-second")])
    kernel.really_sleep(0.1)
    machines.snapshot([(first, "snap-first")])

    assert content(machines, "snap-first") - content(machines, "snap-second") > 1


def test_a_volume_that_is_mounted_is_detached_by_force_alone(machines: Disks, new_host: Callable[[], Instance]) -> None:
    host, other = new_host(), new_host()
    volume = database.format_volume(machines, host, "/data")
    host.call("echo kept >/data/synced; sync -f /data; echo lost >/data/unsynced")

    assert not machines.detach(volume, host.id, force=False)
    assert machines.detach(volume, host.id, force=True)

    machines.attach(volume, other.id, "/dev/sdf")
    database.mount(other, volume, "/data")
    assert other.call("ls /data") == "synced"


def test_user_data_runs_at_the_first_boot_alone_and_the_root_disk_is_kept(
    machines: Disks, new_host: Callable[[], Instance]
) -> None:
    host = new_host()
    machines.forget(host.id)
    machines.launch(host.id, "#!/bin/bash\necho booted >>/srv/boots\n")
    boots = machines.hosts[host.id].changes / "upper/srv/boots"
    assert kernel.until(boots.exists, seconds=5)

    machines.shutdown(host.id)
    machines.boot(host.id)
    kernel.really_sleep(0.2)

    assert boots.read_text() == "booted\n"


def test_cloud_init_says_whether_user_data_still_runs(machines: Disks, new_host: Callable[[], Instance]) -> None:
    host = new_host()
    machines.forget(host.id)
    machines.launch(host.id, "until [ -e /srv/enough ]; do sleep 0.01; done")
    host = machines.hosts[host.id]

    assert host.call("cloud-init status") == "status: running"
    host.call("touch /srv/enough")
    assert kernel.until(lambda: host.call("cloud-init status") == "status: done", seconds=5)


def test_a_document_that_is_over_its_time_is_killed_with_its_group_but_not_what_left_it(
    machines: Disks, new_host: Callable[[], Instance]
) -> None:
    host = new_host()
    script = "#!/bin/bash\ntrap 'touch /srv/trapped' EXIT\nsetsid sleep 77 >/dev/null 2>&1 &\nsleep 78\n"
    document = {
        "mainSteps": [{"action": "aws:runShellScript", "inputs": {"timeoutSeconds": "5", "runCommand": [script]}}]
    }

    assert agent.run(host, document, {}).status == "TimedOut"
    assert not host.path("/srv/trapped").exists()
    assert host.call("pgrep -x -a sleep").count("77") == 1
    assert "78" not in host.call("pgrep -x -a sleep")


def test_a_host_that_hangs_says_nothing_and_its_volumes_are_whole_elsewhere(
    machines: Disks, db: Database, new_host: Callable[[], Instance]
) -> None:
    db.sql("INSERT INTO probe DEFAULT VALUES")
    other = new_host()
    assert machines.serving() == {db.host.id: frozenset(db.volumes)}

    machines.hang(db.host.id)

    assert not machines.has_agent(db.host.id)
    assert machines.serving() == {}
    assert not machines.detach(db.volumes[0], db.host.id, force=False)
    machines.shutdown(db.host.id)
    move(machines, db, other)
    assert other.call("cat /proc/mounts").count(" /data xfs ") == 1
    assert db.sql("SELECT count(*) FROM probe") == "1"
    assert machines.serving() == {other.id: frozenset(db.volumes)}


def test_what_a_hanging_host_is_given_and_loses_is_so_when_it_boots(
    machines: Disks, new_host: Callable[[], Instance]
) -> None:
    host, given = new_host(), database.new_volume()
    lost = database.format_volume(machines, host, "/data")
    machines.create_volume(given, 1, None)

    machines.hang(host.id)
    machines.attach(given, host.id, "/dev/sdg")
    assert machines.detach(lost, host.id, force=True)
    machines.snapshot([(given, "snap-of-a-hanging-host")])
    assert "frozen 1" in (host.group.path / "cgroup.events").read_text()
    assert not machines.has_agent(host.id)
    machines.power_cut(host.id)
    machines.boot(host.id)

    assert machines.has_agent(host.id)
    assert host.call("ls /dev/disk/by-id") == EBS.rpartition("/")[2] + given.replace("-", "")


def test_a_host_has_the_volume_that_it_was_given_while_it_was_off(
    machines: Disks, db: Database, new_host: Callable[[], Instance]
) -> None:
    other = new_host()
    machines.shutdown(other.id)
    machines.power_cut(db.host.id)
    assert machines.detach(db.volumes[0], db.host.id, force=False)

    machines.attach(db.volumes[0], other.id, "/dev/sdf")
    machines.boot(other.id)

    machines.boot(db.host.id)
    assert db.host.call("ls /dev/disk/by-id") == ""
    database.mount(other, db.volumes[0], "/data")
    db.host = other
    db.start()
    assert machines.serving() == {other.id: frozenset(db.volumes)}


def test_a_volume_moves_after_a_power_cut_and_a_boot_of_its_host(
    machines: Disks, db: Database, new_host: Callable[[], Instance]
) -> None:
    db.sql("INSERT INTO probe DEFAULT VALUES")

    machines.power_cut(db.host.id)
    machines.boot(db.host.id)
    move(machines, db, new_host())

    assert db.sql("SELECT count(*) FROM probe") == "1"


def test_who_serves_is_known_with_all_its_volumes_and_a_server_on_the_root_disk_has_none(
    machines: Disks, split_db: Database, new_host: Callable[[], Instance]
) -> None:
    other = new_host()
    other.call("install -d -o postgres -g postgres /srv/empty")
    other.call(f"runuser -u postgres -- {BINARIES}/initdb --auth=trust -D /srv/empty >/dev/null")
    database.start_server(other, "/srv/empty")

    assert machines.serving() == {split_db.host.id: frozenset(split_db.volumes), other.id: frozenset()}
    split_db.stop()
    split_db.host.call(f"touch {DATA}/standby.signal")
    split_db.start()
    assert split_db.sql("SELECT pg_is_in_recovery()") == "t"
    assert machines.serving() == {other.id: frozenset()}


def two_volumes_written_in_turn(machines: Disks, host: Instance) -> list[str]:
    volumes = [database.new_volume(), database.new_volume()]
    for volume in volumes:
        machines.create_volume(volume, 1, None)
        machines.attach(volume, host.id, "/dev/sdf")
    host.popen("python3", "-c", COUNT)
    kernel.really_sleep(0.3)
    return volumes


def content(machines: Disks, snapshot: str) -> int:
    """The number at the beginning of a snapshot."""
    volume = database.new_volume()
    machines.create_volume(volume, 1, snapshot)
    with open(machines.volumes.device_of(volume), "rb") as device:
        number = int.from_bytes(device.read(8))
    machines.delete_volume(volume)
    return number


def move(machines: Disks, db: Database, host: Instance) -> None:
    """The one volume of a database goes to another host, and is served there."""
    (volume,) = db.volumes
    assert machines.detach(volume, db.host.id, force=False)
    machines.attach(volume, host.id, "/dev/sdf")
    database.mount(host, volume, "/data")
    db.host = host
    db.start()
