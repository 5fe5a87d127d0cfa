"""Operators view the ledger and move money by a form; no page edits it."""

from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backend.billing import operations
from backend.billing.models import CreditGrant, Transfer, Wallet
from backend.billing.tests.conftest import assert_books_are_right, hold, use
from tests.actors import Person
from tests.operators import admin_browser, clerk, superuser

pytestmark = pytest.mark.django_db

NAMES = ["wallet", "transfer", "hold", "creditgrant", "usagerecord"]


@pytest.fixture
def operator(db: None) -> Client:
    return admin_browser(superuser())


@pytest.fixture
def wallet(owner: Person) -> Wallet:
    """With a row of every kind."""
    hold(owner.workspace.pk, 900, "run_held")
    use(owner.workspace.pk, "run_spent", 100)
    operations.capture(reference="run_spent", description="A run")
    return Wallet.objects.get(workspace=owner.workspace)


@pytest.mark.parametrize("name", NAMES)
def test_each_list_and_each_row_is_shown_and_nothing_can_be_edited(operator: Client, wallet: Wallet, name: str) -> None:
    listing = operator.get(reverse(f"admin:billing_{name}_changelist"), {"q": "run_spent"})
    assert listing.status_code == 200
    row = apps.get_model("billing", name)._default_manager.first()
    change = reverse(f"admin:billing_{name}_change", args=[row.pk])
    assert operator.get(change).status_code == 200
    assert operator.post(change, {"posted": 1, "amount": 1}).status_code == 403
    assert operator.post(reverse(f"admin:billing_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert operator.get(reverse(f"admin:billing_{name}_add")).status_code == 403
    assert_books_are_right()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 20])
def test_lists_take_as_many_queries_however_long(
    operator: Client, wallet: Wallet, name: str, size: int, django_assert_max_num_queries: Any
) -> None:
    for number in range(size):
        operations.grant(workspace_id=wallet.workspace_id, amount=1, description="", key=f"g{number}")
        hold(wallet.workspace_id, 1, f"run_{number}")
        use(wallet.workspace_id, f"run_{number}", 1)

    # Session, user, its count and page, what its filters offer; the same at both sizes.
    with django_assert_max_num_queries(9):
        assert operator.get(reverse(f"admin:billing_{name}_changelist")).status_code == 200


def form(**changes: str) -> dict[str, str]:
    return {
        "kind": "grant",
        "amount": "2.50",
        "expires_on": "",
        "reason": "Sorry for the outage",
        "key": str(uuid4()),
        **changes,
    }


@pytest.fixture
def path(wallet: Wallet) -> str:
    return reverse("admin:billing_wallet_move_money", args=[wallet.pk])


def test_an_operator_grants_credit_after_confirming_and_sending_twice_gives_once(
    operator: Client, wallet: Wallet, path: str
) -> None:
    before = wallet.posted
    page = operator.get(path).content.decode()
    assert 'name="reason"' in page
    assert 'type="date"' in page
    asked = form(expires_on=str(timezone.now().date()))

    shown = operator.post(path, asked)
    assert shown.status_code == 200
    html = shown.content.decode()
    assert "Grant credit: 2.50 USD. Sorry for the outage" in html
    for said in (str(wallet.workspace.personal_owner), str(wallet.workspace), "7.499 USD", "Expires on"):
        assert said in html, said
    assert f'href="{path}"' in shown.content.decode()  # To start again.
    wallet.refresh_from_db()
    assert wallet.posted == before

    for _ in range(2):
        done = operator.post(path, {**asked, "confirmed": "1"})
        assert done.status_code == 302

    wallet.refresh_from_db()
    told = "".join(str(message) for message in get_messages(done.wsgi_request))
    moved = Transfer.objects.get(key=f"operator:{asked['key']}")
    assert told.startswith("Done.")
    assert reverse("admin:billing_transfer_change", args=[moved.pk]) in told
    assert wallet.posted == before + 2_500_000
    given = CreditGrant.objects.get(transfer__key=f"operator:{asked['key']}")
    assert given.transfer.description == "Sorry for the outage"
    assert given.expires_at is not None
    assert given.expires_at > timezone.now()
    entry = LogEntry.objects.filter(object_id=str(wallet.pk)).latest("action_time")
    assert entry.user.email == "operator@example.com"
    assert "2.50 USD. Sorry for the outage" in entry.get_change_message()
    assert_books_are_right()


def test_an_operator_takes_money_but_not_what_is_held(operator: Client, wallet: Wallet, path: str) -> None:
    assert operator.post(path, form(kind="adjustment", amount="-1.00", confirmed="1")).status_code == 302

    for confirmed in ({}, {"confirmed": "1"}):  # Before it asks for a confirmation, too.
        refused = operator.post(path, form(kind="adjustment", amount="-4.00", **confirmed))
        assert refused.status_code == 200
        assert "does not cover" in refused.content.decode()
        assert 'name="confirmed"' not in refused.content.decode()
    portuguese = operator.post(
        path, form(kind="adjustment", amount="-4,00"), headers={"Accept-Language": "pt-BR"}
    ).content.decode()
    assert "O saldo não cobre" in portuguese
    assert "como 5,00" in portuguese
    wallet.refresh_from_db()
    assert wallet.posted == 5_000_000 - 100 - 1_000_000
    assert LogEntry.objects.filter(object_id=str(wallet.pk)).count() == 1
    assert_books_are_right()


@pytest.mark.parametrize(
    "mistake",
    [
        {"reason": ""},
        {"amount": "plenty"},
        {"amount": "0"},
        {"amount": "-1"},
        {"amount": "1.1234567"},
        {"kind": "gift"},
        {"key": ""},
        {"expires_on": "2020-01-01"},
        {"kind": "adjustment", "expires_on": "2190-01-01"},
    ],
)
def test_a_form_with_a_mistake_moves_nothing(operator: Client, path: str, mistake: dict[str, str]) -> None:
    before = Transfer.objects.count()

    assert operator.post(path, form(**mistake, confirmed="1")).status_code == 200

    assert Transfer.objects.count() == before


@pytest.mark.parametrize(
    ("language", "written", "shown"),
    [("pt-BR", "2,50", "2,50 USD"), ("pt-BR", "2.50", "2,50 USD"), ("pt-BR", "1.000", None), ("en", "2,50", None)],
)
def test_an_amount_is_written_as_the_operators_language_does(
    operator: Client, path: str, language: str, written: str, shown: str | None
) -> None:
    """What could mean a thousand or one is refused."""
    html = operator.post(path, form(amount=written), headers={"Accept-Language": language}).content.decode()

    assert ('name="confirmed"' in html) == (shown is not None)
    assert shown is None or shown in html


def test_staff_without_the_permission_moves_nothing(wallet: Wallet, path: str) -> None:
    client = admin_browser(clerk())

    assert client.get(path).status_code == 403
    assert client.post(path, form(confirmed="1")).status_code == 403
    assert Client().post(path, form(confirmed="1")).status_code == 302  # To the log-in.
