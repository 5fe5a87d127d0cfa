"""The limit of simultaneous downloads of an account."""

from typing import Any

from backend.documents.tests.cast import make_document
from tests.actors import Person


def test_an_account_has_a_limit_of_simultaneous_downloads(
    owner: Person, member: Person, stranger: Person, settings: Any
) -> None:
    settings.DOWNLOADS_PER_USER = 2
    address = f"/api/v1/documents/{make_document(owner, '0123456789').public_id}/content"
    first, second = owner.get(address), owner.get(address)

    refused = owner.get(address)
    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (429, "rate_limited", "2")
    assert b"".join(member.get(address)) == b"0123456789"
    assert stranger.get(address).status_code == 404
    assert b"".join(first) == b"".join(second) == b"0123456789"
    assert b"".join(owner.get(address)) == b"0123456789"
