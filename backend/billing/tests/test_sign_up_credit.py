"""The sign-up credit: once per mailbox, and where addresses are verified only for a verified one."""

import re
from typing import Any
from urllib.parse import unquote

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.mail import EmailMessage
from django.test import Client

from backend.billing.models import Transfer
from tests.actors import PASSWORD, Person, sign_up

EMAILS = "/api/v1/account/email"
Outbox = list[EmailMessage]


def posted(person: Person) -> str:
    return str(person.get("/api/v1/billing/balance").json()["posted"])


def verify(person: Person, mails: Outbox) -> None:
    found = re.search(r"/#/verify-email/(\S+)", str(mails[-1].body))
    assert found is not None
    assert person.post("/api/v1/auth/email/verify", {"key": unquote(found[1])}).status_code == 200


@pytest.fixture
def optional(settings: Any) -> None:
    settings.EMAIL_VERIFICATION = settings.ACCOUNT_EMAIL_VERIFICATION = "optional"


def test_the_credit_comes_at_once_where_addresses_are_not_verified(owner: Person) -> None:
    assert posted(owner) == "5.00"


def test_the_credit_comes_with_the_verified_address(db: None, optional: None, mailoutbox: Outbox) -> None:
    ana = sign_up("ana@example.com")
    assert posted(ana) == "0.00"

    verify(ana, mailoutbox)

    assert posted(ana) == "5.00"
    ana.post(EMAILS, {"email": "second@example.com"})
    verify(ana, mailoutbox)
    assert ana.patch(EMAILS, {"email": "second@example.com", "primary": True}).status_code == 200
    assert posted(ana) == "5.00"  # Once per workspace.
    assert Transfer.objects.count() == 1


def test_mandatory_verification_gives_it_too(db: None, settings: Any, mailoutbox: Outbox) -> None:
    settings.EMAIL_VERIFICATION = settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    body = {"email": "ana@example.com", "password": PASSWORD}
    asked = Client().post("/api/v1/auth/signup", body, "application/json")
    assert asked.status_code == 401
    assert not Transfer.objects.exists()

    found = re.search(r"/#/verify-email/(\S+)", str(mailoutbox[-1].body))
    assert found is not None
    Client().post(
        "/api/v1/auth/email/verify",
        {"key": unquote(found[1])},
        "application/json",
        headers={"X-Session-Token": asked.json()["meta"]["session_token"]},
    )

    assert Transfer.objects.get().amount == 5_000_000


@pytest.mark.parametrize("again", ["ana@example.com", "ana+2@example.com", "Ana+x+y@EXAMPLE.com"])
def test_a_mailbox_is_given_credit_once_whatever_account_has_it(
    db: None, optional: None, mailoutbox: Outbox, again: str
) -> None:
    first = sign_up("ana@example.com")
    verify(first, mailoutbox)
    cache.clear()  # Mails to one address are limited.
    EmailAddress.objects.all().delete()  # As if it had been moved away or its account were gone.
    type(first.user).objects.filter(pk=first.user.pk).update(email="away@lost.invalid")
    asked = Client().post(
        "/api/v1/auth/signup", {"email": again, "password": PASSWORD}, content_type="application/json"
    )
    meta = asked.json()["meta"]
    user = type(first.user).objects.exclude(pk=first.user.pk).get()
    second = Person(user, user.personal_workspace, meta["access_token"], meta["refresh_token"])

    verify(second, mailoutbox)

    assert EmailAddress.objects.get(verified=True).user == user
    assert (posted(first), posted(second)) == ("5.00", "0.00")


def test_without_verification_a_mailbox_is_given_credit_once_too(owner: Person) -> None:
    EmailAddress.objects.all().delete()
    type(owner.user).objects.update(email="away@lost.invalid")

    again = sign_up("owner@example.com")

    assert (posted(owner), posted(again)) == ("5.00", "0.00")


@pytest.mark.parametrize(
    ("credit", "verification", "refused"),
    [
        ("5.00", "none", True),
        ("5.00", "optional", True),
        ("5.00", "mandatory", False),
        ("0", "none", False),
    ],
)
def test_production_gives_credit_to_verified_addresses_alone(
    settings: Any, credit: str, verification: str, refused: bool
) -> None:
    settings.SIGNUP_CREDIT, settings.EMAIL_VERIFICATION = credit, verification

    found = {message.id for message in run_checks(include_deployment_checks=True)}

    assert ("billing.E004" in found) is refused
    assert "billing.E004" not in {message.id for message in run_checks()}
