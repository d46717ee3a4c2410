"""The example application, from nothing: its user data runs on a real host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from region import Region
from region.disks import Disks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from region.disks.instance import Instance

USER_DATA = "/var/lib/cloud/instance/user-data"
READY_SECONDS = 120


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    with Region(Disks()) as region:
        region.deploy("template.yaml", ReplaceDatabaseHosts="false", RegisterWebNodes="false")
        region.deploy("examples/smallpayroll.yaml")
        for _ in range(READY_SECONDS):
            if answers(host(region)):
                break
            region.run(at_most=1)
        yield region


def host(region: Region) -> Instance:
    assert isinstance(region.machines, Disks)
    (instance,) = region.machines.hosts.values()
    return instance


def sql(instance: Instance, statement: str) -> str:
    return instance.call(f"runuser -u postgres -- psql -XqAt -c '{statement}'")


def answers(instance: Instance) -> bool:
    try:
        return sql(instance, "select 1") == "1"
    except OSError:
        return False


def test_everything_of_the_database_is_on_the_volume_and_mounted_by_its_serial(region: Region) -> None:
    here = host(region)

    (volume,) = here.devices
    assert here.call("findmnt --noheadings --output FSTYPE /ebs/pgsql") == "xfs"
    assert here.mounts_of(volume) == ["/ebs/pgsql"]
    assert sql(here, "show data_directory").startswith("/ebs/pgsql/")
    assert here.call(f"realpath {sql(here, 'show config_file')}").startswith("/ebs/pgsql/")
    fstab = [line for line in here.path("/etc/fstab").read_text().splitlines() if "/ebs/pgsql" in line]
    assert [line.split()[0].rsplit("_", 1)[1] for line in fstab] == [volume.replace("-", "")]


def test_the_user_data_can_run_again_and_changes_nothing(region: Region) -> None:
    here = host(region)
    sql(here, "create table kept as select 1")
    before = here.call("cat /etc/fstab; head -n 1 /ebs/pgsql/data/postmaster.pid")

    here.call(f"bash {USER_DATA}")

    assert here.call("cat /etc/fstab; head -n 1 /ebs/pgsql/data/postmaster.pid") == before
    assert sql(here, "table kept") == "1"


def test_a_new_host_takes_the_database_that_is_on_the_volume(region: Region) -> None:
    here = host(region)
    sql(here, "create table moved as select 1")
    version = here.call("ls /ebs/pgsql/etc")
    here.call(f"pg_ctlcluster {version} smallpayroll stop; umount /ebs/pgsql")
    here.call(f"rm -r /etc/postgresql/{version}/smallpayroll; sed -i '/pgsql/d' /etc/fstab")

    here.call(f"bash {USER_DATA}")

    assert sql(here, "table moved") == "1"


def test_a_set_of_it_is_application_consistent(region: Region) -> None:
    answer = region.invoke("snapshot_database", {})

    assert [made["consistency"] for made in answer["made"]] == ["application"], answer
