"""An address opens the account that proved it, not one that was only signed up with it."""

import re
from importlib import import_module
from typing import Any
from urllib.parse import unquote

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.core.mail import EmailMessage
from django.db import IntegrityError, connection, transaction
from django.test import Client

from backend.accounts.models import Session, User
from backend.accounts.operators.operations import ensure_operator
from backend.accounts.tests.threads import at_once
from tests.actors import PASSWORD, Person, sign_up

AUTH = "/api/v1/auth"
EMAILS = "/api/v1/account/email"
NEW_PASSWORD = "another horse entirely"
Outbox = list[EmailMessage]


def post(path: str, body: dict[str, Any], session_token: str | None = None) -> Any:
    headers = {"X-Session-Token": session_token} if session_token else {}
    return Client(raise_request_exception=False).post(f"{AUTH}/{path}", body, "application/json", headers=headers)


def log_in(email: str, password: str = PASSWORD) -> Any:
    return post("login", {"email": email, "password": password})


def user_of(response: Any) -> str:
    assert response.status_code == 200, response.content
    return str(response.json()["data"]["user"]["id"])


def link_in(mail: EmailMessage, page: str) -> str:
    found = re.search(rf"/#/{page}/(\S+)", str(mail.body))
    assert found is not None, mail.body
    return unquote(found[1])


def reset(email: str, mails: Outbox, password: str = NEW_PASSWORD) -> Any:
    mails.clear()
    assert post("password/request", {"email": email}).status_code == 200
    assert [mail.to for mail in mails] == [[email]]
    return post("password/reset", {"key": link_in(mails[0], "reset-password"), "password": password})


def by_code(email: str, mails: Outbox) -> Any:
    mails.clear()
    asked = post("code/request", {"email": email})
    code = next(line for line in str(mails[0].body).splitlines() if re.fullmatch(r"[A-Z0-9]{4}-[A-Z0-9]{4}", line))
    return post("code/confirm", {"code": code}, asked.json()["meta"]["session_token"])


def verify(mail: EmailMessage, person: Person | None = None) -> Any:
    body = {"key": link_in(mail, "verify-email")}
    return post("email/verify", body) if person is None else person.post(f"{AUTH}/email/verify", body)


def listed(person: Person) -> dict[str, tuple[bool, bool]]:
    return {row["email"]: (row["verified"], row["primary"]) for row in person.get(EMAILS).json()["data"]}


@pytest.fixture
def added(owner: Person, stranger: Person, mailoutbox: Outbox) -> Person:
    """A stranger who has added the owner's address to their own account."""
    assert stranger.post(EMAILS, {"email": "owner@example.com"}).status_code == 200
    return stranger


@pytest.mark.parametrize("verified", [False, True])
def test_a_strangers_account_is_never_opened_by_the_owners_address(
    added: Person, owner: Person, mailoutbox: Outbox, verified: bool
) -> None:
    EmailAddress.objects.filter(user=owner.user).update(verified=verified)

    assert user_of(log_in("owner@example.com")) == owner.user.public_id
    assert user_of(by_code("owner@example.com", mailoutbox)) == owner.user.public_id
    assert user_of(reset("owner@example.com", mailoutbox)) == owner.user.public_id
    assert user_of(log_in("owner@example.com", NEW_PASSWORD)) == owner.user.public_id
    assert user_of(log_in("stranger@example.com")) == added.user.public_id


def test_an_address_that_is_not_verified_becomes_no_primary(added: Person, owner: Person) -> None:
    response = added.patch(EMAILS, {"email": "owner@example.com", "primary": True})

    assert response.status_code == 422, response.content
    assert response.json()["errors"][0]["code"] == "unverified_primary_email"
    assert User.objects.get(pk=added.user.pk).email == "stranger@example.com"


