"""Permissions of the views of documents."""

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from backend.accounts.actors import Actor
from backend.accounts.authentication import actor_of

READING = ("GET", "HEAD", "OPTIONS")


class DocumentsView(APIView):
    """Every role may read. A writing request without permission is refused before its body is read or any object
    fetched.
    """

    actor: Actor
    reads_by_post = False  # Whether its POST requests change nothing.

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.perform_authentication(request)
        self.actor = actor_of(request)
        reads = request.method in READING or self.reads_by_post
        self.actor.require("documents:read" if reads else "documents:write")
        super().initial(request, *args, **kwargs)
