"""What Prometheus reads at /metrics: our requests, and whatever the apps register.

Counters and histograms made with prometheus_client anywhere are summed over the web processes when
PROMETHEUS_MULTIPROC_DIR is set (gunicorn_conf.py sets it). What is looked up when asked, such as the length of a
queue, is a collector registered in ``at_scrape``.
"""

import ipaddress
import os
import time
from collections.abc import Awaitable
from typing import cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare
from django.utils.decorators import sync_and_async_middleware
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from backend.errors import Forbidden
from backend.http.methods import read_only
from backend.http.request_id import type_of_view

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP", "HTTP_VIA")

at_scrape = CollectorRegistry(auto_describe=True)

requests_total = Counter("http_requests_total", "Requests answered.", ["method", "route", "status"])
request_seconds = Histogram(
    "http_request_duration_seconds",
    "Time until the answer began.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def route_of(request: HttpRequest) -> str:
    """The pattern that matched, never the raw path: ids and nonsense must not make a new series each."""
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
def metrics_middleware(get_response: type_of_view) -> type_of_view:
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


class NotForYou(Forbidden):
    """Metrics are served to this machine alone, or to the holder of METRICS_TOKEN."""


def _may_read(request: HttpRequest) -> bool:
    """The holder of METRICS_TOKEN; without one, a peer that is near and asked directly.

    Near is this machine for a process that carries the whole product, whose port clients reach, and any private network
    for one that carries a part of it, whose port the gateway and Prometheus reach. What a proxy passed on comes from
    anywhere.
    """
    if token := settings.METRICS_TOKEN:
        given = request.META.get("HTTP_AUTHORIZATION", "")
        return constant_time_compare(given.encode("utf-8", "replace"), f"Bearer {token}".encode())
    if any(name in request.META for name in FORWARDED):
        return False
    try:
        peer = ipaddress.ip_address(request.META.get("REMOTE_ADDR") or "")
    except ValueError:
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return peer.is_loopback or (peer.is_private and set(settings.SERVICES) != set(settings.EVERY_SERVICE))


@read_only
def metrics(request: HttpRequest) -> HttpResponse:
    """Every metric, in Prometheus's text format.

    :raises NotForYou: see ``_may_read``.
    """
    if not _may_read(request):
        raise NotForYou
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # Untyped upstream.
    text = generate_latest(registry) + generate_latest(at_scrape)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)
