"""Reads all databases in bulk, by pages: whether something is the matter with any."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import tags
from watchkeeper.aws import addresses, hosts, launches, volumes
from watchkeeper.replacement import refusals
from watchkeeper.replacement.observe import ROLES, address_of, read_impaired, sort_out
from watchkeeper.replacement.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from watchkeeper.aws.addresses import Interface, Odd, Record
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Launch
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.replacement.observe import Readers
    from watchkeeper.replacement.settings import Settings

logger = logging.getLogger(__name__)

Thing = TypeVar("Thing", "Volume", "Host", "Launch")


def observe_all(read: Readers, settings: Settings, names: Sequence[str], now: datetime) -> tuple[Scene, ...]:
    """The applications with these names (`*` matches any text) that have a launch template, or had one when their move
    began, without details: all are read for the calls of their pages.
    """
    templates = _by_application(launches.find(read.ec2, names))
    tagged = _by_application(volumes.find_of(read.ec2, names, ROLES))
    sorted_out = {name: sort_out(some) for name, some in tagged.items()}
    found = {name: some for name, (some, _) in sorted_out.items() if some}
    claiming = _by_application(hosts.find_of(read.ec2, names, [tags.DATABASE_HOST]))
    known = {one.id: one for some in claiming.values() for one in some}
    holding = {one.host for some in found.values() for one in some if one.host}
    known |= hosts.find(read.ec2, sorted(holding - set(known)))
    impaired = read_impaired(read, None)
    led = _read_addresses(read, settings, found)
    scenes = [
        Scene(
            name,
            now,
            found.get(name, ()),
            _around(found.get(name, ()), claiming.get(name, ()), known),
            tuple(templates.get(name, ())),
            impaired,
            led.get(address_of(found.get(name, ()))),
            restoring=sorted_out[name][1] if name in sorted_out else "",
        )
        for name in sorted({*templates, *found} - set(settings.retired))
    ]
    return tuple(one for one in scenes if one.launches or refusals.template_gone(one))


def _read_addresses(
    read: Readers, settings: Settings, found: Mapping[str, Sequence[Volume]]
) -> dict[str, Record | Odd | Interface]:
    """Where all addresses lead now, by the name that a volume has. Dead hosts are found without Route 53 as well."""
    named = {address_of(some) for some in found.values()} - {""}
    interfaces = sorted(one for one in named if one.startswith("eni-"))
    led: dict[str, Record | Odd | Interface] = dict(addresses.find_interfaces(read.ec2, interfaces))
    names = named - set(interfaces)
    try:
        for zone in addresses.find_zones(read.route53, settings.zones) if names else ():
            records = addresses.find_records(read.route53, zone)
            led |= {one: records[addresses.normalise(one)] for one in names if addresses.normalise(one) in records}
    except (ClientError, BotoCoreError):
        logger.warning("addresses not read", exc_info=True)
        led |= dict.fromkeys(names, addresses.UNREAD)
    return led


def _around(some: Sequence[Volume], claiming: Sequence[Host], known: Mapping[str, Host]) -> Mapping[str, Host]:
    """The hosts that an application's volumes are on, and those that are tagged as its own."""
    holding = {one.attachment.host for one in some if one.attachment} | {one.tags.get(tags.HOST, "") for one in some}
    return {one: known[one] for one in holding if one in known} | {one.id: one for one in claiming}


def _by_application(things: Iterable[Thing]) -> dict[str, list[Thing]]:
    sorted_out: dict[str, list[Thing]] = defaultdict(list)
    for one in things:
        sorted_out[one.application].append(one)
    return sorted_out
