"""Commands for databases on hosts, through documents: sent, and found again in SSM's own memory."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from watchkeeper.aws.commands import DELIVERY_SECONDS, UNDER_WAY, Outcome
from watchkeeper.look import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import CommandInvocationTypeDef

logger = logging.getLogger(__name__)

# The first three are of the document start_database; the others have one each.
Command = Literal["start", "record", "probe", "stop", "mount", "check"]
COMMANDS: tuple[Command, ...] = ("start", "record", "probe", "stop", "mount", "check")

# What the agent writes between a script's output and its complaints, where SSM shows both in one.
ERRORS = "----------ERROR-------"
AGENTS_OWN = re.compile(r"failed to run commands: exit status \d+\s*$")

# The documents' own exit codes: documents/start_database.yaml, check_database.yaml.
RECOVERING, UNFIT, DAMAGED, UNFIT_HOST = 211, 212, 213, 214

# What a host says once it says again: that the volumes are not fit for a database, or the host not for this one.
REFUSALS = (UNFIT, UNFIT_HOST)

# SSM gives a command that never said its last word up only after its time-outs, 75 minutes by default.
LOST_AFTER = timedelta(minutes=10)

REMEMBERED = timedelta(days=1)

# One call takes so many instances: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
MOST_HOSTS = 50


@dataclass(frozen=True, slots=True)
class Start:
    """A command that was sent: what for, when, and how it ended (None while it is under way)."""

    command: str
    asked: datetime
    outcome: Outcome | None = None

    @property
    def is_success(self) -> bool:
        """The host did it, and said so."""
        return self.outcome is not None and self.outcome.status == "Success"

    @property
    def is_recovering(self) -> bool:
        """PostgreSQL replays its log still."""
        return self.outcome is not None and self.outcome.code == RECOVERING


def send(ssm: SSMClient, hosts: Sequence[str], document: str, command: Command, parameters: Mapping[str, str]) -> str:
    """Sends a command of the document to up to 50 hosts: its id. Raises SSM's InvalidInstanceId for one out of reach.

    SendCommand has no token; the document takes a lock on the host, and does nothing twice.
    """
    chosen = {"command": command} if command in COMMANDS[:3] else {}
    given = {**chosen, **{key: value for key, value in parameters.items() if value}}
    sent = ssm.send_command(
        InstanceIds=list(hosts),
        DocumentName=document,
        TimeoutSeconds=DELIVERY_SECONDS,
        Comment=_comment(command, parameters.get("volumeIds", "")),
        Parameters={key: [value] for key, value in given.items()},
    )["Command"]["CommandId"]
    logger.info("command sent", extra={"command_id": sent, "instance_id": list(hosts), "step": command})
    return sent


def find(ssm: SSMClient, host: str, document: str, volumes: Sequence[str], now: datetime) -> list[Start]:
    """The commands of a day for exactly these volumes that were sent to a host, oldest first, with their outcomes.

    SSM keeps commands for 30 days, and shows 2,500 characters of what each wrote:
    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListCommandInvocations.html
    """
    pages = ssm.get_paginator("list_command_invocations").paginate(
        InstanceId=host,
        Filters=[{"key": "DocumentName", "value": document}, {"key": "InvokedAfter", "value": stamp(now - REMEMBERED)}],
        Details=True,
        PaginationConfig={"PageSize": 50},
    )
    wanted = {_comment(command, " ".join(volumes)): command for command in COMMANDS}
    found = [one for page in pages for one in page["CommandInvocations"] if one.get("Comment") in wanted]
    found.sort(key=lambda one: one["RequestedDateTime"])
    return [Start(wanted[one["Comment"]], one["RequestedDateTime"], _outcome(one, now)) for one in found]


def answers(ssm: SSMClient, command: str, now: datetime) -> dict[str, Outcome | None]:
    """How a command that was sent to several hosts ended on each; None where it has not yet."""
    pages = ssm.get_paginator("list_command_invocations").paginate(
        CommandId=command, Details=True, PaginationConfig={"PageSize": 50}
    )
    return {one["InstanceId"]: _outcome(one, now) for page in pages for one in page["CommandInvocations"]}


def _outcome(one: CommandInvocationTypeDef, now: datetime) -> Outcome | None:
    if one["Status"] in UNDER_WAY:
        is_lost = now - one["RequestedDateTime"] > LOST_AFTER
        return Outcome("TimedOut", error="the host never said how it ended") if is_lost else None
    plugin = one["CommandPlugins"][0] if one["CommandPlugins"] else {}
    output, _, error = plugin.get("Output", "").partition(ERRORS)
    said = AGENTS_OWN.sub("", error).strip()
    return Outcome(one["Status"], plugin.get("ResponseCode", -1), output, said)


def _comment(command: str, volumes: str) -> str:
    """How a command is told from those for other volumes: an invocation carries its comment, and no parameters."""
    return f"watchkeeper {command} {hashlib.sha256(volumes.encode()).hexdigest()[:12]}"
