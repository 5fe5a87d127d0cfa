"""Billing as its clients see it: owner, viewer and stranger."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from backend.billing import operations
from backend.billing.models import CreditGrant, Transfer, Wallet
from backend.billing.tests.conftest import hold, use
from backend.http.ids import encode
from tests.actors import Person, sign_up

pytestmark = pytest.mark.django_db

BASE = "/api/v1/billing"
PATHS = ["/balance", "/transactions", "/usage", "/prices"]


def spend(person: Person, reference: str, tokens: int) -> None:
    use(person.workspace.pk, reference, tokens)
    operations.capture(reference=reference, description=f"Run {reference}")


def errors_of(response: Any) -> list[str]:
    assert response.status_code == 422, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "validation_error"
    return [error["pointer"] for error in response.json()["errors"]]


def test_signing_up_opens_a_wallet_with_the_sign_up_credit(owner: Person) -> None:
    grant = Transfer.objects.get(wallet__workspace=owner.workspace)

    assert owner.get(f"{BASE}/balance").json() == {
        "available": "5.00",
        "held": "0.00",
        "posted": "5.00",
        "currency": "USD",
        "grants": [
            {
                "transaction": grant.public_id,
                "amount": "5.00",
                "remaining": "5.00",
                "expires_at": None,
                "description": "Sign-up credit",
            }
        ],
    }
    assert owner.get(f"{BASE}/transactions").json() == {
        "results": [
            {
                "id": grant.public_id,
                "kind": "grant",
                "amount": "5.00",
                "balance_after": "5.00",
                "currency": "USD",
                "reference": "",
                "description": "Sign-up credit",
                "created_at": grant.created_at.isoformat().replace("+00:00", "Z"),
            }
        ],
        "next": None,
        "previous": None,
    }


def test_texts_of_billing_are_in_portuguese_too(owner: Person) -> None:
    portuguese = {"Accept-Language": "pt-BR"}
    operations.grant(workspace_id=owner.workspace.pk, amount=1, description="Conflict", key="theirs")

    def read(path: str, **query: str) -> Any:
        return owner.client.get(f"{BASE}{path}", query, headers={**owner.headers(), **portuguese}).json()

    theirs, ours = read("/transactions")["results"]
    assert (theirs["description"], ours["description"]) == ("Conflict", "Crédito de boas-vindas")
    assert read("/balance")["grants"][0]["description"] == "Crédito de boas-vindas"
    assert read("/transactions", to="soon")["errors"][0]["detail"].startswith("Isto não é uma data")


def test_without_sign_up_credit_the_wallet_is_empty(settings: LazySettings, db: None) -> None:
    settings.SIGNUP_CREDIT = "0"
    person = sign_up("frugal@example.com")

    assert person.get(f"{BASE}/balance").json()["posted"] == "0.00"
    assert Wallet.objects.get().last_sequence == 0


def test_a_charge_lowers_the_balance_and_is_listed(owner: Person) -> None:
    hold(owner.workspace.pk, 900_000, "run_held")
    spend(owner, "run_spent", 1_875)

    balance = owner.get(f"{BASE}/balance").json()
    assert (balance["posted"], balance["held"], balance["available"]) == ("4.998125", "0.90", "4.098125")
    assert balance["grants"][0]["remaining"] == "4.998125"
    newest = owner.get(f"{BASE}/transactions").json()["results"][0]
    assert (newest["kind"], newest["amount"], newest["balance_after"]) == ("usage", "-0.001875", "4.998125")
    assert (newest["reference"], newest["description"]) == ("run_spent", "Run run_spent")
    assert owner.get(f"{BASE}/transactions/{newest['id']}").json() == newest


def test_transactions_are_filtered_by_kind_reference_and_time(owner: Person) -> None:
    for number in range(3):
        spend(owner, f"run_{number}", 10)

    def references(**query: str) -> list[str]:
        return [item["reference"] for item in owner.get(f"{BASE}/transactions", query).json()["results"]]

    assert references() == ["run_2", "run_1", "run_0", ""]
    assert references(kind="usage") == ["run_2", "run_1", "run_0"]
    assert references(kind="grant") == [""]
    assert references(kind="refund") == []
    assert references(reference="run_1") == ["run_1"]
    middle = Transfer.objects.get(reference="run_1").created_at.isoformat()
    assert references(**{"from": middle}) == ["run_2", "run_1"]
    assert references(to=middle) == ["run_0", ""]
    today = timezone.now().date()
    assert references(**{"from": str(today), "to": str(today)}) == ["run_2", "run_1", "run_0", ""]
    assert references(to=str(today - timedelta(days=1))) == []


def test_pages_follow_the_order_of_posting_and_keep_their_filters(owner: Person) -> None:
    for number in range(5):
        spend(owner, f"run_{number}", 10)

    page = owner.get(f"{BASE}/transactions", {"limit": 2, "kind": "usage"}).json()
    seen = [item["reference"] for item in page["results"]]
    while page["next"]:
        page = owner.get(page["next"].partition("testserver")[2]).json()
        seen += [item["reference"] for item in page["results"]]

    assert seen == ["run_4", "run_3", "run_2", "run_1", "run_0"]
    assert page["previous"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"kind": "gift"}, "/kind"),
        ({"from": "yesterday"}, "/from"),
        ({"from": "2026-13-45"}, "/from"),
        ({"to": "9999-12-31"}, "/to"),
        ({"to": "0001-01-01T00:00:00+14:00"}, "/to"),
        ({"from": "2026-02-02", "to": "2026-01-01"}, "/to"),
        ({"reference": "r" * 65}, "/reference"),
        ({"reference": "run\0"}, "/reference"),
        ({"limit": "many"}, "/limit"),
        ({"cursor": "nonsense"}, "/cursor"),
    ],
)
def test_a_filter_that_cannot_be_understood_is_named(owner: Person, query: dict[str, str], pointer: str) -> None:
    assert errors_of(owner.get(f"{BASE}/transactions", query)) == [pointer]


@pytest.mark.parametrize("path", PATHS)
def test_every_member_may_read(owner: Person, member: Person, viewer: Person, path: str) -> None:
    spend(owner, "run_1", 10)
    period = {"from": "2020-01-01", "to": "2020-02-01"} if path == "/usage" else {}
    answers = [person.get(BASE + path, period) for person in (owner, member, viewer)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()


@pytest.mark.parametrize("path", PATHS)
def test_other_users_may_not(owner: Person, stranger: Person, path: str) -> None:
    anonymous = Client().get(BASE + path)
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "not_authenticated")

    stranger.workspace = owner.workspace
    assert stranger.get(BASE + path).status_code == 404


def test_a_stranger_sees_their_own_money_alone(owner: Person, stranger: Person) -> None:
    spend(owner, "run_1", 10)

    assert stranger.get(f"{BASE}/balance").json()["posted"] == "5.00"
    assert [item["kind"] for item in stranger.get(f"{BASE}/transactions").json()["results"]] == ["grant"]
    assert stranger.get(f"{BASE}/transactions", {"reference": "run_1"}).json()["results"] == []
    assert stranger.get(f"{BASE}/usage").json()["results"] == []


def test_foreign_unknown_and_malformed_transactions_look_alike(owner: Person, stranger: Person) -> None:
    foreign = Transfer.objects.get(wallet__workspace=owner.workspace).public_id
    unknown = encode("txn", uuid4())
    wrong_kind = encode("run", uuid4())

    answers = [stranger.get(f"{BASE}/transactions/{id}") for id in (foreign, unknown, wrong_kind, "nonsense")]

    assert [answer.status_code for answer in answers] == [404] * 4
    bodies = [answer.json() for answer in answers]
    for body in bodies:
        del body["instance"], body["request_id"]
    assert bodies == [bodies[0]] * 4


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", PATHS)
def test_money_is_only_read_here(owner: Person, path: str, method: str) -> None:
    response = getattr(owner, method)(BASE + path, {})

    assert response.status_code == 405
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("size", [1, 20])
def test_listing_transactions_takes_two_queries_however_long(
    owner: Person, size: int, django_assert_num_queries: Any
) -> None:
    for number in range(size):
        spend(owner, f"run_{number}", 1)

    with django_assert_num_queries(2):  # The membership, the page with its wallet.
        response = owner.get(f"{BASE}/transactions")

    assert len(response.json()["results"]) == size + 1


@pytest.mark.parametrize("size", [1, 20])
def test_the_balance_takes_three_queries_however_many_grants(
    owner: Person, size: int, django_assert_num_queries: Any
) -> None:
    for number in range(size):
        operations.grant(workspace_id=owner.workspace.pk, amount=1, description="", key=f"g{number}")

    with django_assert_num_queries(3):  # The membership, the wallet, its grants with their transfers.
        response = owner.get(f"{BASE}/balance")

    assert len(response.json()["grants"]) == size + 1 == CreditGrant.objects.count()
