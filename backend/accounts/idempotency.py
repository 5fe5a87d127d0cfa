"""``Idempotency-Key``: a request that is sent twice runs once, and both get the first response.

A key belongs to a user in a workspace. The response is stored in the transaction that did the work, so neither is
committed without the other. A refused request stores nothing, and its key may be used again.
"""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.db import connection, transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backend.accounts.actors import Actor
from backend.accounts.authentication import actor_of
from backend.accounts.errors import IdempotencyInProgress, IdempotencyKeyReused
from backend.accounts.models import IdempotencyKey
from backend.errors import FieldError

HEADER = "Idempotency-Key"
MAX_KEY_LENGTH = 255
KEPT_FOR = timedelta(hours=24)
CHUNK = 1024 * 1024

Handler = Callable[..., HttpResponseBase]


class IdempotentCreate(APIView):
    """Mixed into a view before its other bases: POSTs with an ``Idempotency-Key`` run once, in one transaction.

    What the handler enqueues with ``delay_on_commit`` is enqueued when that transaction commits. A view overrides
    ``prepared`` for work that must not happen within a transaction, such as sending bytes to a storage.
    """

    takes_idempotency_key = True  # For the OpenAPI document.

    def prepared(self, request: Request) -> AbstractContextManager[None]:
        """Entered around the handler of each POST, before the transaction begins; left when it has ended."""
        return nullcontext()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "POST":
            handler = cast(Handler, getattr(self, "post", self.http_method_not_allowed))
            run = self._once if HEADER in request.headers else self._run
            # An instance serves one request, and ``dispatch`` looks the handler up after ``initial``.
            self.post = lambda *args, **kwargs: run(handler, *args, **kwargs)

    def _run(self, handler: Handler, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with self.prepared(request):
            return handler(request, *args, **kwargs)

    def _once(self, handler: Handler, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        actor = actor_of(request)
        key = _valid(request.headers[HEADER])
        fingerprint = _fingerprint(request)
        if (stored := _stored(actor, key)) is not None:  # A replay needs no preparation.
            return _replay(stored, fingerprint)
        with self.prepared(request), transaction.atomic():
            _lock(actor, key)
            stored = _stored(actor, key)
            if stored is not None:
                return _replay(stored, fingerprint)
            response = handler(request, *args, **kwargs)
            response = self.finalize_response(request, cast(Response, response), *args, **kwargs)
            if isinstance(response, Response):
                response.render()
            if response.status_code < 400:
                _store(actor, key, fingerprint, response)
            else:
                transaction.set_rollback(True)
        return response


def _valid(key: str) -> str:
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        detail = gettext("An Idempotency-Key has 1 to 255 printable ASCII characters.")
        raise FieldError(f"/{HEADER}", detail)
    return key


def _lock(actor: Actor, key: str) -> None:
    """Lock the key until the transaction ends.

    :raises IdempotencyInProgress: another request holds the lock.
    """
    name = f"idempotency:{actor.workspace_id}:{actor.user_id}:{key}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        if not cursor.fetchone()[0]:
            raise IdempotencyInProgress


def _stored(actor: Actor, key: str) -> IdempotencyKey | None:
    row = IdempotencyKey.objects.filter(workspace_id=actor.workspace_id, user_id=actor.user_id, key=key).first()
    if row is not None and row.created_at < timezone.now() - KEPT_FOR:
        row.delete()
        return None
    return row


def _replay(stored: IdempotencyKey, fingerprint: str) -> HttpResponse:
    if stored.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    response = HttpResponse(bytes(stored.body), status=stored.status, content_type=stored.content_type or None)
    response["Idempotent-Replayed"] = "true"
    if stored.location:
        response["Location"] = stored.location
    return response


def _store(actor: Actor, key: str, fingerprint: str, response: HttpResponseBase) -> None:
    IdempotencyKey.objects.create(
        workspace_id=actor.workspace_id,
        user_id=actor.user_id,
        key=key,
        fingerprint=fingerprint,
        status=response.status_code,
        location=response.headers.get("Location", ""),
        content_type=response.headers.get("Content-Type", ""),
        body=getattr(response, "content", b""),
    )


def _fingerprint(request: Request) -> str:
    """SHA-256 over method, path and body. Of a file only its bytes count, not its name or the multipart boundary."""
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)

    add((request.method or "").encode())
    add(request.get_full_path().encode())
    if request.content_type.startswith(("multipart/", "application/x-www-form-urlencoded")):
        for name, values in sorted(_fields(request)):
            add(name.encode())
            for value in values:
                add(_sha256_of(value) if isinstance(value, UploadedFile) else str(value).encode())
    else:
        add(request._request.body)
    return digest.hexdigest()


def _fields(request: Request) -> Iterable[tuple[str, list[Any]]]:
    data: Any = request.data
    lists: Iterable[tuple[str, list[Any]]] = data.lists()  # Form parsers make a QueryDict.
    return lists


def _sha256_of(file: "UploadedFile[Any]") -> bytes:
    digest = hashlib.sha256()
    for chunk in file.chunks(CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.digest()


def purge() -> int:
    """Delete the responses older than ``KEPT_FOR``; returns how many."""
    deleted, _ = IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    return deleted
