"""A copy of a database is started where nobody else sees it, and whatever is damaged in it is found."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from region.disks import kernel
from tests.disks import database, starting
from tests.disks.database import BINARIES, DATA, Database, words
from tests.disks.starting import FAILED, UNFIT, UNFIT_HOST, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from region.disks import Disks
    from region.disks.instance import Instance
    from region.machines import Outcome

    NewHost = Callable[[], Instance]

CHECK: Mapping[str, Any] = yaml.safe_load(Path("documents/check_database.yaml").read_text())
LOG = "/var/log/watchkeeper-postgresql.log"
SOCKET = "/run/watchkeeper/socket"
SET, DAMAGED = "snap-0123456789abcde00", 213
CHECKING = 211

MAJOR = BINARIES.split("/")[-2]
UNIT = f"postgresql@{MAJOR}-main.service"
# What production does that a copy of it must not.
PRODUCTION = (
    "archive_mode = on",
    "archive_command = 'touch /acts/archived; false'",
    "shared_preload_libraries = 'pg_prewarm'",
    "primary_conninfo = 'host=127.0.0.1 port=5999'",
    "restore_command = 'touch /acts/fetched; false'",
    "listen_addresses = '*'",
    "max_wal_senders = 10",
)
WORKERS = "ps -eo args | grep -oE '^postgres: (archiver|autoprewarm|logical)' | sort | cut -d ' ' -f 2"
ALL_WORKERS = "archiver\nautoprewarm\nlogical"
LISTENING = "cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"0A\"'"


@pytest.fixture(scope="module")
def production(machines: Disks, made: str) -> Iterator[str]:
    """A set of a running, recorded database that does all that one in production does."""
    db = database.make(machines, database.launch(machines), made)
    db.start()
    starting.configure(db, *PRODUCTION)
    db.sql("CREATE INDEX ON pgbench_accounts (filler, aid); CREATE DATABASE other")
    assert db.host.call(WORKERS) == ALL_WORKERS
    db.host.call(f"install -o postgres /dev/null {DATA}/start.conf; echo auto >{DATA}/start.conf")
    assert send(db, "record").code == 0
    starting.edit_record(db, "port", f"port 5432\\nunit {UNIT}")
    machines.snapshot([(db.volumes[0], SET)])
    database.forget(machines, db.host)
    yield SET
    machines.delete_snapshot(SET)


@pytest.fixture
def copy(machines: Disks, production: str, new_host: NewHost) -> Database:
    """The set on a host that has never seen it."""
    return attached(machines, production, new_host())


@pytest.fixture(scope="module")
def isolated(machines: Disks, production: str) -> Iterator[Database]:
    """The set, isolated, on a host whose systemd notes what it is asked: for tests that change nothing."""
    db = attached(machines, production, database.launch(machines))
    db.host.call("mkdir -p /run/systemd/system; printf '#!/bin/sh\\necho $* >>/srv/asked\\n' >/usr/bin/systemctl")
    isolate(db)
    yield db
    database.forget(machines, db.host)


def test_an_isolated_server_is_seen_by_nobody_and_does_nothing_to_others(isolated: Database) -> None:
    again = isolate(isolated)

    assert (words(again)["timeline"], words(again)["writable"]) == (2, True)
    assert isolated.host.call(LISTENING) == ""
    assert isolated.host.call("ls -A /run/postgresql") == ""
    assert isolated.host.call(f"stat -c '%U %a' {SOCKET}") == "postgres 700"
    assert isolated.host.call(WORKERS) == ""
    assert sql(isolated, "SELECT pg_switch_wal() IS NOT NULL; SELECT pg_sleep(0.5)") == "t"
    assert isolated.host.call("ls /acts") == ""
    for setting in ("archive_command", "archive_library", "primary_conninfo", "synchronous_standby_names"):
        assert sql(isolated, f"SHOW {setting}") in ("", "(disabled)")
    with pytest.raises(OSError, match="Peer authentication failed"):
        isolated.host.call(f"{BINARIES}/psql -w -h {SOCKET} -U postgres -c 'SELECT 1' postgres")


def test_an_isolated_server_leaves_nothing_that_a_boot_or_a_package_would_start(isolated: Database) -> None:
    assert "/data" not in isolated.host.path("/etc/fstab").read_text()
    assert isolated.host.id not in isolated.host.path(f"/data/{starting.RECORD}/database").read_text()
    assert "watchkeeper" not in isolated.host.path(f"{DATA}/postgresql.auto.conf").read_text()
    assert set(isolated.host.path("/srv/asked").read_text().splitlines()) <= {f"stop {UNIT}"}
    assert isolated.host.path(f"{DATA}/start.conf").read_text() == "manual\n"


def test_what_production_does_is_done_by_a_server_that_is_not_isolated(copy: Database) -> None:
    assert send(copy, "start", newTimeline=SET).code == 0

    assert copy.host.call(LISTENING)
    assert kernel.until(lambda: copy.host.path("/acts/archived").exists(), seconds=10, pause=0.1)
    assert copy.host.call(WORKERS) == ALL_WORKERS
    assert {send(copy, "start", isolated="true").code, check(copy).code} == {UNFIT}


def test_no_other_start_takes_an_isolated_server_for_production(isolated: Database) -> None:
    refused = send(isolated, "start")

    assert refused.code == UNFIT
    assert "isolated" in refused.stderr


def test_a_library_that_the_image_lacks_is_no_fault_of_the_set(copy: Database) -> None:
    database.mount(copy.host, copy.volumes[0], "/data")
    copy.host.call(f"echo \"shared_preload_libraries = 'pg_nothing'\" >>{DATA}/postgresql.auto.conf")

    refused = send(copy, "start", isolated="true", newTimeline=SET)

    assert refused.code == UNFIT_HOST
    assert 'could not access file "pg_nothing"' in refused.stderr


def test_a_copy_of_a_standby_connects_to_nobody(copy: Database) -> None:
    database.mount(copy.host, copy.volumes[0], "/data")
    copy.host.call(f"install -o postgres /dev/null {DATA}/standby.signal")

    refused = [send(copy, "start", isolated="true", newTimeline=snapshot) for snapshot in ("", SET)]
    log = copy.host.call(f"cat {LOG} 2>/dev/null || true")
    assert send(copy, "start").code == 0

    assert [answer.code for answer in refused] == [UNFIT, UNFIT], refused
    assert "standby" in refused[0].stderr
    assert not log
    assert kernel.until(lambda: "port 5999 failed" in copy.host.path(LOG).read_text(), seconds=10, pause=0.1)


def test_what_is_sound_passes_and_is_not_checked_twice(isolated: Database) -> None:
    first = check(isolated, r"\c other", "SELECT count(*) > 0 FROM pg_class", "SELECT 1, 0", "SELECT 'a', NULL")
    again = check(isolated, r"\c other", "SELECT count(*) > 0 FROM pg_class", "SELECT 1, 0", "SELECT 'a', NULL")

    assert first.code == 0, first
    assert words(first)["databases"] == 3
    assert words(first)["amcheckMs"] > words(first)["sqlMs"] > 0
    assert again == first
    assert check(isolated).code == 0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            "SELECT 1; SELECT count(*) FROM pgbench_accounts WHERE aid < 0",
            "Row 2 of what the SQL answers begins with 0.",
        ),
        ("SELECT false, 'x' || chr(10) || 'y'", "begins with f."),
        ("SELECT NULL, 1", "begins with nothing."),
        ("SELECT 1 WHERE false", "The SQL answers no row."),
        ("SELECT 1; SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        (r"\c nowhere", 'database "nowhere" does not exist'),
    ],
)
def test_sql_that_does_not_answer_what_it_must_is_damage(isolated: Database, query: str, said: str) -> None:
    refused = check(isolated, query)

    assert refused.code == DAMAGED, refused
    assert said in words(refused)["error"]
    assert said in refused.stderr


@pytest.mark.parametrize(
    ("relation", "said"),
    [
        (
            "pgbench_accounts",
            'heap table "postgres.public.pgbench_accounts": ERROR: invalid page in block 3 of relation',
        ),
        ("pgbench_accounts_filler_aid_idx", 'btree index "postgres.public.pgbench_accounts_filler_aid_idx": ERROR: '),
    ],
)
def test_a_damaged_page_is_found_in_tables_and_indexes(copy: Database, relation: str, said: str) -> None:
    isolate(copy)
    sound = check(copy)
    file = sql(copy, f"SELECT pg_relation_filepath('{relation}')")
    sql(copy, "CHECKPOINT")
    copy.host.call(f"dd if=/dev/urandom of={DATA}/{file} bs=8192 seek=3 count=1 conv=notrunc 2>/dev/null")
    copy.host.call("pkill -KILL -o -x postgres")
    isolate(copy)

    refused = check(copy)

    assert (sound.code, refused.code) == (0, DAMAGED), refused
    assert said in words(refused)["error"]
    assert check(copy) == refused


def test_a_check_goes_on_when_nobody_waits_for_it(isolated: Database) -> None:
    starting.send_and_kill(isolated, 1, CHECK, queries=encoded("SELECT 1 FROM pg_sleep(4)"))
    goes_on = [check(isolated, "SELECT 1 FROM pg_sleep(4)", waitSeconds="1") for _ in range(2)]
    ended = check(isolated, "SELECT 1 FROM pg_sleep(4)")

    assert [outcome.code for outcome in goes_on] == [CHECKING, CHECKING], goes_on
    assert words(goes_on[0])["checking"] is True
    assert 1 <= words(goes_on[0])["seconds"] < words(goes_on[1])["seconds"] < 10
    assert ended.code == 0, ended
    assert words(ended)["sqlMs"] >= 4000


def test_a_check_that_died_is_told_and_begun_again(copy: Database) -> None:
    isolate(copy)
    assert check(copy, "SELECT 1 FROM pg_sleep(60)", waitSeconds="1").code == CHECKING
    assert kernel.until(lambda: copy.host.call("pkill -KILL -f '[p]sql -XqAt0' && echo killed || true"), seconds=20)

    failed = check(copy, "SELECT 1 FROM pg_sleep(60)")
    again = check(copy, "SELECT 1 FROM pg_sleep(60)", waitSeconds="1")

    assert failed.code == FAILED, failed
    assert again.code == CHECKING


def test_a_host_without_pg_amcheck_says_which_package_has_it(isolated: Database) -> None:
    isolated.host.call(f"mv {BINARIES}/pg_amcheck /srv")
    refused = check(isolated, "SELECT 'without it'")
    isolated.host.call(f"mv /srv/pg_amcheck {BINARIES}")

    assert refused.code == UNFIT
    assert f"postgresql-client-{MAJOR}" in refused.stderr


def test_without_a_server_there_is_nothing_to_check(copy: Database) -> None:
    assert "No PostgreSQL runs" in words(check(copy))["error"]
    assert "not attached" in words(check(copy, volumeIds="vol-0123456789abcdef0"))["error"]


@pytest.mark.parametrize("name", ["volumeIds", "queries", "waitSeconds"])
def test_no_parameter_admits_what_a_shell_would_run(name: str) -> None:
    pattern = CHECK["parameters"][name]["allowedPattern"]

    for value in ("$(id)", "`id`", "'; id; '", '"', "vol-0123456789abcdef0;id", "20\n20", "a\nb", "a|b", "a>b", "a&b"):
        assert not re.search(pattern, value)


def attached(machines: Disks, snapshot: str, host: Instance) -> Database:
    """A volume made of a set of production, on a host where what production does would be seen."""
    host.call("install -d -o postgres /acts")
    volume = database.new_volume()
    machines.create_volume(volume, 2, snapshot)
    machines.attach(volume, host.id, "/dev/sdf")
    return Database(machines, host, [volume])


def isolate(db: Database) -> Outcome:
    """Start it isolated."""
    started = send(db, "start", isolated="true", newTimeline=SET)
    assert started.code == 0, started
    assert not words(started)["warnings"]
    return started


def check(db: Database, *queries: str, **parameters: str) -> Outcome:
    """Send the document with these queries."""
    return db.command("", CHECK, **{"volumeIds": " ".join(db.volumes), "queries": encoded(*queries), **parameters})


def encoded(*queries: str) -> str:
    """Statements, and commands of psql's, as the document takes them."""
    lines = [query if query.startswith("\\") else f"{query};" for query in queries]
    return base64.b64encode("\n".join(lines).encode()).decode()


def sql(db: Database, statement: str) -> str:
    """What the isolated server says to its owner."""
    return db.host.call(f"runuser -u postgres -- {BINARIES}/psql -XqAt -h {SOCKET} postgres <<'END'\n{statement}\nEND")
