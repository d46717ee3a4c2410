"""SSM Run Command, which moto answers with success for everybody: commands are delivered, run, fail and get lost.

https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import chain, count
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.ssm import urls
from moto.ssm.models import SimpleSystemManagerBackend, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from region.bus import ACCOUNT
from region.calls import Call, serve
from region.commands import Invocation, listed
from region.documents import DEFAULT_SECONDS, execution_seconds, resolve
from region.machines import Outcome
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from region.region import Region

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
OUTPUT_CHARACTERS, ERROR_CHARACTERS = 24000, 8000
DELIVERY_SECONDS = (0.05, 0.4)
# The agent reports itself every five minutes; until the next is missed a lost one still counts as there.
PING_SECONDS = 300
PAGE = 50
INSTANCES_AT_MOST = 50
# https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html
KEPT_SECONDS = 30 * 86400


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
        self._sent: dict[str, list[Invocation]] = {}
        self._sent_to: dict[str, list[Invocation]] = defaultdict(list)
        self._number = count(1)
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
        asked = call.parameters
        if not asked.get("InstanceIds") or asked.get("Targets"):
            raise NotImplementedError("SendCommand is known here with InstanceIds alone")
        document = self._document(asked["DocumentName"], asked.get("DocumentVersion", "$DEFAULT"))
        parameters = resolve(document.content_json, asked.get("Parameters", {}))
        self._may_send(asked["InstanceIds"])
        command = {
            "CommandId": self._region.bus.new_id(),
            "DocumentName": document.name,
            "DocumentVersion": document.document_version,
            "InstanceIds": asked["InstanceIds"],
            "Comment": asked.get("Comment", ""),
            "Parameters": asked.get("Parameters", {}),
            "RequestedDateTime": self._region.clock.now(),
            "Status": "Pending",
            "StatusDetails": "Pending",
            "TimeoutSeconds": asked.get("TimeoutSeconds", DEFAULT_SECONDS),
        }
        self._begin(command, document.content_json, parameters)
        return {"Command": command}

    def _may_send(self, ids: Sequence[str]) -> None:
        if len(ids) > INSTANCES_AT_MOST:
            raise Refusal("ValidationException", f"Member must have length less than or equal to {INSTANCES_AT_MOST}")
        if len(set(ids)) < len(ids):
            raise Refusal("DuplicateInstanceId", "You can't specify a managed node ID in more than one association.")
        away = [one for one in ids if self._ping_status(one) != "Online"]
        if away:
            raise Refusal("InvalidInstanceId", f"Instances {[away]} not in a valid state for account {ACCOUNT}")

    def _begin(self, command: Mapping[str, Any], content: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        visible = command["RequestedDateTime"] + self._region.draw(0, 0.4) + self._region.faults.lag()
        sent = self._sent[command["CommandId"]] = [
            Invocation(next(self._number), command, one, content, parameters, visible) for one in command["InstanceIds"]
        ]
        for invocation in sent:
            self._sent_to[invocation.instance_id].append(invocation)
            self._region.later(*DELIVERY_SECONDS, partial(self._deliver, invocation))

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
            self._give_up(invocation)
        elif not self._has_agent(instance_id):
            clock.after(1, lambda: self._deliver(invocation))
        else:
            invocation.began = clock.now()
            last = invocation.undeliverable + execution_seconds(invocation.content)
            clock.at(last, lambda: self._give_up(invocation), background=True)
            self._region.machines.run(
                instance_id, invocation.content, invocation.parameters, partial(self._finish, invocation)
            )

    def _give_up(self, invocation: Invocation) -> None:
        """No last word came from the agent. What the script did, nobody knows."""
        invocation.end(Outcome("TimedOut", -1), "DeliveryTimedOut", self._region.clock.now())

    def _finish(self, invocation: Invocation, outcome: Outcome) -> None:
        details = "ExecutionTimedOut" if outcome.status == "TimedOut" else outcome.status
        invocation.end(outcome, details, self._region.clock.now())

    def get(self, call: Call) -> Mapping[str, Any]:
        """GetCommandInvocation, which knows a command only after a moment."""
        asked, now = call.parameters, self._region.clock.now()
        if asked["CommandId"] not in self._sent:
            raise Refusal("InvalidCommandId", "The specified command ID isn't valid.")
        found = [one for one in self._sent[asked["CommandId"]] if one.instance_id == asked["InstanceId"]]
        if not found or now < found[0].visible:
            raise Refusal("InvocationDoesNotExist", "The command ID and managed node ID you specified didn't match.")
        shown, outcome = found[0].shown(now), found[0].outcome
        return {
            **{key: value for key, value in shown.items() if key not in ("RequestedDateTime", "CommandPlugins")},
            "ResponseCode": outcome.code,
            "StandardOutputContent": outcome.stdout[:OUTPUT_CHARACTERS],
            "StandardErrorContent": outcome.stderr[:ERROR_CHARACTERS],
        }

    def list(self, call: Call) -> Mapping[str, Any]:
        """ListCommandInvocations: of a command, to an instance, or all; one who lags sees their states later too."""
        asked, now = call.parameters, self._region.clock.now()
        found = self._found(asked.get("CommandId"), asked.get("InstanceId"))
        kept = [one for one in found if one.visible <= now < one.command["RequestedDateTime"] + KEPT_SECONDS]
        return listed(kept, asked, now - self._region.lag(call), min(asked.get("MaxResults", PAGE), PAGE))

    def _found(self, command_id: str | None, instance_id: str | None) -> Iterable[Invocation]:
        if instance_id:
            return [one for one in self._sent_to.get(instance_id, ()) if command_id in (None, one.command_id)]
        return self._sent.get(command_id, ()) if command_id else chain.from_iterable(self._sent.values())

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
        size = min(asked.get("MaxResults", PAGE), PAGE)
        token = {"NextToken": rest[size - 1]["InstanceId"]} if len(rest) > size else {}
        return {"InstanceInformationList": rest[:size], **token}

    def _has_agent(self, instance_id: str) -> bool:
        if self._runs(instance_id) and self._region.machines.has_agent(instance_id):
            self.ping(instance_id)
            return True
        return False

    def _runs(self, instance_id: str) -> bool:
        instance = self._region.ec2.known.get(instance_id)
        return instance is not None and instance.state == "running"

    def _ping_status(self, instance_id: str) -> str:
        if self._has_agent(instance_id):
            return "Online"
        age = self._region.clock.now() - self._seen.get(instance_id, 0)
        return "Online" if self._runs(instance_id) and age < PING_SECONDS else "ConnectionLost"


def _id(node: Mapping[str, Any]) -> str:
    return str(node["InstanceId"])
