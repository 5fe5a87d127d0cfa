"""What an operator of few rights can reach in the admin: with each single permission, that and nothing beyond."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session as State
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from backend.accounts.models import Membership, Session, User
from backend.accounts.operators.model_admin import OperatorModelAdmin
from backend.accounts.operators.site import OperatorSite
from backend.agents.models import Run
from backend.billing.models import CreditGrant, Transfer, Wallet
from backend.documents.models import Document
from backend.documents.tests.cast import upload, uuid_of
from tests.actors import Person
from tests.operators import admin_browser, clerk, superuser

NEW = {"usable_password": "true", "password1": "chosen by the clerk 1", "password2": "chosen by the clerk 1"}


@pytest.fixture
def secrets(owner: Person, stranger: Person) -> set[str]:
    """What no single permission shows: all of it exists, in rows that operators may look at."""
    operator = superuser()
    for user in (owner.user, operator):
        TOTP.activate(user, generate_totp_secret())
    agent = owner.post("/api/v1/agents", {"name": "Reader", "instructions": "Say zebra-instructions."}).json()["id"]
    begun = owner.post("/api/v1/conversations", {"agent": agent, "title": "zebra-title", "input": "zebra-question"})
    assert begun.status_code == 201, begun.content
    document = upload(owner, "zebra-text").json()["id"]
    Document.objects.filter(pk=uuid_of(document)).update(metadata={"note": "zebra-metadata"})
    Run.objects.update(lease_owner="")
    Group.objects.create(name="Everything").permissions.set(Permission.objects.all())
    return {
        *("zebra-title", "zebra-question", "zebra-text", "zebra-metadata", "zebra-instructions"),
        *(user.password for user in User.objects.all()),
        *(user.password.rpartition("$")[2] for user in User.objects.all()),
        *(row.data["secret"] for row in Authenticator.objects.all()),
        *Session.objects.exclude(state_key="").values_list("state_key", flat=True),
        *State.objects.values_list("session_key", flat=True),
        *(owner.access_token, owner.refresh_token),
    }


def attempts(me: User, others: list[User], stranger: Person) -> Iterator[tuple[str, dict[str, Any]]]:
    """Ways to more: POSTs of what the forms would send, and of what they would not."""
    everything = [str(pk) for pk in Permission.objects.values_list("pk", flat=True)]
    group = Group.objects.get()
    rights = {"is_active": "on", "is_staff": "on", "is_superuser": "on", "groups": [str(group.pk)]}
    yield "/admin/accounts/user/add/", {"email": "made@example.com", "name": "", **NEW, **rights}
    for user in (me, *others):
        path = f"/admin/accounts/user/{user.pk}"
        yield f"{path}/change/", {"email": "x@example.com", "name": "", "user_permissions": everything, **rights}
        yield f"{path}/password/", NEW
        yield f"{path}/delete/", {"post": "yes"}
    yield "/admin/auth/group/add/", {"name": "Mine", "permissions": everything}
    yield f"/admin/auth/group/{group.pk}/change/", {"name": "Mine", "permissions": everything}
    yield "/admin/auth/permission/add/", {"name": "x", "codename": "x", "content_type": "1"}
    workspace = str(stranger.workspace.pk)
    yield "/admin/accounts/membership/add/", {"workspace": workspace, "user": str(me.pk), "role": "owner"}
    membership = Membership.objects.get(user=me)
    yield f"/admin/accounts/membership/{membership.pk}/change/", {"workspace": workspace, "role": "owner"}
    for wallet in Wallet.objects.all():
        move = {"kind": "grant", "amount": "500.00", "reason": "Mine", "key": str(uuid4()), "confirmed": "1"}
        yield f"/admin/billing/wallet/{wallet.pk}/move-money/", move
        yield f"/admin/billing/wallet/{wallet.pk}/change/", {"posted": "500000000", "held": "0"}
    for name in ("transfer", "creditgrant", "hold"):
        yield f"/admin/billing/{name}/add/", {"wallet": "1", "amount": "1"}


def situation() -> dict[str, Any]:
    """What must be as it was."""
    return {
        "rights": sorted(User.objects.values_list("pk", "email", "password", "is_superuser", "is_staff", "is_active")),
        "granted": sorted(User.user_permissions.through.objects.values_list("user_id", "permission_id")),
        "groups": sorted(User.groups.through.objects.values_list("user_id", "group_id")),
        "of groups": sorted(Group.permissions.through.objects.values_list("group_id", "permission_id")),
        "members": sorted(Membership.objects.values_list("workspace_id", "user_id", "role")),
        "money": (Transfer.objects.count(), CreditGrant.objects.count(), sorted(Wallet.objects.values_list("posted"))),
        "factors": Authenticator.objects.count(),
    }


def pages(model: type[Model]) -> Iterator[str]:
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    yield reverse(f"admin:{name}_changelist")
    for row in model._default_manager.all()[:3]:
        yield reverse(f"admin:{name}_change", args=[row.pk])
        yield reverse(f"admin:{name}_history", args=[row.pk])


def test_every_model_is_registered_with_our_class() -> None:
    assert [model for model, page in admin.site._registry.items() if not isinstance(page, OperatorModelAdmin)] == []
    assert {"User", "Session", "Wallet", "Run", "Document"} <= {model.__name__ for model in admin.site._registry}


def test_no_single_permission_leads_to_more(
    secrets: set[str], owner: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page asks for permissions of its own app alone, so each permission is tried on the pages of its app."""
    # Two thousand attempts are refused; the page that says so is tested elsewhere.
    monkeypatch.setattr(OperatorSite, "refused", lambda site, request, status, reason: HttpResponse(status=status))
    me = clerk()
    browser = admin_browser(me)
    others = [owner.user, User.objects.get(email="operator@example.com")]
    tries = list(attempts(me, others, stranger))
    before = situation()
    for path, form in tries:
        browser.post(path, form)
    assert situation() == before

    own_right = {"billing.move_money": "/move-money/", "accounts.add_user": "/user/add/"}  # Tested elsewhere.
    labels = {model._meta.app_label for model in admin.site._registry}
    for permission in Permission.objects.filter(content_type__app_label__in=labels).select_related("content_type"):
        label, codename = permission.content_type.app_label, permission.codename
        name = f"{label}.{codename}"
        me.user_permissions.set([permission])
        before = situation()
        for path, form in tries:
            if path.startswith(f"/admin/{label}/") and not path.endswith(own_right.get(name, "nothing")):
                browser.post(path, form)
        assert situation() == before, name
        model = permission.content_type.model_class()
        if model in admin.site._registry and codename.startswith(("view_", "change_")):
            for path in pages(model):
                shown = browser.get(path).content.decode()
                assert not [secret for secret in secrets if secret in shown], (name, path)


