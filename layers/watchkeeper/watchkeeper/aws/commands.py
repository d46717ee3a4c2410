"""Commands on hosts, through SSM Run Command."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchkeeper import loop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_ssm import SSMClient

logger = logging.getLogger(__name__)

# The least that SSM takes; by its default of an hour a command would run long after anyone waits for it.
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
DELIVERY_SECONDS = 30

UNDER_WAY = ("Pending", "InProgress", "Delayed")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: SSM's status, the script's exit code (-1 if it did not run to an end), and what it wrote."""

    status: str
    code: int = -1
    output: str = ""
    error: str = ""

    @property
    def words(self) -> dict[str, Any]:
        """The JSON object on the last line of the output; empty if there is none."""
        lines = self.output.strip().splitlines()
        try:
            words = json.loads(lines[-1]) if lines else {}
        except ValueError:
            return {}
        return words if isinstance(words, dict) else {}


def version(ssm: SSMClient, document: str) -> str:
    """The document's default version now, for all commands of one operation. Raises SSM's InvalidDocument."""
    return ssm.describe_document(Name=document)["Document"]["DefaultVersion"]


def run(
    ssm: SSMClient, host: str, document: tuple[str, str], parameters: Mapping[str, str], *, seconds: float, pause: float
) -> Outcome:
    """Runs a document (name, version) on a host and waits for its end; TimedOut when none is seen within `seconds`.

    Raises the ClientError of SendCommand, e.g. InvalidInstanceId for a host that SSM does not reach. SendCommand has
    no token, so `ssm` must be a client that sends it once.
    """
    name, document_version = document
    command = ssm.send_command(
        InstanceIds=[host],
        DocumentName=name,
        DocumentVersion=document_version,
        TimeoutSeconds=DELIVERY_SECONDS,
        Parameters={key: [value] for key, value in parameters.items()},
    )["Command"]["CommandId"]
    logger.info(
        "command sent", extra={"command_id": command, "instance_id": host, "step": parameters.get("command", name)}
    )
    outcome = loop.wait(lambda: _ended(ssm, command, host), seconds=seconds, pause=pause)
    return outcome or Outcome("TimedOut", error=f"{name} did not end within {seconds:.0f} s")


def _ended(ssm: SSMClient, command: str, host: str) -> Outcome | None:
    try:
        seen = ssm.get_command_invocation(CommandId=command, InstanceId=host)
    except ssm.exceptions.InvocationDoesNotExist:  # SSM may not know it yet, for a moment after SendCommand
        return None
    except Exception:  # one look that was not answered, or not understood, is not the end of the command
        logger.warning("command not read", extra={"command_id": command}, exc_info=True)
        return None
    if seen["Status"] in UNDER_WAY:
        return None
    output, error = seen.get("StandardOutputContent", ""), seen.get("StandardErrorContent", "")
    return Outcome(seen["Status"], seen.get("ResponseCode", -1), output, error.strip())
