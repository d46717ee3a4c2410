"""The document's contract: what it freezes, what it answers, and what it refuses."""

from __future__ import annotations

import functools
import re
import uuid
from pathlib import Path

import pytest

from region.disks import kernel
from tests.disks import database
from tests.disks.database import BRIEF, DATA, DOCUMENT, Database, InTheBackground, words

SET = "snap-0123456789abcdef0 snap-0123456789abcdef1"


def test_a_freeze_is_held_from_pre_script_to_post_script(db: Database) -> None:
    frozen = db.freeze()

    assert frozen.code == 0
    assert words(frozen)["mounts"] == ["/data"]
    assert words(frozen)["dataDirectory"] == DATA
    assert words(frozen)["timeline"] == 1
    assert db.machines.frozen() == {db.volumes[0]: words(frozen)["freezeId"]}
    assert db.is_frozen()
    assert not db.is_writable()

    thawed = db.thaw(snapshotIds=SET)

    assert thawed.code == 0
    assert words(thawed)["held"] is True
    assert words(thawed)["freezeId"] == words(frozen)["freezeId"]
    assert words(thawed)["lsn"] == words(frozen)["lsn"]
    assert words(thawed)["stopLsn"] > words(frozen)["lsn"]
    assert words(thawed)["snapshotIds"] == SET
    assert words(frozen)["freezeMs"] <= words(thawed)["frozenMs"] < 3000
    assert db.is_writable()
    assert not db.leftovers()
    assert db.backups() == 0


def test_post_script_answers_the_same_when_it_comes_again(db: Database) -> None:
    db.freeze()
    first = db.thaw(snapshotIds=SET)

    again = db.thaw()

    assert (again.code, again.stdout) == (0, first.stdout)


def test_a_finished_run_is_not_frozen_again_and_tells_its_snapshots(db: Database) -> None:
    db.freeze()
    db.thaw(snapshotIds=SET)

    again = db.freeze()

    assert again.code == 204
    assert words(again)["finished"] is True
    assert words(again)["held"] is True
    assert words(again)["snapshotIds"] == SET
    assert db.is_writable()


def test_dry_run_says_what_it_found_and_changes_nothing(db: Database) -> None:
    before = db.sql("SELECT pg_current_wal_insert_lsn()")

    found = db.dry_run()

    assert found.code == 0
    assert words(found)["mounts"] == ["/data"]
    assert db.sql("SELECT pg_current_wal_insert_lsn()") == before
    assert not db.leftovers()


def test_dry_run_says_that_a_freeze_is_under_way(db: Database) -> None:
    db.freeze()

    assert db.dry_run().code == 204
    assert db.thaw().code == 0


def test_commands_that_come_twice_at_the_same_moment_freeze_and_thaw_once(db: Database, trial: int) -> None:
    begun = [db.begin(), db.begin()]
    codes = sorted(command.outcome().code for command in begun)
    ended = [InTheBackground(functools.partial(db.thaw, snapshotIds=SET)) for _ in range(2)]
    answers = {command.outcome().stdout for command in ended}

    assert codes == [0, 204]
    assert len(answers) == 1
    assert '"held":true' in answers.pop()
    assert not db.leftovers()


def test_a_later_version_of_the_document_thaws_what_an_earlier_one_froze(db: Database) -> None:
    db.freeze()

    later = database.edited(DOCUMENT, "#!/bin/bash", "#!/bin/bash\n# a later version")

    assert db.thaw(document=later).code == 0


def test_a_file_system_over_two_volumes_needs_both(db: Database) -> None:
    """As RAID and LVM are: this kernel may have neither, so that a device is given two others as its parts by hand."""
    volume = database.format_volume(db.machines, db.host, "/array")
    parts = [database.new_volume(), database.new_volume()]
    for part in parts:
        db.machines.create_volume(part, 1, None)
        db.machines.attach(part, db.host.id, "/dev/sdg")
    array, *devices = (Path(db.machines.volumes.device_of(name)) for name in (volume, *parts))
    for device in devices:
        db.host.call(f"mkdir -p /srv/slaves/{device.name}; echo {kernel.number(device)} >/srv/slaves/{device.name}/dev")
    db.host.call(f"mount --bind /srv/slaves /sys/block/{array.name}/slaves")

    one = db.freeze(volumeIds=" ".join([*db.volumes, parts[0]]))
    both = db.freeze(volumeIds=" ".join([*db.volumes, *parts]))

    assert one.code == 206
    assert f"/array lies on {' '.join(sorted(parts))}, in part outside" in one.stderr
    assert set(words(both)["mounts"]) == {"/data", "/array"}
    assert db.thaw().code == 0


