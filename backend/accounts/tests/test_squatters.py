"""Who holds an account without its mailbox, or its password of before, does not keep its owner out."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone

from backend.accounts import operations
from backend.accounts.errors import SessionRevoked
from backend.accounts.models import Session, User
from backend.accounts.tests.test_addresses import (
    AUTH,
    EMAILS,
    NEW_PASSWORD,
    Outbox,
    link_in,
    log_in,
    post,
    reset,
    user_of,
    verify,
)
from backend.accounts.tests.threads import at_once
from tests.actors import PASSWORD, Person, sign_up


def asked(mails: Outbox) -> str:
    """The key of a link to set a new password, of an account whose last log-in was a while ago."""
    User.objects.update(last_login=timezone.now() - timedelta(hours=1))
    mails.clear()
    assert post("password/request", {"email": "owner@example.com"}).status_code == 200
    return link_in(mails[0], "reset-password")


def use(key: str, password: str = NEW_PASSWORD) -> Any:
    return post("password/reset", {"key": key, "password": password})


@pytest.fixture
def verified(owner: Person) -> Person:
    EmailAddress.objects.update(verified=True)
    return owner


def code_of(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


@pytest.mark.parametrize("what", ["log-in", "address", "password", "link"])
def test_a_squatter_does_not_end_the_links_of_the_mailbox(owner: Person, mailoutbox: Outbox, what: str) -> None:
    key = asked(mailoutbox)
    if what == "log-in":
        assert log_in("owner@example.com").status_code == 200
    elif what == "address":
        assert owner.post(EMAILS, {"email": "squatter@example.com"}).status_code == 200
    elif what == "password":
        change = {"current_password": PASSWORD, "new_password": "of the squatter now"}
        assert owner.post("/api/v1/account/password/change", change).status_code == 200
    else:
        asked(mailoutbox)

    assert user_of(use(key)) == owner.user.public_id
    assert user_of(log_in("owner@example.com", NEW_PASSWORD)) == owner.user.public_id
    assert log_in("owner@example.com").status_code == 422
    assert use(key, "once more with it").status_code == 422


def test_a_squatters_requests_leave_the_code_of_the_mailbox_alone(owner: Person, mailoutbox: Outbox) -> None:
    flow = post("code/request", {"email": "owner@example.com"})
    code = next(line for line in str(mailoutbox[0].body).splitlines() if line[4:5] == "-" and len(line) == 9)
    post("code/request", {"email": "owner@example.com"})
    log_in("owner@example.com")
    for _ in range(2):
        post(
            "code/confirm",
            {"code": "AAAA-AAAA"},
            post("code/request", {"email": "owner@example.com"}).json()["meta"]["session_token"],
        )

    assert user_of(post("code/confirm", {"code": code}, flow.json()["meta"]["session_token"])) == owner.user.public_id


def test_a_log_in_ends_no_link_of_a_verified_account_and_a_new_password_ends_all(
    verified: Person, mailoutbox: Outbox
) -> None:
    first, second = asked(mailoutbox), asked(mailoutbox)
    assert log_in("owner@example.com").status_code == 200
    assert use(first).status_code == 200

    assert use(first).status_code == use(second).status_code == 422
    third = asked(mailoutbox)
    operations.set_password(user_id=verified.user.pk, password="a password of the owner")
    assert use(third).status_code == 422


def test_a_link_ends_with_the_address_that_it_went_to(verified: Person, mailoutbox: Outbox) -> None:
    key = asked(mailoutbox)
    verified.post(EMAILS, {"email": "second@example.com"})
    assert verify(mailoutbox[-1], verified).status_code == 200

    assert use(key).status_code == 422


def test_a_link_ends_after_a_while(owner: Person, mailoutbox: Outbox, settings: Any) -> None:
    settings.PASSWORD_RESET_TIMEOUT = -1

    assert use(asked(mailoutbox)).status_code == 422


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_verified", [False, True])
def test_a_link_is_good_once_also_at_the_same_moment(owner: Person, mailoutbox: Outbox, is_verified: bool) -> None:
    EmailAddress.objects.update(verified=is_verified)
    key = asked(mailoutbox)

    answers = at_once(*[lambda number=number: use(key, f"another horse number {number}") for number in range(4)])

    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]
    refused = next(answer for answer in answers if answer.status_code == 422).json()["errors"][0]
    assert (refused["pointer"], refused["code"]) == ("/key", "invalid_password_reset")


@pytest.mark.parametrize("end", ["reset", "change", "operator", "lock-out"])
def test_half_a_log_in_ends_with_its_password(verified: Person, mailoutbox: Outbox, end: str) -> None:
    secret = generate_totp_secret()
    TOTP.activate(verified.user, secret)
    half = log_in("owner@example.com").json()["meta"]["session_token"]
    if end == "reset":
        assert reset("owner@example.com", mailoutbox).status_code == 401
    elif end == "change":
        change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert verified.post("/api/v1/account/password/change", change).status_code == 200
    elif end == "operator":
        operations.set_password(user_id=verified.user.pk, password=NEW_PASSWORD)
    else:
        operations.deactivate_user(user_id=verified.user.pk)
    before = Session.objects.count()

    response = post("2fa/authenticate", {"code": code_of(secret)}, half)

    assert response.status_code in (401, 410), response.content
    assert "access_token" not in response.json().get("meta", {})
    assert Session.objects.count() == before


def test_wrong_codes_of_a_thief_of_the_password_lock_the_owner_out_nowhere_else(verified: Person) -> None:
    secret = generate_totp_secret()
    TOTP.activate(verified.user, secret)

    def enter(code: str, address: str) -> Any:
        client = Client(raise_request_exception=False, REMOTE_ADDR=address)
        body = {"email": "owner@example.com", "password": PASSWORD}
        half = client.post(f"{AUTH}/login", body, "application/json").json()["meta"]["session_token"]
        headers = {"X-Session-Token": half}
        return client.post(f"{AUTH}/2fa/authenticate", {"code": code}, "application/json", headers=headers)

    codes = [enter("000000", "192.0.2.1").json()["errors"][0]["code"] for _ in range(11)]

    assert codes == ["incorrect_code"] * 10 + ["too_many_login_attempts"]
    assert enter(code_of(secret), "192.0.2.2").status_code == 200


def test_an_access_token_alone_moves_no_account_to_another_mailbox(verified: Person, mailoutbox: Outbox) -> None:
    EmailAddress.objects.create(user=verified.user, email="second@example.com", verified=True)
    Session.objects.update(created_at=timezone.now() - timedelta(minutes=6))
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: verified.post(EMAILS, {"email": "thief@example.com"}),
        lambda: verified.patch(EMAILS, {"email": "second@example.com", "primary": True}),
        lambda: verified.delete(EMAILS, {"email": "second@example.com"}),
    )

    for attempt in attempts:
        response = attempt()
        assert (response.status_code, response.json()["code"]) == (401, "reauthentication_required")
    assert sorted(EmailAddress.objects.values_list("email", "primary")) == [
        ("owner@example.com", True),
        ("second@example.com", False),
    ]
    assert mailoutbox == []
    assert verified.post(f"{AUTH}/reauthenticate", {"password": PASSWORD}).status_code == 200
    assert [attempt().status_code for attempt in attempts[:2]] == [200, 200]


def test_the_old_mailbox_is_notified_of_another_primary_and_of_its_removal(
    verified: Person, mailoutbox: Outbox
) -> None:
    def to_old() -> list[EmailMessage]:
        found = [mail for mail in mailoutbox if mail.to == ["owner@example.com"]]
        mailoutbox.clear()
        return found

    verified.post(EMAILS, {"email": "second@example.com"})
    assert verify(mailoutbox[-1], verified).status_code == 200
    to_old()
    assert verified.patch(EMAILS, {"email": "second@example.com", "primary": True}).status_code == 200
    assert ["second@example.com" in str(mail.body) for mail in to_old()] == [True]
    assert verified.delete(EMAILS, {"email": "owner@example.com"}).status_code == 200
    assert ["has been removed" in str(mail.body) for mail in to_old()] == [True]
    verified.post(EMAILS, {"email": "nobody@example.com"})
    mailoutbox.clear()
    assert verified.delete(EMAILS, {"email": "nobody@example.com"}).status_code == 200
    assert mailoutbox == []  # It never was this account's.


@pytest.mark.django_db(transaction=True)
def test_an_account_keeps_a_primary_address_whatever_is_asked_at_once(verified: Person, mailoutbox: Outbox) -> None:
    def choose(email: str) -> Any:
        return lambda: verified.patch(EMAILS, {"email": email, "primary": True}).status_code

    def remove(email: str) -> Any:
        return lambda: verified.delete(EMAILS, {"email": email}).status_code

    for number in range(2):
        old, new = verified.user.email, f"{number}@example.com"
        EmailAddress.objects.create(user=verified.user, email=new, verified=True)

        codes = at_once(choose(new), remove(new), remove(old), choose(old), remove(new))

        assert set(codes) <= {200, 422}
        verified.user.refresh_from_db()
        assert EmailAddress.objects.get(user=verified.user, primary=True).email == verified.user.email


def test_no_client_takes_the_name_that_an_account_without_address_gets(
    owner: Person, stranger: Person, mailoutbox: Outbox
) -> None:
    sign_up(f"{stranger.user.pk.hex}@lost.invalid")
    owner.post(EMAILS, {"email": "stranger@example.com"})

    assert verify(mailoutbox[-1], owner).status_code == 200
    assert stranger.get("/api/v1/users/me").json()["email"].endswith("@lost.invalid")


def test_a_locked_out_user_finishes_no_log_in_by_code(verified: Person, mailoutbox: Outbox) -> None:
    secret = generate_totp_secret()
    TOTP.activate(verified.user, secret)
    asked = post("code/request", {"email": "owner@example.com"}).json()["meta"]["session_token"]
    code = next(line for line in str(mailoutbox[-1].body).splitlines() if line[4:5] == "-" and len(line) == 9)
    half = post("code/confirm", {"code": code}, asked)
    assert half.status_code == 401
    operations.deactivate_user(user_id=verified.user.pk)

    token = half.json()["meta"].get("session_token", asked)
    response = post("2fa/authenticate", {"code": code_of(secret)}, token)

    assert response.status_code in (401, 410), response.content
    assert "access_token" not in response.json().get("meta", {})


def test_a_locked_out_user_neither_sets_a_password_nor_begins_a_log_in(verified: Person, mailoutbox: Outbox) -> None:
    key = asked(mailoutbox)
    operations.deactivate_user(user_id=verified.user.pk)
    before = User.objects.get(pk=verified.user.pk).password

    assert use(key).status_code == 422
    assert User.objects.get(pk=verified.user.pk).password == before
    with pytest.raises(SessionRevoked):
        operations.start_session(user=verified.user, amr=["pwd"])
