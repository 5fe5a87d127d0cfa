"""Health checks and metrics, served by every process for launchers, gateways and Prometheus."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST

from backend.errors import Forbidden
from backend.http.methods import read_only
from backend.http.problems import problem_response
from backend.server import health
from backend.server import metrics as measured

FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP", "HTTP_VIA")


@read_only
async def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process can respond."""
    return JsonResponse({"status": "ok"})


@read_only
async def readyz(request: HttpRequest) -> HttpResponse:
    """200 when every dependency answers within two seconds, else 503; lists the state of each."""
    states = await health.check_dependencies()
    if all(state == "ok" for state in states.values()):
        return JsonResponse({"status": "ok", "checks": states})
    return problem_response(request, status=503, code="service_unavailable", checks=states)


class MetricsForbidden(Forbidden):
    """Metrics are served to this machine alone, or to the holder of METRICS_TOKEN."""


def _may_read(request: HttpRequest) -> bool:
    """Whether the caller holds METRICS_TOKEN or, if none is set, connects directly from a trusted network.

    For a process that serves all services, whose port clients can reach, that is this machine; for one that serves some
    of them, whose port only the gateway and Prometheus can reach, any private network. A request that a proxy forwarded
    may come from anywhere, so it is refused.
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

    :raises MetricsForbidden: see ``_may_read``.
    """
    if not _may_read(request):
        raise MetricsForbidden
    return HttpResponse(measured.as_text(), content_type=CONTENT_TYPE_LATEST)
