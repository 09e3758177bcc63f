"""The shape of a metric family: its name, its meaning, and where its numbers are in a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from headgate.telemetry.totals import Histogram, Snapshot

Labels = tuple[str, ...]


class Family(msgspec.Struct, frozen=True):
    """One metric family. `read` gives labels and amounts; amounts with equal labels are added up."""

    name: str
    meaning: str
    labels: Labels
    read: Callable[[Snapshot], Iterable[tuple[Labels, float]]]

    @property
    def kind(self) -> str:
        """By the naming convention: what only grows ends in `_total`."""
        return "counter" if self.name.endswith("_total") else "gauge"

    def metric(self, snapshot: Snapshot) -> Metric:
        """The family filled with a snapshot's numbers."""
        amounts: dict[Labels, float] = {}
        for labels, amount in self.read(snapshot):
            amounts[labels] = amounts.get(labels, 0) + amount
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = make(self.name, self.meaning, labels=self.labels)
        for labels, amount in amounts.items():
            family.add_metric(labels, amount)
        return family


class HistogramFamily(msgspec.Struct, frozen=True):
    """One family of histograms. Histograms with equal labels are added up."""

    name: str
    meaning: str
    labels: Labels
    bounds: Sequence[float]
    read: Callable[[Snapshot], Iterable[tuple[Labels, Histogram]]]

    kind = "histogram"

    def metric(self, snapshot: Snapshot) -> Metric:
        """The family filled with a snapshot's numbers; label sets without an observation are left out."""
        sums: dict[Labels, Histogram] = {}
        for labels, histogram in self.read(snapshot):
            sums.setdefault(labels, Histogram.of(self.bounds)).add(histogram)
        family = HistogramMetricFamily(self.name, self.meaning, labels=self.labels)
        bounds = [*(str(bound) for bound in self.bounds), "+Inf"]
        for labels, histogram in sums.items():
            if any(histogram.counts):
                buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
                family.add_metric(labels, buckets, histogram.sum)
        return family


def single(counts: Iterable[tuple[str, float]]) -> Iterator[tuple[Labels, float]]:
    return (((label,), count) for label, count in counts)


def number(name: str, meaning: str, read: Callable[[Snapshot], float]) -> Family:
    """A family of one number, without labels."""
    return Family(name, meaning, (), lambda snapshot: [((), read(snapshot))])