def test_adding_an_address_does_not_reveal_whether_another_account_has_it(
    owner: Person, stranger: Person, mailoutbox: Outbox
) -> None:
    EmailAddress.objects.filter(user=owner.user).update(verified=True)

    def answers(email: str) -> list[tuple[int, Any]]:
        sent = [
            stranger.post(EMAILS, {"email": email}),
            stranger.get(EMAILS),
            stranger.put(EMAILS, {"email": email}),
            stranger.patch(EMAILS, {"email": email, "primary": True}),
            stranger.delete(EMAILS, {"email": email}),
        ]
        hidden = (rb'"(request_id|instance)": ?"[^"]*"', email.encode())
        return [(response.status_code, re.sub(b"|".join(hidden), b"", response.content)) for response in sent]

    assert answers("owner@example.com") == answers("nobody@example.com")
    to_owner = [mail for mail in mailoutbox if mail.to == ["owner@example.com"]]
    assert to_owner
    assert not any("verify-email" in str(mail.body) for mail in to_owner)
    assert any("verify-email" in str(mail.body) for mail in mailoutbox if mail.to == ["nobody@example.com"])


def test_a_verified_address_counts_and_replaces_an_unverified_primary(owner: Person, mailoutbox: Outbox) -> None:
    owner.post(EMAILS, {"email": "second@example.com"})
    assert log_in("second@example.com").status_code == 422
    assert verify(mailoutbox[-1], owner).status_code == 200

    assert user_of(log_in("second@example.com")) == owner.user.public_id
    assert listed(owner) == {"owner@example.com": (False, False), "second@example.com": (True, True)}
    assert owner.get("/api/v1/users/me").json()["email"] == "second@example.com"
    sign_up("owner@example.com")  # It was never proved, and the account has another: it is free.


def test_an_unverified_address_is_not_kept_from_others(owner: Person, stranger: Person, mailoutbox: Outbox) -> None:
    stranger.post(EMAILS, {"email": "ana@example.com"})
    ana = sign_up("ana@example.com")

    assert user_of(log_in("ana@example.com")) == ana.user.public_id
    assert user_of(by_code("ana@example.com", mailoutbox)) == ana.user.public_id
    assert EmailAddress.objects.get(email="ana@example.com").user == ana.user
    assert "ana@example.com" not in listed(stranger)


def test_who_proves_an_address_gets_it_from_an_account_that_did_not(
    owner: Person, stranger: Person, mailoutbox: Outbox
) -> None:
    owner.post(EMAILS, {"email": "stranger@example.com"})
    link = mailoutbox[-1]
    assert verify(link).json()["errors"][0]["code"] == "other_account"
    assert verify(link, stranger).json()["errors"][0]["code"] == "other_account"
    assert verify(link, owner).status_code == 200

    assert listed(owner)["stranger@example.com"] == (True, True)
    assert listed(stranger) == {}
    assert log_in("stranger@example.com").status_code == 200
    assert user_of(reset("stranger@example.com", mailoutbox)) == owner.user.public_id
    assert stranger.get("/api/v1/users/me").json()["email"].endswith("@lost.invalid")


@pytest.mark.parametrize("proof", ["reset", "code", "link"])
def test_what_was_set_up_before_the_proof_opens_nothing_after_it(
    owner: Person, mailoutbox: Outbox, proof: str, django_capture_on_commit_callbacks: Any
) -> None:
    Authenticator.objects.create(user=owner.user, type=Authenticator.Type.TOTP, data={"secret": "A" * 32})
    Authenticator.objects.create(user=owner.user, type=Authenticator.Type.RECOVERY_CODES, data={"seed": "x"})
    owner.post(EMAILS, {"email": "attacker@example.com"})
    attackers_link = mailoutbox[-1]
    mailoutbox.clear()
    with django_capture_on_commit_callbacks(execute=True):
        if proof == "reset":
            assert reset("owner@example.com", mailoutbox).status_code == 200
        elif proof == "code":
            assert by_code("owner@example.com", mailoutbox).status_code == 200
        else:
            owner.put(EMAILS, {"email": "owner@example.com"})
            assert verify(mailoutbox[-1]).status_code == 401  # Verified; to get in, a password must be set.

    assert log_in("owner@example.com").status_code == 422
    assert owner.get("/api/v1/users/me").json()["code"] == "session_revoked"
    refreshed = Client().post("/api/v1/tokens/refresh", {"refresh_token": owner.refresh_token}, "application/json")
    assert refreshed.json()["code"] == "session_revoked"
    assert not Authenticator.objects.exists()
    assert list(EmailAddress.objects.values_list("email", "verified", "primary")) == [("owner@example.com", True, True)]
    assert verify(attackers_link, owner).status_code in (401, 422)
    assert user_of(reset("owner@example.com", mailoutbox)) == owner.user.public_id


