"""The admin's first page."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from backend.accounts.models import User
from backend.agents.models import Run
from tests.actors import Person
from tests.operators import admin_browser


def text_of(cell: object) -> str:
    """What a cell says, without its markup."""
    return re.sub(r"<[^>]*>", "", str(cell)).strip()


@pytest.fixture
def operator(db: None) -> Client:
    """May do everything in the admin."""
    return admin_browser(User.objects.create_superuser("operator@example.com", "a long enough pass phrase"))


@pytest.fixture
def failed_run(owner: Person) -> Run:
    """A run of the owner's agent that failed just now."""
    agent = owner.post("/api/v1/agents", {"name": "Licence desk"}).json()
    conversation = owner.post("/api/v1/conversations", {"agent": agent["id"], "input": "What is it?"}).json()
    run = Run.objects.get(conversation__agent__name="Licence desk")
    assert run.public_id == conversation["run"]["id"]
    now = timezone.now()
    error = {"code": "provider_unavailable", "detail": "<b>No answer</b>", "provider": "p", "retryable": True}
    Run.objects.filter(pk=run.pk).update(status="failed", error=error, started_at=now, finished_at=now)
    return run


def test_the_first_page_shows_people_runs_money_and_failures(operator: Client, owner: Person, failed_run: Run) -> None:
    response = operator.get("/admin/")
    html = response.content.decode()

    assert response.status_code == 200
    assert response.context["people"].total == User.objects.count()
    assert response.context["people"].new == User.objects.count()
    [row] = response.context["runs"]["rows"]
    assert [text_of(cell) for cell in row] == ["Failed", "1"]
    [money] = response.context["money"]
    assert money["wallets"] == 1  # The owner's; this operator has no workspace.
    amounts = [Decimal(text_of(money[name]).removesuffix(" USD")) for name in ("available", "held")]
    assert sum(amounts) == Decimal("5.00")
    assert failed_run.public_id in html
    assert f"/admin/agents/run/{failed_run.pk}/change/" in html
    assert "&lt;b&gt;No answer&lt;/b&gt;" in html
    assert "<b>No answer</b>" not in html


def test_runs_of_the_day_before_are_not_counted(operator: Client, failed_run: Run) -> None:
    Run.objects.update(created_at=timezone.now() - timedelta(hours=25))

    assert operator.get("/admin/").context["runs"]["rows"] == []


def test_the_sidebar_groups_by_service(operator: Client) -> None:
    groups = operator.get("/admin/").context["sidebar_navigation"]
    links = {item["link"] for group in groups for item in group["items"]}

    assert {"/admin/", "/admin/accounts/user/", "/admin/agents/run/", "/admin/billing/wallet/"} <= links
    for link in links:
        assert operator.get(link).status_code == 200, link


def test_an_operator_sees_only_what_they_may(owner: Person) -> None:
    clerk = User.objects.create_user("clerk@example.com", "a long enough pass phrase", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_wallet"))

    context = admin_browser(clerk).get("/admin/").context

    assert "money" in context
    assert not [name for name in ("people", "runs", "failures", "documents") if name in context]
    links = {item["link"] for group in context["sidebar_navigation"] for item in group["items"]}
    assert links == {"/admin/", "/admin/billing/wallet/"}


def test_a_member_has_no_business_here(member: Person) -> None:
    assert admin_browser(member.user).get("/admin/").status_code == 302


def test_the_first_page_speaks_portuguese(operator: Client, failed_run: Run) -> None:
    html = operator.get("/admin/", headers={"Accept-Language": "pt-BR"}).content.decode()

    assert "Últimas falhas" in html
    assert "nas últimas 24 horas" in html
