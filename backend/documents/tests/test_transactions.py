"""No transaction waits for a network, no two deadlock, and none acts on a state from before its wait for a lock."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.files.storage import FileSystemStorage
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone
from redis.connection import AbstractConnection

from backend.accounts.tests.threads import at_once
from backend.documents import deletion, operations, statistics, tasks
from backend.documents.ingestion import lease, queue
from backend.documents.models import Document, Ingestion
from backend.documents.tests.cast import pdf, upload, uuid_of
from tests.actors import Person, sign_up

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> Iterator[list[str]]:
    """Calls of the storage and of Redis; one within a transaction fails its test."""
    settings.MEDIA_ROOT = tmp_path
    seen: list[str] = []
    within: list[str] = []

    def checked(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def call_and_check(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            if connection.in_atomic_block:
                within.append(name)
            return call(*args, **kwargs)

        return call_and_check

    for name in ("_save", "_open", "delete", "exists", "listdir"):
        monkeypatch.setattr(FileSystemStorage, name, checked(f"storage.{name}", getattr(FileSystemStorage, name)))
    redis = AbstractConnection.send_packed_command
    monkeypatch.setattr(AbstractConnection, "send_packed_command", checked("redis", redis))
    yield seen
    assert within == []
    assert {"storage._save", "storage.delete", "redis"} <= set(seen)


def test_no_call_of_storage_or_redis_is_made_within_a_transaction(
    calls: list[str], settings: Any, member: Person, owner: Person
) -> None:
    settings.DEMO_CONTENT = True
    sign_up("new@example.com")

    collection = owner.post("/api/v1/collections", {"name": "Papers"}, Idempotency_Key="collection").json()["id"]
    first = upload(owner, pdf("The zebra."), "zebra.pdf", collection=collection).json()["id"]
    for _once_and_again in range(2):
        sent = upload(member, "With a key.", collection=collection, headers={"Idempotency_Key": "upload"})
        assert sent.status_code == 201, sent.content
    keyed = sent.json()["id"]
    assert upload(owner, "With a key.").status_code == 200
    refused = upload(owner, b"\0\1\2", "x.bin", headers={"Idempotency_Key": "refused"})
    assert refused.status_code == 415
    settings.WORKSPACE_DOCUMENTS = 1
    assert upload(owner, "Too many.", headers={"Idempotency_Key": "full"}).status_code == 409
    settings.WORKSPACE_DOCUMENTS = 100
    lost = upload(owner, "Refused late.", collection="col_01h455vb4pex5vsknk084sn02q")
    assert lost.status_code == 404

    while queue.is_waiting():
        tasks.ingest_document(ingestion_id="any")
    assert owner.get(f"/api/v1/documents/{first}").json()["status"] == "ready"
    for path in ("content", "text", "chunks", "pages/1.png", "thumbnail.png"):
        response = owner.get(f"/api/v1/documents/{first}/{path}")
        assert response.status_code == 200, path
        b"".join(response)
    assert owner.post("/api/v1/search", {"query": "zebra"}).json()["results"]
    assert owner.patch(f"/api/v1/documents/{first}", {"name": "New"}).status_code == 200
    assert owner.post(f"/api/v1/documents/{first}/reprocess", Idempotency_Key="again").status_code == 202
    assert owner.post(f"/api/v1/documents/{first}/cancel").status_code == 202
    assert owner.post(f"/api/v1/documents/{first}/reprocess").status_code == 202
    tasks.ingest_document(ingestion_id="any")
    tasks.purge_replaced(document_id=str(uuid_of(first)))
    for document in (first, keyed):
        assert owner.delete(f"/api/v1/documents/{document}").status_code == 204
        tasks.purge_document(document_id=str(uuid_of(document)))
    tasks.sweep()
    tasks.refresh_statistics()
    tasks.reconcile_storage()
    assert owner.delete(f"/api/v1/collections/{collection}").status_code == 204


def test_an_upload_succeeds_while_the_broker_is_down(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(tasks.ingest_document, "delay", refuse)

    response = upload(owner, "Kept.")

    assert response.status_code == 201
    content = owner.get(f"/api/v1/documents/{response.json()['id']}/content")
    assert b"".join(content) == b"Kept."


def test_a_claim_that_waited_for_a_cancellation_takes_nothing(owner: Person) -> None:
    """Else a cancelled ingestion would be unfinished again, and the next upload of the same bytes would fail."""
    document = uuid_of(upload(owner, "Cancelled while it was claimed.").json()["id"])
    ingestion = Ingestion.objects.get(document=document)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        lease.cancel(ingestion.document)
        claiming = pool.submit(_claimed, ingestion.pk)
        while not claiming.done() and not _a_backend_waits_for_a_lock():
            time.sleep(0.01)
    assert claiming.result(10) is None

    ingestion.refresh_from_db()
    assert (ingestion.status, ingestion.lease_until) == ("cancelled", None)


def test_a_change_that_waited_for_a_deletion_changes_nothing(owner: Person) -> None:
    """Else the change would be made to a deleted document, and after its purge fail with an error of the server."""
    document = Document.objects.get(pk=uuid_of(upload(owner, "Deleted while it was renamed.").json()["id"]))
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        operations.discard_document(document=document)
        renaming = pool.submit(_renamed, owner, document)
        while not renaming.done() and not _a_backend_waits_for_a_lock():
            time.sleep(0.01)
    assert renaming.result(10) == 404

    document.refresh_from_db()
    assert document.name == "notes.txt"


def _renamed(person: Person, document: Document) -> int:
    try:
        return int(person.patch(f"/api/v1/documents/{document.public_id}", {"name": "New"}).status_code)
    finally:
        connections.close_all()


def _claimed(ingestion_id: UUID) -> Ingestion | None:
    try:
        return lease.claim(ingestion_id)
    finally:
        connections.close_all()


def _a_backend_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # A transaction sees the activity as of its first look.
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database())"
        )
        return bool(cursor.fetchone()[0])


def test_operations_on_one_document_never_deadlock(owner: Person, settings: Any) -> None:
    """Cancel, process again, upload again, delete, claim, finish, purge and sweep, concurrently, many times."""
    settings.INGESTIONS_PER_WORKSPACE = 100
    text = "Always the same bytes."
    upload(owner, text)
    failures: list[object] = []

    def request(kind: str) -> None:
        ids = [document.public_id for document in Document.objects.alive()]
        path = f"/api/v1/documents/{ids[0]}" if ids else "/api/v1/documents/none"
        response = {
            "cancel": lambda: owner.post(f"{path}/cancel"),
            "reprocess": lambda: owner.post(f"{path}/reprocess"),
            "delete": lambda: owner.delete(path),
            "upload": lambda: upload(owner, text),
        }[kind]()
        if response.status_code >= 500:
            failures.append((kind, response.content))

    def work() -> None:
        from backend.documents.ingestion.writing import Writer  # A worker without its parser.

        ingestion = queue.claim_next()
        if ingestion is not None:
            lease.write(ingestion, status=Ingestion.Status.PARSING, pages_total=1, paged=False)
            Writer(ingestion).finish()

    def purge() -> None:
        for document in Document.objects.exclude(deleted_at=None):
            deletion.purge_document(document.pk)
        Ingestion.objects.filter(lease_until__lt=timezone.now() + timedelta(hours=1)).update(lease_until=None)
        for document in Document.objects.all():
            deletion.purge_replaced(document.pk)
        for workspace_id in statistics.changed():
            statistics.refresh(workspace_id=workspace_id)

    def actor(seed: int) -> None:
        chosen = random.Random(seed)
        kinds = ["cancel", "reprocess", "delete", "upload", "upload", "work", "work", "work", "purge"]
        for _ in range(50):
            kind = chosen.choice(kinds)
            try:
                {"work": work, "purge": purge}.get(kind, lambda kind=kind: request(kind))()
            except OperationalError as error:  # A deadlock, or a wait that ended.
                failures.append((kind, str(error)))
            except Exception as error:
                if type(error).__name__ not in ("LeaseLost", "DoesNotExist"):
                    failures.append((kind, repr(error)))
        connections.close_all()

    at_once(*(lambda seed=seed: actor(seed) for seed in range(6)))

    assert failures == []
