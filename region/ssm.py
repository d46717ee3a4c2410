"""SSM Run Command, which moto answers with success for everybody: commands are delivered, run, fail and get lost.

https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.ssm import urls
from moto.ssm.models import SimpleSystemManagerBackend, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from region.bus import ACCOUNT
from region.calls import Call, serve
from region.documents import DEFAULT_SECONDS, execution_seconds, resolve
from region.machines import Outcome
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from region.region import Region

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
OUTPUT_CHARACTERS, ERROR_CHARACTERS = 24000, 8000
DELIVERY_SECONDS = (0.05, 0.4)
# The agent reports itself every five minutes; until the next is missed a lost one still counts as there.
PING_SECONDS = 300
INFORMATION_PAGE = 50


@dataclass(slots=True)
class Invocation:
    """A command on one instance."""

    command: Mapping[str, Any]
    instance_id: str
    content: Mapping[str, Any]
    parameters: Mapping[str, str]
    visible: float
    status: str = "Pending"
    details: str = "Pending"
    outcome: Outcome = field(default=Outcome("Pending", -1))

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
        return self.status not in ("Pending", "InProgress")

    def end(self, outcome: Outcome, details: str) -> None:
        """Set the final status, once."""
        if not self.is_over:
            self.outcome, self.status, self.details = outcome, outcome.status, details


class SSM(SimpleSystemManagerBackend):
    """moto's SSM, for requests that come over HTTP."""

    home: ClassVar[Region]

    @property
    def _url_module(self) -> Any:
        return _Urls


class _Response(SimpleSystemManagerResponse):
    def call_action(self) -> Any:
        return serve(cast("SSM", self.ssm_backend).home, self) or super().call_action()


class _Urls:
    """What moto looks for in the module moto.ssm.urls."""

    url_bases = urls.url_bases
    url_paths = {"{0}/$": _Response.dispatch}  # noqa: RUF012 moto reads it as a module