def test_without_volumes_it_finds_those_of_the_one_server(split_db: Database) -> None:
    frozen = split_db.freeze(volumeIds="")

    assert frozen.code == 0
    assert set(words(frozen)["mounts"]) == {"/data", "/wal"}
    assert split_db.thaw().code == 0


def test_data_and_wal_on_two_volumes_are_frozen_together(split_db: Database) -> None:
    split_db.freeze()

    assert split_db.is_frozen("/data")
    assert split_db.is_frozen("/wal")
    assert set(split_db.machines.frozen()) == set(split_db.volumes)
    assert split_db.thaw().code == 0
    assert split_db.is_writable()


def test_a_database_seen_through_bind_mounts_is_frozen_once(db: Database) -> None:
    db.stop()
    db.host.call(f"mkdir /pg /pg2; mount --bind {DATA} /pg; mount --bind {DATA} /pg2")
    database.start_server(db.host, "/pg")

    frozen = db.freeze()

    assert frozen.code == 0
    assert len(words(frozen)["mounts"]) == 1
    assert db.thaw().code == 0


def test_a_database_on_a_partition_is_found(db: Database) -> None:
    volume = database.new_volume()
    db.machines.create_volume(volume, 2, None)
    db.machines.attach(volume, db.host.id, "/dev/sdg")
    loop = db.machines.volumes.device_of(volume)
    kernel.call("addpart", loop, "1", "2048", str(1 << 21))
    db.host.detach(volume)
    db.host.attach(volume, loop)
    db.host.call(
        "mkfs.xfs -q /dev/nvme2n1p1; mkdir /part; mount /dev/nvme2n1p1 /part; install -d -o postgres /part/space"
    )
    db.sql("CREATE TABLESPACE part LOCATION '/part/space'")

    frozen = db.freeze(volumeIds=" ".join([*db.volumes, volume]))

    assert frozen.code == 0
    assert set(words(frozen)["mounts"]) == {"/data", "/part"}
    assert db.thaw().code == 0


def test_a_mount_point_with_strange_letters_is_frozen_too(db: Database) -> None:
    strange = '/a "b" \\c'
    volume = database.format_volume(db.machines, db.host, f"'{strange}'")

    frozen = db.freeze(volumeIds=" ".join([*db.volumes, volume]))

    assert frozen.code == 0
    assert strange in words(frozen)["mounts"]
    assert db.thaw().code == 0


def test_a_live_freeze_refuses_another_run_and_its_own(db: Database) -> None:
    db.freeze()

    own, other = db.freeze(), db.freeze(executionId=str(uuid.uuid4()))

    assert (own.code, words(own)["finished"]) == (204, False)
    assert (other.code, words(other)["finished"]) == (204, False)
    assert db.is_frozen()
    assert db.thaw().code == 0


def test_another_runs_post_script_leaves_a_live_freeze_alone(db: Database) -> None:
    db.freeze()

    other = db.thaw(executionId=str(uuid.uuid4()))

    assert other.code == 204
    assert db.is_frozen()
    assert db.thaw().code == 0


def test_post_script_without_a_freeze_has_nothing_to_thaw(db: Database) -> None:
    assert db.thaw().code == 205


def test_a_run_whose_lease_ran_out_is_told_so_and_may_freeze_again(db: Database) -> None:
    frozen = db.freeze(leaseSeconds=str(BRIEF))
    assert db.is_writable(BRIEF + 1)

    late = db.thaw()

    assert late.code == 203
    assert words(late)["held"] is False
    assert words(late)["freezeId"] == words(frozen)["freezeId"]
    assert (BRIEF - 0.5) * 1000 <= words(late)["frozenMs"] < (BRIEF + 1) * 1000
    assert db.freeze().code == 0
    assert db.thaw().code == 0


def test_a_file_system_that_somebody_else_froze_stays_frozen_and_what_we_froze_is_thawed(split_db: Database) -> None:
    other = database.format_volume(split_db.machines, split_db.host, "/other")
    split_db.host.call("fsfreeze -f /other")

    refused = split_db.freeze(volumeIds=" ".join([*split_db.volumes, other]))

    assert (refused.code, words(refused)["finished"]) == (204, False)
    assert split_db.is_frozen("/other")
    assert split_db.is_writable()
    assert split_db.backups() == 0
    split_db.host.call("fsfreeze -u /other")


