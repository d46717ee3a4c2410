"""Functions run as Lambda runs them: with what the template gives them, and nothing else."""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from region import Death, Failed, Region, Simulated, hours, minutes
from region.bus import delay, double, drop
from region.parameters import TemplateError
from region.policies import PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = Path(__file__).with_name("region_app")


@pytest.fixture
def region() -> Iterator[Region]:
    with Region(Simulated(seed=1)) as region:
        region.deploy(APP / "template.yaml", Email="a@example.com")
        yield region


@pytest.fixture
def deploy_with(tmp_path: Path) -> Iterator[Callable[..., Region]]:
    """Deploys the application with a part of its template changed."""
    for entry in APP.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "template.yaml").unlink()
    with Region(Simulated(seed=1)) as region:

        def deploy(old: str, new: str) -> Region:
            text = (APP / "template.yaml").read_text()
            assert old in text
            (tmp_path / "template.yaml").write_text(text.replace(old, new))
            region.deploy(tmp_path / "template.yaml", Email="a@example.com")
            return region

        yield deploy


def volume(region: Region, **tags: str) -> str:
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    specification = {"TagSpecifications": [{"ResourceType": "volume", "Tags": given}]} if given else {}
    made = region.client("ec2").create_volume(AvailabilityZone="eu-central-1a", Size=1, **specification)
    return str(made["VolumeId"])


def events(region: Region) -> list[Any]:
    return [invocation.event for invocation in region.functions.invocations]


def test_a_handler_sees_the_environment_of_the_template_and_of_lambda_and_no_other(region: Region) -> None:
    os.environ["OF_THE_MACHINE"] = "yes"

    environment = region.invoke("try_things", {"do": "environment"})

    del os.environ["OF_THE_MACHINE"]
    own = {key: value for key, value in environment.items() if not key.startswith(("AWS_", "LAMBDA_", "_"))}
    assert own.keys() == {"GREETING", "DOCUMENT", "PATH", "LANG", "TZ"}
    assert own["GREETING"] == "hello"
    assert region.client("ssm").describe_document(Name=own["DOCUMENT"])["Document"]["DocumentType"] == "Command"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"].startswith("region-app-TryThingsFunction-")
    assert environment["AWS_REGION"] == "eu-central-1"


def test_the_machine_gets_its_environment_and_its_output_back(region: Region) -> None:
    before, output = dict(os.environ), sys.stdout

    region.invoke("try_things", {})

    assert dict(os.environ) == before
    assert sys.stdout is output


def test_an_environment_variable_that_the_template_forgot_is_missing(deploy_with: Callable[..., Region]) -> None:
    region = deploy_with("          DOCUMENT: !Ref Document\n", "          OTHER: a\n")

    assert "DOCUMENT" not in region.invoke("try_things", {"do": "environment"})


def test_a_layer_that_the_template_forgot_cannot_be_imported(deploy_with: Callable[..., Region]) -> None:
    region = deploy_with("      Layers: [!Ref Layer]\n", "")

    with pytest.raises(Failed, match="No module named 'region_app_layer'"):
        region.invoke("try_things", {})


def test_the_context_tells_who_and_how_long(region: Region) -> None:
    request_id, memory, left = region.invoke("try_things", {"do": "context", "seconds": 10})

    assert request_id == region.functions.invocations[0].request_id
    assert memory == "256"
    assert left == 50_000


def test_what_a_handler_raises_is_what_the_caller_is_told(region: Region) -> None:
    with pytest.raises(Failed) as failure:
        region.invoke("try_things", {"do": "fail"})

    assert failure.value.payload() == {"errorType": "ValueError", "errorMessage": "it went wrong"}
    assert region.functions.invocations[0].logs[-1]["errorType"] == "ValueError"


def test_a_handler_that_takes_too_long_is_ended_at_its_time_out(region: Region) -> None:
    began = region.clock.now()

    with pytest.raises(Failed, match=r"Sandbox\.Timedout: .*Task timed out after 60\.00 seconds"):
        region.invoke("try_things", {"do": "sleep", "seconds": 61})

    assert region.clock.now() - began == pytest.approx(60)


def test_a_handler_that_is_killed_fails_as_a_crashed_runtime_does(region: Region) -> None:
    region.faults.add(Death(before=1))

    with pytest.raises(Failed, match=r"Runtime\.ExitError"):
        region.invoke("try_things", {"do": "tag", "volume": volume(region, application="a")})


def test_printed_lines_are_kept_as_values(region: Region) -> None:
    region.invoke("try_things", {"a": 1})

    assert region.functions.invocations[0].logs == [{"message": "done", "event": {"a": 1}}]


def test_metrics_in_the_embedded_format_are_metrics_and_no_logs(region: Region) -> None:
    region.invoke("count_up", {})

    assert region.metrics == {"Counted": [1.0]}
    assert region.functions.invocations[0].logs == []


def test_a_call_that_the_policy_allows_is_made(region: Region) -> None:
    ours = volume(region, application="smallpayroll")

    region.invoke("try_things", {"do": "tag", "volume": ours})

    tags = region.client("ec2").describe_volumes(VolumeIds=[ours])["Volumes"][0]["Tags"]
    assert {"Key": "seen", "Value": "yes"} in tags


def test_a_call_on_a_thing_without_the_tag_that_the_policy_asks_for_is_refused(region: Region) -> None:
    with pytest.raises(Failed, match=r"UnauthorizedOperation.*ec2:CreateTags on resource: arn:aws:ec2:.*volume/vol-"):
        region.invoke("try_things", {"do": "tag", "volume": volume(region)})


