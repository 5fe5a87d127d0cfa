"""The storage quota: reserved by the upload, released by the deletion."""

from typing import Any

import pytest
from django.db import connections

from backend.accounts.tests.threads import at_once
from backend.documents import storage
from backend.documents.models import Blob, Document, Usage
from backend.documents.tests.cast import make_document, upload
from tests.actors import Person

pytestmark = pytest.mark.django_db

TEXT = "x" * 100


def usage(person: Person) -> dict[str, int]:
    response = person.get("/api/v1/documents/usage")
    assert response.status_code == 200
    shown: dict[str, int] = response.json()
    return shown


def stored_files() -> list[str]:
    folders, _ = storage.store().listdir("blobs") if storage.exists("blobs") else ([], [])
    return [name for folder in folders for name in storage.store().listdir(f"blobs/{folder}")[1]]


@pytest.fixture(autouse=True)
def own_files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def test_usage_counts_the_bytes_and_documents_of_the_workspace(owner: Person, member: Person, stranger: Person) -> None:
    document = make_document(owner, TEXT)
    assert upload(owner, TEXT).status_code == 200  # The same bytes are kept once.
    upload(stranger, TEXT * 2)

    assert usage(member)["bytes"] == 100
    assert usage(member)["documents"] == 1
    assert usage(member)["bytes_limit"] == 5 * 1024**3
    assert (usage(stranger)["bytes"], usage(stranger)["documents"]) == (200, 1)
    member.delete(f"/api/v1/documents/{document.public_id}")
    assert (usage(owner)["bytes"], usage(owner)["documents"]) == (0, 0)


@pytest.mark.parametrize(("limit", "value"), [("WORKSPACE_STORAGE_BYTES", 250), ("WORKSPACE_DOCUMENTS", 2)])
def test_uploads_beyond_the_quota_are_refused_until_a_deletion(
    owner: Person, stranger: Person, settings: Any, limit: str, value: int
) -> None:
    setattr(settings, limit, value)
    first = upload(owner, "a" * 100).json()["id"]
    assert upload(owner, "b" * 100).status_code == 201

    refused = upload(owner, "c" * 100)

    assert (refused.status_code, refused.json()["code"]) == (409, "storage_quota_exceeded")
    assert refused.json()["usage"]["documents"] == 2
    assert len(stored_files()) == Blob.objects.count() == 2
    assert upload(owner, "a" * 100).status_code == 200  # It is there already.
    assert upload(stranger, "c" * 100).status_code == 201
    owner.delete(f"/api/v1/documents/{first}")
    assert upload(owner, "c" * 100).status_code == 201
    assert upload(owner, "d" * 100).status_code == 409


@pytest.mark.django_db(transaction=True)
def test_simultaneous_uploads_cannot_exceed_the_limit_together(owner: Person, settings: Any) -> None:
    settings.WORKSPACE_STORAGE_BYTES = 350

    def send(number: int) -> int:
        status: int = upload(owner, f"{number}" * 100).status_code
        connections.close_all()
        return status

    statuses = at_once(*(lambda number=number: send(number) for number in range(8)))

    assert sorted(statuses) == [201] * 3 + [409] * 5
    assert Usage.objects.values_list("bytes", "documents").get(workspace=owner.workspace) == (300, 3)
    assert Document.objects.count() == Blob.objects.count() == len(stored_files()) == 3
