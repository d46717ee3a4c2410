"""Does what was planned of an application: remembers, registers, deregisters, tells. What fails ends nothing else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from watchkeeper import loop, tags
from watchkeeper.aws import hosts, notices, targets
from watchkeeper.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sns import SNSClient

    from watchkeeper.aws.pools import Balancers, Pool
    from watchkeeper.registration.settings import Settings
    from watchkeeper.registration.verdict import Change, Plan, Tag, Tell

# How fast CreateTags may be called, of what is shared with all of the account:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html
TAGS_AT_ONCE, TAGS_PER_SECOND, TAGS_SECONDS = 50, 5, 20

# What may be the fault of one instance among many: it is gone since it was read, or people gave it 50 tags.
OF_ONE = ("InvalidInstanceID.NotFound", "InvalidID", "TagLimitExceeded")


@dataclass(frozen=True, slots=True)
class Clients:
    """Whom a look asks and through whom it acts; `logs` and `sns` send once."""

    ec2: EC2Client
    balancers: Balancers
    logs: CloudWatchLogsClient
    sns: SNSClient


@dataclass(slots=True)
class Done:
    """What came of a plan: by the id of a pool what was put in and taken out, who was told of what, and what failed."""

    registered: dict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    deregistered: dict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    told: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def attempt(self, what: str, act: Callable[[], None]) -> None:
        """One thing that may fail by itself."""
        try:
            act()
        except (ClientError, BotoCoreError) as error:
            self.errors.append(Refused(f"{what}: {error}"))


def apply(clients: Clients, settings: Settings, plan: Plan) -> Done:
    """Does it so that an end in between loses nothing: first what is to be remembered, last what is told."""
    done = Done()
    unwritten = _remember(clients, plan, done)
    for care in plan.cares:
        # A node that does not remember its address could not be taken out once it is terminated.
        joining = [one for one in care.register if care.pool.kind != "ip" or one.node not in unwritten]
        _change(clients, care.pool, joining, done, is_out=False)
    for care in plan.cares:
        _change(clients, care.pool, care.deregister, done, is_out=True)
    _forget(clients, plan, done)
    for tell in plan.tell:
        _tell(clients, settings, tell, done)
    return done


def _remember(clients: Clients, plan: Plan, done: Done) -> set[str]:
    """Writes what nodes remember. The nodes whose addresses are not written yet: of those each needs a call."""
    unwritten = {node for tag in plan.tags if tags.REGISTERED_IP in tag.words for node in tag.nodes}

    def write(tag: Tag) -> None:
        refused = targets.in_halves(lambda some: hosts.tag(clients.ec2, some, tag.words), tag.nodes, OF_ONE)
        done.errors.extend(Refused(f"{node} was not tagged: {error}") for node, error in refused.items())
        unwritten.difference_update(set(tag.nodes) - set(refused))

    paced = loop.pace(plan.tags, lambda _: 1, at_once=TAGS_AT_ONCE, per_second=TAGS_PER_SECOND, seconds=TAGS_SECONDS)
    for tag in paced:
        done.attempt(f"nodes of {plan.application} were not tagged", partial(write, tag))
    return unwritten


def _change(clients: Clients, pool: Pool, changes: Sequence[Change], done: Done, *, is_out: bool) -> None:
    def write() -> None:
        act = targets.deregister if is_out else targets.register
        refused = act(clients.balancers, pool, [one.target for one in changes])
        for one in changes:
            if one.target in refused:
                words = "deregistered from" if is_out else "registered with"
                done.errors.append(Refused(f"{one.node} was not {words} {pool.id}: {refused[one.target]}"))
            else:
                (done.deregistered if is_out else done.registered)[pool.id].append(one)

    done.attempt(f"{pool.id} of {pool.application} was not changed", write)


def _forget(clients: Clients, plan: Plan, done: Done) -> None:
    def write() -> None:
        # One that is gone needs to forget nothing.
        targets.in_halves(lambda some: hosts.untag(clients.ec2, some, tags.REGISTERED), plan.untag, OF_ONE)

    done.attempt(f"what nodes of {plan.application} remember was not removed", write)


def _tell(clients: Clients, settings: Settings, tell: Tell, done: Done) -> None:
    def write() -> None:
        if notices.tell(clients.logs, clients.sns, settings.place, tell.key, tell.subject, tell.text):
            done.told.append(tell.key)

    done.attempt(f"the notice {tell.key} was not told", write)
