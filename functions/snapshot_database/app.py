"""Takes an application-consistent snapshot set of each database: on a schedule, hourly if overdue, or by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3

from watchkeeper.backup.apply import Clients
from watchkeeper.backup.observe import observe
from watchkeeper.backup.plan import plan
from watchkeeper.backup.serve import serve
from watchkeeper.backup.settings import Settings
from watchkeeper.look import Look
from watchkeeper.runtime import BOTO, entrypoint, now, once

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from watchkeeper.runtime import Event, Report


@entrypoint
def handler(event: Event, _context: LambdaContext) -> Report:
    """Answers what was made, handed on and left, each with its reason."""
    began = now()
    look = Look.from_event(event, began)
    look.refuse_late(began)
    settings = Settings.from_env(os.environ)
    # Half the lease: CreateSnapshots and one look after a lost answer must both end before it does.
    single = once(settings.lease_seconds / 2)
    clients = Clients(
        boto3.client("ec2", config=BOTO),
        boto3.client("ec2", config=single),
        boto3.client("ssm", config=single),
        boto3.client("lambda", config=BOTO),
    )
    state = observe(clients.ec2, look, settings.watched)
    verdicts = plan(state, look, settings)
    return serve(clients, state, verdicts, look, settings, began)
