"""Errors and warnings are in the language of the request."""

import re
from string import ascii_letters
from typing import Any

import pytest
from django.utils import translation

from backend.documents.models import Ingestion
from backend.documents.reasons import REASONS, translated
from backend.documents.tests.cast import make_document, read, upload
from tests.actors import Person


def test_every_reason_is_known_with_its_values_and_translated() -> None:
    for reason in REASONS:
        *pieces, last = reason.split("{}")
        values = iter(("windows-1251",) if " read as " in reason else ("3–5, 8", "500"))
        stored = "".join(piece + next(values) for piece in pieces) + last

        with translation.override("en"):
            assert translated(stored) == stored
        with translation.override("pt-br"):
            shown = translated(stored)
        assert shown != stored
        assert "{" not in shown
        assert re.findall(r"\d", shown) == re.findall(r"\d", stored)


@pytest.mark.parametrize("detail", ["", "In words of an older version: 42 {} of them.", "{", "x" * 2_000])
def test_other_reasons_are_shown_as_they_are_stored(detail: str) -> None:
    with translation.override("pt-br"):
        assert translated(detail) == detail[:1_000]


@pytest.mark.django_db
def test_warnings_and_reasons_are_in_the_list_and_the_document_and_can_be_asked_for(
    owner: Person, stranger: Person
) -> None:
    warned = make_document(owner, "rescisão é".encode() + b"\xff", "warned.txt")
    make_document(owner, f"fine {ascii_letters}", "fine.txt")
    failed = read(upload(owner, b"%PDF-1.7\nnothing", "broken.pdf").json()["id"])

    def of(query: str, person: Person = owner) -> dict[str, Any]:
        listed = person.get(f"/api/v1/documents{query}", accept_language="pt-BR").json()["results"]
        return {one["name"]: one for one in listed}

    every = of("")
    detail = "Alguns bytes não são texto na codificação do arquivo; aparecem como \ufffd."
    assert every["warned.txt"]["warnings"] == [{"code": "text_undecodable", "detail": detail}]
    assert every["broken.pdf"]["error"] == {
        "code": "corrupt",
        "detail": "O arquivo está danificado e não pode ser aberto.",
        "retryable": False,
    }
    for document in (warned, failed):
        one = owner.get(f"/api/v1/documents/{document.public_id}", accept_language="pt-BR").json()
        assert {key: one[key] for key in ("warnings", "error")} == {
            key: every[one["name"]][key] for key in ("warnings", "error")
        }
    assert set(of("?warnings=true")) == {"warned.txt"}
    assert set(of("?warnings=false")) == {"fine.txt", "broken.pdf"}
    assert of("?warnings=true", stranger) == {}
    assert Ingestion.objects.get(document=failed).error_detail == "The file is damaged and cannot be opened."
