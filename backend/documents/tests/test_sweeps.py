"""A failing item of a sweep does not block the others."""

from uuid import UUID

import pytest
from django.utils import timezone

from backend.documents import deletion, statistics, tasks, uploads
from backend.documents.ingestion import lease
from backend.documents.models import Corpus
from tests.actors import Person

pytestmark = pytest.mark.django_db


def break_down(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a bug")


def test_a_workspace_that_cannot_be_counted_does_not_block_others(
    owner: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in (owner, stranger):
        statistics.record_change(workspace_id=person.workspace.pk)
    real = statistics.refresh

    def refresh(*, workspace_id: UUID) -> None:
        if workspace_id == owner.workspace.pk:
            break_down()
        real(workspace_id=workspace_id)

    monkeypatch.setattr(statistics, "refresh", refresh)

    for _ in range(4):  # Whichever comes first.
        Corpus.objects.filter(workspace=stranger.workspace).update(counted_at=None, changed_at=timezone.now())
        tasks.refresh_statistics()
        assert statistics.changed() == [owner.workspace.pk]


@pytest.mark.parametrize("broken", ["overdue", "left_over"])
def test_a_failing_part_of_the_sweep_does_not_block_the_other(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setattr(lease if broken == "overdue" else deletion, broken, break_down)
    calls: list[bool] = []
    monkeypatch.setattr(uploads, "remove_abandoned", lambda: calls.append(True))

    tasks.sweep()

    assert calls == [True]
