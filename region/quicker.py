"""What boto3 and moto work out anew for each request, worked out once: a test suite makes some hundred thousand."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from botocore.retries.quota import RetryQuota
from botocore.retries.standard import RetryQuotaChecker
from botocore.utils import parse_timestamp
from moto import backends
from moto.backend_index import backend_url_patterns
from moto.core import responses, utils
from moto.core.request import Request, environ_key_for_header, normalize_request
from moto.iam import models, policy_validation
from werkzeug.exceptions import HTTPException

from region.protocol import answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.client import BaseClient

    Handler = Callable[[Any, str, Any], tuple[int, Mapping[str, Any], str | bytes]]

# moto lists a class's methods for each request; EC2's has some hundred.
responses.method_names_from_class = cache(utils.method_names_from_class)  # type: ignore[attr-defined]


def _unnamed(headerdict: dict[str, Any] | None = None) -> str:  # noqa: ARG001 called as moto's own
    """moto draws the 52 letters of a request's id one by one for each answer, and nobody reads them."""
    return ""


responses.gen_amzn_requestid_long = _unnamed  # type: ignore[attr-defined]


class _ValidatedOnce(policy_validation.IAMPolicyDocumentValidator):
    """A policy that was found to be right is so in each region that the same template is deployed into."""

    def validate(self) -> None:
        if self._policy_document not in VALID:
            super().validate()
            VALID.add(self._policy_document)


VALID: set[str] = set()
models.IAMPolicyDocumentValidator = _ValidatedOnce  # type: ignore[attr-defined]

parsed_once: Callable[[Any], datetime] = lru_cache(10_000)(parse_timestamp)
"""For botocore's parsers: what is polled shows the same moments again and again."""


def quickened(client: BaseClient) -> BaseClient:
    """The client, which builds the class of a paginator once, and no address by rules for each request.

    S3 alone has addresses that depend on what is asked for.
    """
    mine: Any = client
    mine.get_paginator = cache(client.get_paginator)
    if client.meta.service_model.service_name != "s3":
        mine._ruleset_resolver = None
    return client


def rest(client: BaseClient) -> None:
    """Let the retries of a client count anew, as a new one's do: each takes of a quota, and success gives it back."""
    mine: Any = client
    service = client.meta.service_model.service_id.hyphenize()
    for handler in mine.meta.events._emitter._handlers.prefix_search(f"after-call.{service}"):
        counts = getattr(handler, "__self__", None)
        if isinstance(counts, RetryQuotaChecker):
            counts._quota = RetryQuota()  # type: ignore[attr-defined]


def ask(request: AWSPreparedRequest) -> AWSResponse:
    """moto's answer, as its own stubber finds it."""
    handler = _handler(request.url.partition("?")[0])
    asked = _normalized(request)
    try:
        status, headers, body = handler(asked, request.url, asked.headers)
    except HTTPException as error:
        status, headers, body = error.code or 500, dict(error.get_headers()), error.get_body()
    return answer(body, int(status), headers)


def _normalized(request: AWSPreparedRequest) -> Request:
    """What moto makes of botocore's request, without the detour by werkzeug's builder of requests for tests."""
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    if not isinstance(body, bytes):
        return normalize_request(request)
    url = urlsplit(request.url)
    query = f"?{url.query}" if url.query else ""
    headers = {
        environ_key_for_header(key): value.decode() if isinstance(value, bytes) else value
        for key, value in request.headers.items()
    }
    own = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(url.path, "latin-1"),
        "RAW_URI": f"{url.path}{query}",
        "QUERY_STRING": url.query,
        "SERVER_NAME": url.hostname,
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": url.netloc,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": BytesIO(body),
    }
    return Request(headers | own)


@lru_cache(1000)
def _handler(url: str) -> Handler:
    """Whoever in moto answers an address: the same in each region."""
    for service, pattern in backend_url_patterns:
        if pattern.match(url):
            kind: Any = backends.get_backend(service).backend  # type: ignore[call-overload]
            backend = kind.__new__(kind)  # made, it would draw ids for a region that nobody is in
            for path, handler in backend.urls.items():
                if re.match(path, url):
                    return handler  # type: ignore[no-any-return]
    raise NotImplementedError(f"moto does not answer {url}")
