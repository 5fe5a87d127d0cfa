"""Documents, collections and search in the OpenAPI document: descriptions, examples and event payloads."""

from typing import Any

from backend.documents.members import MEMBERS
from backend.http.openapi.descriptions import Schema, Texts, describe, operations
from backend.http.openapi.examples import SUFFIX
from backend.http.openapi.streams import Events

TAGS = {
    "documents": "Uploaded files: their processing, text, passages, page images and bytes.",
    "collections": "Named sets of documents that agents search as one.",
    "search": "Passages of the workspace's documents.",
}
TEXTS: dict[str, Texts] = {
    "documents_list": Texts(
        "List documents", "The workspace's documents, the newest first, filtered by what is given."
    ),
    "documents_create": Texts(
        "Upload a document",
        "Takes the file as `multipart/form-data` and returns before it is read; follow its event stream to see when it "
        "is `ready`. `content_type` is the format that it is read as: PDF, DOCX, HTML, Markdown or plain text, "
        "which CSV and source code are as well; anything else is refused with 415. "
        "Bytes that the workspace has already answer 200 with the existing document.",
        ("file_too_large", "unsupported_file", "storage_quota_exceeded"),
        headers={"200": ("Location",), "201": ("Location",)},
    ),
    "documents_usage": Texts(
        "Get the storage used", "Bytes and documents that the workspace keeps, and how many it may keep."
    ),
    "documents_retrieve": Texts(
        "Get a document",
        "Its status and progress, `error` if it could not be read, and `warnings` about what was read.",
    ),
    "documents_partial_update": Texts(
        "Change a document", "Its name or its metadata; `metadata` replaces what was there as a whole."
    ),
    "documents_destroy": Texts(
        "Delete a document",
        "It is out of every list and search at once; its bytes and passages are removed soon after.",
    ),
    "documents_reprocess_create": Texts(
        "Process a document again",
        "Reads the file again. Until it is ready, search uses the earlier reading.",
        ("conflict",),
    ),
    "documents_cancel_create": Texts(
        "Cancel processing",
        "Stops reading the file. A document that is not being read is refused with 409.",
        ("conflict",),
    ),
    "documents_content": Texts(
        "Download a document",
        "The file as it was uploaded: a redirect to a signed address, or the bytes, of which `Range` asks for a part.",
        ("precondition_failed", "range_not_satisfiable"),
        headers={
            "200": ("ETag", "Accept-Ranges", "Content-Disposition"),
            "206": ("ETag", "Accept-Ranges", "Content-Disposition", "Content-Range"),
            "302": ("Location",),
            "304": ("ETag",),
            "416": ("Content-Range",),
        },
    ),
    "documents_text": Texts(
        "Get a document's text",
        "All the text that was read from the file, and which of its characters are on which page.",
    ),
    "documents_chunks": Texts(
        "List passages", "In reading order: all of the document, those on a `page`, or the one with an `index`."
    ),
    "documents_chunk": Texts(
        "Get a passage", "With the box of each of its lines on the page, if the format has pages. A citation names it."
    ),
    "documents_page_image": Texts(
        "Get a page image", "A page of a PDF as PNG. Boxes of passages are fractions of it.", ("conflict",)
    ),
    "documents_thumbnail": Texts("Get a thumbnail", "The first page of a PDF as a small PNG.", ("conflict",)),
    "documents_events": Texts(
        "Follow a document",
        "The document at once and whenever it changes, until its processing has ended or it was deleted. There is "
        "nothing to resume: a client that reconnects receives the current state.",
    ),
    "collections_list": Texts("List collections", "The workspace's collections, the newest first."),
    "collections_create": Texts(
        "Create a collection",
        "Empty. Its `language` is that of documents which are uploaded into it without one.",
        headers={"201": ("Location",)},
    ),
    "collections_retrieve": Texts("Get a collection", "With the number of documents in it."),
    "collections_partial_update": Texts(
        "Change a collection", "Its name, or the language of what is uploaded into it from now on."
    ),
    "collections_destroy": Texts("Delete a collection", "Its documents stay; agents search it no longer."),
    "collections_documents_create": Texts(
        "Add a document to a collection", "That it is there already is no mistake: the answer is the same."
    ),
    "collections_documents_destroy": Texts(
        "Remove a document from a collection",
        "The document itself stays, and so does every other collection with it.",
    ),
    "search": Texts(
        "Search documents",
        "The passages that answer the query best, in the given collections and documents, or in the whole workspace. "
        "The `mode` of the response is how it was searched: lexically, in each mode, while no embedding model is "
        "configured. `degraded` is true if a part of the search failed.",
        ("rate_limited",),
    ),
}

NAME = "contract.pdf"
BOX = {"page": 3, "x0": 0.12, "y0": 0.2, "x1": 0.88, "y1": 0.22, "char_start": 4210, "char_end": 4248}
PASSAGE: Schema = {"char_start": 4210, "char_end": 4248, "boxes": [BOX]}
EXAMPLES: dict[str, Schema] = {
    "PatchedDocumentChangeRequest": {"name": NAME, "metadata": {"tags": ["2026"]}},
    "Document": {
        "name": NAME,
        "size": 48_213,
        "status": "ready",
        "language": "en",
        "page_count": 12,
        "chunk_count": 31,
        "progress": {"pages_done": 12, "pages_total": 12, "percent": 100},
        "warnings": [],
        "collections": [f"col_{SUFFIX}"],
        "metadata": {"tags": ["2026"]},
        "cost": "0.00",
    },
    "DocumentError": {"code": "encrypted", "detail": "The file is protected by a password."},
    "StorageUsage": {"bytes": 48_213, "bytes_limit": 5_368_709_120, "documents": 1, "documents_limit": 10_000},
    "Chunk": {"index": 7, "language": "en", **PASSAGE},
    "Passage": {"score": 0.83, **PASSAGE},
    "Text": {"document": f"doc_{SUFFIX}", "pages": [{"page": 1, "char_start": 0, "char_end": 38}]},
    "CollectionChangeRequest": {"name": "Contracts", "language": "en"},
    "PatchedCollectionChangeRequest": {"name": "Contracts"},
    "Collection": {"name": "Contracts", "language": "en", "document_count": 1},
    "SearchRequest": {"query": "When does the contract end?", "collections": [f"col_{SUFFIX}"], "limit": 5},
}

UPLOAD: Schema = {"file": "%PDF-1.7 (the bytes of the file)", "name": NAME}  # JSON has no bytes.

SHOWN: Schema = {
    "type": "object",
    "required": ["document"],
    "properties": {"document": {"$ref": "#/components/schemas/Document"}},
}
EVENTS = Events(
    union="DocumentEvent",
    prefix="doc",
    id_pattern="^[0-9]+$",
    resumable=False,
    payloads={
        "document.progress": ("The document waits or is being read.", SHOWN),
        "document.ready": ("It is read; search finds it. The stream ends.", SHOWN),
        "document.failed": ("It cannot be read: see `document.error`. The stream ends.", SHOWN),
        "document.cancelled": ("Reading it was cancelled. The stream ends.", SHOWN),
        "document.deleted": (
            "It was deleted. The stream ends.",
            {"type": "object", "required": ["document"], "properties": {"document": {"type": "null"}}},
        ),
    },
)


def add_documents(result: Schema, **kwargs: Any) -> Schema:
    """A postprocessing hook of drf-spectacular."""
    describe(result, TEXTS, TAGS, EXAMPLES, MEMBERS)
    for _, _, operation in operations(result):
        upload = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
        if upload is not None and operation["operationId"] == "documents_create":
            upload["example"] = UPLOAD
    return result
