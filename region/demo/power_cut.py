"""A real database under load, on real disks: a set is made, the power fails, another host takes over, and the set is
restored on a third.
"""

from __future__ import annotations

import base64
import contextlib
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from region import Region
from region.demo.cast import ADDRESS, deploy
from region.demo.drawing import draw_figures, draw_load
from region.demo.story import Claim, tell
from region.demo.writers import PSQL, TABLE, Writers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from region.demo.paper import Paper
    from region.demo.writers import Acknowledged
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
        f"The same templates and functions; but the volume is XFS, hosts are namespaces with a real PostgreSQL, and "
        f"time is real, except for AWS's own share. {WRITERS} clients write payments while a set is made; then the "
        f"power is cut. replace_database_host moves the volume to another host. Beside it the set is restored on a "
        f"third. This takes about 20 seconds."
    )
    machines = Disks()
    with Region(machines=machines) as region:
        ending = live(region, machines, name, paper.progress)
    paper.wipe()
    paper.draw([*draw_load(ending.times, ending.taken, ending.note, "power cut", paper.paint), ""])
    paper.draw([*draw_figures(ending.figures), ""])
    return tell(paper, ending.claims)


def live(region: Region, machines: Disks, name: str, progress: Callable[[str], object]) -> Ending:
    """Deploy, write, snapshot, cut the power; let the host be replaced, and restore; count what is there."""
    progress("a host boots, and PostgreSQL is installed on its volume")
    deployed = deploy(region, name, RegisterWebNodes="false")
    old, volume = deployed["DatabaseHost"], deployed["DatabaseVolume"]
    host = machines.hosts[old]
    _wait(lambda: _answers(host), "PostgreSQL did not start")
    _ask(host, TABLE)
    progress("Watchkeeper makes the host's acquaintance")
    region.invoke("replace_database_host", {})
    region.ec2.get_instance(old).launch_time -= timedelta(hours=1)  # one that dies young is not replaced at once
    with Writers(host, WRITERS) as writers:
        progress(f"{WRITERS} clients write payments")
        time.sleep(BEFORE_SECONDS)
        progress("frozen, snapshotted, thawed")
        made = region.invoke("snapshot_database", {"application": name})["made"][0]
        time.sleep(AFTER_SECONDS)
        progress("the power is cut")
        cut = time.time()
        region.power_cut(old)
    progress("the volume is moved to another host, and a volume is made of the set, on a third")
    restored = machines.hosts[_restore(region, old, made["snapshots"][0])]
    _wait(lambda: region.ec2.tags_of(volume)["watchkeeper:host"] != old, "the host was not replaced")
    new = machines.hosts[region.ec2.tags_of(volume)["watchkeeper:host"]]
    _wait(lambda: _answers(restored), "PostgreSQL did not start on the restored volume")
    led = next(call.time for call in region.calls if call.operation == "ChangeResourceRecordSets" and call.time > cut)
    taken = next(call.time for call in region.calls if call.operation == "CreateSnapshots")
    acknowledged = tuple(writers.acknowledged)
    before = tuple(one for one in acknowledged if one.time < taken)
    return Ending(
        tuple(one.time for one in acknowledged),
        taken,
        f"frozen for {made['frozen_ms']} ms, and snapshotted",
        {
            "payments acknowledged": f"{len(acknowledged)}, of which {len(before)} before the snapshot",
            "on the new host": f"{len(_payments(new))}, {led - cut:.1f} s after the power cut, without AWS's own share",
            "restored from the set": str(len(_payments(restored))),
            "the longest commit waited": f"{max(one.waited for one in acknowledged) * 1000:.0f} ms",
        },
        (*_claims_of_host(region, new, acknowledged), *_claims_of_set(restored, before, made["consistency"])),
    )


def _claims_of_host(region: Region, host: Instance, acknowledged: Sequence[Acknowledged]) -> tuple[Claim, ...]:
    """What is said of the host that took over."""
    missing = _missing(host, acknowledged)
    leads = region.resolve(ADDRESS) == region.ec2.get_instance(host.id).private_ip
    writes = _ask(host, "INSERT INTO payments VALUES (-1, 1, 9.99) RETURNING number") == "1"
    return (
        Claim("another host has the volume and takes payments, and the name leads to it", writes and leads),
        Claim(f"of {len(acknowledged)} payments acknowledged before the power cut {missing} are missing", not missing),
        Claim("pg_amcheck finds no damage there", _is_sound(host)),
    )


def _claims_of_set(host: Instance, before: Sequence[Acknowledged], consistency: str) -> tuple[Claim, ...]:
    """What is said of the set, and of the host on which it was restored."""
    missing, log = _missing(host, before), host.call("cat /var/log/postgresql/*.log")
    return (
        Claim("the set is application-consistent", consistency == "application"),
        Claim("PostgreSQL started on a third host, by its ordinary crash recovery", "redo done" in log),
        Claim(f"of {len(before)} payments acknowledged before the snapshot {missing} are missing there", not missing),
        Claim("pg_amcheck finds no damage there", _is_sound(host)),
    )


def _payments(host: Instance) -> set[tuple[int, ...]]:
    return {tuple(map(int, line.split("|"))) for line in _ask(host, "SELECT writer, number FROM payments").split()}


def _missing(host: Instance, acknowledged: Sequence[Acknowledged]) -> int:
    return len({(one.writer, one.number) for one in acknowledged} - _payments(host))


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


def _is_sound(host: Instance) -> bool:
    """Whether pg_amcheck, which Debian keeps beside the server, finds nothing wrong with tables and indexes."""
    with contextlib.suppress(OSError):
        return not host.call(f"{' '.join(PSQL[:4])} /usr/lib/postgresql/*/bin/pg_amcheck --install-missing -d postgres")
    return False


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
