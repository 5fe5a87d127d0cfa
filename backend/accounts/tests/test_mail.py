"""E-mails are sent by a worker, and no response reveals by its time or form whether an account exists."""

import json
import re
import stat
from pathlib import Path
from smtplib import SMTPServerDisconnected
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core import mail as django_mail
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis.client import Redis

from backend.accounts import outbox, tasks
from backend.db.redis import client
from tests.actors import PASSWORD, Person, sign_up

AUTH = "/api/v1/auth"
CODE = re.compile(r"^[A-Z0-9]{4}-[A-Z0-9]{4}$", re.MULTILINE)


def post(path: str, body: dict[str, Any]) -> Any:
    return Client(raise_request_exception=False).post(f"{AUTH}/{path}", body, "application/json")


def waiting(redis: Redis) -> list[Any]:
    return list(redis.keys("mail:*"))


@pytest.mark.django_db(transaction=True)
def test_a_code_waits_for_the_worker_under_a_name_that_expires() -> None:
    sign_up("ana@example.com")
    redis = client()

    assert post("code/request", {"email": "ana@example.com"}).status_code == 401

    assert django_mail.outbox == []
    (key,) = waiting(redis)
    assert 0 < redis.ttl(key) <= 180  # As long as the code is valid.
    code = CODE.search(json.loads(redis.get(key) or b"")["body"])
    assert code is not None
    (task,) = redis.lrange("default", 0, -1)
    assert b"send_mail" in task
    assert code[0].encode() not in task
    assert b"ana@" not in task

    tasks.send_mail(mail_id=key.decode().removeprefix("mail:"))

    assert code[0] in str(django_mail.outbox[0].body)
    assert waiting(redis) == []
    tasks.send_mail(mail_id=key.decode().removeprefix("mail:"))  # Delivered twice, sent once.
    assert len(django_mail.outbox) == 1


@pytest.mark.parametrize("path", ["password/request", "code/request"])
def test_who_has_an_account_makes_no_difference_to_the_request(
    owner: Person, path: str, mailoutbox: list[EmailMessage]
) -> None:
    jobs: list[dict[str, Any]] = []

    def statements(email: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            post(path, {"email": email})
        return len(queries)

    with mock.patch.object(outbox, "_enqueue", lambda job, **_: jobs.append(job)):
        statements("other@example.com")  # What is done once per process.
        assert statements("owner@example.com") == statements("somebody@example.com")

    assert jobs[1].keys() == jobs[2].keys()
    for job in jobs:
        outbox._enqueue(job, seconds=60)
    assert [mail.to for mail in mailoutbox] == [["owner@example.com"]]


@pytest.mark.parametrize("verification", ["none", "mandatory"])
def test_a_password_is_hashed_once_for_any_address(
    owner: Person, settings: Any, verification: str, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = verification
    paths = ["login"] if verification == "none" else ["login", "signup"]
    with (
        mock.patch.object(
            Argon2PasswordHasher, "encode", autospec=True, side_effect=Argon2PasswordHasher.encode
        ) as one,
        mock.patch.object(
            Argon2PasswordHasher, "verify", autospec=True, side_effect=Argon2PasswordHasher.verify
        ) as two,
    ):
        for path in paths:
            for email in ("owner@example.com", f"new-{path}@example.com"):
                before = one.call_count + two.call_count
                post(path, {"email": email, "password": f"{PASSWORD} but wrong"})
                assert one.call_count + two.call_count - before == 1, (path, email)


def test_a_mandatory_sign_up_does_the_same_work_for_a_known_address(
    owner: Person, settings: Any, mailoutbox: list[EmailMessage]
) -> None:
    settings.EMAIL_VERIFICATION = settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    def statements(email: str) -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            assert post("signup", {"email": email, "password": PASSWORD}).status_code == 401
        return len(queries), sum((query["sql"] or "").startswith("INSERT") for query in queries)

    statements("first@example.com")
    (new, inserted), (known, undone) = statements("new@example.com"), statements("owner@example.com")
    assert abs(new - known) <= 8
    assert abs(inserted - undone) <= 2
    assert [mail.to for mail in mailoutbox] == [["first@example.com"], ["new@example.com"], ["owner@example.com"]]


def test_a_server_that_does_not_take_a_mail_is_asked_again(owner: Person, caplog: pytest.LogCaptureFixture) -> None:
    with mock.patch.object(outbox, "_enqueue", lambda job, *, seconds: outbox._hand_over(job, seconds=seconds)):
        post("password/request", {"email": "owner@example.com"})
    (key,) = waiting(client())
    name = key.decode().removeprefix("mail:")
    refusal = SMTPServerDisconnected("owner@example.com: go away")
    with mock.patch.object(EmailMessage, "send", side_effect=[refusal, TimeoutError, 1]) as send:
        tasks.send_mail.apply(kwargs={"mail_id": name})
        assert send.call_count == 3
    assert waiting(client()) == []

    with mock.patch.object(outbox, "_enqueue", lambda job, *, seconds: outbox._hand_over(job, seconds=seconds)):
        post("password/request", {"email": "owner@example.com"})
    (key,) = waiting(client())
    caplog.clear()
    with mock.patch.object(EmailMessage, "send", side_effect=refusal) as send:
        tasks.send_mail.apply(kwargs={"mail_id": key.decode().removeprefix("mail:")})
        assert send.call_count == tasks.MAIL_RETRIES + 1
    assert waiting(client()) == []
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["mail_failed"]
    assert "owner@example.com" not in caplog.text


def test_mails_in_files_are_for_their_owner_alone(tmp_path: Path, settings: Any) -> None:
    folder = tmp_path / "mail"
    folder.mkdir(mode=0o755)
    settings.EMAIL_FILE_PATH = folder
    settings.EMAIL_BACKEND = "backend.accounts.filebased.EmailBackend"

    EmailMessage("Code", "ABCD-EFGH", None, ["ana@example.com"]).send()

    (file,) = folder.iterdir()
    assert "ABCD-EFGH" in file.read_text()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)