def test_a_verified_account_keeps_its_second_factor_and_addresses(owner: Person, mailoutbox: Outbox) -> None:
    EmailAddress.objects.update(verified=True)
    Authenticator.objects.create(user=owner.user, type=Authenticator.Type.TOTP, data={"secret": "A" * 32})

    assert reset("owner@example.com", mailoutbox).status_code == 401  # The second factor is asked for.
    assert by_code("owner@example.com", mailoutbox).status_code == 401
    assert Authenticator.objects.exists()
    assert User.objects.get().check_password(NEW_PASSWORD)


def test_verifying_where_one_signed_up_keeps_the_password(
    db: None, settings: Any, mailoutbox: Outbox, django_capture_on_commit_callbacks: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    asked = post("signup", {"email": "ana@example.com", "password": PASSWORD})
    key = link_in(mailoutbox[-1], "verify-email")

    assert post("email/verify", {"key": key}, asked.json()["meta"]["session_token"]).status_code == 200
    assert log_in("ana@example.com").status_code == 200


def test_a_code_is_worth_nothing_once_the_address_is_anothers(
    owner: Person, stranger: Person, mailoutbox: Outbox
) -> None:
    asked = post("code/request", {"email": "owner@example.com"})
    code = next(
        line for line in str(mailoutbox[-1].body).splitlines() if re.fullmatch(r"[A-Z0-9]{4}-[A-Z0-9]{4}", line)
    )
    stranger.post(EMAILS, {"email": "owner@example.com"})
    assert verify(mailoutbox[-1], stranger).status_code == 200

    assert post("code/confirm", {"code": code}, asked.json()["meta"]["session_token"]).status_code == 409


def test_an_account_has_ten_addresses_at_most(owner: Person, settings: Any, mailoutbox: Outbox) -> None:
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "manage_email": ""}
    answers = [owner.post(EMAILS, {"email": f"{number}@example.com"}) for number in range(10)]

    assert [answer.status_code for answer in answers] == [200] * 9 + [422]
    assert answers[-1].json()["errors"][0]["code"] == "max_email_addresses"


