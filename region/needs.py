"""What a machine needs for the parts that go beyond plain Python; whoever leaves one out says so in these words."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DISKS = ("mkfs.xfs", "losetup", "ip", "unshare", "tini", "pg_createcluster", "/lib/systemd/systemd", "haproxy", "nginx")


def find_lack(commands: Iterable[str]) -> str | None:
    """What this machine lacks to run these commands as root, in a word or a list of them; None where nothing is."""
    if sys.platform != "linux":
        return "Linux"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # root's, where it is not ours
    if missing := [command for command in commands if not shutil.which(command, path=path)]:
        return ", ".join(missing)
    return "root" if os.geteuid() else None
