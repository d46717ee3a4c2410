"""The wire between boto3 and the region: each request is recorded, takes its time, may be refused, and may go wrong."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, assert_never

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.loaders import Loader
from moto.core.exceptions import ServiceException
from moto.core.models import botocore_stubber
from moto.core.utils import get_service_model

from region.faults import LostAnswer, ServerError, Throttle
from region.protocol import Refusal, refuse, write
from region.quicker import ask, parsed_once, quickened, rest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.client import BaseClient
    from botocore.model import OperationModel

    from region.region import Region

READS = ("Describe", "Get", "List", "Head", "Search")
# Elsewhere it is AccessDeniedException: https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html and the others'.
DENIED = dict.fromkeys(("autoscaling", "cloudwatch", "elb", "elbv2", "route53"), "AccessDenied")
DENIED |= {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError"}
# https://docs.aws.amazon.com/Route53/latest/APIReference/requests-rest-responses.html and the others' common errors
THROTTLED = dict.fromkeys(("autoscaling", "elb", "elbv2", "route53", "sns"), ("Throttling", 400))
THROTTLED["ec2"] = ("RequestLimitExceeded", 503)
LOADER = Loader()  # service models, 0.2 s to read EC2's
WARM: list[Session] = []  # sessions of regions that are closed: a client costs 0.02 s to make


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it reached AWS. `error` is the code that came back, or what became of the answer."""

    caller: str
    time: float
    service: str
    operation: str
    parameters: Mapping[str, Any]
    error: str | None = None

    @property
    def write(self) -> bool:
        """Whether it can change the world."""
        return not self.operation.startswith(READS) and not self.parameters.get("DryRun")


class Caller(Protocol):
    """Who calls: an invocation of a function. The test itself is no caller; it may do everything, at once."""

    @property
    def name(self) -> str:
        """The function's name, as in region.calls."""

    def refusal(self, service: str, operation: str, parameters: Mapping[str, Any]) -> str | None:
        """The sentence with which IAM denies this request, or None."""


class Session(boto3.Session):
    """A session that makes each client once, as a warm Lambda environment does, also for the next region."""

    def __init__(self, region: str) -> None:
        self.wire: Wire
        self.made: dict[str, BaseClient] = {}
        inner = botocore.session.Session()
        inner.register_component("data_loader", LOADER)
        inner.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parsed_once)
        inner.set_credentials("AKIAEXAMPLE", "secret")
        inner.register("before-parameter-build", self._note)
        # Every handler of this event is called, and moto's would do a write again.
        inner.unregister("before-send", botocore_stubber)  # type: ignore[arg-type]
        inner.register("before-send", self._send)  # type: ignore[arg-type]
        super().__init__(botocore_session=inner, region_name=region)

    def _note(self, **event: Any) -> None:
        self.wire.note(event["params"], event["model"], event["context"])

    def _send(self, **event: Any) -> AWSResponse:
        return self.wire.send(event["request"])

    def client(self, service_name: str, *, config: Config | None = None, **others: Any) -> Any:  # type: ignore[override]
        """The client for a service and a configuration."""
        options = getattr(config, "_user_provided_options", None)
        key = f"{service_name} {options} {others}"
        if key not in self.made:
            # No signature, and a name that is not put together anew for each request.
            quick = (config or Config()).merge(Config(signature_version=UNSIGNED, user_agent="region"))
            made = super().client(service_name, config=quick, **others)  # type: ignore[call-overload]
            self.made[key] = quickened(made)
        return self.made[key]


