"""KMS, where moto has no key of AWS's own: the one with which EBS encrypts what names no other."""

from __future__ import annotations

from typing import Any

from moto.kms import urls
from moto.kms.models import Key, KmsBackend

EBS_KEY = "aws-ebs"


class Keys(KmsBackend):
    """The keys of one region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        # moto makes a real key for each, and of an elliptic curve that takes a millisecond, of RSA a hundred.
        own = Key(None, "ENCRYPT_DECRYPT", "ECC_NIST_P256", "Protects EBS volumes", account_id, region_name)  # type: ignore[abstract]  # it is not, for Python
        own.key_spec = "SYMMETRIC_DEFAULT"
        own.key_manager = "AWS"
        own.arn = own.arn.replace(own.id, EBS_KEY)
        own.id = EBS_KEY
        self.keys[EBS_KEY] = own

    @property
    def _url_module(self) -> Any:
        return urls
