"""One worker at a time reads a document, in batches, to its correct final state."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.documents import deletion, storage, tasks
from backend.documents.errors import LeaseLost
from backend.documents.ingestion import lease, runner
from backend.documents.ingestion.writing import Writer
from backend.documents.models import Blob, Chunk, Document, Ingestion, Page
from backend.documents.tests.cast import ingestion_of, make_document, pdf, read, upload, uuid_of
from tests.actors import Person

pytestmark = pytest.mark.django_db

SENTENCES = [
    f"Page {number} tells of animal number {number}.\n" + "More words follow here. " * 3 for number in range(12)
]


class WorkerKilled(BaseException):
    """Ends a test's worker as SIGKILL would: nothing is tidied up."""


@pytest.fixture
def book(owner: Person, settings: Any) -> Document:
    """A PDF of twelve pages, uploaded and not read, in batches of three."""
    settings.INGESTION_BATCH_PAGES = 3
    return Document.objects.get(pk=uuid_of(upload(owner, pdf(*SENTENCES), "book.pdf").json()["id"]))


def dies_after(batches: int) -> Callable[..., None]:
    add = Writer.add
    left = [batches]

    def dying(self: Writer, *args: Any) -> None:
        if not left[0]:
            raise WorkerKilled
        left[0] -= 1
        add(self, *args)

    return dying