def test_a_database_that_somebody_else_froze_is_not_waited_for(db: Database) -> None:
    hurried = database.edited(DOCUMENT, "CONNECT_TIMEOUT=10", "CONNECT_TIMEOUT=2")
    db.host.call("fsfreeze -f /data")

    refused = db.freeze(document=database.edited(hurried, "statement_timeout=50s", "statement_timeout=2s"))

    assert (refused.code, words(refused)["finished"]) == (204, False)
    assert db.is_frozen()
    db.host.call("fsfreeze -u /data")
    assert db.is_writable()


def test_a_thaw_by_somebody_else_means_that_the_freeze_was_not_held(db: Database) -> None:
    db.freeze()
    db.host.call("fsfreeze -u /data")

    told = db.thaw(snapshotIds=SET)

    assert told.code == 203
    assert words(told)["held"] is False


def test_post_script_cancels_a_keeper_that_is_still_starting(db: Database) -> None:
    with db.slow_checkpoint():
        starting = db.begin()
        assert db.has_begun()

        cancelled = db.thaw()

    assert cancelled.code == 205
    assert starting.outcome().code == 205
    assert db.is_writable()
    assert not db.leftovers()
    assert db.backups() == 0


def test_a_keeper_that_is_late_freezes_nothing(db: Database) -> None:
    hurried = database.edited(DOCUMENT, "patience=60", "patience=1")
    with db.slow_checkpoint(seconds=2):
        late = db.freeze(document=hurried)

    assert late.code == 201
    assert "Too late" in late.stderr
    assert db.is_writable()
    assert not db.leftovers()


def test_a_keeper_whose_pre_script_was_killed_freezes_nothing(db: Database) -> None:
    hurried = database.edited(DOCUMENT, "timeoutSeconds", "5")
    with db.slow_checkpoint(seconds=6):
        killed = db.freeze(document=hurried)

    assert killed.status == "TimedOut"
    assert db.end_of_keeper()
    assert db.is_writable()
    assert db.backups() == 0


def test_no_server_on_the_volumes_is_not_ready(stopped_db: Database) -> None:
    refused = stopped_db.freeze()

    assert refused.code == 206
    assert "No PostgreSQL runs on" in refused.stderr


def test_a_volume_that_is_not_here_is_not_ready(db: Database) -> None:
    refused = db.freeze(volumeIds=f"{db.volumes[0]} vol-00000000000abcdef")

    assert refused.code == 206
    assert "vol-00000000000abcdef is not attached" in refused.stderr


def test_wal_on_the_root_disk_is_named(stopped_db: Database) -> None:
    stopped_db.host.call(f"mv {DATA}/pg_wal /srv/wal; ln -s /srv/wal {DATA}/pg_wal")
    stopped_db.start()

    refused = stopped_db.freeze()

    assert refused.code == 206
    assert f"/srv/wal, a part of {DATA}, lies on" in refused.stderr
    assert stopped_db.is_writable()


def test_a_tablespace_on_another_volume_is_named_with_the_volume(db: Database) -> None:
    other = database.format_volume(db.machines, db.host, "/other")
    db.host.call("install -d -o postgres /other/space")
    db.sql("CREATE TABLESPACE elsewhere LOCATION '/other/space'")

    refused = db.freeze()

    assert refused.code == 206
    assert f"/other/space, a part of {DATA}, lies on {other}, outside of {db.volumes[0]}" in refused.stderr


def test_a_file_system_with_its_log_on_another_volume_is_not_ready(db: Database) -> None:
    log = database.new_volume()
    db.machines.create_volume(log, 1, None)
    db.machines.attach(log, db.host.id, "/dev/sdg")
    log_device = f"{database.EBS}{log.replace('-', '')}"
    volume = database.new_volume()
    db.machines.create_volume(volume, 2, None)
    db.machines.attach(volume, db.host.id, "/dev/sdh")
    device = f"{database.EBS}{volume.replace('-', '')}"
    db.host.call(f"mkfs.xfs -q -l logdev={log_device},size=256m,sectsize=4096 {device}; mkdir /apart")
    db.host.call(f"mount -o logdev={log_device} {device} /apart")

    apart = db.freeze(volumeIds=" ".join([*db.volumes, volume]))
    together = db.freeze(volumeIds=" ".join([*db.volumes, volume, log]))

    assert apart.code == 206
    assert f"/apart lies on {' '.join(sorted([volume, log]))}" in apart.stderr
    assert together.code == 0
    assert db.thaw().code == 0


def test_two_servers_on_the_volumes_are_refused_by_name(db: Database) -> None:
    second_server(db, "/data/second")

    refused = db.freeze()

    assert refused.code == 206
    assert DATA in refused.stderr
    assert "/data/second" in refused.stderr


