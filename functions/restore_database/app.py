"""Restores a snapshot set: to volumes, to a path of an instance, or into the database's place; by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3

from watchkeeper.look import Look
from watchkeeper.restore import wish
from watchkeeper.restore.apply import Writers
from watchkeeper.restore.observe import Readers
from watchkeeper.restore.serve import Clients, serve
from watchkeeper.restore.settings import Settings
from watchkeeper.runtime import BOTO, entrypoint, now, once

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from watchkeeper.runtime import Event, Report

# What is left undone is told before Lambda ends it, and the same event carries on.
MARGIN_SECONDS = 20

# Nothing that is sent once takes longer to be answered; the next look finds what came of it.
ANSWER_SECONDS = 15


@entrypoint
def handler(event: Event, context: LambdaContext) -> Report:
    """Answers which volumes were made or put into the database's place, where they are, and how to undo it."""
    look = Look.from_event(event, now(), besides=wish.WORDS)
    asked = wish.Wish.from_event(event)
    settings = Settings.from_env(os.environ)
    single = once(ANSWER_SECONDS)
    clients = Clients(
        Readers(boto3.client("ec2", config=BOTO), boto3.client("ssm", config=BOTO)),
        Writers(
            boto3.client("ec2", config=single),
            boto3.client("ssm", config=single),
            boto3.client("sns", config=single),
            boto3.client("logs", config=single),
            boto3.client("lambda", config=BOTO),
        ),
    )
    left = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
    return serve(clients, settings, look, asked, left)
