"""A database's address: one mover of several wins, and nothing is touched that is not plainly ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from region import Interleave, LostAnswer, Region, Throttle, minutes
from watchkeeper.aws import addresses
from watchkeeper.aws.addresses import Interface, Odd, Record
from watchkeeper.runtime import BOTO, once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME = "db.payroll.internal"
OLD, NEW, OTHER = "10.0.0.1", "10.0.0.2", "10.0.0.3"
TTL = 5


@dataclass(frozen=True)
class Zone:
    """A private hosted zone, and the client of a function that writes to it."""

    id: str
    route53: Any
    own: Any

    def put(self, name: str = NAME, value: str = OLD, **more: Any) -> None:
        """A person writes a record."""
        plain = {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": value}]} | more
        record = {key: value for key, value in plain.items() if value is not None}
        change = {"Action": "UPSERT", "ResourceRecordSet": record}
        self.own.change_resource_record_sets(HostedZoneId=self.id, ChangeBatch={"Changes": [change]})

    def records(self) -> list[Any]:
        """What lies there, NS and SOA left out."""
        sets = self.own.list_resource_record_sets(HostedZoneId=self.id)["ResourceRecordSets"]
        return [one for one in sets if one["Type"] not in ("NS", "SOA")]

    def find(self, name: str = NAME) -> Record | Odd | None:
        return addresses.find_record(self.own, self.id, name)


@pytest.fixture
def zone(region: Region) -> Zone:
    return Zone(
        make_zone(region, "payroll.internal"),
        region.wire.session.client("route53", config=BOTO),
        region.client("route53"),
    )


def make_zone(region: Region, domain: str) -> str:
    made = region.client("route53").create_hosted_zone(
        Name=domain,
        CallerReference=domain,
        HostedZoneConfig={"PrivateZone": True},
        VPC={"VPCRegion": region.name, "VPCId": "vpc-1"},
    )
    return str(made["HostedZone"]["Id"].rpartition("/")[2])


def run_together(region: Region, begin: Callable[..., Any], works: Sequence[Callable[[], object]]) -> list[Any]:
    processes = [begin(work, f"look-{number}") for number, work in enumerate(works)]
    region.run(region.quiet, at_most=minutes(5))
    assert [one.error for one in processes] == [None] * len(works)
    return [one.result for one in processes]


def test_a_name_that_leads_nowhere_is_given_its_first_record(call: Callable[..., Any], zone: Zone) -> None:
    assert zone.find() is None

    assert call(lambda: addresses.move(zone.route53, None, zone.id, NAME, NEW, TTL))

    assert zone.find() == Record(zone.id, NAME, TTL, NEW)


def test_a_record_moves_and_takes_the_ttl_of_the_parameter(call: Callable[..., Any], zone: Zone) -> None:
    zone.put()
    zone.put("other.payroll.internal")
    observed = zone.find()

    assert call(lambda: addresses.move(zone.route53, observed, zone.id, NAME, NEW, TTL))

    assert zone.find() == Record(zone.id, NAME, TTL, NEW)
    assert zone.find("other.payroll.internal") == Record(zone.id, "other.payroll.internal", 60, OLD)


@pytest.mark.parametrize("by", ["10.0.0.9", None])
def test_a_record_that_somebody_changed_since_is_left_as_it_is(
    call: Callable[..., Any], zone: Zone, by: str | None
) -> None:
    zone.put()
    observed = zone.find()
    zone.put(value=by) if by else zone.put(TTL=61)
    before = zone.records()

    assert not call(lambda: addresses.move(zone.route53, observed, zone.id, NAME, NEW, TTL))

    assert zone.records() == before


def test_a_record_that_came_meanwhile_is_left_as_it_is(call: Callable[..., Any], zone: Zone) -> None:
    zone.put()

    assert not call(lambda: addresses.move(zone.route53, None, zone.id, NAME, NEW, TTL))

    assert zone.find() == Record(zone.id, NAME, 60, OLD)


def test_a_record_that_went_meanwhile_is_not_made_anew(call: Callable[..., Any], zone: Zone) -> None:
    gone = Record(zone.id, NAME, 60, OLD)

    assert not call(lambda: addresses.move(zone.route53, gone, zone.id, NAME, NEW, TTL))

    assert zone.find() is None


def test_what_no_other_look_would_cure_is_raised(call: Callable[..., Any], zone: Zone) -> None:
    with pytest.raises(ClientError, match="InvalidChangeBatch"):
        call(lambda: addresses.move(zone.route53, None, zone.id, "db.of-another.internal", NEW, TTL))


def test_of_two_movers_at_once_exactly_one_wins(
    region: Region, begin: Callable[..., Any], zone: Zone, trial: int
) -> None:
    zone.put()
    region.faults.add(Interleave(trial))

    def mover(ip: str) -> Callable[[], object]:
        def work() -> bool:
            observed = addresses.find_record(zone.route53, zone.id, NAME)
            assert isinstance(observed, Record)
            while observed.value == OLD:
                if addresses.move(zone.route53, observed, zone.id, NAME, ip, TTL):
                    return True
                observed = addresses.find_record(zone.route53, zone.id, NAME)
                assert isinstance(observed, Record)
            return False

        return work

    won = run_together(region, begin, [mover(NEW), mover(OTHER)])

    assert sorted(won) == [False, True]
    assert zone.find() == Record(zone.id, NAME, TTL, NEW if won[0] else OTHER)


def test_a_mover_that_was_delayed_does_not_point_the_name_back(
    region: Region, begin: Callable[..., Any], zone: Zone
) -> None:
    zone.put()
    observed = zone.find()
    region.faults.add(throttle := Throttle("ChangeResourceRecordSets"))

    slow, quick = run_together(
        region,
        begin,
        [
            lambda: addresses.move(zone.route53, observed, zone.id, NAME, OTHER, TTL),
            lambda: addresses.move(zone.route53, observed, zone.id, NAME, NEW, TTL),
        ],
    )

    assert throttle.happened == 1
    assert (slow, quick) == (False, True)
    assert zone.find() == Record(zone.id, NAME, TTL, NEW)


def test_a_move_whose_answer_was_lost_is_seen_by_the_next_look(
    region: Region, call: Callable[..., Any], zone: Zone
) -> None:
    zone.put()
    observed = zone.find()
    region.faults.add(LostAnswer("ChangeResourceRecordSets", at_once=True))

    assert not call(lambda: addresses.move(zone.route53, observed, zone.id, NAME, NEW, TTL))

    assert zone.find() == Record(zone.id, NAME, TTL, NEW)


def test_a_client_that_sends_once_raises_what_became_of_the_answer(
    region: Region, call: Callable[..., Any], zone: Zone
) -> None:
    route53 = region.wire.session.client("route53", config=once(5))
    region.faults.add(LostAnswer("ChangeResourceRecordSets"))

    with pytest.raises(ReadTimeoutError):
        call(lambda: addresses.move(route53, None, zone.id, NAME, NEW, TTL))

    assert zone.find() == Record(zone.id, NAME, TTL, NEW)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"SetIdentifier": "blue", "Weight": 10}, "A with SetIdentifier, Weight"),
        ({"SetIdentifier": "blue", "MultiValueAnswer": True}, "A with MultiValueAnswer, SetIdentifier"),
        ({"ResourceRecords": [{"Value": OLD}, {"Value": OTHER}]}, "A with 2 values"),
        (
            {
                "TTL": None,
                "ResourceRecords": None,
                "AliasTarget": {"HostedZoneId": "Z2", "DNSName": "lb.example.", "EvaluateTargetHealth": False},
            },
            "A with AliasTarget",
        ),
        ({"Type": "AAAA", "ResourceRecords": [{"Value": "fd00::1"}]}, "AAAA with 1 value"),
        ({"Type": "CNAME", "ResourceRecords": [{"Value": "elsewhere.internal"}]}, "CNAME with 1 value"),
    ],
)
def test_a_record_that_is_not_plain_is_told_and_not_given_out_to_be_moved(
    zone: Zone, more: dict[str, Any], told: str
) -> None:
    zone.put(**more)

    odd = Odd(f"{NAME} is not one plain A record with one value but {told}.")
    assert zone.find() == odd
    assert addresses.find_records(zone.own, zone.id) == {NAME: odd}


def test_an_ipv6_record_beside_a_plain_one_makes_the_name_odd(zone: Zone) -> None:
    zone.put()
    zone.put(Type="AAAA", ResourceRecords=[{"Value": "fd00::1"}])

    assert zone.find() == Odd(
        f"{NAME} is not one plain A record with one value but A with 1 value and AAAA with 1 value."
    )


def test_a_text_beside_the_record_and_a_name_below_are_nobodys_obstacle(zone: Zone) -> None:
    zone.put()
    zone.put(Type="TXT", ResourceRecords=[{"Value": '"the payroll"'}])
    zone.put(f"replica.{NAME}", SetIdentifier="blue", Weight=1)

    assert zone.find() == Record(zone.id, NAME, 60, OLD)


def test_names_compare_whatever_their_case_their_last_dot_and_their_escapes(zone: Zone) -> None:
    zone.put("*.payroll.internal")
    zone.put("db.payroll.internal.")

    assert zone.find("DB.Payroll.Internal.") == Record(zone.id, NAME, 60, OLD)
    assert set(addresses.find_records(zone.own, zone.id)) == {NAME, "*.payroll.internal"}
    assert addresses.normalise("\\052.Payroll.internal.") == "*.payroll.internal"


def test_a_zone_is_read_in_pages_of_300(region: Region, call: Callable[..., Any], zone: Zone) -> None:
    names = [f"db-{number:03}.payroll.internal" for number in range(310)]
    for name in names:
        zone.put(name)
    region.calls.clear()

    found = call(lambda: addresses.find_records(zone.route53, zone.id))

    assert found == {name: Record(zone.id, name, 60, OLD) for name in names}
    assert [one.operation for one in region.calls] == ["ListResourceRecordSets"] * 2


def test_zones_are_known_by_their_domains_and_one_that_is_gone_is_left_out(
    region: Region, call: Callable[..., Any], zone: Zone
) -> None:
    found = call(lambda: addresses.find_zones(zone.route53, [zone.id, "ZGONE"]))

    assert found == {zone.id: "payroll.internal"}


def test_a_name_is_in_the_zone_with_the_longest_domain() -> None:
    zones = {"Z1": "internal", "Z2": "payroll.internal", "Z3": "roll.internal"}

    assert addresses.zone_of(zones, "db.payroll.internal") == "Z2"
    assert addresses.zone_of(zones, "DB.Payroll.Internal.") == "Z2"
    assert addresses.zone_of(zones, "payroll.internal") == "Z2"
    assert addresses.zone_of(zones, "db.shop.internal") == "Z1"
    assert addresses.zone_of(zones, "db.payroll.example") is None
    assert addresses.zone_of({"Z3": "roll.internal"}, NAME) is None


def test_a_name_that_is_in_two_zones_of_one_domain_is_in_none() -> None:
    assert addresses.zone_of({"Z1": "payroll.internal", "Z2": "payroll.internal"}, NAME) is None


@pytest.fixture
def interface(region: Region) -> Interface:
    """A network interface that is attached to nothing."""
    ec2 = region.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    made = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    return Interface(made["NetworkInterfaceId"], made["PrivateIpAddress"], None, None, "available")


def test_an_interface_moves_from_host_to_host(
    region: Region, call: Callable[..., Any], database: Callable[..., Any], interface: Interface
) -> None:
    ec2 = region.wire.session.client("ec2", config=BOTO)
    old, new = database(0, name="old").host, database(0, name="new").host

    def look() -> Interface:
        region.run(region.quiet, at_most=minutes(2))
        found = call(lambda: addresses.find_interface(ec2, interface.id))
        assert isinstance(found, Interface)
        return found

    assert look() == interface
    assert call(lambda: addresses.attach_interface(ec2, interface.id, old))
    there = look()
    assert (there.instance, there.status, there.ip) == (old, "attached", interface.ip)
    assert not call(lambda: addresses.attach_interface(ec2, interface.id, new))
    assert look() == there
    call(lambda: addresses.detach_interface(ec2, there))
    assert look() == interface
    assert call(lambda: addresses.attach_interface(ec2, interface.id, new))
    moved = look()
    assert moved.instance == new

    call(lambda: addresses.detach_interface(ec2, there))

    assert look() == moved


def test_an_interface_that_is_gone_is_none(region: Region, call: Callable[..., Any]) -> None:
    ec2 = region.wire.session.client("ec2", config=BOTO)

    assert call(lambda: addresses.find_interface(ec2, "eni-00000000000000000")) is None


def test_the_first_interface_of_an_instance_is_not_taken_off_in_silence(
    region: Region, call: Callable[..., Any], database: Callable[..., Any]
) -> None:
    ec2 = region.wire.session.client("ec2", config=BOTO)
    host = database(0).host
    (first,) = region.client("ec2").describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [host]}]
    )["NetworkInterfaces"]

    seen = call(lambda: addresses.find_interface(ec2, first["NetworkInterfaceId"]))

    assert isinstance(seen, Interface)
    assert (seen.instance, seen.status) == (host, "attached")
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        call(lambda: addresses.detach_interface(ec2, seen))
