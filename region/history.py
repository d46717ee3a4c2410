"""What EC2's resources were, for readers that lag."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar

from moto.ec2.models import EC2Backend

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from region.region import Region


class History(EC2Backend):
    """moto's EC2, which remembers what was shown of a resource whenever that changes."""

    home: ClassVar[Region]

    def __init__(self, region_name: str, account_id: str) -> None:
        self.former_tags: dict[str, list[tuple[float, Mapping[str, str]]]] = defaultdict(list)
        self.former: dict[str, list[tuple[float, Mapping[str, Any] | None]]] = defaultdict(list)
        super().__init__(region_name, account_id)

    def show(self, resource_id: str) -> Mapping[str, Any] | None:
        """What is to see of a resource now, but for its tags; None if it does not exist."""
        raise NotImplementedError

    def remember(self, *resource_ids: str) -> None:
        """Keep what is shown of these now: it is about to change."""
        now = self.home.clock.now()
        for resource_id in resource_ids:
            self.former[resource_id].append((now, self.show(resource_id)))

    def born(self, *resource_ids: str) -> None:
        """These did not exist until now."""
        now = self.home.clock.now()
        for resource_id in resource_ids:
            self.former[resource_id].append((now, None))

    def seen(self, resource_id: str, lag: float) -> Mapping[str, Any] | None:
        """What a reader sees who is so many seconds behind."""
        if lag:
            horizon = self.home.clock.now() - lag
            for changed, before in self.former.get(resource_id, ()):
                if changed > horizon:
                    return before
        return self.show(resource_id)

    def ids(self, prefix: str, present: Iterable[str], lag: float) -> Iterable[str]:
        """The ids of those that there are, and for a reader who lags of those that there were."""
        return {*present, *(one for one in self.former if one.startswith(prefix))} if lag else present

    def create_tags(self, resource_ids: list[str], tags: dict[str, str]) -> bool:
        """Tags as moto keeps them, with what they were."""
        self._remember_tags(resource_ids)
        return super().create_tags(resource_ids, tags)

    def delete_tags(self, resource_ids: list[str], tags: dict[str, str]) -> bool:
        """Without these tags."""
        self._remember_tags(resource_ids)
        return super().delete_tags(resource_ids, tags)

    def _remember_tags(self, resource_ids: list[str]) -> None:
        now = self.home.clock.now()
        for resource_id in resource_ids:
            self.former_tags[resource_id].append((now, dict(self.tags.get(resource_id, {}))))

    def tags_of(self, resource_id: str, lag: float = 0) -> Mapping[str, str]:
        """A resource's tags as a reader sees them who is so many seconds behind."""
        if lag:
            horizon = self.home.clock.now() - lag
            for changed, before in self.former_tags[resource_id]:
                if changed > horizon:
                    return before
        return self.tags.get(resource_id, {})
