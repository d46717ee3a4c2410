"""Record sets of Route 53 as values: their names, their order, their pages, and what a change does to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Key = tuple[str, str, str]
Records = dict[Key, dict[str, Any]]


def normalise(name: str) -> str:
    """As Route 53 keeps names: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html"""
    return f"{name.lower().removesuffix('.').replace('*', chr(92) + '052')}."


def order(key: Key) -> Key:
    """What they are listed by: the name with its labels reversed, the type, the identifier.

    https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListResourceRecordSets.html
    """
    name, kind, identifier = key
    return ".".join(reversed(name.removesuffix(".").split("."))) + "." * bool(name), kind, identifier


def key_of(record: Mapping[str, Any]) -> Key:
    """What tells one record set of a zone from another."""
    return record["Name"], record["Type"], record.get("SetIdentifier", "")


def apply(records: Records, change: Mapping[str, Any], domain: str) -> str | None:
    """Do one change of a batch, or say why it cannot be done, in the words of Route 53."""
    given = {**change["ResourceRecordSet"], "Name": normalise(change["ResourceRecordSet"]["Name"])}
    key = key_of(given)
    there, what = records.get(key), f"resource record set [name='{key[0]}', type='{key[1]}']"
    if not f".{key[0]}".endswith(f".{domain}"):
        return f"RRSet with DNS name {key[0]} is not permitted in zone {domain}"
    if ("AliasTarget" in given) == ("TTL" in given and "ResourceRecords" in given):
        raise Refusal("InvalidInput", "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ...]]")
    match change["Action"]:
        case "CREATE" if there is not None:
            return f"Tried to create {what} but it already exists"
        case "DELETE" if there is None:
            return f"Tried to delete {what} but it was not found"
        case "DELETE" if there is not None and _compared(there) != _compared(given):
            return f"Tried to delete {what} but the values provided do not match the current values"
        case "DELETE":
            del records[key]
        case _:
            records[key] = given
    return None


def _compared(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**record, "ResourceRecords": sorted(one["Value"] for one in record.get("ResourceRecords", []))}


def page(records: Sequence[Mapping[str, Any]], size: int) -> Mapping[str, Any]:
    """As many as a page holds, and where the next begins."""
    shown: dict[str, Any] = {"ResourceRecordSets": records[:size], "MaxItems": str(size)}
    if len(records) <= size:
        return {**shown, "IsTruncated": False}
    name, kind, identifier = key_of(records[size])
    more = {"NextRecordIdentifier": identifier} if identifier else {}
    return {**shown, "IsTruncated": True, "NextRecordName": name, "NextRecordType": kind, **more}
