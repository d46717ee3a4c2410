"""`python -m region` answers the AWS CLI and sam local, and ends when it is asked to."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A served region, and the variables that it wrote for sam local."""
    file = tmp_path / "env.json"
    command = [sys.executable, "-m", "region", "--port=0", f"--env-vars={file}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert any("sam local invoke" in line for line in process.stdout)
            yield process, json.loads(file.read_text())
        finally:
            process.kill()


def client(service: str, variables: dict[str, Any]) -> Any:
    session = botocore.session.Session()
    session.set_credentials("any", "any")
    url = variables["ShowStatusFunction"]["AWS_ENDPOINT_URL"].replace("host.docker.internal", "127.0.0.1")
    return session.create_client(service, "us-west-2", endpoint_url=url)  # whatever region the client is set to


def test_a_served_region_has_the_application_and_the_functions_in_it(
    served: tuple[subprocess.Popen[str], dict[str, Any]],
) -> None:
    process, variables = served
    document = variables["SnapshotDatabaseFunction"]["FREEZE_DOCUMENT"]
    assert re.fullmatch("watchkeeper-FreezeDatabaseDocument-[A-Z0-9]{12}", document)
    functions = client("lambda", variables)
    names = [function["FunctionName"] for function in functions.list_functions()["Functions"]]

    (snapshot,) = [name for name in names if "SnapshotDatabase" in name]
    answer = json.loads(functions.invoke(FunctionName=snapshot)["Payload"].read())
    refused = functions.invoke(FunctionName=snapshot, Payload='{"what": 1}')

    assert answer["made"][0]["application"] == "smallpayroll"
    assert answer["made"][0]["consistency"] == "application"
    owned = client("ec2", variables).describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [snapshot["SnapshotId"] for snapshot in owned] == answer["made"][0]["snapshots"]
    assert refused["FunctionError"] == "Unhandled"
    assert json.loads(refused["Payload"].read())["errorType"] == "Refused"
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.invoke(FunctionName="nobody")

    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def test_what_the_region_answers_itself_of_load_balancers_it_answers_over_http(
    served: tuple[subprocess.Popen[str], dict[str, Any]],
) -> None:
    _, variables = served
    tagging, elbv2, elb = (client(name, variables) for name in ("resourcegroupstaggingapi", "elbv2", "elb"))
    wanted = [{"Key": "watchkeeper:role", "Values": ["web-pool"]}]
    (pool,) = (one["ResourceARN"] for one in tagging.get_resources(TagFilters=wanted)["ResourceTagMappingList"])
    nodes = [
        one["Instances"][0]["InstanceId"]
        for one in client("ec2", variables).describe_instances()["Reservations"]
        if "web-node" in str(one)
    ]

    elbv2.register_targets(TargetGroupArn=pool, Targets=[{"Id": one} for one in nodes])

    health = elbv2.describe_target_health(TargetGroupArn=pool)["TargetHealthDescriptions"]
    assert {one["Target"]["Id"] for one in health} == set(nodes)
    assert {one["TargetHealth"]["State"] for one in health} <= {"initial", "healthy"}
    assert elb.describe_load_balancers()["LoadBalancerDescriptions"] == []
    assert client("autoscaling", variables).describe_auto_scaling_groups()["AutoScalingGroups"] == []
