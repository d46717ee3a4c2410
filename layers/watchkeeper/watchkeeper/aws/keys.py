"""Keys that volumes are encrypted with: which of them the functions were not given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mypy_boto3_kms import KMSClient


def find_foreign(kms: KMSClient, keys: Iterable[str], given: Sequence[str]) -> list[str]:
    """Those of the keys that are customers' own and not given to us; AWS's own key for EBS needs no grant of ours.

    Attaching a volume needs kms:CreateGrant on a customer's key by who attaches:
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
    One that may not even be described is not given to us either. Raises ClientError for all else.
    """
    return [one for one in sorted(set(keys) - set(given) - {""}) if not _is_of_aws(kms, one)]


def _is_of_aws(kms: KMSClient, key: str) -> bool:
    try:
        return kms.describe_key(KeyId=key)["KeyMetadata"].get("KeyManager") == "AWS"
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDeniedException", "NotFoundException"):
            raise
        return False
