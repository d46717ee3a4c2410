"""EventBridge, Scheduler and the queues behind them: what wakes a function, when, and what becomes of it otherwise."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.events.models import events_backends
from moto.scheduler.models import scheduler_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from region import events
from region.calls import Call
from region.events import Envelope, zulu
from region.faults import LostAnswer
from region.policies import Ask, refused
from region.schedules import due

if TYPE_CHECKING:
    from region.policies import Statement
    from region.region import Region

ACCOUNT = "123456789012"
# Scheduler retries "with exponential backoff"; how long it waits is not documented.
RETRY_WAITS = (1.0, 300.0)

Deliveries = Callable[[Mapping[str, Any]], Sequence[float]]


def once(_: Mapping[str, Any]) -> Sequence[float]:
    """Deliver an event once, at once: what usually happens."""
    return (0.0,)


def drop(_: Mapping[str, Any]) -> Sequence[float]:
    """Lose every event."""
    return ()


def double(_: Mapping[str, Any]) -> Sequence[float]:
    """Deliver every event twice, at the same moment."""
    return (0.0, 0.0)


def delay(seconds: float) -> Deliveries:
    """Deliver every event so much later."""
    return lambda _: (seconds,)


class Bus:
    """What happens is put here. `deliveries` says what becomes of each event on its way; `lost` what reached nobody."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.deliveries: Deliveries = once
        self.roles: dict[str, Sequence[Statement]] = {}
        self.permissions: set[tuple[str, str, str]] = set()
        self.lost: list[tuple[str, str]] = []
        self._of_services: set[str] = set()
        self._random = random.Random(region.seed)
        self._name = region.wire.session.region_name

    def new_id(self) -> str:
        """A UUID of its own for everything that has one; the same in the next run of the same seed."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def emit(self, shape: Callable[..., dict[str, Any]], *facts: Any, **more: Any) -> None:
        """Put an event of AWS's own, made by a function of region/events.py, on the bus."""
        if shape is events.instance_state:
            self.region.watch.moved(facts[0])
            self.region.pools.moved(facts[0])
        self.put(shape(self.envelope(), *facts, **more))

    def envelope(self) -> Envelope:
        """What an event of this moment has around it."""
        return Envelope(self.new_id(), ACCOUNT, self._name, self.region.clock.moment())

    def put(self, event: str | Path | Mapping[str, Any]) -> None:
        """An event, or a file with one; or a file with what Scheduler sends to the function it is named for."""
        path = Path(event) if isinstance(event, str | Path) else None
        content: Mapping[str, Any] = json.loads(path.read_text()) if path else dict(event)  # type: ignore[arg-type]
        if path and "detail-type" not in content:
            self.region.functions.enqueue(self.region.functions.find(path.name.partition(".")[0]), content)
        elif {"source", "detail-type", "detail"} <= set(content):
            for seconds in self.deliveries(content):
                self.region.clock.after(seconds, lambda: self._route(content))
        else:
            raise ValueError(f"not an event: {content}")

    def _route(self, event: Mapping[str, Any]) -> None:
        for rule in events_backends[ACCOUNT][self._name].event_buses["default"].rules.values():
            if rule.state == "ENABLED" and rule.event_pattern.matches_event(dict(event)):  # type: ignore[arg-type]
                for target in rule.targets:
                    payload = json.loads(target["Input"]) if "Input" in target else event
                    self.hand_to(target["Arn"], payload, "events.amazonaws.com", rule.arn)

    def hand_to(self, arn: str, payload: Any, principal: str, source: str) -> None:
        """Give a function, a topic or a queue what a service has for it; to a function only if it permits that.

        Lambda compares the source as StringLike does: https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
        """
        service = arn.split(":")[2]
        if service == "lambda":
            function = self.region.functions.find(arn)
            wanted = (function.name, principal)
            if any(one[:2] == wanted and fnmatchcase(source, one[2] or "*") for one in self.permissions):
                self.region.functions.enqueue(function, payload)
            else:
                self.lost.append((source, f"{principal} may not invoke {function.name}"))
        elif service == "sns":
            self.publish(arn, json.dumps(payload))
        else:
            self.send(arn, payload)

    def schedule(self, name: str) -> None:
        """Let a schedule of Scheduler, which moto keeps, fall due from now on."""
        schedule = self._schedule(name)
        if schedule and schedule.flexible_time_window != {"Mode": "OFF"}:
            raise ValueError(f"{name}: a flexible time window is not known here")
        if schedule:
            now = self.region.clock.moment()
            self._plan(name, due(schedule.schedule_expression, schedule.schedule_expression_timezone, now, now))

    def _schedule(self, name: str) -> Any:
        return scheduler_backends[ACCOUNT][self._name].schedule_groups["default"].schedules.get(name)

    def _plan(self, name: str, times: Iterator[datetime]) -> None:
        when = next(times, None)
        if when:
            self.region.clock.at(when.timestamp(), lambda: self._fall_due(name, when, times), background=True)

    def _fall_due(self, name: str, when: datetime, times: Iterator[datetime]) -> None:
        schedule = self._schedule(name)
        if schedule and schedule.state == "ENABLED":
            for seconds in self.deliveries({"source": "aws.scheduler", "resources": [schedule.arn]}):
                self.region.clock.after(seconds, lambda: self._invoke_for(schedule, when, 1))
        if schedule:
            self._plan(name, times)

    def _invoke_for(self, schedule: Any, when: datetime, attempt: int) -> None:
        """Scheduler's InvokeAsync, until it is accepted, too old or tried too often; faults of "Invoke" meet it too:
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-dead-letter-queue.html
        """
        target, clock = schedule.target, self.region.clock
        payload = _filled(target.get("Input", "{}"), schedule.arn, when, self.new_id(), attempt)
        if clock.now() - when.timestamp() > target["RetryPolicy"].get("MaximumEventAgeInSeconds", 86400):
            return self._lose(schedule, payload, "MaximumEventAgeInSeconds")
        function = self.region.functions.find(target["Arn"])
        if not self.allows(target["RoleArn"], "lambda:InvokeFunction", function.arn):
            return self._lose(schedule, payload, "AccessDeniedException")
        fault = self.region.faults.meet(Call("scheduler", clock.now(), "lambda", "Invoke", {"InvocationType": "Event"}))
        if fault is None or isinstance(fault, LostAnswer):
            self.region.functions.enqueue(function, json.loads(payload))
        if fault is None:
            return None
        if attempt > target["RetryPolicy"].get("MaximumRetryAttempts", 185):
            return self._lose(schedule, payload, "MaximumRetryAttempts")
        first, most = RETRY_WAITS
        clock.after(min(most, first * 2**attempt), lambda: self._invoke_for(schedule, when, attempt + 1))
        return None

    def _lose(self, schedule: Any, payload: str, why: str) -> None:
        self.lost.append((schedule.name, why))
        queue = schedule.target.get("DeadLetterConfig", {}).get("Arn")
        if queue and self.allows(schedule.target["RoleArn"], "sqs:SendMessage", queue):
            self.send(queue, json.loads(payload))

    def allows(self, role: str, action: str, resource: str) -> bool:
        """Whether AWS may do this in the name of a role."""
        return refused(self.roles.get(role, ()), [Ask(action, resource)]) is None

    def publish(self, topic_arn: str, message: str, subject: str | None = None) -> None:
        """Publish to a topic of SNS, as a service of AWS does."""
        self._of_services.add(sns_backends[ACCOUNT][self._name].publish(message, arn=topic_arn, subject=subject))

    def notices(self, of_functions: bool = False) -> list[tuple[str, str]]:
        """Subject and text of what was published to topics, by services too or not; oldest first, topic by topic."""
        topics = sns_backends[ACCOUNT][self._name].topics.values()
        return [
            (subject or "", text)
            for topic in topics
            for number, text, subject, _, _ in topic.sent_notifications
            if not (of_functions and number in self._of_services)
        ]

    def mail(self) -> list[dict[str, str]]:
        """What the e-mail subscribers of all topics were sent, oldest first."""
        backend = sns_backends[ACCOUNT][self._name]
        return [
            {"to": subscription.endpoint, "subject": subject or "AWS Notification Message", "message": message}
            for topic in backend.topics.values()
            for _, message, subject, _, _ in topic.sent_notifications
            for subscription in backend.subscriptions.values()
            if subscription.topic == topic and subscription.protocol == "email"
        ]

    def send(self, queue_arn: str, content: Any) -> None:
        """Put a message on a queue, and let its depth be measured."""
        name = queue_arn.rsplit(":", 1)[-1]
        sqs_backends[ACCOUNT][self._name].send_message(name, json.dumps(content))
        self.region.watch.measure(name)

    def queue(self, name: str) -> list[dict[str, Any]]:
        """The messages that wait in the queue with this logical id or name, oldest first; reading takes none."""
        queue = sqs_backends[ACCOUNT][self._name].get_queue(self.region.stacks.physical(name))
        return [json.loads(message.body) for message in queue.messages]

    def depth(self, name: str) -> int:
        """How many messages wait in a queue."""
        return len(sqs_backends[ACCOUNT][self._name].get_queue(name).messages)


def _filled(text: str, arn: str, when: datetime, execution: str, attempt: int) -> str:
    """Scheduler's context attributes, replaced:
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    attributes = {
        "schedule-arn": arn,
        "scheduled-time": zulu(when.astimezone(UTC)),
        "execution-id": execution.replace("-", "")[:16],
        "attempt-number": str(attempt),
    }
    for name, value in attributes.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text
