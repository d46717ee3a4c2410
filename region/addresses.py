"""Route 53, where moto differs: a batch is all or nothing, a DELETE names exact values, and name servers hear later.

https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.route53 import urls
from moto.route53.models import RecordSet, Route53Backend, route53_backends
from moto.route53.responses import Route53 as Response

from region.bus import ACCOUNT
from region.calls import Call, serve
from region.protocol import Refusal
from region.records import Records, apply, key_of, normalise, order, page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moto.route53.models import FakeZone

    from region.region import Region

PAGE = 300
# How moto calls what a record set has beside its name, type and values.
MORE = {
    "TTL": "ttl",
    "SetIdentifier": "set_identifier",
    "Weight": "weight",
    "Region": "region",
    "Failover": "failover",
    "GeoLocation": "geo_location",
    "MultiValueAnswer": "multi_value_answer",
    "HealthCheckId": "health_check_id",
    "AliasTarget": "alias_target",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A batch that was done: by whom and when, with the records of the zone before and after it.

    `heard` is when the name server that a client's resolver asks has it, `insync` when all have.
    """

    id: str
    caller: str
    time: float
    zone: str
    batch: tuple[Mapping[str, Any], ...]
    before: Records
    after: Records
    heard: float
    insync: float

    def shown(self, now: float) -> Mapping[str, Any]:
        """As GetChange answers it."""
        status = "INSYNC" if now >= self.insync else "PENDING"
        return {"Id": f"/change/{self.id}", "Status": status, "SubmittedAt": datetime.fromtimestamp(self.time, UTC)}


class Addresses:
    """The hosted zones, whose present moto keeps. `changes` are all that were ever done, oldest first."""

    def __init__(self, region: Region) -> None:
        self.changes: list[Change] = []
        self._region = region
        self._cached: dict[str, tuple[float, str]] = {}

    def answers(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that are answered here, by name."""
        return {
            "ChangeResourceRecordSets": self.change,
            "GetChange": self.status,
            "ListResourceRecordSets": self.list,
        }

    def records(self) -> dict[str, Records]:
        """The records of each zone now, by the zone's name."""
        return {zone.name: _read(zone) for zone in _backend().zones.values()}

    def change(self, call: Call) -> Mapping[str, Any]:
        """ChangeResourceRecordSets: all of the batch, in its order, or InvalidChangeBatch with every reason."""
        zone = _zone(call.parameters["HostedZoneId"])
        batch = tuple(call.parameters["ChangeBatch"]["Changes"])
        before = _read(zone)
        after = dict(before)
        problems = [problem for change in batch if (problem := apply(after, change, zone.name))]
        if problems:
            raise Refusal("InvalidChangeBatch", f"[{', '.join(problems)}]")
        zone.rrsets = [_kept(record) for record in after.values()]
        now, all_hear = self._region.clock.now(), self._region.takes(self._region.delays.insync)
        one_hears = self._region.random.uniform(0, all_hear)  # the one that the clients' resolver asks is any of them
        number = f"C{len(self.changes):013d}"
        made = Change(number, call.caller, now, zone.resource_id, batch, before, after, now + one_hears, now + all_hear)
        self.changes.append(made)
        return {"ChangeInfo": made.shown(now)}

    def status(self, call: Call) -> Mapping[str, Any]:
        """GetChange: PENDING, and INSYNC when all name servers have it."""
        asked = _bare(call.parameters["Id"])
        for change in self.changes:
            if change.id == asked:
                return {"ChangeInfo": change.shown(self._region.clock.now())}
        raise Refusal("NoSuchChange", f"A change with the specified change ID {asked} does not exist.", 404)

    def list(self, call: Call) -> Mapping[str, Any]:
        """ListResourceRecordSets: by name with its labels reversed, then by type, from a name on.

        It shows what was changed before the name servers have it; one who lags sees the zone as it was.
        """
        asked = call.parameters
        if "StartRecordType" in asked and "StartRecordName" not in asked:
            raise Refusal("InvalidInput", "The input is not valid: a type to begin with wants a name.")
        zone = _zone(asked["HostedZoneId"])
        horizon = self._region.clock.now() - self._region.lag(call)
        later = [one.before for one in self.changes if one.zone == zone.resource_id and one.time > horizon]
        seen = later[0] if later else _read(zone)
        first = (asked.get("StartRecordName", ""), asked.get("StartRecordType", ""), asked.get("StartRecordIdentifier"))
        begin = order((normalise(first[0]) if first[0] else "", first[1], first[2] or ""))
        rest = sorted((key for key in seen if order(key) >= begin), key=order)
        return page([seen[key] for key in rest], min(int(asked.get("MaxItems", PAGE)), PAGE))

    def resolve(self, name: str) -> str | None:
        """What the clients' resolver, one for all of them, answers now for a name: its first IPv4 address, if any.

        It asks a name server again only when the TTL of what it was told is over; that there is nothing is not cached.
        """
        asked, now = normalise(name), self._region.clock.now()
        until, cached = self._cached.get(asked, (0.0, ""))
        if now < until:
            return cached
        for records in self._heard(now).values():
            for record in records.values():
                if (record["Name"], record["Type"]) == (asked, "A") and "ResourceRecords" in record:
                    address = str(record["ResourceRecords"][0]["Value"])
                    self._cached[asked] = (now + record["TTL"], address)
                    return address
        return None

    def _heard(self, now: float) -> dict[str, Records]:
        """The records of each zone as the name server has them that is asked."""
        heard: dict[str, Records] = {}
        for change in self.changes:
            heard.setdefault(change.zone, change.before)
            if change.heard <= now:
                heard[change.zone] = change.after
        return heard


class Route53(Route53Backend):
    """moto's Route 53, for requests that come over HTTP."""

    home: ClassVar[Region]

    @property
    def _url_module(self) -> Any:
        return _Urls


class _Response(Response):
    def call_action(self) -> Any:
        return serve(cast("Route53", self.backend).home, self) or super().call_action()


class _Urls:
    """What moto looks for in the module moto.route53.urls."""

    url_bases = urls.url_bases
    url_paths = dict.fromkeys(urls.url_paths, _Response.dispatch)


def _backend() -> Route53Backend:
    return route53_backends[ACCOUNT]["aws"]


def _zone(name: str) -> FakeZone:
    zone = _backend().zones.get(_bare(name))
    if zone is None:
        raise Refusal("NoSuchHostedZone", f"No hosted zone found with ID: {_bare(name)}", 404)
    return zone


def _bare(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _read(zone: FakeZone) -> Records:
    """What moto keeps, as Route 53 shows it."""
    shown = [
        {
            "Name": one.name,
            "Type": one.type,
            **{key: value for key, own in MORE.items() if (value := getattr(one, own)) is not None},
            **({"ResourceRecords": one.resource_records} if one.records else {}),
        }
        for one in zone.rrsets
    ]
    return {key_of(record): record for record in shown}


def _kept(record: Mapping[str, Any]) -> RecordSet:
    values = [one["Value"] for one in record.get("ResourceRecords", [])]
    return RecordSet({**record, "ResourceRecords": values})  # type: ignore[abstract]  # it is not, for Python
