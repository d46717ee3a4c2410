"""What every function does alike: its clients' settings, its logger, its metrics and its end."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from botocore.config import Config

from watchkeeper.errors import Refused, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

NAMESPACE = "Watchkeeper"

# Made here so that it is registered: Powertools then gives it, and so every module of the layer, the function's format.
LOG = logging.getLogger("watchkeeper")

# Standard retries: at most five sendings with backoff, so that one throttled call does not end a look.
BOTO = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, read_timeout=30)

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of an invocation."""

    name: str
    value: float = 1
    unit: MetricUnit = MetricUnit.Count


@dataclass(frozen=True, slots=True)
class Report:
    """How an invocation ended: what it answers, what it measured, and what failed beside what was done."""

    answer: dict[str, Any] | str
    metrics: tuple[Metric, ...] = ()
    errors: tuple[Exception, ...] = field(default=())


def once(read_timeout: float) -> Config:
    """Client settings for a write that may not be sent twice: botocore repeats a call whose answer was lost."""
    return Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=read_timeout)


def now() -> datetime:
    """The time by this machine's clock, aware, in UTC."""
    return datetime.now(UTC)


def entrypoint(
    handler: Callable[[Event, LambdaContext], Report],
) -> Callable[[Event, LambdaContext], dict[str, Any] | str]:
    """Makes a Lambda handler of one that returns a Report: writes its metrics, then raises its errors together."""

    @functools.wraps(handler)
    def run(event: Event, context: LambdaContext) -> dict[str, Any] | str:
        logger = Logger()
        logger.set_correlation_id(context.aws_request_id)
        copy_config_to_registered_loggers(source_logger=logger, include={LOG.name})
        try:
            report = handler(event, context)
        except Skipped as skipped:
            logger.info("look skipped", extra={"reason": str(skipped)})
            report = Report({"skipped": str(skipped)}, (Metric("Skipped"),))
        except Refused:
            _write((Metric("Refused"),))
            raise
        _write(report.metrics)
        if len(report.errors) == 1:
            raise report.errors[0]
        if report.errors:
            # Lambda answers and logs the message of what is raised, and nothing of what it consists of.
            told = "; ".join(str(error) for error in report.errors)
            raise ExceptionGroup(f"{len(report.errors)} failed; the others are done: {told}", list(report.errors))
        return report.answer

    return run


def require(env: Mapping[str, str], name: str) -> str:
    """The value of an environment variable. Raises Refused with its name when it is missing or empty."""
    value = env.get(name, "")
    if not value:
        raise Refused(f"The environment variable {name} is missing; the template sets it, so deploy it again.")
    return value


def number(env: Mapping[str, str], name: str, least: int, most: int) -> int:
    """The whole number in an environment variable. Raises Refused with its name unless it is within the bounds."""
    value = require(env, name)
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise Refused(
            f"The environment variable {name} is {value!r}; it must be a whole number from {least} to {most}."
        )
    return int(value)


def _write(metrics: tuple[Metric, ...]) -> None:
    written = EphemeralMetrics(namespace=NAMESPACE)
    for metric in metrics or (Metric("Looks"),):
        written.add_metric(metric.name, metric.unit, metric.value)
    written.flush_metrics()
