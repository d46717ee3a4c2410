"""What boto3 and moto work out anew for each request, worked out once: a test suite makes some hundred thousand."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from botocore.utils import parse_timestamp
from moto import backends
from moto.backend_index import backend_url_patterns
from moto.core import responses, utils
from moto.core.request import normalize_request
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


def ask(request: AWSPreparedRequest) -> AWSResponse:
    """moto's answer, as its own stubber finds it."""
    handler = _handler(request.url.partition("?")[0])
    asked = normalize_request(request)
    try:
        status, headers, body = handler(asked, asked.raw_url, asked.headers)
    except HTTPException as error:
        status, headers, body = error.code or 500, dict(error.get_headers()), error.get_body()
    return answer(body, int(status), headers)


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
