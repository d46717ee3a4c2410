"""Keys that volumes are encrypted with: which of them the functions were not given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mypy_boto3_kms import KMSClient


def find_foreign(kms: KMSClient, keys: Iterable[str], given: Sequence[str]) -> list[str]:
    """Those of the keys that are customers' own and not given to us; AWS's own key for EBS needs no grant of ours.

    Attaching a volume needs kms:CreateGrant on a customer's key by who attaches:
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
    Raises ClientError where a key may not even be described.
    """
    asked = sorted(set(keys) - set(given) - {""})
    return [one for one in asked if kms.describe_key(KeyId=one)["KeyMetadata"].get("KeyManager") != "AWS"]
