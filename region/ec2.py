"""What EC2 answers: descriptions with owners, filters and pages, and the operations that moto answers wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.ec2 import urls
from moto.ec2.responses import EC2Response

from region import filters
from region.calls import Call, serve
from region.protocol import Refusal
from region.security_groups import SecurityGroups

if TYPE_CHECKING:
    from moto.ec2.models.elastic_block_store import Snapshot

    from region.filters import Values

PAGE = 1000
NOT_FOUND = {
    "eni": ("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist"),
    "i": ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist"),
    "lt": ("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID {}, does not exist."),
    "sg": ("InvalidGroup.NotFound", "The security group '{}' does not exist"),
    "snap": ("InvalidSnapshot.NotFound", "The snapshot '{}' does not exist."),
    "vol": ("InvalidVolume.NotFound", "The volume '{}' does not exist."),
}

View = Callable[[str], Any]
Found = tuple[Sequence[tuple[str, Any]], str | None]


class EC2(SecurityGroups):
    """The EC2 of one region."""

    @property
    def _url_module(self) -> Any:
        return _Urls

    def list_snapshots(self, call: Call) -> Mapping[str, Any]:
        """DescribeSnapshots."""
        asked, lag = call.parameters, self.home.lag(call)
        found = {one.id: one for one in self.visible_snapshots(lag)}
        if owners := asked.get("OwnerIds"):
            named = {self.account_id if owner == "self" else owner for owner in owners}
            found = {one.id: one for one in found.values() if one.owner_id in named}
        page, token = self._page(found, found.get, asked, "SnapshotIds", filters.SNAPSHOTS, lag)
        keys = {key: getattr(one.volume, "kms_key_id", None) if one.encrypted else None for key, one in page}
        shown = [{**self.snapshot(one, lag), "KmsKeyId": keys[key]} for key, one in page]
        return {"Snapshots": shown, "NextToken": token}

    def list_volumes(self, call: Call) -> Mapping[str, Any]:
        """DescribeVolumes."""
        found, token = self._list(call, "vol", self.volumes, "VolumeIds", filters.VOLUMES)
        return {"Volumes": found, "NextToken": token}

    def list_instances(self, call: Call) -> Mapping[str, Any]:
        """DescribeInstances, each in a reservation of its own."""
        found, token = self._list(call, "i", self.known, "InstanceIds", filters.INSTANCES)
        return {"Reservations": [{"OwnerId": self.account_id, "Instances": [one]} for one in found], "NextToken": token}

    def list_interfaces(self, call: Call) -> Mapping[str, Any]:
        """DescribeNetworkInterfaces, in which alone EC2 calls the tags a set."""
        found, token = self._list(call, "eni", self.enis, "NetworkInterfaceIds", filters.INTERFACES)
        renamed = [{"TagSet" if key == "Tags" else key: value for key, value in one.items()} for one in found]
        return {"NetworkInterfaces": renamed, "NextToken": token}

    def list_groups(self, call: Call) -> Mapping[str, Any]:
        """DescribeSecurityGroups."""
        found, token = self._list(call, "sg", self.all_groups(), "GroupIds", filters.GROUPS)
        return {"SecurityGroups": found, "NextToken": token}

    def list_templates(self, call: Call) -> Mapping[str, Any]:
        """DescribeLaunchTemplates."""
        asked = {"MaxResults": 200, **call.parameters}
        if names := asked.get("LaunchTemplateNames"):
            asked["LaunchTemplateIds"] = [self.get_launch_template_by_name(one).id for one in names]
        page, token = self._page(
            self.launch_templates, self.show_template, asked, "LaunchTemplateIds", filters.TEMPLATES, 0
        )
        return {"LaunchTemplates": [{**one, "Tags": self._tags(key, 0)} for key, one in page], "NextToken": token}

    def list_statuses(self, call: Call) -> Mapping[str, Any]:
        """DescribeInstanceStatus: of running instances, unless all are asked for."""
        asked, lag = call.parameters, self.home.lag(call)

        def view(instance_id: str) -> Mapping[str, Any] | None:
            shown = self.show_status(instance_id, lag)
            is_left_out = shown and not asked.get("IncludeAllInstances") and shown["InstanceState"]["Name"] != "running"
            return {} if is_left_out else shown

        ids = self.ids("i", self.known, lag)
        page, token = self._page(ids, view, asked, "InstanceIds", filters.INSTANCE_STATUSES, lag)
        return {"InstanceStatuses": [one for _, one in page], "NextToken": token}

    def list_volume_statuses(self, call: Call) -> Mapping[str, Any]:
        """DescribeVolumeStatus."""
        lag = self.home.lag(call)
        view = partial(self.show_volume_status, lag=lag)
        ids = self.ids("vol", self.volumes, lag)
        page, token = self._page(ids, view, call.parameters, "VolumeIds", filters.VOLUME_STATUSES, lag)
        return {"VolumeStatuses": [one for _, one in page], "NextToken": token}

    def _list(
        self, call: Call, kind: str, present: Iterable[str], named: str, values: Values
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        lag = self.home.lag(call)
        view = partial(self.seen, lag=lag)
        page, token = self._page(self.ids(kind, present, lag), view, call.parameters, named, values, lag)
        return [{**one, "Tags": self._tags(key, lag)} for key, one in page], token

    def _page(
        self, ids: Iterable[str], view: View, asked: Mapping[str, Any], named: str, values: Values, lag: float
    ) -> Found:
        wanted = [(one["Name"], one["Values"]) for one in asked.get("Filters", [])]
        for name, _ in wanted:
            if name not in values and not (filters.is_of_tags(name) and values not in filters.UNTAGGED):
                raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")
        for one in asked.get(named, []):
            if view(one) is None:
                code, message = NOT_FOUND[one.partition("-")[0]]
                raise Refusal(code, message.format(one))
        after, size = asked.get("NextToken", ""), min(asked.get("MaxResults", PAGE), PAGE)
        page: list[tuple[str, Any]] = []
        for one in sorted(key for key in asked.get(named) or ids if key > after):
            if self._has_tags(one, wanted, lag) and (seen := view(one)) and filters.fits(seen, wanted, values):
                if len(page) == size:
                    return page, page[-1][0]
                page.append((one, seen))
        return page, None

    def _has_tags(self, resource_id: str, wanted: Sequence[tuple[str, Sequence[str]]], lag: float) -> bool:
        tags = self.tags_of(resource_id, lag)
        return all(
            any(filters.is_like(key, patterns) for key in tags)
            if name == "tag-key"
            else filters.is_like(tags.get(name[4:]), patterns)
            for name, patterns in wanted
            if filters.is_of_tags(name)
        )

    def snapshot(self, one: Snapshot, lag: float = 0) -> Mapping[str, Any]:
        """A snapshot as EC2 shows it."""
        return {
            "SnapshotId": one.id,
            "VolumeId": one.volume.id,
            "VolumeSize": one.volume.size,
            "State": one.status,
            "StartTime": one.start_time,
            "Progress": "100%" if one.status == "completed" else "0%",
            "OwnerId": one.owner_id,
            "Description": one.description,
            "Encrypted": one.encrypted,
            "TransferType": getattr(one, "transfer_type", None),
            "Tags": self._tags(one.id, lag),
        }

    def _tags(self, resource_id: str, lag: float) -> list[Mapping[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags_of(resource_id, lag).items()]

    def launched(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """RunInstances."""
        made = self.run(asked)
        instances = [{**(self.show(one.id) or {}), "Tags": self._tags(one.id, 0)} for one in made.instances]
        return {"ReservationId": made.id, "OwnerId": self.account_id, "Instances": instances}

    def tag(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """CreateTags: of things that there are; moto tags an instance that is gone."""
        for one in asked["Resources"]:
            kind = one.partition("-")[0]
            if kind in ("i", "vol", "eni") and self.show(one) is None:
                raise Refusal(NOT_FOUND[kind][0], NOT_FOUND[kind][1].format(one))
            if kind not in ("i", "vol", "eni"):
                self.do_resources_exist([one])
        self.create_tags(asked["Resources"], {one["Key"]: one.get("Value", "") for one in asked["Tags"]})
        return {}

    def untag(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DeleteTags: with a value, only if they have that one."""
        self.delete_tags(asked["Resources"], {one["Key"]: one.get("Value") for one in asked.get("Tags", [])})
        return {}

    def answers(self) -> Mapping[str, Callable[[Call], Mapping[str, Any]]]:
        """The operations that are answered here, by name."""
        plain: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
            "AttachNetworkInterface": self.attach_interface,
            "AttachVolume": self.attach,
            "CreateLaunchTemplateVersion": self.add_version,
            "CreateSnapshot": lambda asked: self.snapshot(self.begin([asked["VolumeId"]], asked)[0]),
            "CreateSnapshots": lambda asked: {"Snapshots": [self.snapshot(one) for one in self.create_set(asked)]},
            "CreateTags": self.tag,
            "CreateVolume": self.make_volume,
            "DeleteSecurityGroup": self.drop_group,
            "DeleteTags": self.untag,
            "DeleteVolume": self.drop_volume,
            "DeregisterImage": self.deregister,
            "DescribeLaunchTemplateVersions": self.template_versions,
            "DetachNetworkInterface": self.detach_interface,
            "DetachVolume": self.detach,
            "DisableImage": self.disable,
            "EnableVolumeIO": self.enable_io,
            "LockSnapshot": self.lock,
            "ModifyInstanceAttribute": self.modify,
            "RebootInstances": self.reboot,
            "RegisterImage": self.register,
            "RunInstances": self.launched,
            "StartInstances": self.start,
            "StopInstances": self.stop,
            "TerminateInstances": self.terminate,
            "UnlockSnapshot": self.unlock,
        }
        described: Mapping[str, Callable[[Call], Mapping[str, Any]]] = {
            "DescribeInstanceStatus": self.list_statuses,
            "DescribeInstances": self.list_instances,
            "DescribeLaunchTemplates": self.list_templates,
            "DescribeNetworkInterfaces": self.list_interfaces,
            "DescribeSecurityGroups": self.list_groups,
            "DescribeSnapshots": self.list_snapshots,
            "DescribeVolumeStatus": self.list_volume_statuses,
            "DescribeVolumes": self.list_volumes,
        }
        return {**{name: partial(_asked, own) for name, own in plain.items()}, **described}


class _Response(EC2Response):
    """For requests that came over HTTP."""

    def call_action(self) -> Any:
        return serve(self.ec2_backend.home, self) or super().call_action()


class _Urls:
    """What moto looks for in the module moto.ec2.urls."""

    url_bases = urls.url_bases
    url_paths = {"{0}/": _Response.dispatch}  # noqa: RUF012 moto reads it as a module


def _asked(own: Callable[[Mapping[str, Any]], Mapping[str, Any]], call: Call) -> Mapping[str, Any]:
    return own(call.parameters)
