"""Tells a person what is watched: what each application has, lacks and waits for, and what comes next."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3

from watchkeeper.aws.pools import Balancers
from watchkeeper.look import Look
from watchkeeper.runtime import BOTO, Report, entrypoint, now
from watchkeeper.status.describe import describe
from watchkeeper.status.observe import observe
from watchkeeper.status.settings import Settings
from watchkeeper.status.text import writer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from watchkeeper.runtime import Event


@entrypoint
def handler(event: Event, _context: LambdaContext) -> Report:
    """Answers text; with `"format": "json"` plain values."""
    began = now()
    look = Look.from_event(event, began, besides=("format",))
    write = writer(event.get("format", "text"))
    settings = Settings.from_env(os.environ)
    ec2, ssm = boto3.client("ec2", config=BOTO), boto3.client("ssm", config=BOTO)
    balancers = Balancers(
        boto3.client("elbv2", config=BOTO),
        boto3.client("elb", config=BOTO),
        boto3.client("resourcegroupstaggingapi", config=BOTO),
        boto3.client("autoscaling", config=BOTO),
    )
    state = observe(ec2, ssm, balancers, look, settings.backup.watched, began)
    return Report(write(describe(state, settings, began)))
