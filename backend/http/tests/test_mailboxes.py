"""The canonical form of e-mail addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.http.mailboxes import InvalidEmail, canonical


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        (" Ana.Souza+x@Example.COM ", "ana.souza+x@example.com"),
        ("ana@bücher.example", "ana@xn--bcher-kva.example"),
        ("ana@BU\u0308CHER.example", "ana@xn--bcher-kva.example"),
        ("ana@XN--BCHER-KVA.example", "ana@xn--bcher-kva.example"),
        ("ſam@example.com", "sam@example.com"),
        ("\u212aim@example.com", "kim@example.com"),
        ("ａna@ｅxample.com", "ana@example.com"),
        ("ana@example\u3002com", "ana@example.com"),
        ("ana@exa\u00admple.com", "ana@example.com"),
        ("ana@ΑΣ.example", "ana@xn--mxa0b.example"),
        ("ana@localhost", "ana@localhost"),
        ("a" * 242 + "@example.com", "a" * 242 + "@example.com"),
    ],
)
def test_each_way_of_writing_has_one_canonical_form(text: str, spelled: str) -> None:
    assert canonical(text) == spelled
    assert canonical(spelled) == spelled


@pytest.mark.parametrize(
    "text",
    [
        *("", "ana", "@example.com", "ana@", "ana@example", "a b@example.com", "a..b@example.com", "a@b@example.com"),
        *("ana@example.com\nBcc: eva@example.com", "ıan@example.com", "İan@example.com", "straße@example.com"),
        *("josé@example.com", '"ana"@example.com', '"a b"@example.com', "ana＠x@example.com"),
        *("a" * 243 + "@example.com", "ana@straße.example", "ana@xn--strae-oqa.example", "ana@βς.example"),
        *("ana@a\u200db.example", "ana@[127.0.0.1]", "ana@[IPv6:::1]", "ana@xn--abc-.com", "ana@xn--.com"),
        *("ana@😀.com", "ana@-a.com", "ana@example.com.", "ana@a_b.com"),
    ],
)
def test_an_address_without_a_canonical_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidEmail):
        canonical(text)


@given(st.text(max_size=300) | st.builds("{}@{}".format, st.text(max_size=9), st.text(max_size=30)) | st.emails())
def test_a_canonical_form_is_its_own_canonical_form(text: str) -> None:
    try:
        spelled = canonical(text)
    except InvalidEmail:
        return
    assert spelled.isascii()
    assert spelled == spelled.lower() == canonical(spelled)
