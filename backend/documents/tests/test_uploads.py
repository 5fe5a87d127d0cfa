"""Accepted and refused uploads, and their names."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from backend.documents import deletion, operations, storage, uploads
from backend.documents.models import Blob, Document, Ingestion
from backend.documents.tests.cast import make_document, pdf, read, upload
from tests.actors import Person

pytestmark = pytest.mark.django_db

TEXT = "A short note about the weather in Lisbon."


def archive(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("__", "/").replace("_xml", ".xml"), data)
    return target.getvalue()


def test_an_upload_is_stored_hashed_and_queued(owner: Person) -> None:
    response = upload(owner, TEXT, "weather.txt", metadata='{"city": "Lisbon"}')

    body = response.json()
    assert response.status_code == 201
    assert response["Location"] == f"/api/v1/documents/{body['id']}"
    assert body["status"] == "queued"
    assert body["progress"] == {"pages_done": 0, "pages_total": None, "percent": 0}
    assert (body["error"], body["warnings"], body["cost"], body["collections"]) == (None, [], "0.00", [])
    assert (body["name"], body["content_type"], body["size"]) == ("weather.txt", "text/plain", len(TEXT))
    assert body["metadata"] == {"city": "Lisbon"}
    document = Document.objects.select_related("blob").get()
    assert document.workspace_id == owner.workspace.pk
    with storage.open_object(document.blob.key) as stored:
        assert stored.read() == TEXT.encode()
    assert not list(uploads.incoming().glob("upload-*"))


def test_the_same_bytes_again_are_the_same_document(owner: Person, member: Person) -> None:
    document = make_document(owner, TEXT)
    collection = owner.post("/api/v1/collections", {"name": "Weather"}).json()["id"]

    again = upload(member, TEXT, "another name.txt", collection=collection)

    assert again.status_code == 200
    assert again.json()["id"] == document.public_id
    assert again.json()["status"] == "ready"
    assert again.json()["collections"] == [collection]
    assert (Document.objects.count(), Blob.objects.count(), Ingestion.objects.count()) == (1, 1, 1)


def test_bytes_that_are_purged_at_this_moment_are_a_conflict_and_stored_the_next_time(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = make_document(owner, TEXT)
    create = operations._create

    def purge_and_create(**given: Any) -> Any:  # Found before; and gone before it can be locked.
        Document.objects.filter(pk=document.pk).update(deleted_at=timezone.now())
        deletion.purge_document(document.pk)
        return create(**given)

    with monkeypatch.context() as patch:
        patch.setattr(operations, "_create", purge_and_create)
        refused = upload(owner, TEXT, "weather.txt")
    again = upload(owner, TEXT, "weather.txt")

    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (again.status_code, again.json()["status"]) == (201, "queued")
    assert again.json()["id"] != document.public_id
    [left] = Document.objects.select_related("blob")
    with storage.open_object(left.blob.key) as stored:
        assert stored.read() == TEXT.encode()


def test_the_same_bytes_in_another_workspace_are_another_document(owner: Person, stranger: Person) -> None:
    mine = upload(owner, TEXT).json()
    theirs = upload(stranger, TEXT)

    assert theirs.status_code == 201
    assert theirs.json()["id"] != mine["id"]
    assert theirs.json()["status"] == "queued"
    assert Blob.objects.count() == 2


def test_a_failed_document_is_read_again_when_uploaded_again(owner: Person) -> None:
    broken = b"%PDF-1.7\nthis is no PDF"
    first = upload(owner, broken, "broken.pdf").json()
    assert read(first["id"]).status == "failed"

    again = upload(owner, broken, "broken.pdf")

    assert again.status_code == 200
    assert (again.json()["id"], again.json()["status"]) == (first["id"], "queued")
    assert Ingestion.objects.count() == 2


def test_a_deleted_document_is_a_new_one_when_uploaded_again(owner: Person) -> None:
    first = make_document(owner, TEXT)
    owner.delete(f"/api/v1/documents/{first.public_id}")

    again = upload(owner, TEXT)

    assert again.status_code == 201
    assert again.json()["id"] != first.public_id
    assert read(again.json()["id"]).status == "ready"


def test_an_idempotency_key_makes_one_document(owner: Person) -> None:
    first, second = (upload(owner, TEXT, headers={"Idempotency-Key": "key-1"}) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert upload(owner, "other", headers={"Idempotency-Key": "key-1"}).status_code == 422
    assert Document.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "name", "claimed"),
    [
        (b"just text", "report.pdf", ""),
        (b"just text", "report.docx", ""),
        (b"just text", "photo.png", ""),
        (b"just text", "notes.txt", "application/pdf"),
        (pdf("A page"), "notes.txt", ""),
        (pdf("A page"), "notes", "text/plain"),
        (archive(word__document_xml=b"<x/>"), "sheet.xlsx", ""),
        (archive(other_xml=b"<x/>"), "letter.docx", ""),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "photo.png", "image/png"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "program", ""),
        (bytes(range(256)) * 4, "noise.txt", "text/plain"),
        (b"MZ\x90\0\x03\0\0\0", "notes.md", "text/markdown"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "drawing.svg", "image/svg+xml"),
    ],
)
def test_a_file_with_a_false_type_or_an_unsupported_one_is_refused(
    owner: Person, content: bytes, name: str, claimed: str
) -> None:
    response = upload(owner, content, name, content_type=claimed or "application/octet-stream")

    assert response.status_code == 415, response.content
    assert response.json()["code"] == "unsupported_file"
    assert not Document.objects.exists()
    assert not Blob.objects.exists()


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (pdf("A page"), "REPORT.PDF", "application/pdf"),
        (b"\n\n" + pdf("A page"), "report", "application/pdf"),
        (b"# Title", "readme.md", "text/markdown"),
        (b"<p>Hello</p>", "page.html", "text/html"),
        (b"<!DOCTYPE html><html><p>Hello</p></html>", "page", "text/html"),
        ("\ufeffOlá".encode("utf-16"), "windows.txt", "text/plain"),
        ("Ação e reação".encode("cp1252"), "antigo.txt", "text/plain"),
        (b"a,b\n1,2\n", "table.csv", "text/plain"),
        (b"plain", "no extension", "text/plain"),
    ],
)
def test_the_type_of_a_file_is_detected_by_its_bytes(owner: Person, content: bytes, name: str, kind: str) -> None:
    assert upload(owner, content, name).json()["content_type"] == kind


@pytest.mark.parametrize(
    ("claimed", "shown"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("..\\..\\windows\\win.txt", "win.txt"),
        ("invoice\u202etxt.exe.txt", "invoicetxt.exe.txt"),
        ("emoji \U0001f600 and \U00020000.txt", "emoji \U0001f600 and \U00020000.txt"),
        ("line\x0bbreak\x1b[31m.txt", "linebreak[31m.txt"),
        ("Relatório Ação.txt", "Relatório Ação.txt"),
        ("a" * 300 + ".txt", "a" * 251 + ".txt"),
        ("\U0001f600" * 1_000 + ".txt", "\U0001f600" * 251 + ".txt"),
        ("<script>alert(1)</script>.txt", "script>.txt"),
    ],
)
def test_a_malicious_name_is_only_displayed(owner: Person, claimed: str, shown: str) -> None:
    response = upload(owner, "of any name", claimed, name=claimed if len(claimed) < 256 else "")

    assert response.status_code == 201, response.content
    document = Document.objects.select_related("blob").get()
    assert document.name == response.json()["name"] == shown
    assert document.blob.key == f"blobs/{document.blob_id.hex[-2:]}/{document.blob_id.hex}"
    content = owner.get(f"/api/v1/documents/{document.public_id}/content", {"download": "1"})
    assert (content.status_code, b"".join(content)) == (200, b"of any name")
    assert content["Content-Disposition"].startswith("attachment; filename")
    assert not set("\r\n\x1b\u202e") & set(content["Content-Disposition"])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"{\\rtf1 Hello}", "letter.rtf"),
        (b"From: a@b.example\r\nSubject: Hi\r\n\r\nHello", "mail.eml"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "scan.png"),
    ],
)
def test_a_format_that_is_not_read_is_refused_as_such(owner: Person, content: bytes, name: str) -> None:
    response = upload(owner, content, name)

    assert response.status_code == 415
    assert response.json()["detail"] == "Only PDF, DOCX, HTML, Markdown and plain text can be read."
    assert not Document.objects.exists()


@pytest.mark.parametrize(("name", "claim"), [("scan.png", "image/png"), ("letter.rtf", "application/rtf")])
def test_a_pdf_under_another_extension_is_refused_with_its_type(owner: Person, name: str, claim: str) -> None:
    response = upload(owner, b"%PDF-1.7\n", name)

    assert response.status_code == 415
    assert response.json()["detail"] == f"The file says that it is {claim}, but its content is application/pdf."
    assert not Document.objects.exists()


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"metadata": "no json"}, "/metadata"),
        ({"metadata": "[1]"}, "/metadata"),
        ({"metadata": '{"a": NaN}'}, "/metadata"),
        ({"metadata": '{"a": "\\u0000"}'}, "/metadata"),
        ({"metadata": '{"a": "' + "x" * 20_000 + '"}'}, "/metadata"),
        ({"language": "tlh"}, "/language"),
        ({"collection": "col_nonsense"}, "/collection"),
        ({"name": "x" * 300}, "/name"),
        ({"name": "\u202e\u200b"}, "/name"),
    ],
)
def test_a_bad_field_is_named(owner: Person, fields: dict[str, str], pointer: str) -> None:
    response = upload(owner, TEXT, **fields)

    assert response.status_code == 422, response.content
    assert response.json()["errors"][0]["pointer"] == pointer
    assert not Document.objects.exists()


def test_an_empty_file_is_refused(owner: Person) -> None:
    response = upload(owner, b"", "empty.txt")

    assert response.status_code == 422
    assert response.json()["errors"][0] == {"pointer": "/file", "code": "empty", "detail": "The file is empty."}


def test_a_body_without_a_file_is_refused(owner: Person) -> None:
    assert owner.upload("/api/v1/documents", {"name": "x"}).status_code == 422
    assert owner.upload("/api/v1/documents", {"file": "a string"}).status_code == 422
    assert owner.post("/api/v1/documents", {"file": "x"}).status_code == 415


def test_a_file_beyond_the_limit_is_refused_even_if_the_body_declares_less(owner: Person, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 10_000
    assert upload(owner, "x" * 10_000).status_code == 201

    within_the_overhead = upload(owner, "y" * 10_001)
    beyond = upload(owner, "z" * (uploads.FORM_OVERHEAD + 20_000))

    for response in (within_the_overhead, beyond):
        assert response.status_code == 413
        assert response.json()["code"] == "file_too_large"
    assert Document.objects.count() == 1
    assert not list(uploads.incoming().glob("upload-*"))


def test_a_body_that_was_cut_off_is_no_document(owner: Person) -> None:
    whole = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhalf of a fi'
    response = Client().generic(
        "POST", "/api/v1/documents", whole, "multipart/form-data; boundary=B", headers=owner.headers()
    )

    assert response.status_code == 400, response.content
    assert not Document.objects.exists()


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=", "text/plain"])
def test_a_malformed_body_is_refused(owner: Person, content_type: str) -> None:
    response = Client().generic("POST", "/api/v1/documents", b"nonsense", content_type, headers=owner.headers())

    assert response.status_code in (400, 415)
    assert response["Content-Type"] == "application/problem+json"


def test_uploads_without_permission_are_refused(owner: Person, viewer: Person, stranger: Person) -> None:
    collection = owner.post("/api/v1/collections", {"name": "Mine"}).json()["id"]

    assert upload(viewer, TEXT).status_code == 403
    assert Client().post("/api/v1/documents", {"file": io.BytesIO(b"x")}).status_code == 401
    assert upload(stranger, TEXT, collection=collection).status_code == 404
    assert not Document.objects.exists()


def test_storage_that_does_not_respond_is_an_outage(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.store(), "save", refuse)

    response = upload(owner, TEXT)

    assert response.status_code == 503
    assert not Blob.objects.exists()


def test_the_next_upload_removes_files_of_killed_processes_and_no_open_ones(
    owner: Person, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    folder = uploads.incoming()
    folder.mkdir(parents=True)
    left, fresh = folder / "upload-left", folder / "upload-fresh"
    for path in (left, fresh):
        path.write_bytes(b"x")
    with uploads.HashedUpload("open.txt", "text/plain", None, None) as under_way:
        assert left.exists()  # Nothing is old yet.
        for path in (left, Path(under_way.temporary_file_path())):
            os.utime(path, (1, 1))
        uploads._cleaned_at.clear()

        assert upload(owner, TEXT).status_code == 201

        assert not left.exists()
        assert fresh.exists()
        assert Path(under_way.temporary_file_path()).exists()
