"""Lambda where moto would run containers: Invoke for clients that come over HTTP, and functions that topics tell."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from moto.awslambda import urls
from moto.awslambda.models import LambdaBackend
from moto.sns.models import sns_backends

from region import notices
from region.bus import ACCOUNT
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

    def send_sns_message(
        self, function_name: str, message: str, subject: str | None = None, qualifier: str | None = None
    ) -> None:
        """Hand a function what a topic tells it, if it lets the topic. moto does not say which topic it is."""
        bus, function = self.home.bus, self.home.functions.find(function_name)
        subscriptions = sns_backends[ACCOUNT][self.home.name].subscriptions.values()
        topics = [one.topic.arn for one in subscriptions if one.endpoint == function.arn]
        if len(topics) != 1 or qualifier:
            raise NotImplementedError("a function that hears several topics, or a version of one, is not known here")
        told = notices.records(topics[0], bus.new_id(), subject, message, self.home.clock.moment())
        bus.hand_to(function.arn, told, "sns.amazonaws.com", topics[0])
