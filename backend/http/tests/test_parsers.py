"""The strict JSON parser."""

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from backend.http.parsers import MAX_DEPTH, MAX_INTEGER, JSONParser, loads

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(values)
def test_valid_json_is_parsed_exactly(value: Any) -> None:
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary())
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    with suppress(ParseError):
        loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"[-1e999]",
        b"[9223372036854775808]",
        b"[-9223372036854775808]",
        b"[" + b"9" * 5000 + b"]",
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "\\u0061": 2}}',
        b'"a\\u0000b"',
        b'{"a\\u0000b": 1}',
        b'"a\x00b"',
        b'"a\nb"',
        b'"\\ud800"',
        b'["\\udc00\\ud800"]',
        b'{"\\ud83d": 1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        '{"a": 1}'.encode("utf-16"),
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"1 2",
    ],
)
def test_json_that_cannot_be_stored_or_is_ambiguous_is_refused(body: bytes) -> None:
    with pytest.raises(ParseError):
        loads(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf{}", {}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"[" * 60 + b"]" * 60, None),
        (b"9223372036854775807", MAX_INTEGER),
    ],
)
def test_unusual_but_valid_json_is_parsed(body: bytes, value: Any) -> None:
    assert value is None or loads(body) == value


def parse(body: bytes, **context: Any) -> Any:
    return JSONParser().parse(io.BytesIO(body), "application/json", context)


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "utf8", None])
def test_utf_8_may_be_named(charset: str | None) -> None:
    assert parse(b"{}", encoding=charset) == {}


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "bz2", "none such", "\xff"])
def test_another_charset_is_refused(charset: str) -> None:
    with pytest.raises(ParseError):
        parse(b"{}", encoding=charset)


def test_a_body_above_the_limit_is_refused(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert parse(b"[1,2,3,44]") == [1, 2, 3, 44]
    with pytest.raises(RequestDataTooBig):
        parse(b"[1,2,3,444]")
