"""Watchkeeper's tags: the words that people write and the words that it remembers by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_ec2.type_defs import TagTypeDef

PREFIX = "watchkeeper:"

APPLICATION = PREFIX + "application"
ROLE = PREFIX + "role"
ADDRESS = PREFIX + "address"
KEEP = PREFIX + "keep"
FILES = PREFIX + "files"
PAUSED = PREFIX + "paused"
INSTANCE_TYPES = PREFIX + "instance-types"

RUN = PREFIX + "run"
SET = PREFIX + "set"
VOLUMES = PREFIX + "volumes"
CONSISTENCY = PREFIX + "consistency"
FROZEN_MS = PREFIX + "frozen-ms"
LSN = PREFIX + "lsn"
SECONDS = PREFIX + "seconds-to-set"
PROVEN_AT = PREFIX + "proven-at"
RECOVERY_MS = PREFIX + "recovery-ms"
FAILED = PREFIX + "failed"
ZONE = PREFIX + "zone"
TYPES = PREFIX + "types"
LOST = PREFIX + "lost"

HOST = PREFIX + "host"
REPLACED = PREFIX + "replaced"
REFUSED = PREFIX + "refused"
RESTORED_FROM = PREFIX + "restored-from"
RESTORED_FOR = PREFIX + "restored-for"
TIMELINE = PREFIX + "timeline"

RETIRED = PREFIX + "retired"
REGISTERED = PREFIX + "registered"
REGISTERED_IP = PREFIX + "registered-ip"
REPLACES = PREFIX + "replaces"
REHEARSES = PREFIX + "rehearses"

DATABASE = "database"
DATABASE_HOST = "database-host"
DATABASE_LAUNCH = "database-launch"
WEB_NODE = "web-node"
WEB_POOL = "web-pool"
SNAPSHOT = "snapshot"
NOT_OURS = "not-ours"
RESTORED = "restored"
PUT_ASIDE = "retired"
REHEARSAL = "rehearsal"

# What restore_database pauses a database with while it is at it.
RESTORING = ("restore ", "undo ")

WRITTEN_BY_PEOPLE = (APPLICATION, ROLE, ADDRESS, KEEP, FILES, PAUSED, INSTANCE_TYPES)
WRITTEN_ON_SNAPSHOTS = (
    RUN,
    SET,
    VOLUMES,
    CONSISTENCY,
    FROZEN_MS,
    LSN,
    SECONDS,
    PROVEN_AT,
    RECOVERY_MS,
    FAILED,
    ZONE,
    TYPES,
    LOST,
)
WRITTEN_ON_NODES = (REGISTERED, REGISTERED_IP)
WRITTEN_BY_WATCHKEEPER = (
    *WRITTEN_ON_SNAPSHOTS,
    *WRITTEN_ON_NODES,
    HOST,
    REPLACED,
    REFUSED,
    RESTORED_FROM,
    RESTORED_FOR,
    TIMELINE,
    RETIRED,
    REPLACES,
    REHEARSES,
)

# A resource takes 50 tags at most: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
MOST = 50

# And a value 256 characters, in the same place.
LONGEST = 256


def read(tags: Iterable[TagTypeDef]) -> dict[str, str]:
    """The tags of a resource as AWS lists them, as a mapping of key to value."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def write(tags: Mapping[str, str]) -> list[TagTypeDef]:
    """A mapping of key to value, as AWS takes it."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def is_restoring(paused: str) -> bool:
    """Whether it is restore_database that paused something, by the reason."""
    return paused.startswith(RESTORING)
