"""Reads what is told of: databases as the other functions see them, agents, and every resource with our tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from watchkeeper import applications, tags
from watchkeeper.aws import addresses, agents, checks, hosts, launches, snapshots, volumes
from watchkeeper.backup.observe import State as Databases

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.aws.addresses import Interface
    from watchkeeper.aws.checks import Check
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Launch
    from watchkeeper.aws.snapshots import Snapshot
    from watchkeeper.aws.volumes import Volume
    from watchkeeper.look import Look

Thing = TypeVar("Thing", "Volume", "Host")


@dataclass(frozen=True, slots=True)
class State:
    """`reached` are the hosts that SSM reaches; `volumes`, `hosts` and `launches` all that carry any tag of ours.

    `impaired` are hosts whose checks fail, `interfaces` those that are addresses; unread without launch templates.
    """

    databases: Databases
    strangers: Sequence[Snapshot]
    reached: frozenset[str]
    volumes: Sequence[Volume]
    hosts: Sequence[Host]
    launches: Sequence[Launch] = ()
    impaired: Mapping[str, Check] = field(default_factory=dict)
    interfaces: Mapping[str, Interface] = field(default_factory=dict)


def observe(ec2: EC2Client, ssm: SSMClient, look: Look, watched: Sequence[str]) -> State:
    """Reads all that a look is about, in pages. Raises Refused when it names an application that does not exist."""
    names = applications.asked_for(look, watched)
    tagged, tagged_hosts = volumes.find_tagged(ec2), hosts.find_tagged(ec2)
    databases = [one for one in tagged if one.tags.get(tags.ROLE) == tags.DATABASE]
    found = _named(databases, names)
    taken, strangers = snapshots.sort_out(snapshots.find(ec2, names))
    hosts_of = {one.application for one in _named([one for one in tagged_hosts if one.is_database], names)}
    existing = sorted({one.application for one in found} | {one.application for one in taken} | hosts_of)
    applications.refuse_unknown(look, existing, [one.application for one in _named(databases, watched)])
    hosting = sorted({one.host for one in found if one.host})
    known = {one.id: one for one in tagged_hosts}
    settled = {one.tags.get(tags.HOST, "") for one in found}
    templates = launches.find_tagged(ec2)
    named = {one.tags.get(tags.ADDRESS, "") for one in found} if templates else set()
    return State(
        Databases(
            {name: [one for one in found if one.application == name] for name in existing},
            known | hosts.find(ec2, sorted({*hosting, *settled} - set(known) - {""})),
            {name: [one for one in taken if one.application == name] for name in existing},
        ),
        strangers,
        agents.find(ssm, hosting),
        tagged,
        tagged_hosts,
        templates,
        checks.find_impaired(ec2) if templates else {},
        addresses.find_interfaces(ec2, sorted(one for one in named if one.startswith("eni-"))),
    )


def _named(found: Iterable[Thing], names: Sequence[str]) -> list[Thing]:
    return [one for one in found if any(fnmatchcase(one.application, name) for name in names)]
