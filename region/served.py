"""Lambda's Invoke for clients that come over HTTP, in threads of moto's server."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from moto.awslambda import urls
from moto.awslambda.models import LambdaBackend

from region.failure import Failed

if TYPE_CHECKING:
    from region.process import Process
    from region.region import Region


class Lambda(LambdaBackend):
    """moto's functions, which run in the region instead of in containers."""

    home: ClassVar[Region]

    @property
    def _url_module(self) -> Any:
        return urls

    def invoke(
        self, function_name: str, qualifier: str | None, body: Any, headers: Any, response_headers: dict[str, str]
    ) -> bytes:
        """The answer's body. Raises moto's error for a function that does not exist."""
        functions, clock = self.home.functions, self.home.clock
        function = functions.find(self.get_function(function_name, qualifier).function_name)
        event = json.loads(body or b"{}")
        if headers.get("X-Amz-Invocation-Type") == "Event":
            clock.post(lambda: functions.enqueue(function, event))
            return b""
        ended = threading.Event()
        answers: list[Process] = []

        def start() -> None:
            answers.append(functions.start(function.name, event, ended=lambda _: ended.set()))

        clock.post(start)
        ended.wait()
        failure = answers[0].error
        if isinstance(failure, Failed):
            response_headers["x-amz-function-error"] = "Unhandled"
        return json.dumps(failure.payload() if isinstance(failure, Failed) else answers[0].result).encode()
