"""The machines themselves: what EC2 promises of instances and volumes, and what the kernel has to be talked into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from region.disks import agent, kernel
from tests.disks import database

if TYPE_CHECKING:
    from collections.abc import Callable

    from region.disks import Disks
    from region.disks.instance import Instance

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
