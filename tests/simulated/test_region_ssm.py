"""Run Command in the region, where moto 5.2.5 sends to all and says Success; and the document, as it is played."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.exceptions import ClientError

from region import Lag, Region, Stuck, hours, minutes

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"


@pytest.fixture
def document(region: Region) -> str:
    content = json.dumps(yaml.safe_load(Path("documents/freeze_database.yaml").read_text()))
    region.client("ssm").create_document(Name="freeze", Content=content, DocumentType="Command")
    return "freeze"


@pytest.fixture
def send(region: Region, document: str) -> Callable[..., str]:
    """Sends the document to a host, and answers the command's id."""

    def to(host: str, command: str = "dry-run", execution: str = RUN, seconds: int = 30, **parameters: str) -> str:
        answer = region.client("ssm").send_command(
            InstanceIds=[host],
            DocumentName=document,
            TimeoutSeconds=seconds,
            Parameters={
                "command": [command],
                "executionId": [execution],
                **{key: [value] for key, value in parameters.items()},
            },
        )
        return str(answer["Command"]["CommandId"])

    return to


@pytest.fixture
def ask(region: Region, send: Callable[..., str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Sends the document, waits for its end, and answers its code and what it said."""

    def of(host: str, command: str, execution: str = RUN, **parameters: str) -> tuple[int, dict[str, Any]]:
        command_id = send(host, command, execution, **parameters)
        region.run(lambda: status(region, command_id, host) not in ("", "Pending", "InProgress"), at_most=minutes(2))
        seen = region.client("ssm").get_command_invocation(CommandId=command_id, InstanceId=host)
        return seen["ResponseCode"], json.loads(seen["StandardOutputContent"])

    return of


def status(region: Region, command_id: str, host: str) -> str:
    ssm = region.client("ssm")
    try:
        seen = ssm.get_command_invocation(CommandId=command_id, InstanceId=host)
    except ssm.exceptions.InvocationDoesNotExist:
        return ""
    return f"{seen['Status']}" if seen["Status"] == seen["StatusDetails"] else f"{seen['StatusDetails']}"


def refusal(work: Callable[..., object], **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        work(**parameters)
    return str(caught.value.response["Error"]["Code"])


class TestCommands:
    def test_a_command_goes_to_the_instance_that_is_named_and_to_no_other(
        self, region: Region, database: Callable[..., Any], send: Callable[..., str]
    ) -> None:
        one, other = database(name="db-1"), database(name="db-2")

        command_id = send(one.host, "pre-script")
        region.run(at_most=5)

        assert set(region.machines.frozen()) == set(one.volumes)
        listed = region.client("ssm").list_command_invocations(CommandId=command_id)["CommandInvocations"]
        assert [invocation["InstanceId"] for invocation in listed] == [one.host]
        ssm = region.client("ssm")
        code = refusal(ssm.get_command_invocation, CommandId=command_id, InstanceId=other.host)
        assert code == "InvocationDoesNotExist"

    def test_a_command_is_unknown_then_pending_then_in_progress_then_done(
        self, region: Region, database: Callable[..., Any], send: Callable[..., str]
    ) -> None:
        host = database().host
        command_id = send(host, "pre-script")
        seen = []

        for _ in range(200):
            region.run(at_most=0.02)
            if (now := status(region, command_id, host)) not in seen:
                seen.append(now)

        assert [one for one in seen if one != "Pending"] == ["", "InProgress", "Success"]

    def test_what_cannot_be_sent_is_refused(self, region: Region, database: Callable[..., Any], document: str) -> None:
        ssm, host = region.client("ssm"), database().host

        def code(**more: Any) -> str:
            return refusal(ssm.send_command, **{"InstanceIds": [host], "DocumentName": document} | more)

        assert code(DocumentName="missing") == "InvalidDocument"
        assert code(DocumentVersion="7") == "InvalidDocumentVersion"
        assert code(InstanceIds=["i-0123456789abcdef0"]) == "InvalidInstanceId"
        assert code(Parameters={"command": ["rm -rf"]}) == "InvalidParameters"
        assert code(Parameters={"executionId": ["$(id)"]}) == "InvalidParameters"
        assert code(Parameters={"colour": ["red"]}) == "InvalidParameters"
        region.client("ec2").stop_instances(InstanceIds=[host])
        region.run(region.quiet)
        assert code() == "InvalidInstanceId"

    def test_a_version_stays_what_it_was(self, region: Region, database: Callable[..., Any], document: str) -> None:
        ssm, host = region.client("ssm"), database().host
        changed = yaml.safe_load(Path("documents/freeze_database.yaml").read_text())
        changed["parameters"]["command"]["allowedValues"] = ["nothing"]
        ssm.update_document(Name=document, Content=json.dumps(changed), DocumentVersion="$LATEST")
        ssm.update_document_default_version(Name=document, DocumentVersion="2")

        parameters = {"command": ["pre-script"]}
        old = ssm.send_command(InstanceIds=[host], DocumentName=document, DocumentVersion="1", Parameters=parameters)

        assert old["Command"]["DocumentVersion"] == "1"
        code = refusal(ssm.send_command, InstanceIds=[host], DocumentName=document, Parameters=parameters)
        assert code == "InvalidParameters"

    def test_an_agent_that_was_away_runs_late_what_is_not_yet_too_late(
        self, region: Region, database: Callable[..., Any], send: Callable[..., str]
    ) -> None:
        one = database()
        send(one.host)
        region.run(region.quiet)
        region.machines.hosts[one.host].agent = False

        command_id = send(one.host, "pre-script", seconds=30)
        region.run(at_most=20)
        assert status(region, command_id, one.host) == "Pending"
        region.machines.hosts[one.host].agent = True
        region.run(at_most=5)

        assert status(region, command_id, one.host) == "Success"
        assert set(region.machines.frozen()) == set(one.volumes)

    def test_a_command_that_could_not_be_delivered_times_out_and_never_runs(
        self, region: Region, database: Callable[..., Any], send: Callable[..., str]
    ) -> None:
        one = database()
        send(one.host)
        region.run(region.quiet)
        region.machines.hosts[one.host].agent = False

        command_id = send(one.host, "pre-script", seconds=30)
        region.run(at_most=32)
        assert status(region, command_id, one.host) == "DeliveryTimedOut"
        region.machines.hosts[one.host].agent = True
        region.run(at_most=minutes(5))

        assert region.machines.frozen() == {}

    def test_an_agent_that_is_away_for_long_is_known_to_be(
        self, region: Region, database: Callable[..., Any], document: str
    ) -> None:
        ssm, host = region.client("ssm"), database().host

        def ping() -> list[str]:
            filters = [{"Key": "InstanceIds", "Values": [host]}]
            return [
                one["PingStatus"]
                for one in ssm.describe_instance_information(Filters=filters)["InstanceInformationList"]
            ]

        assert ping() == ["Online"]
        region.machines.hosts[host].agent = False
        assert ping() == ["Online"]
        region.run(at_most=minutes(6))
        assert ping() == ["ConnectionLost"]
        assert refusal(ssm.send_command, InstanceIds=[host], DocumentName=document) == "InvalidInstanceId"

    def test_of_a_host_that_died_in_a_command_no_word_ever_comes(
        self, region: Region, database: Callable[..., Any], send: Callable[..., str]
    ) -> None:
        host = database().host
        command_id = send(host, "pre-script", seconds=30)
        region.run(at_most=0.7)
        assert status(region, command_id, host) == "InProgress"

        region.power_cut(host)
        region.run(at_most=100)
        assert status(region, command_id, host) == "InProgress"
        region.run(at_most=10)

        assert status(region, command_id, host) == "DeliveryTimedOut"

    def test_a_stuck_command_stays_pending(
        self, region: Region, database: Callable[..., Any], send: Callable[..., str]
    ) -> None:
        host = database().host
        region.faults.add(Stuck("SendCommand"))

        command_id = send(host)
        region.run(at_most=minutes(1))

        assert status(region, command_id, host) == "Pending"

    def test_output_is_cut(self, region: Region, database: Callable[..., Any], send: Callable[..., str]) -> None:
        host = database().host
        region.machines.hosts[host].refuses = (201, "x" * 30_000)

        command_id = send(host, "pre-script")
        region.run(at_most=5)

        seen = region.client("ssm").get_command_invocation(CommandId=command_id, InstanceId=host)
        assert (len(seen["StandardOutputContent"]), len(seen["StandardErrorContent"])) == (24_000, 8_000)


class TestListing:
    def test_a_command_to_two_hosts_is_listed_of_each_with_what_it_said(
        self, region: Region, database: Callable[..., Any], document: str
    ) -> None:
        one, other = database(name="db-1").host, database(name="db-2").host
        region.machines.hosts[other].refuses = (206, "not now")
        ssm = region.client("ssm")
        sent = ssm.send_command(
            InstanceIds=[one, other], DocumentName=document, Comment="together", Parameters={"command": ["dry-run"]}
        )["Command"]["CommandId"]
        region.run(at_most=10)

        listed = ssm.list_command_invocations(CommandId=sent, Details=True)["CommandInvocations"]

        found = {invocation["InstanceId"]: invocation for invocation in listed}
        assert set(found) == {one, other}
        assert {invocation["Comment"] for invocation in listed} == {"together"}
        assert [found[host]["Status"] for host in (one, other)] == ["Success", "Failed"]
        (step,) = found[other]["CommandPlugins"]
        output, _, error = step["Output"].partition("\n----------ERROR-------\n")
        assert (step["ResponseCode"], json.loads(output)["error"]) == (206, "not now")
        assert error.startswith("not now")
        assert step["ResponseStartDateTime"] <= step["ResponseFinishDateTime"]
        assert found[one]["RequestedDateTime"] <= step["ResponseStartDateTime"]

    def test_a_host_is_asked_for_what_it_was_sent_by_document_time_and_page(
        self, region: Region, database: Callable[..., Any], document: str, send: Callable[..., str]
    ) -> None:
        one, other = database(name="db-1").host, database(name="db-2").host
        sent = []
        for _ in range(3):
            sent.append(send(one))
            region.run(at_most=hours(1))
        send(other)
        region.run(at_most=5)
        ssm = region.client("ssm")

        def listed(*filters: tuple[str, str], **more: Any) -> list[str]:
            given = {"Filters": [{"key": key, "value": value} for key, value in filters]} if filters else {}
            pages = ssm.get_paginator("list_command_invocations").paginate(InstanceId=one, **given, **more)
            return [invocation["CommandId"] for page in pages for invocation in page["CommandInvocations"]]

        assert listed() == sent[::-1]
        assert listed(PaginationConfig={"PageSize": 2}) == sent[::-1]
        assert listed(("DocumentName", document)) == sent[::-1]
        assert listed(("DocumentName", "another")) == []
        assert listed(("InvokedAfter", f"{region.clock.moment():%Y-%m-%dT%H:%M:%SZ}")) == []
        first = ssm.list_command_invocations(CommandId=sent[0])["CommandInvocations"][0]["RequestedDateTime"]
        later = f"{first + timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}"
        assert listed(("InvokedAfter", later)) == [sent[2], sent[1]]
        assert listed(("InvokedBefore", later)) == [sent[0]]
        filters = [{"key": "ExecutionStage", "value": "Complete"}]
        assert refusal(ssm.list_command_invocations, Filters=filters) == "InvalidFilterKey"

    def test_one_who_lags_sees_a_command_and_its_end_later(
        self, region: Region, database: Callable[..., Any], send: Callable[..., str], call: Callable[..., Any]
    ) -> None:
        host = database().host
        region.machines.hosts[host].slow = 3
        region.faults.add(Lag(10))
        sent = send(host, "pre-script")

        def states() -> list[str]:
            listed = region.client("ssm").list_command_invocations(CommandId=sent)["CommandInvocations"]
            return [invocation["Status"] for invocation in listed]

        region.run(at_most=5)
        assert states() == call(states) == []
        region.run(at_most=7)
        assert (states(), call(states)) == (["Success"], ["InProgress"])
        region.run(at_most=5)
        assert call(states) == ["Success"]

    def test_what_is_listed_is_cut_for_output_and_error_together(
        self, region: Region, database: Callable[..., Any], send: Callable[..., str]
    ) -> None:
        host = database().host
        region.machines.hosts[host].refuses = (201, "x" * 30_000)
        send(host, "pre-script")
        region.run(at_most=5)

        listed = region.client("ssm").list_command_invocations(InstanceId=host, Details=True)["CommandInvocations"]

        output = listed[0]["CommandPlugins"][0]["Output"]
        assert len(output) == 2500
        assert output.endswith("---Error truncated----")
        assert "---Output truncated---" in output

    def test_a_command_goes_to_fifty_hosts_and_to_each_once(self, region: Region, document: str) -> None:
        send = region.client("ssm").send_command
        ids = [f"i-{number:017x}" for number in range(51)]

        assert refusal(send, InstanceIds=ids, DocumentName=document) == "ValidationException"
        assert refusal(send, InstanceIds=ids[:1] * 2, DocumentName=document) == "DuplicateInstanceId"
        assert refusal(send, InstanceIds=ids[:50], DocumentName=document) == "InvalidInstanceId"


def test_a_key_says_whose_it_is(region: Region) -> None:
    kms, ec2 = region.client("kms"), region.client("ec2")
    own = kms.create_key()["KeyMetadata"]["Arn"]
    made = ec2.create_volume(AvailabilityZone="eu-central-1a", Size=1, Encrypted=True)["VolumeId"]
    default = ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]["KmsKeyId"]

    assert kms.describe_key(KeyId=own)["KeyMetadata"]["KeyManager"] == "CUSTOMER"
    assert kms.describe_key(KeyId=default)["KeyMetadata"]["KeyManager"] == "AWS"
    assert refusal(kms.describe_key, KeyId=f"{own[:-4]}0000") == "NotFoundException"


class TestTheDocument:
    def test_a_freeze_is_held_until_it_is_released_and_the_record_says_so(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        one = database(volumes=2)

        code, pre = ask(one.host, "pre-script")
        assert (code, region.machines.frozen()) == (0, dict.fromkeys(one.volumes, pre["freezeId"]))
        code, post = ask(one.host, "post-script", snapshotIds="snap-00000001")

        assert (code, region.machines.frozen()) == (0, {})
        assert (post["held"], post["freezeId"], post["snapshotIds"]) == (True, pre["freezeId"], "snap-00000001")
        assert post["frozenMs"] > pre["freezeMs"]
        assert ask(one.host, "post-script", snapshotIds="snap-00000001") == (0, post)
        code, again = ask(one.host, "pre-script")
        assert (code, again["finished"], again["snapshotIds"]) == (204, True, "snap-00000001")

    def test_a_snapshot_knows_in_which_freeze_it_was_taken(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        ec2, one = region.client("ec2"), database()
        specification = {"InstanceId": one.host, "ExcludeBootVolume": True}

        _, pre = ask(one.host, "pre-script")
        ec2.create_snapshots(InstanceSpecification=specification)
        ask(one.host, "post-script", snapshotIds="snap-00000001")
        region.run(at_most=15)
        ec2.create_snapshots(InstanceSpecification=specification)

        assert {snapshot.freeze for snapshot in region.world().snapshots} == {pre["freezeId"], None}
        assert {snapshot.was_frozen for snapshot in region.world().snapshots} == {True, False}

    def test_the_lease_ends_what_nobody_ends(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        host = database().host
        ask(host, "pre-script", leaseSeconds="5")

        region.run(lambda: not region.machines.frozen(), at_most=5)

        code, post = ask(host, "post-script")
        assert (code, post["held"], post["frozenMs"]) == (203, False, 5000)
        assert ask(host, "pre-script")[0] == 0

    def test_a_living_keeper_is_left_alone_whoever_asks(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        host = database().host
        _, pre = ask(host, "pre-script")
        frozen = region.machines.frozen()

        assert ask(host, "pre-script")[0] == 204
        assert ask(host, "pre-script", OTHER)[0] == 204
        assert ask(host, "post-script", OTHER)[0] == 204
        assert region.machines.frozen() == frozen
        assert ask(host, "post-script")[1]["freezeId"] == pre["freezeId"]

    def test_a_release_cancels_what_is_only_beginning(
        self, region: Region, database: Callable[..., Any], send: Callable[..., str], ask: Callable[..., Any]
    ) -> None:
        host = database().host
        region.machines.hosts[host].slow = 3

        early = send(host, "pre-script")
        region.run(at_most=2)
        assert ask(host, "post-script")[0] == 205
        region.run(at_most=minutes(1))

        assert region.machines.frozen() == {}
        assert status(region, early, host) == "Failed"

    def test_a_freeze_that_is_slower_than_its_lease_holds_nothing(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        host = database().host
        region.machines.hosts[host].slow = 30

        code, _ = ask(host, "pre-script")

        assert (code, region.machines.frozen()) == (201, {})
        assert ask(host, "post-script")[0] == 203

    def test_a_killed_keeper_is_thawed_by_the_lease_and_counts_as_not_held(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        host = database().host
        ask(host, "pre-script")

        region.machines.kill_keeper(host)
        region.run(lambda: not region.machines.frozen(), at_most=1)

        code, post = ask(host, "post-script", snapshotIds="snap-00000001")
        assert (code, post["held"]) == (203, False)

    def test_a_file_system_that_somebody_thawed_meanwhile_was_not_held(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        one = database(volumes=2)
        ask(one.host, "pre-script")

        region.machines.thaw(one.volumes[0])

        assert ask(one.host, "post-script")[0] == 203

    def test_what_somebody_else_froze_is_not_touched(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        one = database()
        region.machines.freeze(one.volumes[0])

        assert ask(one.host, "pre-script")[0] == 204
        assert ask(one.host, "post-script")[0] == 205
        assert region.machines.frozen() == {one.volumes[0]: "somebody"}

    def test_a_database_that_is_not_ready_is_not_frozen(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        one = database()
        host = region.machines.hosts[one.host]

        host.database = frozenset({"vol-0000dead"})
        code, said = ask(one.host, "pre-script")
        assert (code, "vol-0000dead" in said["error"]) == (206, True)
        host.database, host.postgres = frozenset(), False
        assert ask(one.host, "pre-script")[0] == 206
        assert ask(one.host, "dry-run")[0] == 206
        host.postgres = True
        assert ask(one.host, "pre-script", volumeIds="vol-0000dead")[0] == 206
        assert ask(one.host, "dry-run")[0] == 0
        assert region.machines.frozen() == {}

    def test_a_power_cut_ends_freeze_and_record(
        self, region: Region, database: Callable[..., Any], ask: Callable[..., Any]
    ) -> None:
        host = database().host
        ask(host, "pre-script")

        region.power_cut(host)
        region.client("ec2").start_instances(InstanceIds=[host])
        region.run(region.quiet)

        assert region.machines.frozen() == {}
        assert ask(host, "post-script")[0] == 205
