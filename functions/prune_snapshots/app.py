"""Deletes the snapshot sets that no policy keeps (on a schedule; by hand)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3

from watchkeeper.look import Look
from watchkeeper.retention.observe import observe
from watchkeeper.retention.plan import plan
from watchkeeper.retention.serve import Clients, serve
from watchkeeper.retention.settings import Settings
from watchkeeper.runtime import BOTO, entrypoint, now

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from watchkeeper.runtime import Event, Report

# Two requests that hang until they time out, and what comes after them.
MARGIN_SECONDS = 90


@entrypoint
def handler(event: Event, context: LambdaContext) -> Report:
    """Answers what was deleted, kept and left of each application, and why; with `dry_run` what would be."""
    began = now()
    look = Look.from_event(event, began)
    settings = Settings.from_env(os.environ)
    clients = Clients(boto3.client("ec2", config=BOTO), boto3.client("lambda", config=BOTO))
    state = observe(clients.ec2, look, settings.watched)
    plans = plan(state, look, settings, began)
    seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
    return serve(clients, state, plans, look, settings, seconds)