def test_the_right_to_add_users_makes_no_operator(owner: Person, stranger: Person) -> None:
    superuser()
    Group.objects.create(name="Everything")
    browser = admin_browser(me := clerk("accounts.add_user", "accounts.change_user"))
    path, form = next(attempts(me, [], stranger))

    assert browser.post(path, form).status_code == 302

    made = User.objects.get(email="made@example.com")
    assert (made.is_staff, made.is_superuser, made.groups.count()) == (False, False, 0)


def test_the_right_to_change_users_sets_no_password(owner: Person) -> None:
    browser = admin_browser(clerk("accounts.change_user"))

    page = browser.get(f"/admin/accounts/user/{owner.user.pk}/change/")
    assert page.status_code == 200
    assert b"../password/" not in page.content
    assert browser.get(f"/admin/accounts/user/{owner.user.pk}/password/").status_code == 403
    assert browser.post(f"/admin/accounts/user/{owner.user.pk}/password/", NEW).status_code == 403


@pytest.fixture
def viewer(owner: Person) -> Client:
    """May look at everything that is registered."""
    names = [f"{model._meta.app_label}.view_{model._meta.model_name}" for model in admin.site._registry]
    return admin_browser(clerk(*names))


def paths_of(model: type[Model]) -> Iterator[str]:
    """Every column that a filter could name, and those of the tables beside."""
    for field in model._meta.get_fields():
        yield field.name
        if field.is_relation and isinstance(field.related_model, type):
            yield from (f"{field.name}__{inner.name}" for inner in field.related_model._meta.fields)


