"""Reads what is told of: databases as the other functions see them, agents, and every resource with our tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from watchkeeper import applications, tags
from watchkeeper.applications import is_watched
from watchkeeper.aws import addresses, agents, checks, hosts, launches, snapshots, volumes
from watchkeeper.backup.observe import State as Databases
from watchkeeper.backup.observe import pauses
from watchkeeper.registration.observe import Fleet
from watchkeeper.registration.observe import observe as observe_web

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

    from watchkeeper.aws.addresses import Interface
    from watchkeeper.aws.checks import Check
    from watchkeeper.aws.hosts import Host
    from watchkeeper.aws.launches import Launch
    from watchkeeper.aws.pools import Balancers
    from watchkeeper.aws.snapshots import Snapshot, SnapshotSet
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
    fleet: Fleet = field(default_factory=lambda: Fleet(()))

    @property
    def nodes(self) -> list[Host]:
        """The web nodes that are there."""
        return [one for one in self.hosts if _is_node(one)]


def observe(
    ec2: EC2Client, ssm: SSMClient, balancers: Balancers, look: Look, watched: Sequence[str], now: datetime
) -> State:
    """Reads all that a look is about, in pages. Raises Refused when it names an application that does not exist."""
    names = applications.asked_for(look, watched)
    tagged, tagged_hosts = volumes.find_tagged(ec2), hosts.find_tagged(ec2)
    found = _databases(tagged, names)
    taken, strangers = snapshots.sort_out(snapshots.find(ec2, names))
    fleet = observe_web(ec2, balancers, names, look, now)
    here = (found, taken, fleet.scenes, _claiming(tagged_hosts, names))
    existing = {one.application for some in here for one in some} - {""}
    every = (_databases(tagged, watched), _claiming(tagged_hosts, watched))
    applications.refuse_unknown(look, existing, [one.application for some in every for one in some])
    templates = launches.find_tagged(ec2)
    named = {one.tags.get(tags.ADDRESS, "") for one in found} if templates else set()
    return State(
        _gather(ec2, existing, found, tagged, tagged_hosts, taken),
        strangers,
        agents.find(ssm, sorted({one.host for one in found if one.host})),
        tagged,
        tagged_hosts,
        templates,
        checks.find_impaired(ec2) if templates else {},
        addresses.find_interfaces(ec2, sorted(one for one in named if one.startswith("eni-"))),
        fleet,
    )


def _gather(
    ec2: EC2Client,
    existing: Iterable[str],
    found: Sequence[Volume],
    volumes: Iterable[Volume],
    tagged: Sequence[Host],
    taken: Sequence[SnapshotSet],
) -> Databases:
    """As the other functions see them; an instance that is no database's host is no reason to miss a database."""
    known = {one.id: one for one in tagged if one.tags.get(tags.ROLE) not in (tags.WEB_NODE, tags.REHEARSAL)}
    hosting = {one.host or "" for one in found} | {one.tags.get(tags.HOST, "") for one in found}
    return Databases(
        {name: [one for one in found if one.application == name] for name in sorted(existing)},
        known | hosts.find(ec2, sorted(hosting - set(known) - {""})),
        {name: [one for one in taken if one.application == name] for name in sorted(existing)},
        pauses(volumes, [one for one in tagged if one.is_database]),
    )


def _databases(tagged: Iterable[Volume], names: Sequence[str]) -> list[Volume]:
    return _named([one for one in tagged if one.tags.get(tags.ROLE) == tags.DATABASE], names)


def _claiming(tagged: Iterable[Host], names: Sequence[str]) -> list[Host]:
    """The instances that say of an application that it is there."""
    return _named([one for one in tagged if one.is_database or _is_node(one)], names)


def _is_node(host: Host) -> bool:
    return host.tags.get(tags.ROLE) == tags.WEB_NODE and host.state in hosts.THERE


def _named(found: Iterable[Thing], names: Sequence[str]) -> list[Thing]:
    return [one for one in found if one.application and is_watched(one.application, names)]
