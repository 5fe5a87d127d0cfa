"""The operators' pages of documents, and their actions."""

import pytest
from django.test import Client

from backend.documents.models import Document
from backend.documents.tests.cast import make_document
from tests.actors import Person
from tests.operators import admin_browser, superuser

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(db: None) -> Client:
    return admin_browser(superuser())


@pytest.mark.parametrize("page", ["document", "ingestion", "collection", "usage"])
def test_lists_open(operator: Client, owner: Person, page: str) -> None:
    owner.post("/api/v1/collections", {"name": "Papers"})
    document = make_document(owner, "Something to see.")

    assert operator.get(f"/admin/documents/{page}/", {"q": "e"}).status_code == 200
    assert operator.get(f"/admin/documents/document/{document.pk}/change/").status_code == 200
    assert operator.get(f"/admin/documents/{page}/add/").status_code == 403


def test_operators_read_again_and_delete(operator: Client, owner: Person) -> None:
    document = make_document(owner, "Something to read again.")

    def act(name: str, **more: str) -> None:
        order = {"action": name, "_selected_action": [document.pk], **more}
        response = operator.post("/admin/documents/document/", order)
        assert response.status_code == 302
        document.refresh_from_db()

    act("reprocess")
    assert document.status == "queued"
    act("delete_documents", confirmed="yes")
    assert document.status == "deleting"
    assert not Document.objects.alive().exists()
