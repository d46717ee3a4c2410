"""EC2's security groups, where moto differs: they are kept while anything uses them, and readers may be behind.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from region.launches import Launches
from region.protocol import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.ec2.models.security_groups import SecurityGroup

NAMED = re.compile(r"(?!sg-)[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}")


class SecurityGroups(Launches):
    """moto's security groups."""

    def create_security_group(self, name: str, description: str, *args: Any, **kwargs: Any) -> SecurityGroup:
        """A group, through which all may go out and nothing come in."""
        for text in (name, description):
            if not NAMED.fullmatch(text):
                raise Refusal("InvalidParameterValue", f"Invalid security group name or description: '{text}'.")
        made = super().create_security_group(name, description, *args, **kwargs)
        self.born(made.id)
        return made

    def authorize_security_group_egress(self, group_name_or_id: str, *args: Any, **kwargs: Any) -> Any:
        """More may go out."""
        self.remember(group_name_or_id)
        return super().authorize_security_group_egress(group_name_or_id, *args, **kwargs)

    def authorize_security_group_ingress(self, group_name_or_id: str, *args: Any, **kwargs: Any) -> Any:
        """More may come in."""
        self.remember(group_name_or_id)
        return super().authorize_security_group_ingress(group_name_or_id, *args, **kwargs)

    def revoke_security_group_egress(self, group_name_or_id: str, *args: Any, **kwargs: Any) -> None:
        """Less may go out."""
        self.remember(group_name_or_id)
        super().revoke_security_group_egress(group_name_or_id, *args, **kwargs)

    def drop_group(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DeleteSecurityGroup: if no other group names it and no network interface has it, an instance's until that is
        terminated.
        """
        group = self.group(asked["GroupId"])
        if group.is_default:
            raise Refusal(
                "CannotDelete", f"the specified group: '{group.id}' name: 'default' cannot be deleted by a user"
            )
        named = {
            rule.source_group.get("GroupId")
            for other in self.all_groups().values()
            for rule in (*other.ingress_rules, *other.egress_rules)
            if other is not group
        }
        if group.id in named or any(group in nic._group_set for nic in self.enis.values()):
            raise Refusal("DependencyViolation", f"resource {group.id} has a dependent object")
        self.remember(group.id)
        self._delete_security_group(group.vpc_id, group.id)
        self.delete_tags([group.id], dict(self.tags[group.id]))
        return {"GroupId": group.id, "Return": True}
