"""Our routes and a few that show what accounts offer to the apps above; used as a test's ROOT_URLCONF."""

from http import HTTPStatus
from time import sleep
from typing import Any, ClassVar

from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.utils import timezone
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from backend.accounts.authentication import actor_of
from backend.accounts.idempotency import IdempotentCreate
from backend.accounts.models import Workspace
from backend.errors import Conflict
from backend.http.parsers import JSONParser


def whoami(request: HttpRequest) -> JsonResponse:
    actor = actor_of(request)
    assert actor_of(request) is actor
    return JsonResponse(described(actor))


class WhoAmI(APIView):
    def get(self, request: Request) -> Response:
        actor = actor_of(request)
        assert actor_of(request) is actor
        return Response(described(actor))

    def post(self, request: Request) -> Response:
        return self.get(request)


def described(actor: Any) -> dict[str, Any]:
    return {
        "user": str(actor.user_id),
        "workspace": str(actor.workspace_id),
        "role": actor.role,
        "session": str(actor.session_id),
    }


class Teams(IdempotentCreate):
    """Each POST makes one workspace; its name decides how the request ends."""

    parser_classes = (JSONParser, MultiPartParser)
    seconds: ClassVar[float] = 0

    def post(self, request: Request) -> Response:
        data: Any = request.data
        name = str(data.get("name"))
        team = Workspace.objects.create(name=name)
        sleep(self.seconds)
        if name == "raises":
            raise Conflict
        if name == "breaks":
            raise ZeroDivisionError
        if name == "refuses":
            return Response({"code": "conflict"}, status=HTTPStatus.CONFLICT)
        size = sum(len(file.read()) for file in request.FILES.values())
        body = {"z": 1, "id": team.public_id, "at": timezone.now(), "size": size, "name": name}
        return Response(body, status=HTTPStatus.CREATED, headers={"Location": f"/teams/{team.public_id}"})

    def get(self, request: Request) -> Response:
        return Response({"at": timezone.now()})


class TeamSet(IdempotentCreate, GenericViewSet[Workspace]):
    queryset = Workspace.objects.none()

    def create(self, request: Request) -> Response:
        return Response({"id": Workspace.objects.create(name="set").public_id}, status=HTTPStatus.CREATED)


handler400 = "backend.http.errors.bad_request"
handler403 = "backend.http.errors.permission_denied"
handler404 = "backend.http.errors.not_found"
handler500 = "backend.http.errors.server_error"
urlpatterns = [
    path("whoami", whoami),
    path("api/v1/whoami", WhoAmI.as_view()),
    path("api/v1/billing/whoami", WhoAmI.as_view()),
    path("api/v1/teams", Teams.as_view()),
    path("api/v1/other-teams", Teams.as_view()),
    path("api/v1/team-set", TeamSet.as_view({"post": "create"})),
    path("", include("backend.accounts.urls")),
]
