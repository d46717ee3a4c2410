"""The wire between boto3 and the region: every request is recorded, takes its time, may be refused, and may go wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol, assert_never

import boto3
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.loaders import Loader
from moto.core.exceptions import ServiceException
from moto.core.models import botocore_stubber
from moto.core.serialize import get_serializer_class

from region.faults import LostAnswer, ServerError, Throttle

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.config import Config
    from botocore.model import OperationModel

    from region.region import Region

READS = ("Describe", "Get", "List", "Head", "Search")
LOADER = Loader()  # parsed service models, 0.2 s each: shared by all regions of this process


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


class Refusal(ServiceException):
    """An error of the region's own: moto looks up the error's shape by the module of its class."""


class Raw(BytesIO):
    """A body as urllib3 would hand it out."""

    def stream(self, **_: Any) -> Any:
        """The whole body in one piece."""
        yield self.read()


def answer(body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None) -> AWSResponse:
    """An HTTP answer, for operations that the region answers itself."""
    content = body.encode() if isinstance(body, str) else body
    return AWSResponse("https://aws", status, dict(headers or {}), Raw(content))


def refuse(operation: OperationModel, code: str, message: str, status: int = 400) -> AWSResponse:
    """An error as the service would send it, whatever its protocol."""
    service = operation.service_model
    serializer = get_serializer_class(service.service_name, service.resolved_protocol)
    error = serializer(operation_model=operation).serialize(Refusal(code, message))
    return answer(error["body"], status, error["headers"])


class _Session(boto3.Session):
    """A session that makes each client once, as a warm Lambda environment does."""

    def __init__(self, wire: Wire, region: str) -> None:
        inner = botocore.session.Session()
        inner.register_component("data_loader", LOADER)
        inner.set_credentials("AKIAEXAMPLE", "secret")
        inner.register("before-parameter-build", wire.note)
        # Every handler of this event is called, and moto's would do a write again.
        inner.unregister("before-send", botocore_stubber)
        inner.register("before-send", wire.send)
        super().__init__(botocore_session=inner, region_name=region)
        self._made: dict[str, BaseClient] = {}

    def client(self, service_name: str, *, config: Config | None = None, **others: Any) -> Any:  # type: ignore[override]
        """The client for a service and a configuration."""
        options = getattr(config, "_user_provided_options", None)
        key = f"{service_name} {options} {others}"
        if key not in self._made:
            self._made[key] = super().client(service_name, config=config, **others)  # type: ignore[call-overload]
        return self._made[key]


class Wire:
    """What happens to every request. `answers` holds operations that are answered by the region and not by moto."""

    def __init__(self, region: Region, name: str) -> None:
        self._region = region
        self._mine = threading.local()
        self._one = threading.Lock()
        self.session = _Session(self, name)
        self.answers: dict[tuple[str, str], Callable[[Call], AWSResponse]] = {}

    def client(self, service: str) -> Any:
        """A client of the session that functions use; who calls is known from the process."""
        return self.session.client(service)

    def note(self, params: Mapping[str, Any], model: OperationModel, context: Mapping[str, Any], **_: Any) -> None:
        """Remember what the calling thread asks for: `before-send` sees only bytes."""
        self._mine.asked = (model, dict(params), context["client_config"].read_timeout)

    def send(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
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
            return self._reach(call, request, event_name)
        return self._send_from(caller, call, model, timeout, lambda: self._reach(call, request, event_name))

    def _send_from(
        self, caller: Caller, call: Call, model: OperationModel, timeout: float, reach: Callable[[], AWSResponse]
    ) -> AWSResponse:
        clock, faults = self._region.clock, self._region.faults
        seconds = 0.0 if clock.real else faults.latency() / 2
        clock.sleep(seconds)
        denied = caller.refusal(call.service, call.operation, call.parameters)
        if denied:
            self._record(call, "AccessDenied")
            code = "UnauthorizedOperation" if call.service == "ec2" else "AccessDeniedException"
            return refuse(model, code, denied, 403)
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
                code, status = ("RequestLimitExceeded", 503) if call.service == "ec2" else ("ThrottlingException", 400)
                self._record(call, code)
                return refuse(model, code, "Rate exceeded", status)
            case ServerError():
                self._record(call, "InternalError")
                return refuse(model, "InternalError", "An internal error has occurred", 500)
            case LostAnswer():
                reach()
                self._record(call, "lost")
                if fault.at_once:
                    raise ConnectionClosedError(endpoint_url="https://aws")
                self._region.clock.sleep(timeout)
                raise ReadTimeoutError(endpoint_url="https://aws")
            case _:
                assert_never(fault)

    def _record(self, call: Call, error: str | None) -> None:
        self._region.calls.append(replace(call, error=error))

    def _reach(self, call: Call, request: Any, event_name: str) -> AWSResponse:
        own = self.answers.get((call.service, call.operation))
        if own:
            return own(call)
        with self._one, self._region.clock.busy():
            return botocore_stubber(event_name, request)
