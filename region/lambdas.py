"""Deployed functions: the real handlers, run with what the template gives them, and Lambda's own queue."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from region.bus import once
from region.failure import Failed
from region.invocation import Invocation
from region.process import Died
from region.protocol import Refusal, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from botocore.awsrequest import AWSResponse

    from region.calls import Call
    from region.process import Process
    from region.region import Region

# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
RETRY_WAITS = (60.0, 120.0)
THROTTLE_WAITS = (1.0, 300.0)
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html "approximately 16 times"
LONGEST_CHAIN = 16


@dataclass(frozen=True, slots=True)
class Function:
    """A function as the template deploys it."""

    name: str
    arn: str
    code: Path
    handler: str
    environment: Mapping[str, str]
    timeout: int
    memory: int
    log_group: str
    role: str
    absent: frozenset[str] = frozenset()
    retries: int = 2
    max_age: int = 21600
    on_failure: str | None = None
    reserved: int | None = None

    @property
    def folder(self) -> str:
        """The name that people, events/ and region.invoke use."""
        return self.code.name


@dataclass(slots=True)
class Queued:
    """An event in Lambda's own queue. Its request id stays the same however often it is tried or delivered."""

    function: Function
    event: Any
    request_id: str
    lineage: tuple[str, ...]
    since: float
    attempts: int = 0
    throttles: int = 0
    failure: Failed | None = None


