"""A set of a real database under load, on real disks; the power fails, and the set is restored on another host."""

from __future__ import annotations

import base64
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from region import Region
from region.demo.cast import APPLICATION
from region.demo.drawing import draw_figures, draw_load
from region.demo.story import Claim, tell
from region.demo.writers import PSQL, TABLE, Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from region.demo.paper import Paper
    from region.disks import Disks
    from region.disks.instance import Instance

WRITERS = 4
BEFORE_SECONDS = 1.5
AFTER_SECONDS = 1.0
MOST_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of it: when payments were acknowledged, when the snapshots were begun, figures and claims."""

    times: tuple[float, ...]
    taken: float
    note: str
    figures: dict[str, str]
    claims: tuple[Claim, ...]


def play(paper: Paper, name: str) -> bool:
    """The scene; whether all of it holds."""
    from region.disks import Disks  # noqa: PLC0415 of Linux alone

    paper.say(
        f"The same templates and functions; but the volume is XFS, the host is a namespace with a real PostgreSQL, and "
        f"time is real. {WRITERS} clients write payments while a set is made. Then the power is cut, and the set is "
        f"restored on another host. This takes about 20 seconds."
    )
    machines = Disks()
    with Region(machines=machines) as region:
        ending = live(region, machines, name, paper.progress)
    paper.wipe()
    paper.draw([*draw_load(ending.times, ending.taken, ending.note, "power cut", paper.paint), ""])
    paper.draw([*draw_figures(ending.figures), ""])
    return tell(paper, ending.claims)


def live(region: Region, machines: Disks, name: str, progress: Callable[[str], object]) -> Ending:
    """Deploy, write, snapshot, cut the power, restore, count."""
    progress("a host boots, and PostgreSQL is installed on its volume")
    region.deploy(f"examples/{name}.yaml")
    region.deploy("template.yaml", ReplaceDatabaseHosts="false")
    old = _only_host(region, name)
    host = machines.hosts[old]
    _wait(lambda: _answers(host), "PostgreSQL did not start")
    _ask(host, TABLE)
    with Writers(host, WRITERS) as writers:
        progress(f"{WRITERS} clients write payments")
        time.sleep(BEFORE_SECONDS)
        progress("frozen, snapshotted, thawed")
        made = region.invoke("snapshot_database", {"application": name})["made"][0]
        time.sleep(AFTER_SECONDS)
        progress("the power is cut")
        region.power_cut(old)
    taken = next(call.time for call in region.calls if call.operation == "CreateSnapshots")
    progress("a volume is made of the set, on another host")
    new = machines.hosts[_restore(region, old, made["snapshots"][0])]
    _wait(lambda: _answers(new), "PostgreSQL did not start on the restored volume")
    return _compare(new, writers, taken, made)


def _restore(region: Region, old: str, snapshot: str) -> str:
    """Another host like the old one, with a volume made of the snapshot: as README says, by hand."""
    ec2 = region.client("ec2")
    host = ec2.describe_instances(InstanceIds=[old])["Reservations"][0]["Instances"][0]
    _wait(lambda: _state(ec2, snapshot) == "completed", "the set was not completed")
    script = ec2.describe_instance_attribute(InstanceId=old, Attribute="userData")["UserData"]["Value"]
    new = ec2.run_instances(
        ImageId=host["ImageId"],
        InstanceType=host["InstanceType"],
        SubnetId=host["SubnetId"],
        UserData=base64.b64decode(script).decode(),
        MinCount=1,
        MaxCount=1,
    )["Instances"][0]["InstanceId"]
    zone = host["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(SnapshotId=snapshot, AvailabilityZone=zone, VolumeType="gp3")["VolumeId"]
    region.run(region.quiet, at_most=MOST_SECONDS)
    ec2.attach_volume(VolumeId=volume, InstanceId=new, Device="/dev/sdf")
    return str(new)


def _state(ec2: Any, snapshot: str) -> str:
    return str(ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"])


def _compare(host: Instance, writers: Writers, taken: float, made: dict[str, Any]) -> Ending:
    """What is there again, against what was acknowledged."""
    restored = {tuple(map(int, line.split("|"))) for line in _ask(host, "SELECT writer, number FROM payments").split()}
    acknowledged = writers.acknowledged
    before = [one for one in acknowledged if one.time < taken]
    missing = [one for one in before if (one.writer, one.number) not in restored]
    log = host.call("cat /var/log/postgresql/*.log")
    return Ending(
        tuple(one.time for one in acknowledged),
        taken,
        f"frozen for {made['frozen_ms']} ms, and snapshotted",
        {
            "payments acknowledged": f"{len(acknowledged)}, of which {len(before)} before the snapshot",
            "payments restored": str(len(restored)),
            "the longest commit waited": f"{max(one.waited for one in acknowledged) * 1000:.0f} ms",
        },
        (
            Claim("the set is application-consistent", made["consistency"] == "application"),
            Claim("PostgreSQL started on another host, by its ordinary crash recovery", "redo done" in log),
            Claim(
                f"of {len(before)} payments acknowledged before the snapshot {len(missing)} are missing", not missing
            ),
            Claim("pg_amcheck finds no damage", _is_sound(host)),
        ),
    )


def _is_sound(host: Instance) -> bool:
    """Whether pg_amcheck, which Debian keeps beside the server, finds nothing wrong with tables and indexes."""
    with contextlib.suppress(OSError):
        return not host.call(f"{' '.join(PSQL[:4])} /usr/lib/postgresql/*/bin/pg_amcheck --install-missing -d postgres")
    return False


def _only_host(region: Region, name: str) -> str:
    tagged = [{"Name": f"tag:{APPLICATION}", "Values": [name]}]
    found = region.client("ec2").describe_instances(Filters=tagged)["Reservations"]
    return str(found[0]["Instances"][0]["InstanceId"])


def _ask(host: Instance, statement: str) -> str:
    return host.call(f'{" ".join(PSQL)} -c "{statement}"')


def _answers(host: Instance) -> bool:
    with contextlib.suppress(OSError):
        return _ask(host, "SELECT NOT pg_is_in_recovery()") == "t"
    return False


def _wait(claim: Callable[[], bool], complaint: str) -> None:
    """Let time pass in the region until something is so."""
    end = time.monotonic() + MOST_SECONDS
    while not claim():
        if time.monotonic() > end:
            raise TimeoutError(f"{complaint} within {MOST_SECONDS} s")
        time.sleep(0.2)
