"""The text of a document in parts."""

import json
from typing import Any

import pytest

from backend.documents import deletion, texts
from backend.documents.models import Page
from backend.documents.tests.cast import ingestion_of, make_document, pdf, upload
from tests.actors import Person

pytestmark = pytest.mark.django_db


def test_text_is_streamed_in_parts_that_are_one_json_document(
    owner: Person, member: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = make_document(owner, pdf(*(f'Página "{number}"\\ tells <b>.' for number in range(30))), "book.pdf")
    monkeypatch.setattr(texts, "BLOCK", 50)
    monkeypatch.setattr(texts, "SPANS", 7)
    path = f"/api/v1/documents/{document.public_id}/text"

    response = member.get(path)

    parts = list(response.streaming_content)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert len(parts) > 20
    assert max(map(len, parts)) < 1_000
    shown = json.loads(b"".join(parts))
    rows = list(Page.objects.filter(ingestion=ingestion_of(document)).order_by("number"))
    assert shown["document"] == document.public_id
    assert shown["text"] == "".join(page.text for page in rows)
    assert shown["pages"] == [
        {"page": page.number, "char_start": page.char_start, "char_end": page.char_start + len(page.text)}
        for page in rows
    ]
    assert stranger.get(path).status_code == 404


def test_the_text_of_a_format_without_pages_or_of_an_unread_document(owner: Person) -> None:
    note = make_document(owner, "Línea “um” \\ \t\n\n{}" * 3_000, "note.md")
    queued = upload(owner, "Not read yet.").json()["id"]

    shown = json.loads(b"".join(owner.get(f"/api/v1/documents/{note.public_id}/text")))
    assert shown["text"] == "".join(Page.objects.order_by("number").values_list("text", flat=True))
    assert shown["pages"] == []
    assert json.loads(b"".join(owner.get(f"/api/v1/documents/{queued}/text"))) == {
        "document": queued,
        "text": "",
        "pages": [],
    }


def test_a_text_that_is_purged_while_it_is_sent_does_not_look_complete(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = make_document(owner, pdf(*("Some words." for _ in range(20))), "book.pdf")
    monkeypatch.setattr(texts, "BLOCK", 50)
    content: Any = owner.get(f"/api/v1/documents/{document.public_id}/text").streaming_content
    next(content)
    next(content)
    owner.delete(f"/api/v1/documents/{document.public_id}")
    deletion.purge_document(document.pk)

    with pytest.raises(texts.TextPurged):
        list(content)
