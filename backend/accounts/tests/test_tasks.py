from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session as State
from django.utils import timezone

from backend import celery
from backend.accounts import idempotency, operations, tasks
from backend.accounts.models import Session
from backend.db.redis import client as redis
from tests.actors import Person


def test_revocations_are_published_again_after_redis_lost_its_data(
    owner: Person, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        operations.revoke_sessions(user_id=owner.user.pk, reason="logged_out")
    redis().flushdb()
    assert owner.get("/api/v1/users/me").status_code == 200

    tasks.repeat_revocations()

    assert owner.get("/api/v1/users/me").status_code == 401


def test_old_revocations_are_not_published_again(owner: Person) -> None:
    Session.objects.update(revoked_at=timezone.now() - timedelta(minutes=11))

    tasks.repeat_revocations()

    assert redis().keys("rev:*") == []


def test_log_ins_that_ended_long_ago_are_forgotten(owner: Person, stranger: Person) -> None:
    for person in (owner, stranger):
        assert person.get("/api/v1/auth/session").status_code == 200  # Makes the state of the log-in.
    long_ago = timezone.now() - timedelta(days=91)
    Session.objects.filter(user=owner.user).update(revoked_at=long_ago)
    State.objects.filter(session_key=Session.objects.get(user=owner.user).state_key).update(expire_date=long_ago)

    tasks.purge()

    assert list(Session.objects.values_list("user__email", flat=True)) == ["stranger@example.com"]
    assert State.objects.count() == 1


def test_log_ins_are_purged_although_responses_cannot_be(
    owner: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(idempotency, "purge", break_down)
    Session.objects.filter(user=owner.user).update(revoked_at=timezone.now() - timedelta(days=91))

    tasks.purge()

    assert list(Session.objects.values_list("user__email", flat=True)) == ["stranger@example.com"]


def test_the_beat_knows_the_tasks() -> None:
    celery.app.loader.import_default_modules()
    for name in ("accounts.purge", "accounts.repeat_revocations"):
        assert celery.app.conf.beat_schedule[name]["task"] in celery.app.tasks