ONE_MAILBOX = [
    ("ana@bücher.example", "ana@XN--bcher-kva.example"),
    ("ana@xn--bcher-kva.example", "ana@bücher.example"),
    ("ana@bücher.example", "Ana@BU\u0308CHER.example"),
    ("sam@example.com", "ſam@ｅxample\u3002com"),
    ("\u212aim@example.com", "kim@example.com"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("one", "other"), ONE_MAILBOX)
def test_one_mailbox_has_one_account_however_it_is_spelled(one: str, other: str, mailoutbox: Outbox) -> None:
    first = post("signup", {"email": one, "password": PASSWORD})
    second = post("signup", {"email": other, "password": PASSWORD})

    assert first.status_code == 200, first.content
    assert [error["code"] for error in second.json()["errors"]] == ["email_taken"]
    user = User.objects.get()
    assert EmailAddress.objects.get().email == user.email
    assert user_of(log_in(other)) == user_of(log_in(one)) == user.public_id
    assert user_of(reset_as(other, mailoutbox)) == user.public_id


def reset_as(spelling: str, mails: Outbox) -> Any:
    mails.clear()
    post("password/request", {"email": spelling})
    assert [mail.to for mail in mails] == [[User.objects.get().email]]  # Never to what was typed.
    return post("password/reset", {"key": link_in(mails[0], "reset-password"), "password": NEW_PASSWORD})


@pytest.mark.django_db
@pytest.mark.parametrize(
    "email",
    ["ıan@example.com", '"ana"@example.com', "ana@straße.example", "ana@xn--strae-oqa.example", "ana@[127.0.0.1]"],
)
def test_an_address_without_one_spelling_is_an_invalid_field(email: str) -> None:
    for path in ("signup", "login", "password/request", "code/request"):
        response = post(path, {"email": email, "password": PASSWORD})

        assert response.status_code == 422, path
        assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [("/email", "invalid")]
    assert not User.objects.exists()


def test_the_other_spelling_is_ones_own_address_too(owner: Person) -> None:
    assert owner.post(EMAILS, {"email": "Owner@ＥXAMPLE.com"}).json()["errors"][0]["code"] == "duplicate_email"
    owner.post(EMAILS, {"email": "ana@bücher.example"})
    assert owner.delete(EMAILS, {"email": "ana@XN--bcher-kva.example"}).status_code == 200
    assert list(listed(owner)) == ["owner@example.com"]


@pytest.mark.django_db
def test_another_spelling_does_not_reveal_it_either(settings: Any, mailoutbox: Outbox) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    first = post("signup", {"email": "ana@bücher.example", "password": PASSWORD})
    second = post("signup", {"email": "ana@xn--bcher-kva.example", "password": PASSWORD})

    assert first.status_code == second.status_code == 401
    hidden = {"request_id": "", "meta": {**first.json()["meta"], "session_token": ""}}
    assert {**second.json(), **hidden} == {**first.json(), **hidden}
    assert User.objects.count() == 1


@pytest.mark.parametrize("email", ["Ana@example.com", "ana@bücher.example", "ana souza@example.com"])
def test_the_database_refuses_other_spellings(owner: Person, email: str) -> None:
    for rows, name in ((User, "user_email_canonical"), (EmailAddress, "emailaddress_canonical")):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            rows.objects.update(email=email)


@pytest.mark.django_db(transaction=True)
def test_of_two_that_prove_one_address_one_gets_it(mailoutbox: Outbox, settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "confirm_email": ""}
    people = [sign_up(f"{name}@example.com") for name in ("ana", "eva", "rui")]
    links = []
    for person in people:
        person.post(EMAILS, {"email": "shared@example.com"})
        links.append(mailoutbox[-1])

    answers = at_once(
        *[lambda link=link, person=person: verify(link, person) for link, person in zip(links, people, strict=True)]
    )

    assert sorted(answer.status_code for answer in answers) == [200, 422, 422]
    assert EmailAddress.objects.filter(email="shared@example.com").count() == 1
    assert Session.objects.live().count() == 3


@pytest.mark.owner_role
def test_rows_of_before_get_the_one_spelling(owner: Person, stranger: Person, member: Person, viewer: Person) -> None:
    """As the migration finds them: two accounts of one mailbox, an address that is none, an unverified primary."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE accounts_user DROP CONSTRAINT user_email_canonical")
        cursor.execute("ALTER TABLE account_emailaddress DROP CONSTRAINT emailaddress_canonical")
    for person, email, verified in (
        (owner, "ana@bücher.example", False),
        (stranger, "ana@xn--bcher-kva.example", True),
        (member, '"q"@example.com', False),
    ):
        User.objects.filter(pk=person.user.pk).update(email=email)
        EmailAddress.objects.filter(user=person.user).update(email=email, verified=verified)
    EmailAddress.objects.create(user=viewer.user, email="Viewer2@ｅxample.com", verified=True)

    import_module("backend.accounts.migrations.0002_one_account_per_mailbox").spell_addresses(apps, None)

    emails = dict(User.objects.values_list("pk", "email"))
    assert emails[stranger.user.pk] == "ana@xn--bcher-kva.example"
    assert emails[owner.user.pk] == f"{owner.user.pk.hex}@lost.invalid"
    assert emails[member.user.pk] == f"{member.user.pk.hex}@lost.invalid"
    assert emails[viewer.user.pk] == "viewer2@example.com"
    rows = set(EmailAddress.objects.values_list("user_id", "email", "verified", "primary"))
    assert rows == {
        (stranger.user.pk, "ana@xn--bcher-kva.example", True, True),
        (viewer.user.pk, "viewer@example.com", False, False),
        (viewer.user.pk, "viewer2@example.com", True, True),
    }


def test_an_operators_address_is_taken_from_the_account_that_added_it(owner: Person) -> None:
    EmailAddress.objects.create(user=owner.user, email="op@xn--bcher-kva.example", verified=True)

    assert ensure_operator(email="Op@bücher.example", password=PASSWORD) is True
    assert ensure_operator(email="op@BÜCHER.example", password=PASSWORD) is False

    assert EmailAddress.objects.get(email="op@xn--bcher-kva.example").user.is_superuser
    assert user_of(log_in("op@bücher.example")) == User.objects.get(is_superuser=True).public_id
