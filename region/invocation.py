"""One run of a handler: whose environment it sees, what it may do, and what it printed."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import sys
import traceback
from functools import cache
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING, Any, cast

import boto3

from region import policies
from region.failure import Failed
from region.questions import questions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from region.lambdas import Function
    from region.process import Process
    from region.region import Region


class Context:
    """The context object: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    function_version = "$LATEST"
    identity = None
    client_context = None

    def __init__(self, invocation: Invocation) -> None:
        function = invocation.function
        self._invocation = invocation
        self.function_name = function.name
        self.invoked_function_arn = function.arn
        self.memory_limit_in_mb = str(function.memory)
        self.aws_request_id = invocation.request_id
        self.log_group_name = function.log_group
        self.log_stream_name = f"region/[$LATEST]{invocation.request_id}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the time-out."""
        invocation = self._invocation
        return max(0, int((invocation.began + invocation.function.timeout - invocation.region.clock.now()) * 1000))


class Invocation:
    """One run. `logs` are the lines that it printed, as values; metrics among them went to the region's metrics."""

    def __init__(
        self, region: Region, function: Function, event: Any, request_id: str, lineage: tuple[str, ...]
    ) -> None:
        self.region = region
        self.function = function
        self.event = event
        self.request_id = request_id
        self.lineage = lineage
        self.process: Process | None = None
        self.began = region.clock.now()
        self.logs: list[dict[str, Any]] = []
        self.failure: Failed | None = None
        self.is_over = False
        words = _environment(function, region.place.region, request_id)
        self._environment: dict[Any, Any] = {os.fsencode(name): os.fsencode(value) for name, value in words.items()}
        self._outside: tuple[Any, Any] | None = None

    @property
    def name(self) -> str:
        """The function's folder: the caller in region.calls."""
        return self.function.folder

    def enter(self) -> None:
        """Put on the function's environment: exactly what the template gives and what Lambda sets."""
        self._outside = _put_on(self._environment), sys.stdout
        boto3.DEFAULT_SESSION = self.region.wire.session
        OUTPUT.invocation = self
        sys.stdout = OUTPUT

    def leave(self) -> None:
        """Give this process its own environment back."""
        if self._outside:
            environment, sys.stdout = self._outside
            OUTPUT.invocation = boto3.DEFAULT_SESSION = None
            _put_on(environment)

    def refusal(self, service: str, operation: str, parameters: Mapping[str, Any]) -> str | None:
        """Why the function's role may not make this call, or None."""
        asks = questions(self.region.place, service, operation, parameters)
        ask = policies.refused(self.region.bus.roles.get(self.function.role, ()), asks)
        return (
            None
            if ask is None
            else (
                f"User: {self.function.arn} is not authorized to perform: {ask.action} on resource: {ask.resource} "
                f"because no identity-based policy allows the {ask.action} action"
            )
        )

    def run(self) -> Any:
        """The handler's answer as JSON would carry it. Raises Failed with the type and message that Lambda answers."""
        try:
            handler = _handler(self.function)
            self.began = self.region.clock.now()
            answer = json.loads(json.dumps(handler(self.event, Context(self))))
            self.region.clock.sleep(0)  # what its threads still did is part of its time
        except Exception as error:
            self._log(_report(error))
            raise Failed(type(error).__name__, str(error)) from error
        return answer

    def killed(self) -> Failed:
        """What Lambda says of an invocation that did not end by itself."""
        begin = f"RequestId: {self.request_id} Error: "
        if self.process and self.process.timed_out:
            return Failed("Sandbox.Timedout", f"{begin}Task timed out after {self.function.timeout}.00 seconds")
        return Failed("Runtime.ExitError", f"{begin}Runtime exited with error: signal: killed")

    def ended(self, failure: Failed | None) -> None:
        """Remember how it ended."""
        self.failure = failure
        self.is_over = True

    def line(self, text: str) -> None:
        """Take one printed line: metrics in the embedded format, or a log entry."""
        try:
            entry = json.loads(text)
        except ValueError:
            entry = text
        self._log(entry if isinstance(entry, dict) else {"message": text})

    def _log(self, entry: dict[str, Any]) -> None:
        if "_aws" in entry:
            self.region.watch.take(entry)
        else:
            self.logs.append(entry)


class Output(io.TextIOBase):
    """Standard output of whichever invocation holds the baton.

    One object for all, because loggers keep the stream that they found when they were made.
    """

    invocation: Invocation | None = None

    def __init__(self) -> None:
        self._begun = ""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Hand whole lines to the invocation."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(None, lines):
            if self.invocation:
                self.invocation.line(line)
        return len(text)


OUTPUT = Output()


def _put_on(environment: dict[Any, Any]) -> dict[Any, Any]:
    """Let this be what `os.environ` holds, and answer what it held.

    At once, and not by a call to the operating system for each word: a function that waits gives its own up again and
    again. Tools that run meanwhile inherit this machine's.
    """
    mine: Any = os.environ
    before, mine._data = mine._data, environment
    return before  # type: ignore[no-any-return]


def _environment(function: Function, region: str, request_id: str) -> dict[str, str]:
    """What Lambda sets: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html

    PATH stays the machine's, whose tools run inside a call, and no file of the machine's user configures boto3.
    """
    return {
        "_HANDLER": function.handler,
        "_X_AMZN_TRACE_ID": f"Root=1-5759e988-{request_id[-12:]}53995c8d;Sampled=0",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": f"region/[$LATEST]{request_id}",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "LAMBDA_TASK_ROOT": str(function.code),
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": os.environ.get("PATH", os.defpath),
        **function.environment,
    }


def _handler(function: Function) -> Callable[[Any, Context], Any]:
    module, _, name = function.handler.rpartition(".")
    path = function.code / f"{module}.py"
    for package in function.absent & _imports(path.read_text()):
        raise ModuleNotFoundError(f"Unable to import module '{module}': No module named '{package}'")
    handler: Callable[[Any, Context], Any] = getattr(_module(function, module), name)
    return handler


@cache
def _imports(source: str) -> frozenset[str]:
    """The packages that a module imports: those of a layer that the function does not have are absent on Lambda."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return frozenset(name.split(".")[0] for name in names)


def _module(function: Function, module: str) -> ModuleType:
    """The handler's module under the name that tests import it by; loaded once, as in a warm environment."""
    name = f"functions.{function.folder}.{module}"
    path = str(function.code / f"{module}.py")
    if name in sys.modules and sys.modules[name].__file__ == path:
        return sys.modules[name]
    loader = SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    loaded = sys.modules[name] = importlib.util.module_from_spec(cast("ModuleSpec", spec))
    loader.exec_module(loaded)
    return loaded


def _report(error: BaseException) -> dict[str, Any]:
    return {
        "level": "ERROR",
        "message": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_exception(error),
    }
