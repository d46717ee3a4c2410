"""Counts, in the embedded metric format."""

from __future__ import annotations

import json
import time
from typing import Any


def handler(event: dict[str, Any], _context: Any) -> Any:
    time.sleep(event.get("seconds", 0))
    directive = {"Namespace": "RegionApp", "Dimensions": [["service"]], "Metrics": [{"Name": "Counted"}]}
    metrics = {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": metrics, "service": "count_up", "Counted": [1.0]}))
    return event
