"""POSTs that start a run and respond with its events: one request for a question and its answer."""

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backend.accounts.authentication import actor_of
from backend.agents import queries
from backend.agents.models import Run
from backend.agents.views.events import events_of_started
from backend.http.concurrency import acquire_slot
from backend.http.ids import decode
from backend.http.negotiation import preference
from backend.http.sse import CONTENT_TYPE
from backend.server.scope import CONTINUES

RUN_HEADER = "Orquestra-Run"
PASSED_ON = ("Location", "Idempotent-Replayed")

Handler = Callable[..., HttpResponseBase]


class StreamedRuns(APIView):
    """Mixed into a view before ``IdempotentCreate``: a client that prefers ``text/event-stream`` gets the run's events.

    1. Acquire one of the user's slots for streams: a request that gets none starts no run.
    2. Call the handler. It commits the run, or an ``Idempotency-Key`` names one that an earlier request started. Its
       refusals are those of a request without a stream.
    3. Respond 200 with the headers. From then on the event loop sends the events. A client that leaves does not stop
       the run, and comes back with ``GET /api/v1/runs/{id}/events`` and ``Last-Event-ID``.

    :cvar starting: the actions that start a run; the answer of each shows the run, or has it as its member ``run``.
    """

    starting: ClassVar[tuple[str, ...]] = ("create",)
    action: str

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Every response of these actions depends on ``Accept``: a cache must not mix them up."""
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        if request.method == "POST" and self.action in self.starting:
            patch_vary_headers(response, ["Accept"])
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "POST" and self.action in self.starting and _prefers_stream(request):
            start: Handler = getattr(self, "post")  # noqa: B009  # IdempotentCreate's, for this one request.
            self.post = lambda *args, **kwargs: self._streamed(start, *args, **kwargs)

    def _streamed(self, start: Handler, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        actor = actor_of(request)
        actor.require("agents:read")
        slot = acquire_slot("streams", str(actor.user_id), limit=settings.STREAMS_PER_USER)
        try:
            response = start(request, *args, **kwargs)
            run = _run_shown(response)
            if run is None:  # A conversation that begins without a question.
                slot.release()
                return response
            run_id, status = decode(Run.id_prefix, run["id"]), str(run["status"])
            if "Idempotent-Replayed" in response.headers:
                status = queries.run_status(actor, run_id)
            headers = {name: response.headers[name] for name in PASSED_ON if name in response.headers}
            headers[RUN_HEADER] = run["id"]
            return events_of_started(actor=actor, run_id=run_id, status=status, slot=slot, headers=headers)
        except BaseException:
            slot.release()
            raise


def _prefers_stream(request: Request) -> bool:
    """By ``Accept``; JSON where it accepts both alike, or where the server cannot go on in a loop."""
    http = request._request
    return CONTINUES in request.META and preference(http, CONTENT_TYPE) > preference(http, "application/json")


def _run_shown(response: Any) -> Mapping[str, Any] | None:
    """The run in the handler's response, or in the stored one that it replays."""
    body = response.data if isinstance(response, Response) else json.loads(response.content)
    shown: Mapping[str, Any] | None = body if "conversation" in body else body.get("run")
    return shown
