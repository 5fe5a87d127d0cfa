"""The order of the queue, turns, and the time limits of one document."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.documents import tasks
from backend.documents.ingestion import queue, runner
from backend.documents.ingestion.budget import Budget
from backend.documents.ingestion.parsers import cpu
from backend.documents.ingestion.parsers.frames import Job
from backend.documents.ingestion.writing import Writer
from backend.documents.models import Chunk, Document, Ingestion, Usage
from backend.documents.tests.cast import ingestion_of, make_document, pdf, slow_pdf, upload, uuid_of
from tests.actors import Person

pytestmark = pytest.mark.django_db

PAGES = [f"Page {number} tells of animal number {number}.\n" + "More words follow. " * 3 for number in range(12)]


class WorkerKilled(BaseException):
    """Ends a test's worker as SIGKILL would."""


def queued(person: Person, content: bytes | str, filename: str = "notes.txt") -> Document:
    response = upload(person, content, filename)
    assert response.status_code == 201, response.content
    return Document.objects.get(pk=uuid_of(response.json()["id"]))


def work() -> None:
    """What a worker does with one notification."""
    tasks.ingest_document(ingestion_id="any")


def state(document: Document) -> tuple[str, int]:
    ingestion = ingestion_of(document)
    return ingestion.status, ingestion.pages_done


def test_a_stranger_s_document_does_not_wait_for_many_of_another_workspace(owner: Person, stranger: Person) -> None:
    many = [queued(owner, f"Note {number}.") for number in range(5)]
    theirs = queued(stranger, "Only one.")

    work()
    work()

    assert state(theirs)[0] == "ready"
    assert [state(document)[0] for document in many].count("ready") == 1
    work()
    assert [state(document)[0] for document in many].count("ready") == 2


def test_small_files_are_read_before_large_ones_and_large_ones_do_not_starve(owner: Person) -> None:
    large = queued(owner, "Many words. " * 5_000)
    small = queued(owner, "Few words.")
    work()
    assert (state(large)[0], state(small)[0]) == ("queued", "ready")
    Ingestion.objects.filter(document=large).update(created_at=timezone.now() - timedelta(minutes=20))
    queued(owner, "Fewer.")

    work()

    assert state(large)[0] == "ready"


def test_one_workspace_has_a_bounded_number_of_running_ingestions(
    owner: Person, stranger: Person, settings: Any
) -> None:
    settings.INGESTIONS_PER_WORKSPACE = 2
    for number in range(4):
        queued(owner, f"Note {number}.")

    assert [queue.claim_next() is not None for _ in range(3)] == [True, True, False]
    assert not queue.is_waiting()
    theirs = queued(stranger, "Only one.")
    claimed = queue.claim_next()
    assert claimed is not None
    assert claimed.document_id == theirs.pk


