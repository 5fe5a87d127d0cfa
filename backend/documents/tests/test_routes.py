"""Every route, for owners, members and strangers; and the number of queries of each list."""

import io
import json
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from backend.documents import operations
from backend.documents.models import Chunk, Collection, Document
from backend.documents.tests.cast import make_document, pdf, upload
from backend.http.ids import encode, new_id
from tests.actors import Person

pytestmark = pytest.mark.django_db

READS = [
    *("/documents/{doc}", "/documents/{doc}/content", "/documents/{doc}/text", "/documents/{doc}/chunks"),
    *("/documents/{doc}/chunks/{chk}", "/documents/{doc}/pages/1.png", "/documents/{doc}/thumbnail.png"),
    "/collections/{col}",
]
WRITES: list[tuple[str, str, Any]] = [
    ("patch", "/documents/{doc}", {"name": "Mine now"}),
    ("post", "/documents/{doc}/reprocess", {}),
    ("post", "/documents/{doc}/cancel", {}),
    ("delete", "/documents/{doc}", {}),
    ("patch", "/collections/{col}", {"name": "Mine now"}),
    ("post", "/collections/{col}/documents", {"document": "{doc}"}),
    ("delete", "/collections/{col}/documents", {"document": "{doc}"}),
    ("delete", "/collections/{col}", {}),
]


@pytest.fixture
def ids(owner: Person) -> dict[str, str]:
    collection = owner.post("/api/v1/collections", {"name": "Papers"}).json()["id"]
    document = make_document(owner, pdf("The only page."), "paper.pdf", collection=collection)
    chunk = Chunk.objects.get(document=document)
    return {"doc": document.public_id, "col": collection, "chk": chunk.public_id}


def filled(template: Any, ids: dict[str, str]) -> Any:
    if isinstance(template, dict):
        return {name: filled(value, ids) for name, value in template.items()}
    return template.format(**ids)


def comparable(response: Any) -> dict[str, Any]:
    body = response.json()
    return {name: value for name, value in body.items() if name not in ("instance", "request_id")}


@pytest.mark.parametrize("path", READS)
def test_members_and_viewers_read_and_strangers_find_nothing(
    owner: Person, viewer: Person, stranger: Person, ids: dict[str, str], path: str
) -> None:
    address = "/api/v1" + filled(path, ids)
    unknown = {"doc": encode("doc", new_id()), "col": encode("col", new_id()), "chk": encode("chk", new_id())}

    for reader in (owner, viewer):
        response = reader.get(address)
        assert response.status_code == 200
        assert b"".join(response)
    foreign, none = stranger.get(address), owner.get("/api/v1" + filled(path, unknown))
    malformed = owner.get("/api/v1" + filled(path, {"doc": "doc_x", "col": "1", "chk": "chk_?"}))
    assert (foreign.status_code, none.status_code, malformed.status_code) == (404, 404, 404)
    assert comparable(foreign) == comparable(none) == comparable(malformed)
    assert Client().get(address).status_code == 401


@pytest.mark.parametrize("route", WRITES)
def test_viewers_and_strangers_change_nothing(
    viewer: Person, stranger: Person, ids: dict[str, str], route: tuple[str, str, Any]
) -> None:
    method, path, body = route
    before = list(Document.objects.values()), list(Collection.objects.values())

    for person, status in ((viewer, 403), (stranger, 404)):
        response = getattr(person, method)("/api/v1" + filled(path, ids), filled(body, ids))
        assert response.status_code == status, response.content

    assert (list(Document.objects.values()), list(Collection.objects.values())) == before


def test_ids_of_another_workspace_are_not_found_in_bodies_and_queries(
    owner: Person, stranger: Person, ids: dict[str, str]
) -> None:
    theirs = stranger.post("/api/v1/collections", {"name": "Theirs"}).json()["id"]

    assert stranger.post("/api/v1/search", {"query": "page", "documents": [ids["doc"]]}).status_code == 404
    assert stranger.post("/api/v1/search", {"query": "page", "collections": [ids["col"]]}).status_code == 404
    assert stranger.post(f"/api/v1/collections/{theirs}/documents", {"document": ids["doc"]}).status_code == 404
    assert stranger.get("/api/v1/documents", {"collection": ids["col"]}).json()["results"] == []
    assert stranger.post("/api/v1/search", {"query": "page"}).json()["results"] == []
    mine = make_document(stranger, "A page of mine.")
    assert stranger.get(f"/api/v1/documents/{mine.public_id}/chunks/{ids['chk']}").status_code == 404


