"""EC2's launch templates and their versions, where moto differs.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from region.instances import Instances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.ec2.models.launch_templates import LaunchTemplateVersion


class LaunchTemplates(Instances):
    """moto's launch templates, as they are described and made."""

    def template_version(self, named: Mapping[str, Any] | None) -> LaunchTemplateVersion | None:
        """The version that a request names, or the default."""
        if not named:
            return None
        by_id = named.get("LaunchTemplateId")
        found = (
            self.get_launch_template(by_id) if by_id else self.get_launch_template_by_name(named["LaunchTemplateName"])
        )
        return found.get_version(named.get("Version") or "$Default")

    def template_versions(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """DescribeLaunchTemplateVersions, in pages; without a template, of all templates those that are named."""
        found = self.describe_launch_template_versions(
            asked.get("LaunchTemplateName", ""),
            asked.get("LaunchTemplateId", ""),
            asked.get("Versions", []),
            int(asked.get("MinVersion") or 0),
            int(asked.get("MaxVersion") or 0),
            1_000_000,
        )
        first, size = int(asked.get("NextToken") or 0), int(asked.get("MaxResults") or 200)
        more = len(found) > first + size
        page = [_shown(version) for _, version in found[first : first + size]]
        return {"LaunchTemplateVersions": page, "NextToken": str(first + size) if more else None}

    def add_version(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """CreateLaunchTemplateVersion: of a source, if one is named, all that the request does not say otherwise; moto
        leaves that out. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html
        """
        by_id = asked.get("LaunchTemplateId")
        template = (
            self.get_launch_template(by_id) if by_id else self.get_launch_template_by_name(asked["LaunchTemplateName"])
        )
        source = template.get_version(asked["SourceVersion"]).data if "SourceVersion" in asked else {}
        made = template.create_version({**source, **asked["LaunchTemplateData"]}, asked.get("VersionDescription", ""))
        return {"LaunchTemplateVersion": _shown(made)}

    def show_template(self, template_id: str) -> Mapping[str, Any] | None:
        """As DescribeLaunchTemplates answers it; None if it does not exist."""
        if template_id not in self.launch_templates:
            return None
        one = self.launch_templates[template_id]
        return {
            "LaunchTemplateId": one.id,
            "LaunchTemplateName": one.name,
            "CreateTime": one.create_time,
            "CreatedBy": f"arn:aws:iam::{self.account_id}:root",
            "DefaultVersionNumber": one.default_version_number,
            "LatestVersionNumber": one.latest_version_number,
        }


def _shown(version: LaunchTemplateVersion) -> Mapping[str, Any]:
    # moto puts the template's own tags among those that it gives to instances.
    tags = [one for one in version.data.get("TagSpecifications", []) if one["ResourceType"] != "launch-template"]
    return {
        "LaunchTemplateId": version.template.id,
        "LaunchTemplateName": version.template.name,
        "VersionNumber": version.number,
        "VersionDescription": version.description,
        "CreateTime": version.create_time,
        "DefaultVersion": version.template.is_default(version),
        "LaunchTemplateData": {**version.data, "TagSpecifications": tags or None},
    }
