"""Storage and database are compared in both directions."""

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from backend.documents import reconciliation, storage, tasks
from backend.documents.models import Blob, Document
from backend.documents.tests.cast import make_document, pdf
from backend.http.ids import new_id
from tests.actors import Person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_files(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def age(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))
    Blob.objects.update(created_at=timezone.now() - timedelta(days=2))


def everything() -> None:
    for folder in range(reconciliation.FOLDERS):
        after = ""
        while after := reconciliation.reconcile(folder=folder, after=after):
            pass


def keys(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("page", [1, 1_000])
def test_objects_without_a_row_are_removed_once_they_are_old(
    owner: Person, own_files: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(reconciliation, "LISTING_SIZE", page)
    monkeypatch.setattr(reconciliation, "MAX_LISTINGS", 2)
    document = make_document(owner, pdf("A page."), "page.pdf")
    assert owner.get(f"/api/v1/documents/{document.public_id}/thumbnail.png").status_code == 200
    kept = keys(own_files)
    orphans = [Blob(pk=new_id()) for _ in range(5)]
    for blob in orphans:
        storage.save(blob.key, ContentFile(b"x"))
        storage.save(f"{blob.images_folder}/1-240.png", ContentFile(b"x"))
    (own_files / "incoming").mkdir(exist_ok=True)

    everything()
    assert len(keys(own_files)) == len(kept) + 10  # They may be on their way.
    age(own_files)
    everything()

    assert keys(own_files) == kept
    assert b"".join(owner.get(f"/api/v1/documents/{document.public_id}/content")).startswith(b"%PDF")


def test_bytes_that_are_missing_are_reported_and_their_document_stays(
    owner: Person, own_files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lost, kept = make_document(owner, "Lost."), make_document(owner, "Kept.")
    age(own_files)
    storage.delete(lost.blob.key)

    with caplog.at_level(logging.ERROR, logger="backend.documents.reconciliation"):
        everything()

    reported = [record.getMessage() for record in caplog.records if "missing" in record.getMessage()]
    assert len(reported) == 1
    assert lost.blob.key in reported[0]
    assert set(Document.objects.alive()) == {lost, kept}


def test_a_row_without_documents_is_removed_with_its_bytes(owner: Person, own_files: Path) -> None:
    document = make_document(owner, "Left.")
    blob = document.blob
    Document.objects.filter(pk=document.pk).delete()
    age(own_files)

    everything()

    assert not Blob.objects.filter(pk=blob.pk).exists()
    assert keys(own_files) == []


def test_the_task_compares_one_folder_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    clock = [0.0]

    def look(*, folder: int, after: str) -> str:
        looked.append(folder)
        return ""

    monkeypatch.setattr(reconciliation, "reconcile", look)
    monkeypatch.setattr("backend.documents.tasks.time.time", lambda: clock[0])
    for _ in range(reconciliation.FOLDERS):
        tasks.reconcile_storage()
        clock[0] += 330.0

    assert sorted(looked) == list(range(256))
