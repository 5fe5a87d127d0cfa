"""The routes of a small site that shows how the edge serves: streams, answers that wait, bodies, bugs."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import connection
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from redis import Redis
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backend.agents.views.events import events_of_started
from backend.db.redis import async_client
from backend.http.concurrency import acquire_slot
from backend.http.sse import event_stream, frame

LARGE = b"".join(b"%07d\n" % number for number in range(800_000))  # More than waits at once for a slow reader.


async def ticks(name: str) -> AsyncIterator[bytes]:
    """A frame every 50 ms for ever; Redis knows how many such streams are open."""
    redis = async_client()
    await redis.incr(f"open:{name}")
    try:
        for number in range(1_000_000):
            yield frame(str(number), "tick", {"number": number})
            await asyncio.sleep(0.05)
    finally:
        await redis.decr(f"open:{name}")


async def flood(name: str) -> AsyncIterator[bytes]:
    """More than any reader takes, as fast as it takes it; Redis knows how many such streams are open."""
    redis = async_client()
    await redis.incr(f"open:{name}")
    try:
        while True:
            yield frame(None, "flood", "x" * 100_000)
    finally:
        await redis.decr(f"open:{name}")


async def events(request: HttpRequest, name: str) -> HttpResponseBase:
    return event_stream(flood(name) if name.startswith("flood") else ticks(name))


def held(request: HttpRequest, name: str) -> HttpResponse:
    """Keeps its thread until the test says ``go:<name>``; Redis knows how many have begun."""
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.incr(f"held:{name}")
        redis.blpop([f"go:{name}"], timeout=30)
    return JsonResponse({"held": name})


def started(request: HttpRequest, name: str) -> HttpResponseBase:
    """The events of a run that no worker claims, as the response of a thread, which acquires a slot for them."""
    slot = acquire_slot("streams", name, limit=50)
    held(request, name)
    actor: Any = None  # It is asked for only at the first heartbeat.
    return events_of_started(actor=actor, run_id=uuid4(), status="queued", slot=slot, headers={})


def bug(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("the secret inside")


@csrf_exempt
def echo(request: HttpRequest) -> HttpResponse:
    files = {name: file.size for name, file in request.FILES.items()}  # type: ignore[union-attr]  # Never a list here.
    length = None if files else len(request.body)
    return JsonResponse(
        {
            "length": length,
            "files": files,
            "forged": request.headers.get("X-Forged"),
            "address": request.META.get("REMOTE_ADDR"),
            "scheme": request.scheme,
            "collects_garbage": gc.isenabled(),
        }
    )


def download(request: HttpRequest) -> HttpResponseBase:
    return FileResponse(open(__file__, "rb"))  # The response closes it.


def large(request: HttpRequest) -> HttpResponseBase:
    return FileResponse(BytesIO(LARGE), content_type="application/octet-stream")


def rows(request: HttpRequest, name: str) -> HttpResponseBase:
    """An export: each block is asked of PostgreSQL; Redis knows how many are open."""
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.incr(f"open:{name}")
    return StreamingHttpResponse(_rows(name), content_type="text/plain")


def _rows(name: str) -> Iterator[bytes]:
    try:
        for _ in range(30):
            yield query("SELECT repeat('x', 300000)").encode()
    finally:
        with Redis.from_url(settings.REDIS_URL) as redis:
            redis.decr(f"open:{name}")


def whole(request: HttpRequest) -> HttpResponse:
    """A large answer that is no stream."""
    return HttpResponse(LARGE, content_type="text/plain")


def queried(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"one": query("SELECT 1")})


def query(statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


class Parse(APIView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def post(self, request: Request) -> Response:
        return Response({"data": request.data})


class Private(APIView):
    def post(self, request: Request) -> Response:
        return Response({"length": len(request.body)})


urlpatterns = [
    path("api/v1/private", Private.as_view()),
    path("api/v1/rows/<name>", rows),
    path("api/v1/queried", queried),
    path("api/v1/whole", whole),
    path("api/v1/runs/<name>/events", events),
    path("api/v1/held/<name>", held),
    path("api/v1/started/<name>", started),
    path("api/v1/bug", bug),
    path("api/v1/echo", echo),
    path("api/v1/download", download),
    path("api/v1/large", large),
    path("api/v1/parse", Parse.as_view()),
    path("", include("backend.http.urls")),
]
handler400 = "backend.http.errors.bad_request"
handler403 = "backend.http.errors.permission_denied"
handler404 = "backend.http.errors.not_found"
handler500 = "backend.http.errors.server_error"
