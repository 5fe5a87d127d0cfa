"""A save of a user that was read earlier does not undo what another transaction committed in between."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.test import Client

from backend.accounts import operations
from backend.accounts.admin import UserAdmin
from backend.accounts.models import User
from tests.actors import PASSWORD, Person
from tests.operators import admin_browser

NEW = "another horse entirely"


def change_own(owner: Person, browser: Client) -> Any:
    return owner.post("/api/v1/account/password/change", {"current_password": PASSWORD, "new_password": NEW})


def change_own_in_admin(owner: Person, browser: Client) -> Any:
    passwords = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    return admin_browser(owner.user).post("/admin/password_change/", passwords)


def set_in_admin(owner: Person, browser: Client) -> Any:
    passwords = {"usable_password": "true", "password1": NEW, "password2": NEW}
    return browser.post(f"/admin/accounts/user/{owner.user.pk}/password/", passwords)


def rename_in_admin(owner: Person, browser: Client) -> Any:
    return browser.post(f"/admin/accounts/user/{owner.user.pk}/change/", {"name": "Ana", "language": ""})


@pytest.mark.parametrize(
    ("request_of", "between"),
    [
        (change_own, (AbstractBaseUser, "set_password")),
        (change_own_in_admin, (AbstractBaseUser, "set_password")),
        (set_in_admin, (AbstractBaseUser, "set_password")),
        (rename_in_admin, (UserAdmin, "save_form")),
    ],
)
def test_a_user_who_is_locked_out_between_read_and_save_stays_locked_out(
    request_of: Callable[[Person, Client], Any],
    between: tuple[type, str],
    owner: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browser = admin_browser(User.objects.create_superuser("operator@example.com", PASSWORD))
    if request_of is change_own_in_admin:
        User.objects.filter(pk=owner.user.pk).update(is_staff=True)
    original, calls = getattr(*between), []

    def locks_out_first(*args: Any, **kwargs: Any) -> Any:
        calls.append(between)
        operations.deactivate_user(user_id=owner.user.pk)
        return original(*args, **kwargs)

    monkeypatch.setattr(*between, locks_out_first)
    response = request_of(owner, browser)

    assert calls
    assert response.status_code < 500, response.content
    user = User.objects.get(pk=owner.user.pk)
    assert not user.is_active
    assert user.name == "Ana" or user.check_password(NEW)  # What the request itself changed is stored.
