"""Route 53 in the region, where moto 5.2.5 takes every CREATE, forgets the TTL, and is at once everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from region import Lag, LostAnswer, Region, minutes

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "db.payroll.internal."
OLD, NEW = "10.0.0.1", "10.0.0.2"


@pytest.fixture
def zone(region: Region) -> str:
    return str(
        region.client("route53").create_hosted_zone(Name="payroll.internal", CallerReference="1")["HostedZone"]["Id"]
    )


@pytest.fixture
def change(region: Region, zone: str) -> Callable[..., Any]:
    """Sends a batch of (action, value) or (action, value, TTL) for the one name."""

    def send(*batch: tuple[Any, ...], name: str = NAME) -> Any:
        changes = [{"Action": one[0], "ResourceRecordSet": record(name, *one[1:])} for one in batch]
        return region.client("route53").change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Changes": changes}
        )["ChangeInfo"]

    return send


def record(name: str, value: str, ttl: int = 5) -> dict[str, Any]:
    return {"Name": name, "Type": "A", "TTL": ttl, "ResourceRecords": [{"Value": value}]}


def listed(region: Region, zone: str, **asked: Any) -> list[tuple[str, str]]:
    sets = region.client("route53").list_resource_record_sets(HostedZoneId=zone, **asked)["ResourceRecordSets"]
    return [(one["Name"], one["ResourceRecords"][0]["Value"]) for one in sets if one["Type"] == "A"]


def refusal(work: Callable[..., object], *arguments: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work(*arguments, **parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_an_address_moves_by_delete_and_create_in_one_batch(
    region: Region, zone: str, change: Callable[..., Any]
) -> None:
    change(("CREATE", OLD))

    change(("DELETE", OLD), ("CREATE", NEW))

    assert listed(region, zone) == [(NAME, NEW)]


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ([("CREATE", NEW)], "but it already exists"),
        ([("DELETE", NEW), ("CREATE", NEW)], "but the values provided do not match the current values"),
        ([("DELETE", OLD, 60), ("CREATE", NEW)], "but the values provided do not match the current values"),
        ([("DELETE", OLD), ("DELETE", OLD)], "but it was not found"),
        ([("DELETE", OLD), ("CREATE", NEW), ("CREATE", NEW)], "but it already exists"),
    ],
)
def test_a_batch_of_which_one_change_does_not_hold_changes_nothing(
    region: Region, zone: str, change: Callable[..., Any], batch: list[Any], said: str
) -> None:
    change(("CREATE", OLD))

    code, message = refusal(change, *batch)

    assert (code, said in message) == ("InvalidChangeBatch", True)
    assert listed(region, zone) == [(NAME, OLD)]


def test_what_is_not_of_the_zone_or_says_nothing_is_refused(
    region: Region, zone: str, change: Callable[..., Any]
) -> None:
    route53 = region.client("route53")
    nothing = {"Action": "CREATE", "ResourceRecordSet": {"Name": NAME, "Type": "A"}}

    assert refusal(change, ("CREATE", OLD), name="db.other.internal")[0] == "InvalidChangeBatch"
    assert refusal(change, ("CREATE", OLD), name="dbpayroll.internal")[0] == "InvalidChangeBatch"
    batch = {"HostedZoneId": zone, "ChangeBatch": {"Changes": [nothing]}}
    assert refusal(route53.change_resource_record_sets, **batch)[0] == "InvalidInput"
    assert refusal(route53.list_resource_record_sets, HostedZoneId="Z0")[0] == "NoSuchHostedZone"
    assert refusal(route53.list_resource_record_sets, HostedZoneId=zone, StartRecordType="A")[0] == "InvalidInput"
    assert refusal(route53.get_change, Id="C0")[0] == "NoSuchChange"


def test_records_are_listed_by_their_labels_from_behind_page_by_page(
    region: Region, zone: str, change: Callable[..., Any]
) -> None:
    for name in ("b.payroll.internal", "a.b.payroll.internal", "A.payroll.internal.", "*.payroll.internal"):
        change(("CREATE", OLD), name=name)
    route53 = region.client("route53")

    pages = list(
        route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone, PaginationConfig={"PageSize": 2})
    )

    names = [one["Name"] for page in pages for one in page["ResourceRecordSets"] if one["Type"] == "A"]
    assert names == ["\\052.payroll.internal.", "a.payroll.internal.", "b.payroll.internal.", "a.b.payroll.internal."]
    assert [len(page["ResourceRecordSets"]) for page in pages] == [2, 2, 2]
    first = route53.list_resource_record_sets(HostedZoneId=zone, StartRecordName="b.payroll.internal", MaxItems="1")
    assert [one["Name"] for one in first["ResourceRecordSets"]] == ["b.payroll.internal."]
    assert (first["IsTruncated"], first["NextRecordName"]) == (True, "a.b.payroll.internal.")


def test_a_name_is_listed_at_once_and_known_to_all_name_servers_later(
    region: Region, zone: str, change: Callable[..., Any]
) -> None:
    made = change(("CREATE", OLD))
    assert made["Status"] == "PENDING"
    assert listed(region, zone) == [(NAME, OLD)]

    route53 = region.client("route53")
    region.run(at_most=4)
    assert route53.get_change(Id=made["Id"])["ChangeInfo"]["Status"] == "PENDING"
    region.run(at_most=minutes(1))
    assert route53.get_change(Id=made["Id"])["ChangeInfo"]["Status"] == "INSYNC"


def test_a_client_finds_the_new_address_once_a_name_server_and_its_resolver_do(
    region: Region, change: Callable[..., Any]
) -> None:
    change(("CREATE", OLD, 30))
    assert region.resolve(NAME) is None  # no name server has heard of it
    region.run(at_most=minutes(1))
    assert region.resolve("DB.payroll.internal") == OLD
    change(("DELETE", OLD, 30), ("CREATE", NEW))
    moved = region.clock.now()

    while region.resolve(NAME) == OLD:
        region.run(at_most=0.5)

    heard = region.addresses.changes[-1].heard
    assert region.resolve(NAME) == NEW
    assert region.clock.now() - moved >= 30
    assert heard <= region.clock.now() < max(heard, moved + 30) + 30 + 1


def test_one_who_lags_reads_the_zone_as_it_was_and_the_compare_holds_all_the_same(
    region: Region, zone: str, change: Callable[..., Any], call: Callable[..., Any]
) -> None:
    change(("CREATE", OLD))
    region.run(at_most=minutes(1))
    change(("DELETE", OLD), ("CREATE", NEW))
    region.faults.add(Lag(10))

    assert call(lambda: listed(region, zone)) == [(NAME, OLD)]
    assert listed(region, zone) == [(NAME, NEW)]
    assert refusal(call, lambda: change(("DELETE", OLD), ("CREATE", OLD)))[0] == "InvalidChangeBatch"
    region.run(at_most=11)
    assert call(lambda: listed(region, zone)) == [(NAME, NEW)]


def test_who_moved_an_address_when_is_kept(
    region: Region, change: Callable[..., Any], call: Callable[..., Any]
) -> None:
    change(("CREATE", OLD))
    began = region.clock.now()

    region.faults.add(LostAnswer("ChangeResourceRecordSets", at_once=True))
    code, _ = refusal(call, lambda: change(("DELETE", OLD), ("CREATE", NEW)))  # botocore sends it again

    assert code == "InvalidChangeBatch"
    assert [one.caller for one in region.addresses.changes] == ["test", "someone"]
    moved = region.addresses.changes[-1]
    assert [one["Action"] for one in moved.batch] == ["DELETE", "CREATE"]
    assert 0 < moved.time - began < 1


def test_a_zone_is_asked_for_by_its_id(region: Region, zone: str) -> None:
    route53 = region.client("route53")

    assert route53.get_hosted_zone(Id=zone)["HostedZone"]["Name"] == "payroll.internal."
    assert refusal(route53.get_hosted_zone, Id="Z0")[0] == "NoSuchHostedZone"
