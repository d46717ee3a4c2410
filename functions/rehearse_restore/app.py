"""Proves that snapshot sets restore, on a scratch host beside production: hourly where a proof is due, or by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3

from watchkeeper.look import Look
from watchkeeper.rehearsal.apply import Writers
from watchkeeper.rehearsal.observe import Readers
from watchkeeper.rehearsal.serve import Clients, serve
from watchkeeper.rehearsal.settings import Settings
from watchkeeper.runtime import BOTO, entrypoint, now, once

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from watchkeeper.runtime import Event, Report

MARGIN_SECONDS = 30

# Nothing that is sent once takes longer to be answered; the next look finds what came of it.
ANSWER_SECONDS = 15


@entrypoint
def handler(event: Event, context: LambdaContext) -> Report:
    """Answers what was done for each application whose rehearsal is due or under way, and what is waited for."""
    look = Look.from_event(event, now())
    settings = Settings.from_env(os.environ)
    single = once(ANSWER_SECONDS)
    clients = Clients(
        Readers(boto3.client("ec2", config=BOTO), boto3.client("ssm", config=BOTO)),
        Writers(
            boto3.client("ec2", config=single),
            boto3.client("ssm", config=single),
            boto3.client("sns", config=single),
            boto3.client("logs", config=single),
        ),
        boto3.client("lambda", config=BOTO),
    )
    return serve(clients, settings, look, context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS)
