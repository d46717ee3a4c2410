"""Registers web nodes that can serve and deregisters those that cannot: on an event, each minute, or by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3

from watchkeeper.aws.pools import Balancers
from watchkeeper.look import Look
from watchkeeper.registration.apply import Clients
from watchkeeper.registration.serve import serve
from watchkeeper.registration.settings import Settings
from watchkeeper.runtime import BOTO, entrypoint, now, once

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from watchkeeper.runtime import Event, Report

# A notice is claimed once and published once: a call whose answer is lost is no answer, and is not repeated.
ANSWER_SECONDS = 15


@entrypoint
def handler(event: Event, context: LambdaContext) -> Report:  # noqa: ARG001 a look waits for nothing
    """Answers who is in each pool, who joins and leaves, and what was done about it and why."""
    look = Look.from_event(event, now())
    settings = Settings.from_env(os.environ)
    single = once(ANSWER_SECONDS)
    clients = Clients(
        boto3.client("ec2", config=BOTO),
        Balancers(
            boto3.client("elbv2", config=BOTO),
            boto3.client("elb", config=BOTO),
            boto3.client("resourcegroupstaggingapi", config=BOTO),
            boto3.client("autoscaling", config=BOTO),
        ),
        boto3.client("logs", config=single),
        boto3.client("sns", config=single),
    )
    return serve(clients, settings, look)
