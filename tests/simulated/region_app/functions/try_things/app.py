"""Does what the event says: a function on which the region is tried."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import boto3
import region_app_layer  # noqa: F401 here to show that a function needs the layer


def handler(event: dict[str, Any], context: Any) -> Any:
    match event.get("do"):
        case "sleep":
            time.sleep(event["seconds"])
        case "fail":
            raise ValueError("it went wrong")
        case "recurse":
            again = {**event, "depth": event["depth"] + 1}
            boto3.client("lambda").invoke(
                FunctionName=context.function_name, InvocationType="Event", Payload=json.dumps(again)
            )
        case "tag":
            boto3.client("ec2").create_tags(Resources=[event["volume"]], Tags=[{"Key": "seen", "Value": "yes"}])
        case "delete":
            boto3.client("ec2").delete_snapshot(SnapshotId="snap-12345678")
        case "environment":
            return dict(os.environ)
        case "context":
            time.sleep(event["seconds"])
            return [context.aws_request_id, context.memory_limit_in_mb, context.get_remaining_time_in_millis()]
    print(json.dumps({"message": "done", "event": event}))
    return event
