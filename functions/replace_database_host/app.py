"""Replaces the dead host of a database: on an alarm, on an instance's event, each minute, or by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3

from watchkeeper.look import Look
from watchkeeper.replacement.apply import Writers
from watchkeeper.replacement.observe import Readers
from watchkeeper.replacement.serve import Clients, serve
from watchkeeper.replacement.settings import Settings
from watchkeeper.runtime import BOTO, entrypoint, now, once

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from watchkeeper.runtime import Event, Report

# A look ends before the next sweep is due, and long before Lambda would end it.
LOOK_SECONDS, MARGIN_SECONDS = 55, 20

# Nothing that is sent once takes longer to be answered; the next look finds what came of it.
ANSWER_SECONDS = 15


@entrypoint
def handler(event: Event, context: LambdaContext) -> Report:
    """Answers what was done for each application that something was the matter with, and what is waited for."""
    look = Look.from_event(event, now())
    settings = Settings.from_env(os.environ)
    single = once(ANSWER_SECONDS)
    clients = Clients(
        Readers(
            boto3.client("ec2", config=BOTO),
            boto3.client("ssm", config=BOTO),
            boto3.client("cloudwatch", config=BOTO),
            boto3.client("route53", config=BOTO),
            boto3.client("kms", config=BOTO),
        ),
        Writers(
            boto3.client("ec2", config=single),
            boto3.client("ssm", config=single),
            boto3.client("sns", config=single),
            boto3.client("logs", config=single),
        ),
        boto3.client("lambda", config=BOTO),
    )
    left = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
    return serve(clients, settings, look, min(LOOK_SECONDS, left))