@dataclass(slots=True)
class Functions:
    """The functions of a region, and everything that they ran: `invocations`, oldest first."""

    region: Region
    deliveries: Callable[[Mapping[str, Any]], Sequence[float]] = once
    invocations: list[Invocation] = field(default_factory=list)
    deployed: dict[str, Function] = field(default_factory=dict)

    def find(self, name: str) -> Function:
        """The function with this folder, name or ARN. Raises KeyError that names those there are."""
        plain = re.sub(r"^arn:aws:lambda:[^:]+:\d+:function:|:\$LATEST$", "", name)
        for function in self.deployed.values():
            if plain in (function.folder, function.name):
                return function
        raise KeyError(f"no function {name}; there are {[f.folder for f in self.deployed.values()]}")

    def invoke(self, name: str, event: Any, asynchronous: bool = False, lineage: tuple[str, ...] = ()) -> Any:
        """The handler's answer; raises Failed. Asynchronous: None at once, then retries and OnFailure as deployed."""
        if asynchronous:
            return self.enqueue(self.find(name), event, lineage)
        process = self.start(name, event, lineage)
        if self.region.clock.current():
            while not process.done:
                self.region.clock.sleep(0.01)
        else:
            self.region.clock.run(until=process)
        if isinstance(process.error, BaseException):
            raise process.error
        return process.result

    def start(
        self,
        name: str,
        event: Any,
        lineage: tuple[str, ...] = (),
        ended: Callable[[Failed | None], object] = lambda _: None,
    ) -> Process:
        """An invocation under way; its `result` or `error` (Failed) is there when it is `done`."""
        return self._spawn(self.find(name), event, self.region.bus.new_id(), lineage, ended)

    def enqueue(self, function: Function, event: Any, lineage: tuple[str, ...] = ()) -> None:
        """Accept an asynchronous event. Tests drop, double or delay it by `deliveries`."""
        request_id, now = self.region.bus.new_id(), self.region.clock.now()
        for delay in self.deliveries(event):
            self.region.clock.after(delay, partial(self._attempt, Queued(function, event, request_id, lineage, now)))

    def answer_invoke(self, call: Call) -> AWSResponse:
        """What Invoke answers, to functions and tests: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
        process = self.region.clock.current()
        caller = process.caller if process else None
        lineage = (*caller.lineage, caller.function.arn) if isinstance(caller, Invocation) else ()
        name, event = call.parameters["FunctionName"], json.loads(call.parameters.get("Payload") or b"{}")
        try:
            function = self.find(name)
        except KeyError:
            raise Refusal("ResourceNotFoundException", f"Function not found: {name}", 404) from None
        if call.parameters.get("InvocationType") == "Event":
            self.enqueue(function, event, lineage)
            return answer("", 202)
        if _is_loop(function, lineage):
            raise Refusal("RecursiveInvocationException", "Lambda has detected a recursive loop", 400)
        try:
            return answer(json.dumps(self.invoke(name, event, lineage=lineage)))
        except Failed as failure:
            return answer(json.dumps(failure.payload()), 200, {"X-Amz-Function-Error": "Unhandled"})

    def _spawn(
        self,
        function: Function,
        event: Any,
        request_id: str,
        lineage: tuple[str, ...],
        ended: Callable[[Failed | None], object],
    ) -> Process:
        invocation = Invocation(self.region, function, json.loads(json.dumps(event)), request_id, lineage)
        self.invocations.append(invocation)
        process = self.region.clock.spawn(
            lambda: self._live(invocation, ended),
            function.folder,
            seconds=function.timeout,
            enter=invocation.enter,
            leave=invocation.leave,
        )
        process.caller = invocation
        invocation.process = process
        return process

    def _live(self, invocation: Invocation, ended: Callable[[Failed | None], object]) -> Any:
        failure = None
        try:
            return invocation.run()
        except Died:
            failure = invocation.killed()
            raise failure from None
        except Failed as error:
            failure = error
            raise
        finally:
            # Nothing of the region may be awaited here: the process may be dead.
            invocation.ended(failure)
            self._count(invocation, failure)
            self.region.clock.after(0, lambda: ended(failure))

    def _count(self, invocation: Invocation, failure: Failed | None) -> None:
        milliseconds = (self.region.clock.now() - invocation.began) * 1000
        for name, value in {"Invocations": 1, "Errors": int(failure is not None), "Duration": milliseconds}.items():
            self._metric(invocation.function, name, value)

    def _metric(self, function: Function, name: str, value: float) -> None:
        self.region.watch.record("AWS/Lambda", name, {"FunctionName": function.name}, value)

    def _attempt(self, queued: Queued) -> None:
        function = queued.function
        if self.region.clock.now() - queued.since > function.max_age:
            return self._give_up(queued, "EventAgeExceeded")
        if _is_loop(function, queued.lineage):
            self._metric(function, "RecursiveInvocationsDropped", 1)
            return self._give_up(queued, "RetriesExhausted")  # the condition for a loop is not documented
        if self._is_throttled(function):
            first, most = THROTTLE_WAITS
            wait = min(most, first * 2**queued.throttles)
            queued.throttles += 1
            self._metric(function, "Throttles", 1)
            self.region.clock.after(wait, lambda: self._attempt(queued))
            return None
        queued.attempts += 1
        self._spawn(function, queued.event, queued.request_id, queued.lineage, lambda f: self._tried(queued, f))
        return None

    def _tried(self, queued: Queued, failure: Failed | None) -> None:
        queued.failure = failure
        if failure is None:
            return
        if queued.attempts > queued.function.retries:
            self._give_up(queued, "RetriesExhausted")
        else:
            self.region.clock.after(RETRY_WAITS[queued.attempts - 1], lambda: self._attempt(queued))

    def _is_throttled(self, function: Function) -> bool:
        busy = sum(i.function is function and not i.is_over for i in self.invocations[-1000:])
        return function.reserved is not None and busy >= function.reserved

    def _give_up(self, queued: Queued, condition: str) -> None:
        """Send the record of the failure to the OnFailure queue, if the role may."""
        queue = queued.function.on_failure
        if queue and self.region.bus.allows(queued.function.role, "sqs:SendMessage", queue):
            self.region.bus.send(queue, _record(queued, condition, self.region.clock.moment()))
        elif queue:
            self._metric(queued.function, "DestinationDeliveryFailures", 1)


def _record(queued: Queued, condition: str, now: datetime) -> dict[str, Any]:
    """What a destination is told: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
    record = {
        "version": "1.0",
        "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": queued.request_id,
            "functionArn": f"{queued.function.arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": queued.attempts,
        },
        "requestPayload": queued.event,
    }
    if queued.failure:
        record["responseContext"] = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
        record["responsePayload"] = queued.failure.payload()
    return record


def _is_loop(function: Function, lineage: tuple[str, ...]) -> bool:
    return lineage.count(function.arn) >= LONGEST_CHAIN
