"""Numbers for Prometheus: requests of this service, jobs and workers by the database. No label names a job."""

import os
from collections.abc import Iterator
from pathlib import Path

from flask import Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from service.db import reading
from service.store.jobs import count_by_state
from service.store.workers import list_workers

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SHARED = "PROMETHEUS_MULTIPROC_DIR"  # the library's name for where processes that count together keep their counts


def count_together(directory: Path) -> None:
    """Let what this process makes from now on count with all other processes that were given the directory."""
    os.environ[_SHARED] = str(directory)
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]


class Metrics:
    """The registry of one application."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Records(engine))
        counts: CollectorRegistry | None = self._registry
        if _SHARED in os.environ:
            counts = None  # what is told of them is the sum over all processes
            MultiProcessCollector(self._registry)  # type: ignore[no-untyped-call]
        labels = ("method", "route", "status")
        self._requests = Counter("ganymede_requests", "Requests answered.", labels, registry=counts)
        self._seconds = Histogram(
            "ganymede_request_seconds", "Seconds until the answer.", ("method", "route"), registry=counts
        )

    def observe(self, request: Request, response: Response, seconds: float) -> None:
        """Count an answered request under its route, never under its path."""
        route = request.url_rule.rule if request.url_rule else "unknown"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, route, response.status_code).inc()
        self._seconds.labels(method, route).observe(seconds)

    def exposition(self) -> bytes:
        """Return all numbers in Prometheus' text format; reads the database."""
        return generate_latest(self._registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"})


class _Records(Collector):
    """What the database says at the moment of asking."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield from ()  # so that registering asks no database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with reading(self._engine) as session:
            states = count_by_state(session)
            workers = list_workers(session)
        jobs = GaugeMetricFamily("ganymede_jobs", "Jobs by state.", labels=["state"])
        for state, count in states.items():
            jobs.add_metric([state], count)
        yield jobs
        yield GaugeMetricFamily("ganymede_workers", "Workers that are seen.", len(workers))
        yield GaugeMetricFamily("ganymede_slots", "Jobs the workers can train at once.", sum(w.slots for w in workers))
        yield GaugeMetricFamily("ganymede_slots_busy", "Slots in use.", sum(w.busy for w in workers))