def test_a_call_that_no_statement_allows_is_refused(region: Region) -> None:
    with pytest.raises(Failed, match=r"UnauthorizedOperation.*ec2:DeleteSnapshot"):
        region.invoke("try_things", {"do": "delete"})


def test_an_asynchronous_failure_is_tried_again_after_one_and_two_minutes(region: Region) -> None:
    began = region.clock.now()

    region.invoke("try_things", {"do": "fail"}, asynchronous=True)
    region.run(at_most=hours(1))

    assert [i.began - began for i in region.functions.invocations] == pytest.approx([0, 60, 180], abs=0.1)
    assert len({i.request_id for i in region.functions.invocations}) == 1


def test_what_fails_to_the_end_goes_to_the_failure_queue_as_lambda_writes_it(region: Region) -> None:
    region.invoke("try_things", {"do": "fail"}, asynchronous=True)
    region.run(at_most=hours(1))

    (record,) = region.queue("Failures")
    assert record.keys() == {
        "version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload"
    }  # fmt: skip
    assert record["requestContext"] == {
        "requestId": region.functions.invocations[0].request_id,
        "functionArn": region.functions.find("try_things").arn + ":$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["timestamp"] == "2026-11-22T04:03:00.000Z"
    assert record["requestPayload"] == {"do": "fail"}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"] == {"errorType": "ValueError", "errorMessage": "it went wrong"}


def test_a_synchronous_failure_is_the_callers_alone(region: Region) -> None:
    with pytest.raises(Failed):
        region.invoke("try_things", {"do": "fail"})
    region.run(at_most=hours(1))

    assert len(region.functions.invocations) == 1
    assert region.queue("Failures") == []


def test_an_event_that_is_too_old_is_given_up_unseen(region: Region) -> None:
    region.functions.deliveries = delay(hours(1) + 1)

    region.invoke("try_things", {}, asynchronous=True)
    region.run(at_most=hours(2))

    assert events(region) == []
    assert region.queue("Failures")[0]["requestContext"]["condition"] == "EventAgeExceeded"


def test_an_event_can_be_lost_and_it_can_come_twice_with_the_same_id(region: Region) -> None:
    region.functions.deliveries = drop
    region.invoke("try_things", {"a": 1}, asynchronous=True)
    region.functions.deliveries = double
    region.invoke("try_things", {"b": 2}, asynchronous=True)

    region.run(until=region.quiet, at_most=minutes(1))

    assert events(region) == [{"b": 2}, {"b": 2}]
    assert len({i.request_id for i in region.functions.invocations}) == 1


def test_reserved_concurrency_makes_events_wait_for_their_turn(region: Region) -> None:
    for _ in range(3):
        region.invoke("count_up", {"seconds": 30}, asynchronous=True)

    region.run(until=region.quiet, at_most=minutes(10))

    starts = sorted(i.began for i in region.functions.invocations)
    assert len(starts) == 3
    assert all(later - earlier >= 30 for earlier, later in pairwise(starts))


def test_a_function_that_invokes_itself_is_cut_off_at_the_seventeenth(region: Region) -> None:
    region.invoke("try_things", {"do": "recurse", "depth": 1}, asynchronous=True)
    region.run(at_most=hours(1))

    assert [event["depth"] for event in events(region)] == list(range(1, 17))
    assert [record["requestPayload"]["depth"] for record in region.queue("Failures")] == [17]


def test_a_chain_is_counted_along_its_own_line_and_not_over_all_invocations(region: Region) -> None:
    for _ in range(20):
        region.invoke("try_things", {"do": "nothing"})
    region.invoke("try_things", {"do": "recurse", "depth": 15}, asynchronous=True)
    region.run(at_most=minutes(1))

    assert max(event.get("depth", 0) for event in events(region)) == 30


def test_an_on_failure_queue_that_the_role_may_not_write_gets_nothing(deploy_with: Callable[..., Region]) -> None:
    region = deploy_with("            Type: SQS\n", "")

    region.invoke("try_things", {"do": "fail"}, asynchronous=True)
    region.run(at_most=hours(1))

    assert region.queue("Failures") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AWS::SNS::Topic", "AWS::SNS::Tropic"),
        ("      MessageRetentionPeriod: 1209600\n", "      RetentionPeriod: 1\n"),
        ("      MemorySize: 256\n", "      AutoPublishAlias: live\n"),
        ("        - Version: \"2012-10-17\"\n", "        - AmazonEC2FullAccess\n        - Version: \"2012-10-17\"\n"),
        ("      Layers: [!Ref Layer]\n", "      Events: {Nightly: {Type: Schedule}}\n"),
        ("!GetAtt Failures.QueueName", "!GetAtt Failures.Name"),
        ("DOCUMENT: !Ref Document", "DOCUMENT: !GetAtt TryThingsFunction.Arn"),
    ],
)  # fmt: skip
def test_a_template_with_something_unknown_or_circular_is_not_deployed(
    deploy_with: Callable[..., Region], old: str, new: str
) -> None:
    with pytest.raises(TemplateError):
        deploy_with(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ComparisonOperator: GreaterThanThreshold", "Comparison: GreaterThanThreshold", "Comparison"),
        ("      Threshold: 0\n", "      Threshold: many\n", "many"),
        ("Runtime: python3.13", "Runtime: 3.13", "Runtime"),
    ],
)
def test_what_the_api_would_refuse_is_refused(
    deploy_with: Callable[..., Region], old: str, new: str, message: str
) -> None:
    with pytest.raises(Exception, match=message):
        deploy_with(old, new)


def test_a_policy_that_the_region_cannot_judge_by_is_an_error(deploy_with: Callable[..., Region]) -> None:
    with pytest.raises(PolicyError):
        deploy_with("StringLike:", "StringEqualsIgnoreCase:")
