"""Commands of SSM Run Command on instances, one for each: what became of them, and how they are shown.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CommandInvocation.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from region.machines import Outcome
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NEVER = float("inf")
# "CommandPlugin$Output" in the API's model; the agent cuts it so, stdout and stderr with a title between them:
# https://github.com/aws/amazon-ssm-agent/blob/mainline/agent/framework/processor/executer/iohandler/iohandler.go
OUTPUT_CHARACTERS = 2500
ERROR_TITLE = "\n----------ERROR-------\n"
OUTPUT_CUT, ERROR_CUT = "\n---Output truncated---", "\n---Error truncated----"


@dataclass(slots=True)
class Invocation:
    """A command on one instance. `number` counts them; `visible` is when reads begin to know it."""

    number: int
    command: Mapping[str, Any]
    instance_id: str
    content: Mapping[str, Any]
    parameters: Mapping[str, str]
    visible: float
    details: str = "Pending"
    outcome: Outcome = field(default=Outcome("Pending", -1))
    began: float = NEVER
    ended: float = NEVER

    @property
    def command_id(self) -> str:
        """The command that it is of."""
        return str(self.command["CommandId"])

    @property
    def undeliverable(self) -> float:
        """From when on it is not delivered any more."""
        return float(self.command["RequestedDateTime"] + self.command["TimeoutSeconds"])

    @property
    def is_over(self) -> bool:
        """Whether its status is final."""
        return self.ended < NEVER

    def end(self, outcome: Outcome, details: str, now: float) -> None:
        """Set the final status, once."""
        if not self.is_over:
            self.outcome, self.details, self.ended = outcome, details, now

    def seen(self, moment: float) -> tuple[str, str]:
        """Status and details, as they were at a moment."""
        if moment >= self.ended:
            return self.outcome.status, self.details
        return ("InProgress", "InProgress") if moment >= self.began else ("Pending", "Pending")

    def shown(self, moment: float, details: bool = False) -> dict[str, Any]:
        """As ListCommandInvocations answers it, with its one step if details are asked for."""
        status, said = self.seen(moment)
        return {
            "CommandId": self.command_id,
            "InstanceId": self.instance_id,
            "Comment": self.command["Comment"],
            "DocumentName": self.command["DocumentName"],
            "DocumentVersion": self.command["DocumentVersion"],
            "RequestedDateTime": self.command["RequestedDateTime"],
            "Status": status,
            "StatusDetails": said,
            "CommandPlugins": [self._step(moment)] if details else [],
        }

    def _step(self, moment: float) -> dict[str, Any]:
        status, said = self.seen(moment)
        times = {"ResponseStartDateTime": self.began, "ResponseFinishDateTime": self.ended}
        is_over = moment >= self.ended
        return {
            "Name": self.content["mainSteps"][0]["name"],
            "Status": status,
            "StatusDetails": said,
            "ResponseCode": self.outcome.code if is_over else -1,
            "Output": _cut(self.outcome.stdout, self.outcome.stderr) if is_over else "",
            **{name: time for name, time in times.items() if time <= moment},
        }


def _cut(output: str, error: str) -> str:
    """Both, if there is room; else the half of it for each, and for one what the other leaves."""
    if not error:
        return _ended(output, OUTPUT_CHARACTERS, OUTPUT_CUT)
    room = OUTPUT_CHARACTERS - len(ERROR_TITLE)
    of_output = max(room // 2, room - len(error))
    kept = _ended(output, of_output, OUTPUT_CUT)
    return f"{kept}{ERROR_TITLE}{_ended(error, room - len(kept), ERROR_CUT)}"


def _ended(text: str, most: int, end: str) -> str:
    return text if len(text) <= most else text[: most - len(end)] + end


def listed(found: Sequence[Invocation], asked: Mapping[str, Any], moment: float, size: int) -> Mapping[str, Any]:
    """ListCommandInvocations of these, newest first. Raises Refusal for a filter that it does not have."""
    for name, value in ((one["key"], one["value"]) for one in asked.get("Filters", [])):
        if name not in FILTERS:
            raise Refusal("InvalidFilterKey", f"The filter {name} isn't valid.")
        found = [one for one in found if FILTERS[name](one, value, moment)]
    before = int(asked.get("NextToken", "0")) or NEVER
    rest = sorted((one for one in found if one.number < before), key=lambda one: -one.number)
    token = {"NextToken": str(rest[size - 1].number)} if len(rest) > size else {}
    details = bool(asked.get("Details"))
    return {"CommandInvocations": [one.shown(moment, details) for one in rest[:size]], **token}


def _time(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC).timestamp()


# ExecutionStage is for ListCommands alone:
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CommandFilter.html
FILTERS: Mapping[str, Callable[[Invocation, str, float], bool]] = {
    "DocumentName": lambda one, value, _: one.command["DocumentName"] == value,
    "InvokedAfter": lambda one, value, _: one.command["RequestedDateTime"] >= _time(value),
    "InvokedBefore": lambda one, value, _: one.command["RequestedDateTime"] < _time(value),
    "Status": lambda one, value, moment: value in one.seen(moment),
}
