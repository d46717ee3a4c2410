"""CloudWatch: what functions and services measured, and the alarms that watch it.

An alarm looks when something can have changed: when a period with new data ends, and when it leaves the alarm's
window; a month of idle minutes costs nothing. EC2's status checks, too, are recorded only while they fail: a minute
without a value reads as passed while the instance runs, and as missing while it does not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from moto.cloudwatch import urls
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends

from region import events, notices
from region.bus import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from region.calls import Call
    from region.region import Region

Series = tuple[str, str, frozenset[tuple[str, str]]]
Datum = tuple[float, float]

DEPTH = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
CHECK = ("AWS/EC2", "StatusCheckFailed")
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
STATE = ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history")
ACTIONS = {"ALARM": "alarm_actions", "OK": "ok_actions", "INSUFFICIENT_DATA": "insufficient_data_actions"}


class Watch:
    """The metrics of a region by series, and its alarms, which moto keeps."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.series: dict[Series, list[Datum]] = defaultdict(list)
        self._measured: set[str] = set()
        self._watchers: dict[Series, list[str]] = defaultdict(list)
        self._planned: set[tuple[str, float]] = set()
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
        self._data_of(series, now)

    def _data_of(self, series: Series, moment: float) -> None:
        for name in self._watchers.get(series, ()):
            self._look_at_ends(self._alarms()[name], moment)

    def moved(self, instance_id: str) -> None:
        """An instance changed its state: from now on its status checks have values, or have none."""
        self._data_of((*CHECK, frozenset({("InstanceId", instance_id)})), self.region.clock.now())

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

    def put(self, alarm: Any, before: Any) -> None:
        """Begin to evaluate an alarm. A new one has no data yet, one that was there before keeps its state:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
        """
        if alarm.statistic not in STATISTICS or alarm.comparison_operator not in COMPARISONS or not alarm.metric_name:
            raise ValueError(f"{alarm.name}: only simple statistics of one metric are known here")
        if before:
            self.forget(before)
            for word in STATE:
                setattr(alarm, word, getattr(before, word))
        else:
            alarm.update_state("Unchecked: Initial alarm creation", "{}", "INSUFFICIENT_DATA")
        self._watchers[_series(alarm)].append(alarm.name)
        now = self.region.clock.now()
        self._plan(alarm.name, now + 60)
        self._look_at_ends(alarm, now)

    def forget(self, alarm: Any) -> None:
        """Evaluate an alarm no more."""
        self._watchers[_series(alarm)].remove(alarm.name)

    def describe(self, call: Call) -> Mapping[str, Any]:
        """DescribeAlarms."""
        return notices.page(self._alarms(), call.parameters)

    def _look_at_ends(self, alarm: Any, moment: float) -> None:
        """Look when the period of this moment is over, and when the last window that contains it is."""
        end = moment - moment % alarm.period + alarm.period
        for when in (end, end + alarm.evaluation_periods * alarm.period):
            self._plan(alarm.name, when)

    def _plan(self, name: str, when: float) -> None:
        if (name, when) not in self._planned:
            self._planned.add((name, when))
            self.region.clock.at(when, lambda: self._look(name, when), background=True)

    def _look(self, name: str, when: float) -> None:
        self._planned.discard((name, when))
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
        return [[value for _, value in data[a:b]] or self._unsaid(alarm) for a, b in pairwise(places)]

    def _unsaid(self, alarm: Any) -> Sequence[float]:
        """What a period without a record holds."""
        if (alarm.namespace, alarm.metric_name) != CHECK:
            return []
        return [0.0] * all(self.region.ec2.check_failed(one.value) is not None for one in alarm.dimensions)

    def _breaches(self, alarm: Any, values: Sequence[float]) -> bool | None:
        if not values:
            return None
        return COMPARISONS[alarm.comparison_operator](STATISTICS[alarm.statistic](values), float(alarm.threshold))

    def _change(self, alarm: Any, state: str) -> None:
        before, bus = notices.said(alarm), self.region.bus
        recent = [STATISTICS[alarm.statistic](values) for values in self._window(alarm) if values]
        data = notices.reason(alarm, recent, self.region.clock.moment())
        alarm.update_state(f"Threshold Crossed: now {state}", data, state)
        for action in (getattr(alarm, ACTIONS[state]) or []) if alarm.actions_enabled else ():
            service = action.split(":")[2]
            if service == "sns":
                bus.publish(action, notices.to_topic(alarm, before["value"]), f'{state}: "{alarm.name}"')
            elif service == "lambda":
                told = notices.to_function(bus.envelope(), alarm, before)
                bus.hand_to(action, told, notices.PRINCIPAL, alarm.alarm_arn)
            else:
                raise ValueError(f"{alarm.name}: no alarm action but a topic or a function is known here")
        bus.emit(events.alarm_state, notices.described(alarm), before, notices.said(alarm))


class CloudWatch(CloudWatchBackend):
    """moto's alarms, each evaluated from the moment that it is put."""

    home: ClassVar[Region]

    @property
    def _url_module(self) -> Any:
        return urls

    def put_metric_alarm(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The alarm, new or as it is from now on."""
        before = self.alarms.get(name)
        alarm = super().put_metric_alarm(name, *args, **kwargs)
        self.home.watch.put(alarm, before)
        return alarm

    def delete_alarms(self, alarm_names: list[str]) -> None:
        """Without these alarms. A name that is none is no obstacle:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html
        """
        for name in alarm_names:
            if name in self.alarms:
                self.home.watch.forget(self.alarms.pop(name))


def _series(alarm: Any) -> Series:
    return alarm.namespace, alarm.metric_name, frozenset((d.name, d.value) for d in alarm.dimensions or [])
