"""What is in a document: its bytes, its text, its passages, pictures of its pages."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from backend.documents import filetypes, rendering, storage, texts
from backend.documents.models import Chunk, Document
from backend.documents.serializers import ChunkSerializer, TextSerializer
from backend.documents.views.access import DocumentsView
from backend.errors import FieldError, NotFound
from backend.http.concurrency import hold_slot_while_sent
from backend.http.ids import decode
from backend.http.pagination import NUMBERS, CursorPagination
from backend.http.views import PublicIdLookup, boolean_parameter

BLOCK = 256 * 1024
NUMBER = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
CONDITIONS = ("Range", "If-Range", "If-None-Match")  # RFC 9110.
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# Files are untrusted: in a browser they run no scripts and load nothing.
SEALED = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
SHOWN_INLINE = {filetypes.PDF, filetypes.PLAIN, filetypes.MARKDOWN}


class OfDocument(DocumentsView, PublicIdLookup, GenericAPIView[Any]):
    """A view of one document that the actor may see."""

    id_prefix = Document.id_prefix

    def document(self) -> Document:
        """:raises NotFound: it does not exist, or the actor may not see it."""
        found = (
            Document.objects.visible_to(self.actor)
            .select_related("blob", "latest_ingestion", "active_ingestion")
            .filter(pk=self.object_id())
            .first()
        )
        if found is None:
            raise NotFound
        return found


class ContentView(OfDocument):
    @extend_schema(
        parameters=[
            OpenApiParameter("download", OpenApiTypes.BOOL, description="To save it instead of showing it."),
            *(OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.HEADER) for name in CONDITIONS),
        ],
        responses={
            (200, "*/*"): OpenApiResponse(
                OpenApiTypes.BINARY, description="The bytes, of the document's content type."
            ),
            (206, "*/*"): OpenApiResponse(OpenApiTypes.BINARY, description="The part that `Range` asks for."),
            302: OpenApiResponse(description="A signed address that has the bytes."),
            304: OpenApiResponse(description="`If-None-Match` names these bytes."),
        },
        operation_id="documents_content",
    )
    def get(self, request: Request, pk: str) -> HttpResponseBase:
        """The file as it was uploaded: a redirect to a signed address, or the bytes, also in part (`Range`)."""
        document = self.document()
        kind = document.blob.content_type
        attachment = boolean_parameter(request, "download", default=False) or kind not in SHOWN_INLINE
        if kind in (filetypes.PLAIN, filetypes.MARKDOWN):
            kind = f"{filetypes.PLAIN}; charset=utf-8"
        key = document.blob.key
        url = storage.signed_url(key, content_type=kind, name=document.name, attachment=attachment)
        if url is not None:
            return HttpResponseRedirect(url, headers={"Cache-Control": "no-store"})
        disposition = content_disposition_header(attachment, document.name) or "inline"
        headers = {**SEALED, "Content-Disposition": disposition, "ETag": f'"{document.blob.sha256}"'}
        head = HttpResponse(headers=headers)
        conditional = get_conditional_response(request._request, etag=headers["ETag"], response=head)
        if conditional is not None and conditional is not head:  # 304, or 412.
            return conditional
        try:
            sent = _bytes(request._request, key, document.blob.size, {**headers, "Content-Type": kind})
        except FileNotFoundError as error:
            raise NotFound from error
        if isinstance(sent, StreamingHttpResponse):
            hold_slot_while_sent(sent, "downloads", str(self.actor.user_id), limit=settings.DOWNLOADS_PER_USER)
        return sent


class TextView(OfDocument):
    @extend_schema(responses=TextSerializer, operation_id="documents_text")
    def get(self, request: Request, pk: str) -> HttpResponseBase:
        """The text that was read from the file."""
        sent = StreamingHttpResponse(texts.blocks(self.document()), content_type="application/json")
        return hold_slot_while_sent(sent, "downloads", str(self.actor.user_id), limit=settings.DOWNLOADS_PER_USER)


class InReadingOrder(CursorPagination):
    ordering = "index"
    position = NUMBERS


class ChunkListView(OfDocument):
    queryset = Chunk.objects.none()
    serializer_class = ChunkSerializer
    pagination_class = InReadingOrder

    @extend_schema(
        parameters=[
            OpenApiParameter("page", NUMBER, description="Only what stands on this page."),
            OpenApiParameter("index", NUMBER, description="Only the passage with this index, from 0."),
        ],
        responses=ChunkSerializer(many=True),
        operation_id="documents_chunks",
    )
    def get(self, request: Request, pk: str) -> Response:
        """The passages in reading order: all, those on a page, or the one with an index."""
        document = self.document()
        chunks = _chunks(document)
        if (page := _number(request, "page")) is not None:
            chunks = chunks.filter(page_from__lte=page, page_to__gte=page)
        if (index := _number(request, "index")) is not None:
            chunks = chunks.filter(index=index)
        return self.get_paginated_response(self.get_serializer(self.paginate_queryset(chunks), many=True).data)


class ChunkView(OfDocument):
    serializer_class = ChunkSerializer

    @extend_schema(responses=ChunkSerializer, operation_id="documents_chunk")
    def get(self, request: Request, pk: str, chunk: str) -> Response:
        """One passage."""
        chunk_id: UUID = decode(Chunk.id_prefix, chunk)
        found = _chunks(self.document()).filter(pk=chunk_id).first()
        if found is None:
            raise NotFound
        return Response(self.get_serializer(found).data)


class PageImageView(OfDocument):
    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY}, operation_id="documents_page_image")
    def get(self, request: Request, pk: str, page: int) -> HttpResponseBase:
        """A page of a PDF as a picture."""
        return _image(self.document(), page, rendering.PAGE_WIDTH)


class ThumbnailView(OfDocument):
    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY}, operation_id="documents_thumbnail")
    def get(self, request: Request, pk: str) -> HttpResponseBase:
        """The first page of a PDF, small."""
        return _image(self.document(), 1, rendering.THUMBNAIL_WIDTH)


def _chunks(document: Document) -> QuerySet[Chunk]:
    return Chunk.objects.filter(ingestion=document.active_ingestion, document=document).defer("words")


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise FieldError(f"/{name}", "This must be a number.")
    return int(text)


def _image(document: Document, page: int, width: int) -> HttpResponseBase:
    image = rendering.page_image(document.blob, page=page, width=width)
    headers = {**SEALED, "Cache-Control": "private, max-age=86400, immutable"}
    return FileResponse(image, content_type="image/png", filename=f"page-{page}.png", headers=headers)


def _bytes(request: HttpRequest, key: str, size: int, headers: dict[str, str]) -> HttpResponseBase:
    """The whole object, or the requested range (RFC 9110); a request of several ranges gets the whole object."""
    headers = {**headers, "Accept-Ranges": "bytes"}
    wanted = _RANGE.fullmatch(request.headers.get("Range", ""))
    start, end = 0, size - 1
    whole = request.headers.get("If-Range", headers["ETag"]) != headers["ETag"]
    if wanted is not None and (wanted[1] or wanted[2]) and not whole:
        start = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
        end = min(int(wanted[2]), end) if wanted[1] and wanted[2] else end
        if start > end:
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            return HttpResponse(status=status, headers={**headers, "Content-Range": f"bytes */{size}"})
        headers |= {"Content-Range": f"bytes {start}-{end}/{size}"}
    status = HTTPStatus.PARTIAL_CONTENT if "Content-Range" in headers else HTTPStatus.OK
    headers |= {"Content-Length": str(end - start + 1)}
    file = storage.open_part(key, start, end + 1)
    response = StreamingHttpResponse(_blocks(file, end + 1 - start), status=status, headers=headers)
    response._resource_closers.append(file.close)  # type: ignore[attr-defined]  # As FileResponse does.
    return response


def _blocks(file: storage.Readable, size: int) -> Iterator[bytes]:
    while size and (block := file.read(min(BLOCK, size))):
        size -= len(block)
        yield block
