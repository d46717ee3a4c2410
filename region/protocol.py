"""Answers and errors of AWS as its services send them: XML for EC2, Route 53 and Query services, JSON for others."""

from __future__ import annotations

import json
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSResponse
from moto.core.exceptions import ServiceException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import OperationModel


class Refusal(ServiceException):
    """An error of AWS, by its code; `status` is that of HTTP."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.status = status


class _Raw(BytesIO):
    """A body as urllib3 would hand it out."""

    def stream(self, **_: Any) -> Any:
        """The whole body in one piece."""
        yield self.read()


def answer(body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None) -> AWSResponse:
    """An HTTP answer, for operations that the region answers itself."""
    content = body.encode() if isinstance(body, str) else body
    return AWSResponse("https://aws", status, dict(headers or {}), _Raw(content))  # type: ignore[arg-type]


def write(operation: OperationModel, result: Mapping[str, Any]) -> AWSResponse:
    """An operation's result, as EC2, Route 53 and Query services (XML) or a JSON service sends it."""
    if operation.service_model.resolved_protocol not in ("ec2", "query", "rest-xml"):
        return answer(json.dumps(result, default=datetime.timestamp))
    shape = operation.output_shape
    body = _xml(shape, result) if shape else ""
    if wrapper := shape and shape.serialization.get("resultWrapper"):
        body = f"<{wrapper}>{body}</{wrapper}>"
    return answer(f"<{operation.name}Response>{body}</{operation.name}Response>")


def refuse(operation: OperationModel, code: str, message: str, status: int = 400) -> AWSResponse:
    """An error as the service sends it, whatever its protocol."""
    protocol = operation.service_model.resolved_protocol
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    if protocol == "ec2":
        return answer(f"<Response><Errors>{error}</Errors></Response>", status)
    if protocol in ("query", "rest-xml"):
        return answer(f"<ErrorResponse>{error}</ErrorResponse>", status)
    return answer(json.dumps({"__type": code, "message": message}), status, {"x-amzn-ErrorType": code})


def _xml(shape: Any, value: Any) -> str:
    if shape.type_name == "structure":
        members = shape.members
        return "".join(
            f"<{name}>{_xml(members[key], inner)}</{name}>"
            for key, inner in value.items()
            if inner is not None
            for name in (members[key].serialization.get("name", key),)
        )
    if shape.type_name == "list":
        name = shape.member.serialization.get("name", "member")
        return "".join(f"<{name}>{_xml(shape.member, item)}</{name}>" for item in value)
    if shape.type_name == "timestamp":
        return str(value.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z")
    return str(value).lower() if shape.type_name == "boolean" else escape(str(value))