@pytest.mark.parametrize("size", [1, 12])
def test_listing_documents_takes_three_queries_however_long(
    owner: Person, size: int, django_assert_num_queries: Any
) -> None:
    collection = owner.post("/api/v1/collections", {"name": "All"}).json()["id"]
    for number in range(size):
        upload(owner, f"Text {number}", collection=collection)
    with django_assert_num_queries(3):  # The membership, the page, the collections of its documents.
        response = owner.get("/api/v1/documents")

    assert len(response.json()["results"]) == size


@pytest.mark.parametrize("size", [1, 12])
def test_listing_collections_takes_two_queries_however_long(
    owner: Person, size: int, django_assert_num_queries: Any
) -> None:
    for number in range(size):
        owner.post("/api/v1/collections", {"name": f"Collection {number}"})
    with django_assert_num_queries(2):  # The membership, the page with its counts.
        response = owner.get("/api/v1/collections")

    assert len(response.json()["results"]) == size


@pytest.mark.parametrize("size", [1, 12])
def test_listing_passages_takes_four_queries_however_long(
    owner: Person, size: int, django_assert_num_queries: Any
) -> None:
    document = make_document(owner, pdf(*["Every line here has some words.\n" * 40] * size), "long.pdf")
    with django_assert_num_queries(4):  # The membership, the document, the page of passages, the lines of their pages.
        response = owner.get(f"/api/v1/documents/{document.public_id}/chunks")

    chunks = response.json()["results"]
    assert len(chunks) >= size
    assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
    assert all(chunk["boxes"] for chunk in chunks)


@pytest.mark.parametrize("size", [1, 12])
def test_searching_takes_nine_statements_however_much_is_found(
    owner: Person, size: int, django_assert_num_queries: Any
) -> None:
    for number in range(size):
        make_document(owner, pdf(f"The zebra of page {number}."), "zebra.pdf")
    # The membership, passages and their lines; in a transaction (two) its limit, the words, the corpus, the ranking.
    with django_assert_num_queries(9):
        response = owner.post("/api/v1/search", {"query": "zebra", "limit": 20})

    assert len(response.json()["results"]) == size


def test_lists_are_filtered(owner: Person) -> None:
    collection = owner.post("/api/v1/collections", {"name": "Some"}).json()["id"]
    ready = make_document(owner, "Ready text", "Relatório final.txt", collection=collection)
    queued = upload(owner, pdf("Queued"), "draft.pdf").json()["id"]

    def listed(**query: str) -> list[str]:
        response = owner.get("/api/v1/documents", query)
        assert response.status_code == 200, response.content
        return [document["id"] for document in response.json()["results"]]

    assert listed() == [queued, ready.public_id]
    assert listed(status="ready") == [ready.public_id]
    assert listed(status="queued") == [queued]
    assert listed(status="deleting") == []
    assert listed(collection=collection) == [ready.public_id]
    assert listed(collection="col_nonsense") == []
    assert listed(q="relatório") == [ready.public_id]
    assert listed(q="%") == []
    assert listed(content_type="application/pdf") == [queued]
    owner.patch(f"/api/v1/documents/{queued}", {"metadata": {"tags": ["draft", "2024"]}})
    assert listed(tag="draft") == [queued]
    assert listed(tag="dra") == listed(tag="final") == []
    assert owner.get("/api/v1/documents", {"status": "lost"}).status_code == 422
    assert owner.get("/api/v1/documents", {"q": "\0"}).status_code == 422