class Wire:
    """What happens to every request.

    `answers` holds the operations that the region answers itself and not moto: a function of the call, which gives
    back the result as boto3 shows it (or a raw answer), or raises Refusal.
    """

    def __init__(self, region: Region, name: str) -> None:
        self._region = region
        self._mine = threading.local()
        self._one = threading.Lock()
        self.session = WARM.pop() if WARM else Session(name)
        self.session.wire = self
        self.answers: dict[tuple[str, str], Callable[[Call], Mapping[str, Any] | AWSResponse]] = {}

    def close(self) -> None:
        """Keep the clients for the next region, as if they were new."""
        for one in self.session.made.values() if self._region.faults.met else ():
            rest(one)
        WARM.append(self.session)

    def client(self, service: str) -> Any:
        """A client of the session that functions use; who calls is known from the process."""
        return self.session.client(service)

    def note(self, params: Mapping[str, Any], model: OperationModel, context: Mapping[str, Any]) -> None:
        """Remember what the calling thread asks for: `before-send` sees only bytes."""
        self._mine.asked = (model, dict(params), context["client_config"].read_timeout)

    def send(self, request: Any) -> AWSResponse:
        """Answer one request. botocore's own retries come through here again."""
        region, (model, parameters, timeout) = self._region, self._mine.asked
        process = region.clock.current()
        caller: Any = process.caller if process else None
        call = Call(
            caller.name if caller else "test",
            region.clock.now(),
            model.service_model.service_name,
            model.name,
            parameters,
        )
        if caller is None:
            return self._reach(call, model, request)
        return self._send_from(caller, call, model, timeout, lambda: self._reach(call, model, request))

    def _send_from(
        self, caller: Caller, call: Call, model: OperationModel, timeout: float, reach: Callable[[], AWSResponse]
    ) -> AWSResponse:
        clock, faults = self._region.clock, self._region.faults
        seconds = 0.0 if clock.real else faults.latency() / 2
        clock.sleep(seconds)
        try:
            denied = caller.refusal(call.service, call.operation, call.parameters)
        except ServiceException as error:  # what it names does not exist
            return self._fail(call, model, error.code, error.message, 400)
        if denied:
            return self._fail(call, model, DENIED.get(call.service, "AccessDeniedException"), denied, 403)
        death = faults.deadly(call, clock.current())
        if death == "before":
            clock.die()
        response = self._meet(faults.meet(call), call, model, timeout, reach)
        if death == "after":
            clock.die()
        clock.sleep(seconds)
        return response

    def _meet(
        self,
        fault: Throttle | ServerError | LostAnswer | None,
        call: Call,
        model: OperationModel,
        timeout: float,
        reach: Callable[[], AWSResponse],
    ) -> AWSResponse:
        match fault:
            case None:
                response = reach()
                self._record(call, None if response.status_code < 300 else str(response.status_code))
                return response
            case Throttle():
                code, status = THROTTLED.get(call.service, ("ThrottlingException", 400))
                return self._fail(call, model, code, "Rate exceeded", status)
            case ServerError():
                return self._fail(call, model, "InternalError", "An internal error has occurred", 500)
            case LostAnswer():
                reach()
                self._record(call, "lost")
                if fault.at_once:
                    raise ConnectionClosedError(endpoint_url="https://aws")
                self._region.clock.sleep(timeout)
                raise ReadTimeoutError(endpoint_url="https://aws")
            case _:
                assert_never(fault)

    def _fail(self, call: Call, model: OperationModel, code: str, message: str, status: int) -> AWSResponse:
        self._record(call, code)
        return refuse(model, code, message, status)

    def _record(self, call: Call, error: str | None) -> None:
        self._region.calls.append(replace(call, time=self._region.clock.now(), error=error))

    def alone(self, own: Callable[[Call], Mapping[str, Any]]) -> Callable[[Call], Mapping[str, Any]]:
        """An operation during which nothing else happens: a handler's pool and HTTP clients come in threads."""

        def operation(call: Call) -> Mapping[str, Any]:
            with self._one, self._region.clock.busy():
                return own(call)

        return operation

    def answer(self, call: Call, model: OperationModel) -> AWSResponse | None:
        """The region's own answer, for operations that have one."""
        own = self.answers.get((call.service, call.operation))
        if own is None:
            return None
        try:
            if call.parameters.get("DryRun"):
                raise Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
            result = own(call)
        except ServiceException as error:
            return refuse(model, error.code, error.message, getattr(error, "status", 400))
        return result if isinstance(result, AWSResponse) else write(model, result)

    def _reach(self, call: Call, model: OperationModel, request: Any) -> AWSResponse:
        own = self.answer(call, model)
        if own is not None:
            return own
        # moto reads the region from the signature, and nobody checks it.
        request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/{self._region.name}/"
        with self._one, self._region.clock.busy():
            return ask(request)


def serve(region: Region, response: Any) -> tuple[int, dict[str, str], bytes] | None:
    """The region's own answer to a request that moto's server took, for operations that have one."""
    model = get_service_model(response.boto3_service_name).operation_model(response._get_action())
    is_json = model.service_model.resolved_protocol == "json"
    parameters = json.loads(response.body) if is_json else getattr(response, "params", None) or response._get_params()
    own = region.wire.answer(
        Call("http", region.clock.now(), response.boto3_service_name, model.name, parameters), model
    )
    return None if own is None else (own.status_code, dict(own.headers), own.content)
