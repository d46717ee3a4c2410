"""moto's backends, of which a region swaps the classes while it is open."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from moto.autoscaling.models import autoscaling_backends
from moto.awslambda.models import lambda_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.core.models import botocore_stubber
from moto.ec2.models import ec2_backends
from moto.elb.models import elb_backends
from moto.elbv2.models import elbv2_backends
from moto.kms.models import kms_backends
from moto.moto_api._internal import mock_random
from moto.resourcegroupstaggingapi.models import resourcegroupstaggingapi_backends
from moto.route53.models import route53_backends
from moto.ssm.models import ssm_backends

from region.addresses import Route53
from region.balancers import ELB, ELBv2, Tagging
from region.cloudwatch import CloudWatch
from region.ec2 import EC2
from region.keys import Keys
from region.scaling import AutoScaling
from region.served import Lambda
from region.ssm import SSM

if TYPE_CHECKING:
    import contextlib

    from region.region import Region


def take_over(region: Region, closing: contextlib.ExitStack) -> None:
    """Swap the classes of moto's backends, and draw ids and botocore's waits from the seed."""
    own: dict[Any, type] = {
        autoscaling_backends: type("AutoScaling", (AutoScaling,), {"home": region}),
        cloudwatch_backends: type("CloudWatch", (CloudWatch,), {"home": region}),
        ec2_backends: type("EC2", (EC2,), {"home": region}),
        elb_backends: type("ELB", (ELB,), {"home": region}),
        elbv2_backends: type("ELBv2", (ELBv2,), {"home": region}),
        kms_backends: Keys,
        lambda_backends: type("Lambda", (Lambda,), {"home": region}),
        resourcegroupstaggingapi_backends: type("Tagging", (Tagging,), {"home": region}),
        route53_backends: type("Route53", (Route53,), {"home": region}),
        ssm_backends: type("SSM", (SSM,), {"home": region}),
    }
    for backends, backend in own.items():
        closing.callback(setattr, backends, "backend", backends.backend)
        backends.backend = backend
    closing.callback(random.setstate, random.getstate())
    random.seed(region.seed)
    mock_random.seed(region.seed)
    # What `mock_aws` does, but for the library `requests`, which takes twenty milliseconds and is not used here.
    _empty_moto()
    botocore_stubber.enabled = True
    closing.callback(_empty_moto)


def _empty_moto() -> None:
    """Drop all state. moto's own reset builds each backend anew before it drops it, and some build others in turn."""
    botocore_stubber.enabled = False
    used: Any = BackendDict._instances  # type: ignore[misc]
    for backends in used:
        backends.clear()
    used.clear()
    reset_model_data()
