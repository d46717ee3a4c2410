"""Which PostgreSQL on a host takes writes, and on which volumes it lies: the hosts are asked, nothing is remembered."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from region.disks.instance import Instance

# Of each server that a write is given to and that acknowledges it: the device numbers of where its data, WAL and
# tablespaces lie. A server on a frozen file system acknowledges nothing; it is not waited for.
ASK = """
query="SELECT current_setting('data_directory') FROM pg_logical_emit_message(true, 'oracle', '')"
export PGOPTIONS='-c synchronous_commit=local -c default_transaction_read_only=off -c statement_timeout=2s'
for socket in /run/postgresql/.s.PGSQL.+([0-9]); do
  psql="psql -XqAt -h /run/postgresql -p ${socket##*.} -d postgres"
  data=$(timeout 3 runuser -u postgres -- $psql -c "$query" 2>/dev/null) || continue
  echo serves
  for place in "$data" "$data/pg_wal" "$data"/pg_tblspc/*; do mountpoint -d "$(stat -L -c %m "$place")" || true; done
done
"""


def ask(host: Instance) -> frozenset[str] | None:
    """The device numbers that servers of a host which take writes lie on; None if none does."""
    with contextlib.suppress(OSError):
        first, *numbers = host.call(f"shopt -s extglob nullglob\n{ASK}").splitlines() or [""]
        return frozenset(numbers) if first else None
    return None


def volumes_below(host: Instance, numbers: frozenset[str]) -> frozenset[str]:
    """The volumes that these device numbers are of: none, if a server lies on the root disk."""
    return frozenset(volume for volume in host.devices if host.numbers_of(volume) & numbers)
