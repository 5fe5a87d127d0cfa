from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from backend.accounts.models import Membership, Session, User, Workspace
from backend.accounts.operators.operations import ensure_operator
from tests.actors import PASSWORD, Person
from tests.operators import admin_browser

SECRET = "operators know this"


@pytest.fixture
def operator(db: None) -> Client:
    """A superuser's browser, logged in through the form."""
    ensure_operator(email="operator@example.com", password=SECRET)
    browser = Client(raise_request_exception=False)
    response = browser.post("/admin/login/?next=/admin/", {"username": "Operator@Example.com", "password": SECRET})
    assert response.status_code == 302, response.content
    return browser


@pytest.fixture
def clerk(db: None) -> Client:
    """An operator who may change users and memberships, and is no superuser."""
    user = User.objects.create_user("clerk@example.com", SECRET, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    return admin_browser(user)


@pytest.mark.parametrize("model", ["user", "workspace", "membership", "session"])
def test_every_list_opens_and_searches(operator: Client, owner: Person, model: str) -> None:
    for search in ("", "owner", "owner@example.com", "😀", "'--", "\x00", "x" * 300):
        response = operator.get(f"/admin/accounts/{model}/", {"q": search} if search else {})

        assert response.status_code == 200, search
        if search in ("", "owner"):
            assert b"owner" in response.content


@pytest.mark.parametrize("model", ["user", "workspace", "membership", "session"])
def test_a_list_takes_as_many_queries_however_long(
    operator: Client, owner: Person, model: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(15):
        user = User.objects.create_user(f"user{number}@example.com")
        workspace = Workspace.objects.create(name=f"Team {number}", personal_owner=user)
        Membership.objects.create(workspace=workspace, user=user)
        Session.objects.create(user=user, expires_at=user.created_at)

    with django_assert_max_num_queries(8):  # The session, the operator, their rights, counts and the page.
        assert operator.get(f"/admin/accounts/{model}/").status_code == 200


def test_an_object_is_found_by_its_id(operator: Client, owner: Person) -> None:
    response = operator.get("/admin/accounts/user/", {"q": str(owner.user.pk)})

    assert b"owner@example.com" in response.content


def test_every_object_opens(operator: Client, owner: Person, member: Person) -> None:
    for row in (owner.user, owner.workspace, Session.objects.all()[0], *Membership.objects.all()):
        path = f"/admin/accounts/{row._meta.model_name}/{row.pk}/change/"
        assert operator.get(path).status_code == 200, path
    for model in ("user", "membership"):
        assert operator.get(f"/admin/accounts/{model}/add/").status_code == 200


def test_only_operators_log_in(owner: Person) -> None:
    browser = admin_browser(owner.user)
    for path in ("/admin/", "/admin/accounts/user/"):
        assert Client().get(path).status_code == 302
        assert browser.get(path).status_code == 302
        assert owner.get(path).status_code == 302
    response = Client().post("/admin/login/", {"username": "owner@example.com", "password": PASSWORD})
    assert response.status_code == 200
    assert b"staff account" in response.content


def test_guessing_an_operators_password_is_stopped(operator: Client) -> None:
    browser = Client()
    for _ in range(10):
        browser.post("/admin/login/", {"username": "operator@example.com", "password": "wrong"})

    response = browser.post("/admin/login/", {"username": "operator@example.com", "password": SECRET})

    assert response.status_code == 200
    assert b"Too many attempts" in response.content


def test_an_operator_is_made_with_a_workspace(operator: Client) -> None:
    response = operator.post(
        "/admin/accounts/user/add/",
        {
            "email": "New@Example.com",
            "name": "New",
            "is_staff": "on",
            "usable_password": "true",
            "password1": SECRET,
            "password2": SECRET,
        },
    )

    assert response.status_code == 302, response.content
    user = User.objects.get(email="new@example.com")
    assert user.is_staff
    assert user.check_password(SECRET)
    assert Membership.objects.get(user=user).workspace == user.personal_workspace
    assert EmailAddress.objects.get(user=user).verified


def test_an_address_in_use_is_refused(operator: Client, owner: Person) -> None:
    response = operator.post(
        "/admin/accounts/user/add/",
        {"email": "OWNER@example.com", "usable_password": "true", "password1": SECRET, "password2": SECRET},
    )

    assert response.status_code == 200
    assert b"already registered" in response.content


def act(browser: Client, action: str, *users: User) -> Any:
    data = {"action": action, "_selected_action": [str(user.pk) for user in users]}
    return browser.post("/admin/accounts/user/", data)


def test_locking_out_ends_every_log_in(
    operator: Client, owner: Person, stranger: Person, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        act(operator, "lock_out", owner.user)

    owner.user.refresh_from_db()
    assert not owner.user.is_active
    assert owner.get("/api/v1/users/me").json()["code"] == "session_revoked"
    assert stranger.get("/api/v1/users/me").status_code == 200
    assert LogEntry.objects.get().object_id == str(owner.user.pk)

    with django_capture_on_commit_callbacks(execute=True):
        act(operator, "let_in", owner.user)
    owner.user.refresh_from_db()
    assert owner.user.is_active


def test_an_operator_does_not_lock_themselves_out(operator: Client) -> None:
    me = User.objects.get(email="operator@example.com")
    act(operator, "lock_out", me)

    me.refresh_from_db()
    assert me.is_active


def test_what_is_protected_is_not_written(operator: Client, owner: Person) -> None:
    before = User.objects.values("id", "email", "is_active", "created_at", "password").get(pk=owner.user.pk)

    response = operator.post(
        f"/admin/accounts/user/{owner.user.pk}/change/",
        {"email": "eva@example.com", "is_active": "", "password": "x", "created_at_0": "2020-01-01", "name": "Ana"},
    )

    assert response.status_code == 302, response.content
    after = User.objects.values("id", "email", "is_active", "created_at", "password").get(pk=owner.user.pk)
    assert after == before
    assert User.objects.get(pk=owner.user.pk).name == "Ana"


def test_who_is_no_superuser_gives_no_rights(clerk: Client, owner: Person) -> None:
    clerk.post(f"/admin/accounts/user/{owner.user.pk}/change/", {"name": "Ana", "is_staff": "on", "is_superuser": "on"})

    user = User.objects.get(pk=owner.user.pk)
    assert (user.name, user.is_staff, user.is_superuser) == ("Ana", False, False)


def test_who_is_no_superuser_does_not_touch_an_operator(clerk: Client, operator: Client) -> None:
    other = User.objects.get(email="operator@example.com")

    changed = clerk.post(f"/admin/accounts/user/{other.pk}/change/", {"name": "Eva"})
    password = clerk.post(
        f"/admin/accounts/user/{other.pk}/password/", {"password1": "stolen now 1", "password2": "stolen now 1"}
    )
    act(clerk, "lock_out", other)

    assert changed.status_code == password.status_code == 403
    other.refresh_from_db()
    assert (other.name, other.is_active, other.check_password(SECRET)) == ("", True, True)


def test_a_new_password_from_an_operator_ends_the_log_ins(
    operator: Client, owner: Person, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = operator.post(
            f"/admin/accounts/user/{owner.user.pk}/password/",
            {"usable_password": "true", "password1": "another horse entirely", "password2": "another horse entirely"},
        )

    assert response.status_code == 302, response.content
    assert owner.get("/api/v1/users/me").status_code == 401


def test_no_user_is_deleted(operator: Client, owner: Person) -> None:
    assert operator.post(f"/admin/accounts/user/{owner.user.pk}/delete/", {"post": "yes"}).status_code == 403
    assert operator.post(f"/admin/accounts/workspace/{owner.workspace.pk}/delete/", {"post": "yes"}).status_code == 403
    act(operator, "delete_selected", owner.user)
    assert User.objects.filter(pk=owner.user.pk).exists()


def test_log_ins_are_only_ended(operator: Client, owner: Person, django_capture_on_commit_callbacks: Any) -> None:
    assert owner.get("/api/v1/auth/session").status_code == 200  # Makes the state of the log-in.
    session = Session.objects.get(user=owner.user)
    assert operator.get("/admin/accounts/session/add/").status_code == 403
    assert operator.post(f"/admin/accounts/session/{session.pk}/change/", {"generation": 7}).status_code == 403
    assert session.state_key.encode() not in operator.get(f"/admin/accounts/session/{session.pk}/change/").content

    with django_capture_on_commit_callbacks(execute=True):
        operator.post("/admin/accounts/session/", {"action": "revoke", "_selected_action": [str(session.pk)]})

    session.refresh_from_db()
    assert session.revoked_reason == "operator"
    assert owner.get("/api/v1/users/me").status_code == 401


def test_the_owner_of_a_personal_workspace_keeps_it(operator: Client, owner: Person, member: Person) -> None:
    own = Membership.objects.get(user=owner.user)
    other = Membership.objects.get(user=member.user, workspace=owner.workspace)

    assert operator.post(f"/admin/accounts/membership/{own.pk}/change/", {"role": "viewer"}).status_code == 403
    assert operator.post(f"/admin/accounts/membership/{own.pk}/delete/", {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [str(own.pk)], "post": "yes"}
    operator.post("/admin/accounts/membership/", data)
    assert Membership.objects.get(pk=own.pk).role == "owner"

    assert operator.post(f"/admin/accounts/membership/{other.pk}/change/", {"role": "viewer"}).status_code == 302
    assert member.post("/api/v1/users/me", {}).status_code == 405
    assert Membership.objects.get(pk=other.pk).role == "viewer"


@pytest.mark.parametrize("path", ["account/emailaddress", "socialaccount/socialapp", "mfa/authenticator"])
def test_allauths_own_pages_are_not_there(operator: Client, path: str) -> None:
    assert operator.get(f"/admin/{path}/").status_code == 404