def test_a_server_beside_the_volumes_does_not_matter(db: Database) -> None:
    second_server(db, "/srv/second")

    assert db.freeze().code == 0
    assert db.thaw().code == 0
    assert db.freeze(volumeIds="", executionId=str(uuid.uuid4())).code == 206


@pytest.mark.parametrize("directory", ["/var/lib/amazon", "/var/log", "/tmp"])  # noqa: S108
def test_nothing_is_frozen_if_the_host_needs_it_itself(db: Database, directory: str) -> None:
    db.host.call(f"mkdir -p /data/needed {directory}; mount --bind /data/needed {directory}")

    refused = db.freeze()

    assert refused.code == 206
    assert f"{directory} lies on {db.volumes[0]}" in refused.stderr
    assert db.is_writable()


def test_a_server_that_refuses_the_backup_is_quoted(db: Database) -> None:
    db.configure("wal_level = minimal", "max_wal_senders = 0")

    refused = db.freeze()

    assert refused.code == 201
    assert "WAL level not sufficient for making an online backup" in refused.stderr
    assert db.is_writable()


def test_an_older_server_is_not_ready(db: Database) -> None:
    db.host.call(f"echo 14 >{DATA}/PG_VERSION")

    refused = db.freeze()

    assert refused.code == 206
    assert "older than 15" in refused.stderr


def test_what_postgresql_writes_is_never_run_by_root(db: Database) -> None:
    db.host.path(f"{DATA}/PG_VERSION").write_text("EUID[$(touch /run/done-by-root)]\n")

    assert db.freeze().code == 206
    assert not db.host.path("/run/done-by-root").exists()


@pytest.mark.parametrize("how", ["mount", "link"])
def test_a_part_of_the_data_directory_that_lies_elsewhere_is_named(db: Database, how: str) -> None:
    db.stop()
    if how == "mount":
        volume = database.format_volume(db.machines, db.host, "/base")
        db.host.call(f"mv {DATA}/base/* /base/; umount /base")
        database.mount(db.host, volume, f"{DATA}/base")
        db.host.call(f"chown postgres {DATA}/base; chmod 700 {DATA}/base")
    else:
        db.host.call(f"mv {DATA}/base /var/lib/postgresql/base; ln -s /var/lib/postgresql/base {DATA}/base")
    db.start()

    refused = db.freeze()

    assert refused.code == 206
    assert "base, a part of" in refused.stderr


def test_sessions_that_time_out_and_standbys_that_are_missing_do_not_end_a_freeze(db: Database) -> None:
    db.configure("idle_session_timeout = 500", "statement_timeout = 1ms", "synchronous_standby_names = 'nobody'")

    assert db.freeze().code == 0
    assert db.is_frozen()
    assert not db.is_writable(1)
    thawed = db.thaw()

    assert thawed.code == 0
    assert words(thawed)["stopLsn"]


def test_a_broken_archive_does_not_keep_post_script_waiting(db: Database) -> None:
    db.configure("archive_mode = on", "archive_command = 'false'")

    assert db.freeze().code == 0
    thawed = db.thaw()

    assert thawed.code == 0
    assert words(thawed)["stopLsn"]


def test_a_standby_can_be_frozen(db: Database) -> None:
    volume = database.format_volume(db.machines, db.host, "/standby")
    db.host.call("install -d -m 700 -o postgres -g postgres /standby/main")
    db.host.call(f"runuser -u postgres -- {database.BINARIES}/pg_basebackup -D /standby/main -R -c fast")
    db.host.call("echo 'port = 5433' >>/standby/main/postgresql.conf")
    database.start_server(db.host, "/standby/main")

    frozen = db.freeze(volumeIds=volume)

    assert frozen.code == 0
    assert words(frozen)["mounts"] == ["/standby"]
    assert db.is_writable()
    assert db.thaw().code == 0
    assert db.sql("SELECT pg_is_in_recovery()", port=5433) == "t"


@pytest.mark.parametrize("name", ["executionId", "volumeIds", "leaseSeconds", "snapshotIds"])
def test_no_parameter_admits_what_a_shell_would_run(name: str) -> None:
    pattern = DOCUMENT["parameters"][name]["allowedPattern"]

    for value in ("$(id)", "`id`", "'; id; '", '"', "vol-0123456789abcdef0;id", "20\n20", "a\nb"):
        assert not re.search(pattern, value)


def second_server(db: Database, data: str) -> None:
    db.host.call(f"install -d -m 700 -o postgres -g postgres {data}")
    db.host.call(f"runuser -u postgres -- {database.BINARIES}/initdb --no-sync -D {data} >/dev/null")
    db.host.call(f"echo 'port = 5433' >>{data}/postgresql.conf")
    database.start_server(db.host, data)
