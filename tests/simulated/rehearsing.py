"""A region with Watchkeeper and smallpayroll in it, and a snapshot set of its database that is to be proven."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from region import Region, Simulated, hours, minutes
from tests.simulated.dying import QUICK, QUICK_AGENT, add_volume, host, hush, machines, notices, volumes, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from region.world import World

FUNCTION = "rehearse_restore"
APPLICATION = "smallpayroll"
ACKNOWLEDGED = 3

# All writes of one undisturbed look, in their order.
WRITES = (
    "CreateSecurityGroup",
    "RevokeSecurityGroupEgress",
    "AuthorizeSecurityGroupEgress",
    "RunInstances",
    "CreateVolume",
    "CreateVolume",
    "AttachVolume",
    "AttachVolume",
    "SendCommand",
    "SendCommand",
    "CreateTags",
    "TerminateInstances",
    "DeleteVolume",
    "DeleteVolume",
    "DeleteSecurityGroup",
)

# What falls due each minute would find nothing to do, and costs most of a week.
ASLEEP = {"ReplaceDatabaseHosts": "false", "RegisterWebNodes": "false", "RehearseRestores": "false"}


@contextmanager
def open_region(seed: int = 7, *, volumes: int = 2, **parameters: str) -> Iterator[Region]:
    """Both, the database settled and with one finished set of it; nothing wakes anything."""
    made = Simulated(seed=seed)
    made.boot_seconds_to_agent = QUICK_AGENT
    with Region(made, seed=seed, delays=QUICK) as region:
        hush(region)
        region.deploy("examples/smallpayroll.yaml")
        region.deploy("template.yaml", **{"Email": "a@example.com", **ASLEEP, **parameters})
        region.run(region.quiet, at_most=minutes(10))
        for _ in range(volumes - 1):
            add_volume(region)
        region.invoke("replace_database_host", {"application": APPLICATION})
        assert all(machines(region).write(host(region)) for _ in range(ACKNOWLEDGED))
        take(region)
        region.calls.clear()
        yield region


def take(region: Region) -> str:
    """A set of this moment, finished; its id."""
    (made,) = region.invoke("snapshot_database", {"application": APPLICATION})["made"]
    region.run(region.quiet, at_most=hours(2))
    return words(region, made["snapshots"][0])["set"]


def rehearse(region: Region, **event: Any) -> Any:
    """One look at all, to its end."""
    return region.invoke(FUNCTION, event)


def later(region: Region, hours_later: float = 1) -> Any:
    """The look of another hour."""
    region.run(at_most=hours(hours_later))
    return rehearse(region)


# What came of it


def writes(region: Region) -> list[str]:
    """What the function did to the world, oldest first."""
    return [call.operation for call in region.calls if call.write and call.caller == FUNCTION]


def asked(region: Region, operation: str) -> list[dict[str, Any]]:
    """What the function's calls of an operation said."""
    return [dict(call.parameters) for call in region.calls if (call.operation, call.caller) == (operation, FUNCTION)]


def sets(region: Region) -> dict[str, dict[str, str]]:
    """Watchkeeper's tags of a snapshot of each set, by the set's id."""
    found = region.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]
    tags = [words(region, one["SnapshotId"]) for one in found]
    return {one["set"]: one for one in tags if "set" in one}


def only_set(region: Region) -> dict[str, str]:
    (found,) = sets(region).values()
    return found


def scratch(region: Region) -> set[str]:
    """What a rehearsal made and that is there still, whatever it is."""
    return region.world().tagged("watchkeeper:role", "rehearsal")


def scratch_host(region: Region) -> str:
    """The scratch host that there is, or was last."""
    found = [one.id for one in region.ec2.all_instances() if words(region, one.id).get("role") == "rehearsal"]
    return found[-1]


def production(world: World) -> World:
    """A world without what rehearsals make, and what they write on sets or tell."""
    kept = world.without("watchkeeper:role", "rehearsal")
    return replace(kept, snapshots=tuple(replace(one, tags=()) for one in kept.snapshots), notices=())


def is_untouched(region: Region, before: World) -> None:
    """Nothing that a rehearsal made is left, and of production nothing has changed."""
    region.run(region.quiet, at_most=minutes(2))
    assert scratch(region) == set()
    assert production(region.world()) == production(before)
    held = [(one["InstanceId"], one["State"]) for volume in volumes(region) for one in volume["Attachments"]]
    assert held == [(host(region), "attached")] * len(volumes(region))
    assert list(machines(region).serving()) == [host(region)]
    assert machines(region).servers.clashes() == []


def told(region: Region) -> list[str]:
    """The subjects of what was told."""
    return [subject for subject, _ in notices(region)]


# What people do


def reset(region: Region) -> World:
    """An hour later nothing is proven or failed, and hosts are as usual; the world as it is then."""
    region.faults.active.clear()
    machines(region).launched_with = {}
    region.run(at_most=hours(1.5))
    ids = [one["SnapshotId"] for one in region.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]]
    unlabel(region, ids, "proven-at", "recovery-ms", "failed")
    assert scratch(region) == set()
    region.calls.clear()
    return region.world()


class Shared:
    """A region that tests use one after another; a new one, if one of them left it otherwise than it was."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._region: Region | None = None

    def fresh(self, **parameters: str) -> Region:
        """A region in which nothing is proven or rehearsed."""
        if self._region is not None:
            try:
                reset(self._region)
                only_set(self._region)
            except (AssertionError, ValueError):
                self._region = None
                self._stack.close()
        if self._region is None:
            self._region = self._stack.enter_context(open_region(**parameters))
        return self._region


def label(region: Region, resource: str, **tags: str) -> None:
    """Watchkeeper's tags, written by a person."""
    named = [{"Key": f"watchkeeper:{key.replace('_', '-')}", "Value": value} for key, value in tags.items()]
    region.client("ec2").create_tags(Resources=[resource], Tags=named)


def unlabel(region: Region, resources: list[str], *keys: str) -> None:
    named = [{"Key": f"watchkeeper:{key}"} for key in keys]
    region.client("ec2").delete_tags(Resources=resources, Tags=named)


@contextmanager
def other_template(region: Region, **data: Any) -> Iterator[None]:
    """Meanwhile the launch template's default version has other words."""
    ec2 = region.client("ec2")
    (template,) = ec2.describe_launch_templates()["LaunchTemplates"]
    name = template["LaunchTemplateId"]
    made = ec2.create_launch_template_version(LaunchTemplateId=name, SourceVersion="1", LaunchTemplateData=data)
    number = str(made["LaunchTemplateVersion"]["VersionNumber"])
    ec2.modify_launch_template(LaunchTemplateId=name, DefaultVersion=number)
    try:
        yield
    finally:
        ec2.modify_launch_template(LaunchTemplateId=name, DefaultVersion="1")
