"""Prometheus metrics: the requests of this process, and metrics that the apps register.

Counters and histograms of prometheus_client are summed over all web processes if PROMETHEUS_MULTIPROC_DIR is set
(``gunicorn.py`` sets it). Values that are read at scrape time, such as the length of a queue, are collectors
registered in ``at_scrape``.
"""

import os
import time
from collections.abc import Awaitable
from typing import cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from backend.server.request_id import GetResponse

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

at_scrape = CollectorRegistry(auto_describe=True)

requests_total = Counter("http_requests_total", "Requests answered.", ["method", "route", "status"])
request_seconds = Histogram(
    "http_request_duration_seconds",
    "Time until the answer began.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def route_of(request: HttpRequest) -> str:
    """The pattern that matched, never the raw path: each id and each mistyped path would create a new series."""
    match = getattr(request, "resolver_match", None)
    return "/" + match.route.lstrip("^/") if match else "unmatched"


def _observe(request: HttpRequest, response: HttpResponseBase, started: float) -> None:
    if request.path_info in QUIET:
        return
    method = request.method if request.method in METHODS else "OTHER"
    route = route_of(request)
    requests_total.labels(method, route, str(response.status_code)).inc()
    request_seconds.labels(method, route).observe(time.perf_counter() - started)


@sync_and_async_middleware
def metrics_middleware(get_response: GetResponse) -> GetResponse:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            started = time.perf_counter()
            response = await cast(Awaitable[HttpResponseBase], get_response(request))
            _observe(request, response, started)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response = cast(HttpResponseBase, get_response(request))
        _observe(request, response, started)
        return response

    return synchronous


def as_text() -> bytes:
    """Every metric, in Prometheus's text format."""
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # Untyped upstream.
    return generate_latest(registry) + generate_latest(at_scrape)