def expire(ingestion: Ingestion) -> None:
    Ingestion.objects.filter(pk=ingestion.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def rows(ingestion: Ingestion) -> list[tuple[Any, ...]]:
    return list(
        Chunk.objects.filter(ingestion=ingestion)
        .order_by("index")
        .values_list("index", "text", "page_from", "page_to", "char_start", "char_end", "words", "length")
    )


def test_a_killed_worker_loses_one_batch_and_the_next_continues(
    owner: Person, book: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestion = ingestion_of(book)
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "add", dies_after(2))
        with pytest.raises(WorkerKilled):
            runner.execute(ingestion_id=ingestion.pk)
    shown = owner.get(f"/api/v1/documents/{book.public_id}").json()
    assert (shown["status"], shown["progress"]) == ("parsing", {"pages_done": 6, "pages_total": 12, "percent": 50})
    assert runner.execute(ingestion_id=ingestion.pk) is None  # The lease still runs.
    expire(ingestion)

    seen: list[int] = []
    add = Writer.add

    def watched(self: Writer, pages: Any, warnings: Any) -> None:
        seen.extend(page.number for page in pages)
        add(self, pages, warnings)

    monkeypatch.setattr(Writer, "add", watched)
    runner.execute(ingestion_id=ingestion.pk)

    assert seen == [7, 8, 9, 10, 11, 12]
    ingestion.refresh_from_db()
    assert (ingestion.status, ingestion.epoch, ingestion.pages_done) == ("ready", 2, 12)
    whole = make_document(owner, pdf(*SENTENCES) + b"\n", "the same.pdf")
    assert rows(ingestion) == rows(ingestion_of(whole))
    assert Page.objects.filter(ingestion=ingestion).count() == 12


def test_a_worker_that_lost_the_lease_writes_nothing(book: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    ingestion = ingestion_of(book)
    add = Writer.add

    def slow(self: Writer, *args: Any) -> None:
        add(self, *args)
        Ingestion.objects.filter(pk=ingestion.pk).update(epoch=99)  # Another worker has claimed it.

    monkeypatch.setattr(Writer, "add", slow)
    runner.execute(ingestion_id=ingestion.pk)

    ingestion.refresh_from_db()
    assert (ingestion.status, ingestion.epoch, ingestion.pages_done) == ("parsing", 99, 3)
    assert Page.objects.filter(ingestion=ingestion).count() == 3
    book.refresh_from_db()
    assert book.active_ingestion is None


def test_renewing_the_lease_fails_after_a_cancellation(book: Document) -> None:
    ingestion = lease.claim(ingestion_of(book).pk)
    assert ingestion is not None
    lease.write(ingestion)
    assert lease.cancel(book)

    with pytest.raises(LeaseLost):
        lease.write(ingestion)


def test_two_workers_cannot_claim_the_same_document(book: Document) -> None:
    ingestion = ingestion_of(book)

    assert lease.claim(ingestion.pk) is not None
    assert lease.claim(ingestion.pk) is None


def test_a_document_that_kills_its_workers_fails_in_the_end(
    owner: Person, book: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Writer, "add", dies_after(0))
    ingestion = ingestion_of(book)
    for _attempt in range(lease.MAX_ATTEMPTS):
        with pytest.raises(WorkerKilled):
            runner.execute(ingestion_id=ingestion.pk)
        expire(ingestion)

    assert runner.execute(ingestion_id=ingestion.pk) is None

    shown = owner.get(f"/api/v1/documents/{book.public_id}").json()
    assert (shown["status"], shown["error"]["code"], shown["error"]["retryable"]) == ("failed", "worker_lost", True)
    assert lease.overdue() == []


def test_an_unexpected_error_leaves_the_document_for_the_next_worker(
    book: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "add", lambda *args: 1 / 0)
        runner.execute(ingestion_id=ingestion_of(book).pk)
    assert lease.overdue() == []  # Not yet.
    expire(ingestion_of(book))
    assert lease.overdue() == [ingestion_of(book).pk]

    assert read(book.public_id).status == "ready"


def test_the_sweep_notifies_once_of_expired_leases_and_lost_notifications(
    owner: Person, book: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    monkeypatch.setattr(tasks.ingest_document, "delay", lambda *, ingestion_id: called.append(ingestion_id))
    ingestion = ingestion_of(book)

    tasks.sweep()
    assert called == []  # Just queued.
    Ingestion.objects.update(published_at=timezone.now() - timedelta(minutes=2))
    tasks.sweep()
    tasks.sweep()
    assert called == [str(ingestion.pk)]
    assert lease.claim(ingestion.pk) is not None
    tasks.sweep()
    assert called == [str(ingestion.pk)]  # A worker holds it.
    expire(ingestion)
    tasks.sweep()
    assert called == [str(ingestion.pk)] * 2


def test_bytes_that_are_gone_fail_the_document(owner: Person, book: Document) -> None:
    storage.delete(book.blob.key)

    assert read(book.public_id).status == "failed"
    assert owner.get(f"/api/v1/documents/{book.public_id}").json()["error"]["code"] == "file_missing"


def test_cancelling_stops_processing_and_returns_the_status(owner: Person, book: Document) -> None:
    response = owner.post(f"/api/v1/documents/{book.public_id}/cancel")

    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    assert runner.execute(ingestion_id=ingestion_of(book).pk) is None
    assert owner.post(f"/api/v1/documents/{book.public_id}/cancel").status_code == 409


def test_reprocessing_never_leaves_a_gap_in_search(owner: Person, settings: Any) -> None:
    document = make_document(owner, "Only the zebra knows.")
    before = rows(ingestion_of(document))

    response = owner.post(f"/api/v1/documents/{document.public_id}/reprocess")

    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert owner.post(f"/api/v1/documents/{document.public_id}/reprocess").status_code == 409
    first = owner.post("/api/v1/search", {"query": "zebra"}).json()["results"]
    assert len(first) == 1
    read(document.public_id)
    second = owner.post("/api/v1/search", {"query": "zebra"}).json()["results"]
    assert len(second) == 1
    assert second[0]["chunk"] != first[0]["chunk"]
    tasks.purge_replaced(document_id=str(document.pk))
    assert Chunk.objects.filter(document=document).count() == 1
    assert rows(ingestion_of(document)) == before


def test_deleting_hides_at_once_and_then_removes_everything(owner: Person, stranger: Person) -> None:
    document = make_document(owner, pdf("The zebra is here."), "zebra.pdf")
    theirs = make_document(stranger, pdf("The zebra is here."), "zebra.pdf")
    assert b"".join(owner.get(f"/api/v1/documents/{document.public_id}/thumbnail.png")).startswith(b"\x89PNG")
    key, images = document.blob.key, document.blob.images_folder

    assert owner.delete(f"/api/v1/documents/{document.public_id}").status_code == 204

    assert owner.get(f"/api/v1/documents/{document.public_id}").status_code == 404
    assert owner.delete(f"/api/v1/documents/{document.public_id}").status_code == 404
    assert owner.get("/api/v1/documents").json()["results"] == []
    assert owner.post("/api/v1/search", {"query": "zebra"}).json()["results"] == []
    assert storage.exists(key)
    for _twice in range(2):
        deletion.purge_document(document.pk)
    assert not storage.exists(key)
    assert not (storage.store().path(images) and storage.exists(f"{images}/1-240.png"))
    assert list(Document.objects.all()) == [theirs]
    assert list(Blob.objects.all()) == [theirs.blob]
    assert set(Chunk.objects.values_list("document_id", flat=True)) == {theirs.pk}
    assert set(Page.objects.values_list("ingestion__document_id", flat=True)) == {theirs.pk}
    assert len(stranger.post("/api/v1/search", {"query": "zebra"}).json()["results"]) == 1


def test_bytes_stay_while_another_document_has_them(owner: Person) -> None:
    first = make_document(owner, "Shared bytes.")
    owner.delete(f"/api/v1/documents/{first.public_id}")
    second = make_document(owner, "Shared bytes.")

    deletion.purge_document(first.pk)

    assert Document.objects.get() == second
    assert b"".join(owner.get(f"/api/v1/documents/{second.public_id}/content")) == b"Shared bytes."


def test_bytes_of_two_deleted_documents_go_whichever_is_purged_first(owner: Person) -> None:
    first = make_document(owner, "Shared bytes.")
    owner.delete(f"/api/v1/documents/{first.public_id}")
    second = make_document(owner, "Shared bytes.")
    assert second.blob_id == first.blob_id
    owner.delete(f"/api/v1/documents/{second.public_id}")

    deletion.purge_document(first.pk)
    assert not storage.exists(first.blob.key)
    deletion.purge_document(second.pk)

    assert (Document.objects.count(), Blob.objects.count()) == (0, 0)


def test_a_purge_that_was_interrupted_is_finished_by_the_sweeper(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = make_document(owner, "Interrupted.")
    key = document.blob.key
    owner.delete(f"/api/v1/documents/{document.public_id}")
    with monkeypatch.context() as patch:
        patch.setattr(storage, "delete", lambda key: (_ for _ in ()).throw(OSError("gone")))
        with pytest.raises(OSError, match="gone"):
            deletion.purge_document(document.pk)
    again = make_document(owner, "Interrupted.")  # The doomed bytes are not taken up.
    assert again.blob_id != document.blob_id
    Document.objects.filter(pk=document.pk).update(deleted_at=timezone.now() - timedelta(minutes=5))
    called: list[str] = []
    monkeypatch.setattr(tasks.purge_document, "delay", lambda *, document_id: called.append(document_id))

    tasks.sweep()
    tasks.purge_document(document_id=called[0])

    assert not storage.exists(key)
    assert Document.objects.get() == again
    assert storage.exists(again.blob.key)


def test_deleting_a_document_stops_its_worker(owner: Person, book: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Writer.add

    def deleting(self: Writer, *args: Any) -> None:
        add(self, *args)
        owner.delete(f"/api/v1/documents/{book.public_id}")

    monkeypatch.setattr(Writer, "add", deleting)
    runner.execute(ingestion_id=ingestion_of(book).pk)

    assert Page.objects.count() == 3
    deletion.purge_document(book.pk)
    assert (Page.objects.count(), Chunk.objects.count(), Document.objects.count()) == (0, 0, 0)