def test_a_list_is_filtered_by_what_it_declares_alone(rf: RequestFactory, db: None) -> None:
    request = rf.get("/admin/")
    tried = 0
    for model, page in admin.site._registry.items():
        filters: list[Any] = list(page.list_filter)
        declared = {
            item if isinstance(item, str) else item[0] if isinstance(item, tuple) else item.parameter_name
            for item in filters
        }
        for path in paths_of(model):
            others = ("__regex", "__startswith", "__in", "__contains", "__range", "__year")
            for lookup in others if path in declared else ("", "__exact", "__gte", "__lt", "__isnull", *others):
                assert not page.lookup_allowed(f"{path}{lookup}", "a", request), (model, path, lookup)
                tried += 1
    assert tried > 1000


@pytest.mark.parametrize(
    "query",
    [
        "accounts/session/?state_key__gte=a",
        "accounts/session/?state_key=a",
        "accounts/session/?user__password__startswith=argon2",
        "accounts/session/?created_at__gte=2000-01-01",
        "accounts/user/?password__startswith=argon2",
        "accounts/user/?is_superuser=1",
        "accounts/membership/?user__authenticator__data__secret__startswith=A",
        "auth/group/?user__email__startswith=o",
        "agents/agent/?version__instructions__contains=zebra",
        "agents/conversation/?messages__parts__icontains=zebra",
        "agents/conversation/?title__startswith=z",
        "documents/document/?metadata__note__startswith=z",
        "billing/transfer/?key__startswith=o",
        "accounts/user/?_to_field=password",
        "accounts/session/?_to_field=state_key",
    ],
)
def test_a_hidden_column_is_asked_for_in_vain(viewer: Client, query: str) -> None:
    assert viewer.get(f"/admin/{query}").status_code == 400


def test_a_list_is_ordered_by_the_columns_it_shows(viewer: Client, owner: Person) -> None:
    for order in ("password", "state_key", "-1.99", "user__password"):
        response = viewer.get("/admin/accounts/session/", {"o": order})
        assert response.status_code == 200
        assert "state_key" not in str(response.context["cl"].queryset.query.order_by)
        assert "password" not in str(response.context["cl"].queryset.query.order_by)


def test_declared_filters_work(viewer: Client, secrets: set[str]) -> None:
    for path, found in {
        "accounts/user/?is_staff__exact=1": True,
        "accounts/membership/?role__exact=owner": True,
        "accounts/membership/?role__exact=viewer": False,
        "agents/run/?status__exact=queued&created_at__gte=2000-01-01+00%3A00%3A00%2B00%3A00": True,
        "agents/conversation/?deleted_at__isempty=1": True,
        "documents/document/?latest_ingestion__status__exact=ready": False,
        "documents/document/?blob__content_type=text%2Fplain": True,
        "billing/transfer/?kind__exact=grant": True,
    }.items():
        response = viewer.get(f"/admin/{path}")
        assert response.status_code == 200, (path, response.get("Location"))
        assert bool(response.context["cl"].result_count) is found, path


def test_a_search_asks_only_what_may_be_looked_at(owner: Person) -> None:
    """The wallet's list is searched by the owner's address, which is the right to look at users."""
    query = {"q": "owner@exam"}
    browser = admin_browser(clerk("billing.view_wallet"))
    counted = browser.get("/admin/billing/wallet/", {"q": "nothing like this"}).context["cl"].result_count
    assert browser.get("/admin/billing/wallet/", query).context["cl"].result_count == counted

    both = ("billing.view_wallet", "accounts.view_user", "accounts.view_workspace")
    browser = admin_browser(clerk(*both, email="other@example.com"))
    assert browser.get("/admin/billing/wallet/", query).context["cl"].result_count == 1


def test_an_autocompletion_needs_the_right_to_look_at_what_it_names(owner: Person) -> None:
    query = {"app_label": "accounts", "model_name": "membership", "field_name": "user", "term": "owner"}

    for names, status in ((("view_membership", "add_membership"), 403), (("view_user",), 200)):
        browser = admin_browser(clerk(*(f"accounts.{name}" for name in names), email=f"{names[0]}@example.com"))
        assert browser.get("/admin/autocomplete/", query).status_code == status


def test_a_log_in_of_an_operator_is_ended_by_superusers_alone(owner: Person) -> None:
    operator = superuser()
    admin_browser(operator)
    browser = admin_browser(clerk("accounts.view_session", "accounts.change_session"))
    chosen = [str(session.pk) for session in Session.objects.all()]

    browser.post("/admin/accounts/session/", {"action": "revoke", "_selected_action": chosen})

    assert {session.user.email for session in Session.objects.exclude(revoked_at=None)} == {"owner@example.com"}