def test_names_and_metadata_change(owner: Person, ids: dict[str, str]) -> None:
    path = f"/api/v1/documents/{ids['doc']}"

    shown = owner.patch(path, {"name": "../New name.pdf", "metadata": {"year": 2024}}).json()

    assert (shown["name"], shown["metadata"]) == ("New name.pdf", {"year": 2024})
    assert owner.patch(path, {"metadata": {"year": 2025}}).json()["name"] == "New name.pdf"
    assert owner.patch(path, {"name": ""}).status_code == 422
    assert owner.patch(path, {"metadata": [1]}).status_code == 422
    refused = owner.patch(path, {"status": "failed"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/status")
    assert owner.get(path).json()["status"] == "ready"


def test_content_is_sent_whole_or_in_part(owner: Person) -> None:
    document = make_document(owner, "0123456789")
    path = f"/api/v1/documents/{document.public_id}/content"

    whole = owner.get(path)
    assert (whole.status_code, b"".join(whole), whole["Content-Length"]) == (200, b"0123456789", "10")
    for header, expected, span in [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ]:
        part = owner.get(path, Range=header)
        assert (part.status_code, b"".join(part), part["Content-Range"]) == (206, expected, span)
    refused = owner.get(path, Range="bytes=10-")
    assert (refused.status_code, refused["Content-Range"]) == (416, "bytes */10")
    for header in ("bytes=0-1,3-4", "lines=1-2", "bytes=-"):
        response = owner.get(path, Range=header)
        assert (response.status_code, b"".join(response)) == (200, b"0123456789")


def test_content_that_the_client_has_is_not_sent_again(owner: Person) -> None:
    document = make_document(owner, "0123456789")
    path = f"/api/v1/documents/{document.public_id}/content"

    def asked(**headers: str) -> tuple[int, bytes]:
        response = owner.get(path, None, **{name.replace("_", "-"): value for name, value in headers.items()})
        return response.status_code, b"".join(response)

    tag = f'"{document.blob.sha256}"'
    for known in (tag, f'"other", {tag}', "*"):
        assert asked(If_None_Match=known) == (304, b"")
    assert owner.get(path, None, **{"If-None-Match": tag})["ETag"] == tag
    assert asked(If_None_Match='"other"') == (200, b"0123456789")
    changed = owner.get(path, None, **{"If-Match": '"other"'})
    assert (changed.status_code, changed["Content-Type"]) == (412, "application/problem+json")
    assert asked(Range="bytes=7-", If_Range=tag) == (206, b"789")
    assert asked(Range="bytes=7-", If_Range='"other"') == (200, b"0123456789")


def test_nothing_that_was_uploaded_runs_in_a_browser(owner: Person) -> None:
    page = make_document(owner, "<html><script>alert(1)</script><p>Hello</p></html>", "page.html")

    response = owner.get(f"/api/v1/documents/{page.public_id}/content")

    assert response["Content-Disposition"].startswith("attachment")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    text = make_document(owner, "plain <script>alert(1)</script>")
    shown = owner.get(f"/api/v1/documents/{text.public_id}/content")
    assert b"<script>" in b"".join(response)
    assert b"<script>" in b"".join(shown)
    assert shown["Content-Type"] == "text/plain; charset=utf-8"
    assert shown["Content-Disposition"].startswith("inline")


def test_pages_are_rendered_as_images(owner: Person, ids: dict[str, str]) -> None:
    page = owner.get(f"/api/v1/documents/{ids['doc']}/pages/1.png")
    thumbnail = owner.get(f"/api/v1/documents/{ids['doc']}/thumbnail.png")

    for response, width in ((page, 1240), (thumbnail, 240)):
        assert response["Content-Type"] == "image/png"
        assert response["Cache-Control"].startswith("private")
        assert {"Authorization", "Orquestra-Workspace"} <= set(response["Vary"].split(", "))
        assert abs(Image.open(io.BytesIO(b"".join(response))).width - width) <= 1
    again = owner.get(f"/api/v1/documents/{ids['doc']}/pages/1.png")  # From the cache.
    assert b"".join(again).startswith(b"\x89PNG")
    for number in ("0", "2", "99999999999"):
        assert owner.get(f"/api/v1/documents/{ids['doc']}/pages/{number}.png").status_code == 404
    note = make_document(owner, "A note has no pages.")
    assert owner.get(f"/api/v1/documents/{note.public_id}/pages/1.png").status_code == 404


def test_passages_are_spans_of_the_text(owner: Person) -> None:
    paragraphs = "\n\n".join(f"Paragraph {n}. " + "It has several sentences. " * 12 for n in range(20))
    document = make_document(owner, paragraphs)
    text = json.loads(b"".join(owner.get(f"/api/v1/documents/{document.public_id}/text")))["text"]

    first = owner.get(f"/api/v1/documents/{document.public_id}/chunks", {"limit": 3}).json()
    rest = owner.client.get(first["next"], headers=owner.headers()).json()
    chunks = [*first["results"], *rest["results"]]
    assert len(first["results"]) == 3
    assert all(text[chunk["char_start"] : chunk["char_end"]] == chunk["text"] for chunk in chunks)
    one = owner.get(f"/api/v1/documents/{document.public_id}/chunks", {"index": "2"}).json()["results"]
    assert one == [chunks[2]]
    assert owner.get(f"/api/v1/documents/{document.public_id}/chunks", {"index": "two"}).status_code == 422


def test_passages_of_a_page(owner: Person) -> None:
    document = make_document(owner, pdf(*[f"Page {n}.\n" + "Words and words.\n" * 40 for n in (1, 2, 3)]), "three.pdf")

    chunks = owner.get(f"/api/v1/documents/{document.public_id}/chunks", {"page": "2"}).json()["results"]

    assert chunks
    assert all(chunk["page_from"] <= 2 <= chunk["page_to"] for chunk in chunks)
    pages = json.loads(b"".join(owner.get(f"/api/v1/documents/{document.public_id}/text")))["pages"]
    assert [page["page"] for page in pages] == [1, 2, 3]


def test_collections_are_made_filled_and_removed(owner: Person) -> None:
    response = owner.post("/api/v1/collections", {"name": "Papers", "language": "pt"})
    collection = response.json()
    path = f"/api/v1/collections/{collection['id']}"
    document = make_document(owner, "Um texto.").public_id
    assert (response.status_code, response["Location"]) == (201, path)
    assert (collection["name"], collection["language"], collection["document_count"]) == ("Papers", "pt", 0)

    for _twice in range(2):
        assert owner.post(f"{path}/documents", {"document": document}).json()["document_count"] == 1
    assert owner.get(f"/api/v1/documents/{document}").json()["collections"] == [collection["id"]]
    assert owner.patch(path, {"name": "Articles", "language": None}).json()["language"] is None
    assert owner.delete(f"{path}/documents", {"document": document}).status_code == 204
    assert owner.delete(f"{path}/documents", {"document": document}).status_code == 404
    assert owner.get(path).json()["document_count"] == 0
    owner.post(f"{path}/documents", {"document": document})
    assert owner.delete(path).status_code == 204
    assert owner.get(path).status_code == 404
    assert owner.get(f"/api/v1/documents/{document}").json()["collections"] == []
    for bad in ({}, {"name": ""}, {"name": "x" * 201}, {"name": "x", "language": "xx"}):
        assert owner.post("/api/v1/collections", bad).status_code == 422


def test_a_collection_is_made_once_per_idempotency_key(owner: Person) -> None:
    first, second = (owner.post("/api/v1/collections", {"name": "Once"}, Idempotency_Key="k") for _ in range(2))

    assert first.json() == second.json()
    assert Collection.objects.count() == 1


def test_a_collection_deleted_meanwhile_is_not_found(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = owner.post("/api/v1/collections", {"name": "Papers"}).json()["id"]
    change = operations.update_collection

    def delete_first(**arguments: Any) -> Any:
        Collection.objects.all().delete()
        return change(**arguments)

    monkeypatch.setattr(operations, "update_collection", delete_first)
    assert owner.patch(f"/api/v1/collections/{collection}", {"name": "Books"}).status_code == 404


def test_documents_are_found_by_their_names_without_accents(owner: Person) -> None:
    document = make_document(owner, "Some words.", "Relatório de Março (1).txt").public_id

    for words, found in (("relatorio", [document]), ("MARÇO (1)", [document]), ("m.rço", []), ("(1", [document])):
        listed = owner.get("/api/v1/documents", {"q": words})
        assert [item["id"] for item in listed.json()["results"]] == found, words