def test_a_long_document_ends_its_turn_after_a_batch_and_continues_from_its_cursor(
    owner: Person, stranger: Person, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INGESTION_BATCH_PAGES = 3
    settings.INGESTION_TURN_SECONDS = 0.0
    monkeypatch.setattr(Budget, "record_opening", lambda self: None)
    called: list[str] = []
    monkeypatch.setattr(tasks.ingest_document, "delay", lambda *, ingestion_id: called.append(ingestion_id))
    book = queued(owner, pdf(*PAGES), "book.pdf")
    theirs = [queued(stranger, f"Note {number}.") for number in range(2)]
    called.clear()

    for _notification in range(4):
        work()
        assert ingestion_of(book).attempts == 0
    assert [state(document)[0] for document in theirs] == ["ready", "ready"]
    assert 0 < state(book)[1] <= len(PAGES)
    assert len(called) >= 3  # Each turn that ends, and each place that gets free, is a notification.
    while queue.is_waiting():
        work()

    assert state(book) == ("ready", 12)
    assert ingestion_of(book).epoch >= 2
    columns = ("index", "text", "page_from", "page_to", "char_start", "char_end", "words")
    whole = make_document(stranger, pdf(*PAGES), "the same.pdf")
    of_turns, at_once = (
        list(Chunk.objects.filter(document=document).order_by("index").values_list(*columns))
        for document in (book, whole)
    )
    assert of_turns == at_once


def test_a_long_document_keeps_its_worker_while_nothing_else_waits(
    owner: Person, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INGESTION_TURN_SECONDS = 0.0
    monkeypatch.setattr(Budget, "record_opening", lambda self: None)
    book = queued(owner, pdf(*PAGES), "book.pdf")

    work()

    assert (state(book), ingestion_of(book).epoch) == (("ready", 12), 1)


@pytest.mark.parametrize("limit", ["PARSER_DOCUMENT_CPU_SECONDS", "PARSER_DOCUMENT_SECONDS"])
def test_a_document_has_a_budget_over_all_of_its_batches(owner: Person, settings: Any, limit: str) -> None:
    setattr(settings, limit, 1.0)
    settings.INGESTION_TURN_SECONDS = 0.1
    document = queued(owner, slow_pdf(*[400_000] * 30), "slow.pdf")

    work()

    shown = owner.get(f"/api/v1/documents/{document.public_id}").json()
    assert (shown["status"], shown["error"]["code"], shown["error"]["retryable"]) == ("failed", "too_complex", False)
    assert shown["progress"]["pages_done"] < 30


def test_the_death_of_a_worker_does_not_reset_the_budget(
    owner: Person, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INGESTION_TURN_SECONDS = 0.1
    document = queued(owner, slow_pdf(*[400_000] * 30), "slow.pdf")
    add, left = Writer.add, [2]

    def dying(self: Writer, *args: Any) -> None:
        if not left[0]:
            raise WorkerKilled
        left[0] -= 1
        add(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "add", dying)
        with pytest.raises(WorkerKilled):
            work()
    killed = ingestion_of(document)
    assert killed.pages_done > 0
    assert min(killed.seconds, killed.cpu_seconds) > 0.1
    Ingestion.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    settings.PARSER_DOCUMENT_CPU_SECONDS = killed.cpu_seconds

    work()

    assert (state(document)[0], ingestion_of(document).error_code) == ("failed", "too_complex")


def test_a_page_that_takes_too_long_is_left_out(owner: Person, settings: Any) -> None:
    settings.PARSER_PAGE_CPU_SECONDS = 1
    document = queued(owner, slow_pdf(10, 8_000_000, 10), "slow.pdf")

    work()

    shown = owner.get(f"/api/v1/documents/{document.public_id}").json()
    assert (shown["status"], shown["page_count"]) == ("ready", 3)
    assert [warning["code"] for warning in shown["warnings"]] == ["page_too_slow", "no_text"]
    assert "Page 2 " in shown["warnings"][0]["detail"]


def test_a_new_workspace_does_not_come_before_older_ones(owner: Person, stranger: Person) -> None:
    queued(owner, "The first.")
    work()
    Usage.objects.filter(workspace_id=owner.workspace.pk).update(served_at=timezone.now() - timedelta(hours=1))
    of_new = queued(stranger, "New.")
    of_older = queued(owner, "The second.")

    work()

    assert (state(of_older)[0], state(of_new)[0]) == ("ready", "queued")


def test_the_processor_time_of_an_ingestion_counts_against_its_workspace(owner: Person, stranger: Person) -> None:
    for person in (owner, stranger):
        queued(person, f"Of {person.workspace.pk}.")
    work()
    work()
    document = queued(owner, "x", "x.txt")
    ingestion = queue.claim_next()
    assert ingestion is not None
    ingestion.cpu_seconds = 0.0

    def costly(self: Budget, **_: float) -> None:
        self._ingestion.cpu_seconds = 30.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Budget, "record", costly)
        runner._execute(ingestion)

    assert state(document)[0] == "ready"
    served = Usage.objects.get(workspace_id=owner.workspace.pk).served_at
    assert served is not None
    assert served > timezone.now() + timedelta(seconds=15)
    again, theirs = queued(owner, "y"), queued(stranger, "z is longer than y")
    work()
    assert (state(theirs)[0], state(again)[0]) == ("ready", "queued")


def test_markdown_whose_formatting_takes_too_long_is_read_as_plain_text(owner: Person, settings: Any) -> None:
    settings.PARSER_CPU_SECONDS = 1  # Of the four and more that a fast machine takes.
    document = queued(owner, "# Zebras graze.\n\n" + "![" * 200_000, "hostile.md")

    work()

    shown = owner.get(f"/api/v1/documents/{document.public_id}").json()
    assert (shown["status"], [warning["code"] for warning in shown["warnings"]]) == ("ready", ["formatting_ignored"])
    assert ingestion_of(document).cpu_seconds < 9
    assert Chunk.objects.filter(document=document).order_by("index")[0].text.startswith("# Zebras graze.")


def test_the_time_limit_of_a_file_without_pages_grows_with_its_size() -> None:
    job = Job(task="parse", content_type="", cpu_seconds=30, total_cpu_seconds=180, memory_bytes=1)
    allowed: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "limit", allowed.append)
        for size in (20, 1_000_000, 5_000_000, 100_000_000):
            cpu.limit_for(job, size)

    assert allowed == [2, 6, 22, 30]


def test_the_first_ingestion_of_the_queue_is_found_with_one_statement(
    owner: Person, stranger: Person, django_assert_num_queries: Any
) -> None:
    for number in range(10):
        queued(owner, f"Note {number}.")
    queued(stranger, "Theirs.")

    with django_assert_num_queries(1):
        assert queue.is_waiting()


def test_one_that_killed_its_workers_does_not_stop_the_queue(owner: Person) -> None:
    deadly, harmless = queued(owner, "x"), queued(owner, "Longer, so it comes second.")
    Ingestion.objects.filter(document=deadly).update(attempts=3)

    work()

    assert ingestion_of(deadly).error_code == "worker_lost"
    assert state(harmless)[0] == "ready"
    assert runner.execute_next() is None