class Commands:
    """Run Command of a region; documents stay with moto."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._sent: dict[tuple[str, str], Invocation] = {}
        self._seen: dict[str, float] = {}

    def answers(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that are answered here, by name."""
        return {
            "SendCommand": self.send,
            "GetCommandInvocation": self.get,
            "ListCommandInvocations": self.list,
            "DescribeInstanceInformation": self.information,
        }

    def ping(self, instance_id: str) -> None:
        """The agent has just reported itself."""
        self._seen[instance_id] = self._region.clock.now()

    def send(self, call: Call) -> Mapping[str, Any]:
        """SendCommand: to exactly these instances."""
        asked, now = call.parameters, self._region.clock.now()
        if not asked.get("InstanceIds") or asked.get("Targets"):
            raise NotImplementedError("SendCommand is known here with InstanceIds alone")
        document = self._document(asked["DocumentName"], asked.get("DocumentVersion", "$DEFAULT"))
        parameters = resolve(document.content_json, asked.get("Parameters", {}))
        away = [one for one in asked["InstanceIds"] if self._ping_status(one) != "Online"]
        if away:
            message = f"Instances {[away]} not in a valid state for account {ACCOUNT}"
            raise Refusal("InvalidInstanceId", message)
        command = {
            "CommandId": self._region.bus.new_id(),
            "DocumentName": document.name,
            "DocumentVersion": document.document_version,
            "InstanceIds": asked["InstanceIds"],
            "Parameters": asked.get("Parameters", {}),
            "RequestedDateTime": now,
            "Status": "Pending",
            "StatusDetails": "Pending",
            "TimeoutSeconds": asked.get("TimeoutSeconds", DEFAULT_SECONDS),
        }
        visible = now + self._region.draw(0, 0.4) + self._region.faults.lag()
        for instance_id in asked["InstanceIds"]:
            invocation = Invocation(command, instance_id, document.content_json, parameters, visible)
            self._sent[invocation.command_id, instance_id] = invocation
            self._region.later(*DELIVERY_SECONDS, partial(self._deliver, invocation))
        return {"Command": command}

    def _document(self, name: str, version: str) -> Any:
        documents = ssm_backends[ACCOUNT][self._region.name]._documents.get(name)
        if documents is None:
            raise Refusal("InvalidDocument", f"Document with name {name} does not exist.")
        if version in ("$DEFAULT", "$LATEST"):
            return documents.get_default_version() if version == "$DEFAULT" else documents.get_latest_version()
        if version not in documents.versions:
            raise Refusal("InvalidDocumentVersion", f"Document {name} has no version {version}.")
        return documents.versions[version]

    def _deliver(self, invocation: Invocation) -> None:
        clock, instance_id = self._region.clock, invocation.instance_id
        if invocation.is_over or self._region.faults.stuck("SendCommand"):
            return
        if clock.now() >= invocation.undeliverable:
            invocation.end(Outcome("TimedOut", -1), "DeliveryTimedOut")
        elif not self._has_agent(instance_id):
            clock.after(1, lambda: self._deliver(invocation))
        else:
            invocation.status = invocation.details = "InProgress"
            last = invocation.undeliverable + execution_seconds(invocation.content)
            clock.at(last, lambda: self._give_up(invocation), background=True)
            self._region.machines.run(
                instance_id, invocation.content, invocation.parameters, lambda outcome: _finish(invocation, outcome)
            )

    def _give_up(self, invocation: Invocation) -> None:
        """No last word came from the agent. What the script did, nobody knows."""
        invocation.end(Outcome("TimedOut", -1), "DeliveryTimedOut")

    def get(self, call: Call) -> Mapping[str, Any]:
        """GetCommandInvocation, which knows a command only after a moment."""
        asked = call.parameters
        if all(asked["CommandId"] != command_id for command_id, _ in self._sent):
            raise Refusal("InvalidCommandId", "The specified command ID isn't valid.")
        invocation = self._sent.get((asked["CommandId"], asked["InstanceId"]))
        if invocation is None or self._region.clock.now() < invocation.visible:
            raise Refusal("InvocationDoesNotExist", "The command ID and managed node ID you specified didn't match.")
        return {
            **_shown(invocation),
            "ResponseCode": invocation.outcome.code,
            "StandardOutputContent": invocation.outcome.stdout[:OUTPUT_CHARACTERS],
            "StandardErrorContent": invocation.outcome.stderr[:ERROR_CHARACTERS],
        }

    def list(self, call: Call) -> Mapping[str, Any]:
        """ListCommandInvocations."""
        asked = call.parameters
        shown = [
            _shown(one)
            for one in self._sent.values()
            if asked.get("CommandId") in (None, one.command_id) and asked.get("InstanceId") in (None, one.instance_id)
        ]
        return {"CommandInvocations": shown}

    def information(self, call: Call) -> Mapping[str, Any]:
        """DescribeInstanceInformation: of instances whose agent ever reported itself."""
        asked = call.parameters
        nodes: Iterable[Mapping[str, Any]] = [
            {"InstanceId": one.id, "PingStatus": self._ping_status(one.id), "PlatformType": "Linux"}
            for one in self._region.ec2.all_instances()
            if self._has_agent(one.id) or one.id in self._seen
        ]
        for name, values in ((one["Key"], one["Values"]) for one in asked.get("Filters", [])):
            if name not in ("InstanceIds", "PingStatus"):
                raise Refusal("InvalidInstanceInformationFilterValue", name)
            key = "InstanceId" if name == "InstanceIds" else name
            nodes = [node for node in nodes if node[key] in values]
        rest = sorted((one for one in nodes if one["InstanceId"] > asked.get("NextToken", "")), key=_id)
        size = min(asked.get("MaxResults", INFORMATION_PAGE), INFORMATION_PAGE)
        token = {"NextToken": rest[size - 1]["InstanceId"]} if len(rest) > size else {}
        return {"InstanceInformationList": rest[:size], **token}

    def _has_agent(self, instance_id: str) -> bool:
        running = any(one.id == instance_id and one.state == "running" for one in self._region.ec2.all_instances())
        if running and self._region.machines.has_agent(instance_id):
            self.ping(instance_id)
            return True
        return False

    def _ping_status(self, instance_id: str) -> str:
        if self._has_agent(instance_id):
            return "Online"
        running = any(one.id == instance_id and one.state == "running" for one in self._region.ec2.all_instances())
        age = self._region.clock.now() - self._seen.get(instance_id, 0)
        return "Online" if running and age < PING_SECONDS else "ConnectionLost"


def _finish(invocation: Invocation, outcome: Outcome) -> None:
    invocation.end(outcome, "ExecutionTimedOut" if outcome.status == "TimedOut" else outcome.status)


def _shown(invocation: Invocation) -> dict[str, Any]:
    return {
        "CommandId": invocation.command_id,
        "InstanceId": invocation.instance_id,
        "DocumentName": invocation.command["DocumentName"],
        "DocumentVersion": invocation.command["DocumentVersion"],
        "Status": invocation.status,
        "StatusDetails": invocation.details,
    }


def _id(node: Mapping[str, Any]) -> str:
    return str(node["InstanceId"])
