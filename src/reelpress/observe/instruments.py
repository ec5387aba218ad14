"""The instruments of one process, made from the table of names; what is not in the table is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation

from reelpress.observe.names import BY_NAME, METRICS, OTHER, Metric

_LOG = logging.getLogger("reelpress.observe")
Seen = tuple[float, Mapping[str, str]]  # a figure and its labels
# Says what a gauge shows now: asked at every collection, of which several may go on at once.
Look = Callable[[], Iterable[Seen]]


class Instruments:
    """Counters and histograms that are told, gauges that look for themselves. Threads may share it.

    Methods raise ``KeyError`` for names that are not in the table, ``ValueError`` for labels that are not a metric's.
    """

    def __init__(self, meter: Meter) -> None:
        self._looks: dict[str, list[Look]] = {metric.name: [] for metric in METRICS if metric.kind == "gauge"}
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            if metric.kind == "counter":
                self._counters[metric.name] = meter.create_counter(metric.instrument, metric.unit, metric.help)
            elif metric.kind == "histogram":
                self._histograms[metric.name] = meter.create_histogram(
                    metric.instrument, metric.unit, metric.help, explicit_bucket_boundaries_advisory=metric.buckets
                )
            else:
                meter.create_observable_gauge(metric.instrument, [self._asker(metric)], metric.unit, metric.help)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Count ``amount``, 0 or more; 0 makes the series begin."""
        self._counters[name].add(amount, labels_of(BY_NAME[name], labels))

    def record(self, name: str, value: float, **labels: str) -> None:
        """Note one value of a histogram, in its unit."""
        self._histograms[name].record(value, labels_of(BY_NAME[name], labels))

    def watch(self, name: str, look: Look) -> None:
        """Have a gauge show what ``look`` says; several may speak for one gauge, about different labels."""
        self._looks[name].append(look)

    def _asker(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def ask(_options: CallbackOptions) -> Iterable[Observation]:
            for look in self._looks[metric.name]:
                try:
                    seen = list(look())
                except Exception as error:  # noqa: BLE001 - one figure that cannot be had must not hide the others
                    _LOG.warning("%s cannot be told: %s: %s", metric.name, type(error).__name__, error)
                    continue
                for value, labels in seen:
                    yield Observation(value, labels_of(metric, labels))

        return ask


def labels_of(metric: Metric, given: Mapping[str, str]) -> dict[str, str]:
    """Return labels as they are written, where what the table does not know is ``other``. Raises ``ValueError``."""
    if given.keys() != {label.name for label in metric.labels}:
        raise ValueError(f"{metric.name} has the labels {[label.name for label in metric.labels]}, not {list(given)}")
    return {
        label.name: given[label.name] if not label.values or given[label.name] in label.values else OTHER
        for label in metric.labels
    }
