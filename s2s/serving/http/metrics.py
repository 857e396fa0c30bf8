"""Figures of the server in Prometheus' format."""

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from s2s.serving.status import ServerStatus

SERVER = {  # field of a status: type and description
    "memory_budget": (GaugeMetricFamily, "bytes that models may take together"),
    "memory_used": (GaugeMetricFamily, "bytes that models take"),
    "connections": (GaugeMetricFamily, "clients that are connected"),
    "loads": (CounterMetricFamily, "models loaded"),
    "evictions": (CounterMetricFamily, "models unloaded to make room"),
    "refused": (CounterMetricFamily, "requests refused because there were too many"),
}
MODEL = {  # field of a resident model: type and description
    "bytes": (GaugeMetricFamily, "bytes that the model takes"),
    "running": (GaugeMetricFamily, "sentences that are being computed"),
    "queued": (GaugeMetricFamily, "sentences that wait"),
    "requests": (CounterMetricFamily, "requests since the model was loaded"),
    "sentences": (CounterMetricFamily, "sentences since the model was loaded"),
    "tokens": (CounterMetricFamily, "output tokens since the model was loaded"),
    "busy_seconds": (CounterMetricFamily, "seconds of computing since the model was loaded"),
    "load_seconds": (GaugeMetricFamily, "seconds that loading took"),
}


class Metrics:
    """Counts and times HTTP requests."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("s2s_http_requests", "HTTP requests", ("path", "status"), registry=self._registry)
        self._seconds = Histogram(
            "s2s_http_seconds", "seconds until a request was answered", ("path",), registry=self._registry
        )

    def add(self, path: str, status: int, seconds: float) -> None:
        """Count a request to one of the interface's paths."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self, status: ServerStatus) -> bytes:
        """Return all figures as text."""
        server = CollectorRegistry()
        server.register(_StatusCollector(status))
        return generate_latest(self._registry) + generate_latest(server)


class _StatusCollector(Collector):
    """Presents a status of the server as metrics."""

    def __init__(self, status: ServerStatus) -> None:
        self.status = status

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the server, then those of its models; of one that is loaded several times, the sums."""
        for name, (kind, description) in SERVER.items():
            yield kind(f"s2s_{name}", description, value=getattr(self.status, name))
        for name, (kind, description) in MODEL.items():
            metric = kind(f"s2s_model_{name}", description, labels=("model", "engine"))
            sums: defaultdict[tuple[str, str], float] = defaultdict(float)
            for model in self.status.models:
                sums[model.reference, model.engine] += getattr(model, name)
            for labels, value in sums.items():
                metric.add_metric(labels, value)
            yield metric
