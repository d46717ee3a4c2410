"""CloudWatch: what functions and services measured, and the alarms that watch it.

An alarm looks when something can have changed: when a period with new data ends, and when it leaves the alarm's
window; a month of idle minutes costs nothing.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import cloudwatch_backends

from region import events
from region.bus import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from region.region import Region

Series = tuple[str, str, frozenset[tuple[str, str]]]
Datum = tuple[float, float]

DEPTH = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "Average": lambda values: sum(values) / len(values),
}
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
ACTIONS = {"ALARM": "alarm_actions", "OK": "ok_actions", "INSUFFICIENT_DATA": "insufficient_data_actions"}


class Watch:
    """The metrics of a region by series, and its alarms, which moto keeps."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.series: dict[Series, list[Datum]] = defaultdict(list)
        self._measured: set[str] = set()
        self._name = region.wire.session.region_name

    @property
    def metrics(self) -> Mapping[str, Sequence[float]]:
        """Every value of each metric of the functions' own namespaces, oldest first, whatever its dimensions."""
        values: dict[str, list[Datum]] = defaultdict(list)
        for (namespace, name, _), data in self.series.items():
            if not namespace.startswith("AWS/"):
                values[name] += data
        return {name: [value for _, value in sorted(data)] for name, data in values.items()}

    @property
    def alarms(self) -> Mapping[str, str]:
        """The state of each alarm, by the logical id that the template gives it."""
        return {self.region.stacks.logical(name): alarm.state_value for name, alarm in self._alarms().items()}

    def _alarms(self) -> Mapping[str, Any]:
        alarms: Mapping[str, Any] = cloudwatch_backends[ACCOUNT][self._name].alarms
        return alarms

    def take(self, entry: Mapping[str, Any]) -> None:
        """Metrics from a log line in the embedded metric format:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
        """
        for directive in entry["_aws"]["CloudWatchMetrics"]:
            for keys in directive["Dimensions"]:
                dimensions = {key: str(entry[key]) for key in keys}
                for metric in directive["Metrics"]:
                    values = entry[metric["Name"]]
                    for value in values if isinstance(values, list) else [values]:
                        self.record(directive["Namespace"], metric["Name"], dimensions, value)

    def record(self, namespace: str, name: str, dimensions: Mapping[str, str], value: float) -> None:
        """One value, measured now."""
        now = self.region.clock.now()
        series: Series = (namespace, name, frozenset(dimensions.items()))
        data = self.series[series]
        data.append((now, float(value)))
        if len(data) > 1 and data[-2][0] > now:  # threads of a handler may be ahead of it
            data.sort()
        for alarm in self._alarms().values():
            if _series(alarm) == series:
                self._look_at_ends(alarm, now)

    def measure(self, queue: str) -> None:
        """Measure a queue's depth now and every minute until it is empty, as SQS does for an active queue."""
        if queue not in self._measured:
            self._measured.add(queue)
            self._measure(queue)

    def _measure(self, queue: str) -> None:
        depth = self.region.bus.depth(queue)
        self.record(*DEPTH, {"QueueName": queue}, depth)
        if depth:
            self.region.clock.after(60, lambda: self._measure(queue), background=True)
        else:
            self._measured.discard(queue)

    def watch(self, name: str) -> None:
        """Begin to evaluate an alarm, which has no data yet, and which no statistic but these may have."""
        alarm = self._alarms()[name]
        if alarm.statistic not in STATISTICS or alarm.comparison_operator not in COMPARISONS or not alarm.metric_name:
            raise ValueError(f"{name}: only simple statistics of one metric are known here")
        alarm.update_state("Unchecked: Initial alarm creation", "{}", "INSUFFICIENT_DATA")
        self.region.clock.after(60, lambda: self._look(name), background=True)
        self._look_at_ends(alarm, self.region.clock.now())

    def _look_at_ends(self, alarm: Any, moment: float) -> None:
        """Look when the period of this moment is over, and when the last window that contains it is."""
        end = moment - moment % alarm.period + alarm.period
        for when in (end, end + alarm.evaluation_periods * alarm.period):
            self.region.clock.at(when, lambda: self._look(alarm.name), background=True)

    def _look(self, name: str) -> None:
        alarm = self._alarms().get(name)
        if alarm is None:
            return
        state = self._state(alarm)
        if state != alarm.state_value:
            self._change(alarm, state)

    def _state(self, alarm: Any) -> str:
        """M of N: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html"""
        missing = alarm.treat_missing_data or "missing"
        found = [self._breaches(alarm, values) for values in self._window(alarm)]
        if all(breach is None for breach in found) and missing in ("missing", "ignore"):
            return alarm.state_value if missing == "ignore" else "INSUFFICIENT_DATA"
        breaching = sum(missing == "breaching" if breach is None else breach for breach in found)
        return "ALARM" if breaching >= (alarm.datapoints_to_alarm or alarm.evaluation_periods) else "OK"

    def _window(self, alarm: Any) -> list[Sequence[float]]:
        data = self.series.get(_series(alarm), [])
        now = self.region.clock.now()
        last = now - now % alarm.period
        edges = [last - periods * alarm.period for periods in range(int(alarm.evaluation_periods), -1, -1)]
        places = [bisect_left(data, (edge, float("-inf"))) for edge in edges]
        return [[value for _, value in data[a:b]] for a, b in pairwise(places)]

    def _breaches(self, alarm: Any, values: Sequence[float]) -> bool | None:
        if not values:
            return None
        return COMPARISONS[alarm.comparison_operator](STATISTICS[alarm.statistic](values), float(alarm.threshold))

    def _change(self, alarm: Any, state: str) -> None:
        before = _said(alarm)
        alarm.update_state(f"Threshold Crossed: now {state}", json.dumps({"threshold": alarm.threshold}), state)
        for action in (getattr(alarm, ACTIONS[state]) or []) if alarm.actions_enabled else ():
            if action.split(":")[2] != "sns":
                raise ValueError(f"{alarm.name}: no alarm action but a topic is known here")
            self.region.bus.publish(action, _notice(alarm, before["value"]), f'{state}: "{alarm.name}"')
        self.region.bus.emit(events.alarm_state, _described(alarm), before, _said(alarm))


def _notice(alarm: Any, before: str) -> str:
    """What SNS is told: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html"""
    facts = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "OldStateValue": before,
        "AlarmArn": alarm.alarm_arn,
    }
    return json.dumps(facts)


def _series(alarm: Any) -> Series:
    return alarm.namespace, alarm.metric_name, frozenset((d.name, d.value) for d in alarm.dimensions or [])


def _said(alarm: Any) -> dict[str, str]:
    updated = alarm.state_updated_timestamp
    moment = updated if isinstance(updated, datetime) else datetime.now(UTC)
    return {
        "value": alarm.state_value,
        "reason": alarm.state_reason,
        "reasonData": alarm.state_reason_data,
        "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
    }


def _described(alarm: Any) -> dict[str, Any]:
    return {
        "AlarmName": alarm.name,
        "AlarmArn": alarm.alarm_arn,
        "AlarmDescription": alarm.description or "",
        "Namespace": alarm.namespace,
        "MetricName": alarm.metric_name,
        "Dimensions": [{"Name": d.name, "Value": d.value} for d in alarm.dimensions or []],
        "Period": alarm.period,
        "Statistic": alarm.statistic,
    }
