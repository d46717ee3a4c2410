"""Where systemd is process 1: an agent that is stopped, with all that belongs to it, ends neither keeper nor lease."""

from __future__ import annotations

from region.disks import agent, kernel
from region.disks.instance import SYSTEMD
from tests.disks import database
from tests.disks.database import DOCUMENT, LEASE, Database


def test_a_freeze_outlives_the_agent_that_began_it(stopped_db: Database) -> None:
    under_systemd(stopped_db)
    stopped_db.start()
    start_in_the_agents_unit(stopped_db, "pre-script", volumeIds=stopped_db.volumes[0], leaseSeconds=str(LEASE + 3))
    assert kernel.until(stopped_db.host.path("/run/watchkeeper/frozen").exists, seconds=10)  # to probe would disturb it
    assert stopped_db.is_frozen()

    stopped_db.host.call("systemctl restart amazon-ssm-agent; systemctl stop amazon-ssm-agent")

    units = stopped_db.host.call("systemctl list-units --plain --no-legend 'watchkeeper-*'").splitlines()
    assert sorted(unit.split("-")[1] for unit in units) == ["keeper", "lease"]
    assert stopped_db.is_frozen()
    assert stopped_db.thaw().code == 0
    assert stopped_db.is_writable()
    assert not stopped_db.host.call("systemctl list-units --plain --no-legend 'watchkeeper-*'")


def test_the_lease_outlives_agent_and_keeper(stopped_db: Database) -> None:
    under_systemd(stopped_db)
    stopped_db.start()
    start_in_the_agents_unit(stopped_db, "pre-script", volumeIds=stopped_db.volumes[0])
    assert kernel.until(stopped_db.host.path("/run/watchkeeper/frozen").exists, seconds=10)  # to probe would disturb it
    assert stopped_db.is_frozen()

    stopped_db.host.call("systemctl stop amazon-ssm-agent; systemctl kill -s KILL 'watchkeeper-keeper-*'")

    assert stopped_db.is_writable(2)


def test_a_host_that_shuts_down_in_a_freeze_is_thawed(stopped_db: Database) -> None:
    under_systemd(stopped_db)
    stopped_db.start()
    assert stopped_db.freeze().code == 0

    stopped_db.host.call("systemctl stop 'watchkeeper-*'")

    assert stopped_db.is_writable(2)
    assert stopped_db.thaw().code == 205


def under_systemd(db: Database) -> None:
    """Boot the host again, with a systemd that starts nothing by itself."""
    db.host.call("rm -rf /etc/systemd/system/*.wants; echo >/etc/fstab")
    db.machines.shutdown(db.host.id)
    db.host.process_1 = SYSTEMD
    db.machines.boot(db.host.id)
    assert kernel.until(lambda: "running" in db.host.call("systemctl is-system-running || true"), seconds=20, pause=0.1)
    database.mount(db.host, db.volumes[0], "/data")


def start_in_the_agents_unit(db: Database, command: str, **parameters: str) -> None:
    """Run the document as a unit of that name, which then goes on."""
    given = {"command": command, "executionId": db.execution, **parameters}
    (script,) = agent.inputs(DOCUMENT, DOCUMENT["mainSteps"][0], given)["runCommand"]
    db.host.path("/srv/script").write_text(script)
    db.host.call("systemd-run --unit=amazon-ssm-agent -p Restart=no bash -c 'bash /srv/script; sleep 1000'")
