"""What a client may send in a header, a field or a question of a list, as long and as awkward as it can be."""

import contextlib
import unicodedata
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from backend.db.accents import accent_insensitive_pattern
from backend.documents.ingestion.parsers.cleaning import clean, clean_lines
from backend.documents.ingestion.parsers.frames import ParseError
from backend.documents.ingestion.parsers.html import blocks
from tests.actors import Person
from tests.work import at_most

pytestmark = pytest.mark.django_db

HEADER = 60_000  # Characters: uvicorn takes 64 KiB of headers.
BODY = 400_000
WORK = 5.0  # Seconds of processor time for a few dozen requests, of which each takes a hundredth.

HEADERS = (
    *("Accept", "Accept-Language", "Authorization", "Content-Type", "Cookie", "Idempotency-Key", "If-None-Match"),
    *("Last-Event-ID", "Origin", "Range", "X-Forwarded-For", "X-Request-ID", "X-Session-Token"),
)
MARKS = "\u0301\u0327"  # Unicode orders many of them on one letter in a time that grows with the square.
SHAPES = ("a", " ", ";", '; a="', '"', "a@b.", "@", "<a@b>,", "xn--", MARKS, "\u212a", "İ")


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_any_length_costs_little(owner: Person, name: str) -> None:
    headers = owner.headers()
    with at_most(WORK):
        for unit in ("*/*,", ";", '";', "a=b;", "en-", 'W/"', "bytes=0", "\t"):
            value = (unit * HEADER)[:HEADER]
            answer = owner.client.get("/api/v1/documents", headers={**headers, name: value})
            assert answer.status_code < 500


@pytest.mark.parametrize("shape", SHAPES)
def test_an_address_or_a_password_of_any_length_costs_little(owner: Person, settings: Any, shape: str) -> None:
    settings.AUTH_RATE_LIMIT = "1000/min"
    long = (shape * BODY)[:BODY]
    client = Client(raise_request_exception=False)
    with at_most(WORK):
        for email in (long, f"a@{long}", f"{long}@example.com", f"{long[:999]}@{long[:9999]}.com"):
            for path in ("signup", "login", "password/request"):
                body = {"email": email, "password": "a long enough pass phrase"}
                answer = client.post(f"/api/v1/auth/{path}", body, content_type="application/json")
                assert answer.status_code in (400, 401, 413, 422), (path, answer.content)
        for path in ("signup", "login"):
            body = {"email": "someone@example.org", "password": long[: BODY // 4]}
            answer = client.post(f"/api/v1/auth/{path}", body, content_type="application/json")
            assert answer.status_code < 500


@pytest.mark.parametrize("shape", SHAPES)
def test_a_field_or_a_parameter_of_any_length_costs_little(owner: Person, shape: str) -> None:
    long = (shape * BODY)[:BODY]
    with at_most(WORK):
        for path, field in (("agents", "name"), ("collections", "name"), ("conversations", "title")):
            assert owner.post(f"/api/v1/{path}", {field: long}).status_code in (413, 422)
        for path in ("documents", "conversations", "wallet/entries"):
            for parameter in ("q", "cursor", "limit", "status", "tag"):
                assert owner.get(f"/api/v1/{path}", {parameter: long[:HEADER]}).status_code < 500


@pytest.mark.parametrize(
    "words", ["a" * 255, "aeiou" * 51, "a" * 254 + "!", "(a+)+$" * 42, "." * 255, "\\" * 255, "ã " * 127]
)
def test_postgresql_finds_what_is_looked_for_in_proportion_to_the_text(words: str) -> None:
    """The pattern is classes in a row: PostgreSQL makes an automaton of it that never looks back."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '5s'")
        for text in ("a" * 500_000, ("a" * 253 + "b") * 2_000, "ã\u0301" * 250_000, " " * 500_000, "a+" * 250_000):
            cursor.execute("SELECT %s ~* %s", [text, accent_insensitive_pattern(words)])


@pytest.mark.parametrize(
    "marks", [MARKS, "\u0301" * 99 + "\u0327" * 99, "\U0001d165\u0301", "\u0f73\u0f75", "\u05b0\u0591"]
)
def test_many_marks_on_one_letter_are_cut(marks: str) -> None:
    with at_most(5):
        text = clean("a" + (marks * 300_000)[:300_000] + "b")

    assert len(text) < 300
    assert (text[0] in "aáạ", text[-1]) == (True, "b")


def test_no_more_marks_are_cut_than_any_script_has() -> None:
    text = ("a" + "\u0301\u0323" * 15 + " ") * 200

    assert clean(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "markup",
    [
        "<tr><td>",
        "<td> ",
        "<td>x",
        "<tr><td> <td>",
        "<li><td>",
        "<br>",
        "<pre>\n",
        "<p> \n",
        "<b>x",
        "<!-- -->",
        "<",
        "&#32;<td>",
    ],
)
def test_markup_of_any_shape_is_read_in_proportion(markup: str) -> None:
    with at_most(10), contextlib.suppress(ParseError):  # Too deep.
        for _block in blocks(f"<table>{markup * 100_000}"[:400_000]):
            pass


@pytest.mark.parametrize("text", ["\r", "\n", " \n", "\r\n ", "\t", "\u00a0", "\u2028", "\ufeff", "\ud800"])
def test_white_space_of_any_shape_is_cleaned_in_proportion(text: str) -> None:
    with at_most(5):
        clean_lines(text * 1_000_000)


AGENT = {"name": "Reader", "model": "offline"}
MANY: dict[str, tuple[str, dict[str, Any]]] = {
    "tools": ("agents", {**AGENT, "tools": [1] * 400_000}),
    "starters": ("agents", {**AGENT, "starters": [{}] * 250_000}),
    "settings": ("agents", {**AGENT, "settings": {f"a{n}": 1 for n in range(60_000)}}),
    "a few tools less": ("agents", {**AGENT, "tools": [1] * 9_000}),
    "unknown conditions": ("search", {"query": "x", "filter": {f"a{n}": 1 for n in range(4_500)}}),
    "collections": ("search", {"query": "x", "collections": ["x"] * 200_000}),
}


@pytest.mark.parametrize(("path", "body"), MANY.values(), ids=MANY)
def test_many_mistakes_cost_little_and_are_not_all_listed(owner: Person, path: str, body: dict[str, Any]) -> None:
    with at_most(3):
        answer = owner.post(f"/api/v1/{path}", body)

    assert answer.status_code in (400, 413, 422)
    assert len(answer.content) < 40_000
    assert len(answer.json().get("errors", ())) <= 100
