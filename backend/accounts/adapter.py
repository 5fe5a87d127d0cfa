"""Where allauth's flows meet our users, texts and limits."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.headless.adapter import DefaultHeadlessAdapter
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from backend.accounts import operations
from backend.accounts.models import User

LONGEST_EMAIL = 254
LONGEST_PASSWORD = 1024  # Characters; hashing more is work for nothing.


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types that mypy reads.
    def new_user(self, request: HttpRequest) -> User:
        return User()

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        return operations.register_user(
            email=form.cleaned_data["email"], password=form.cleaned_data.get("password") or None
        )

    def clean_email(self, email: str) -> str:
        if len(email) > LONGEST_EMAIL:
            raise ValidationError(_("An email address has at most 254 characters."), code="max_length")
        _refuse_surrogates(email)
        return email

    def clean_password(self, password: str, user: User | None = None) -> str:
        _refuse_surrogates(password)
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(_("A password has at most 1024 characters."), code="max_length")
        cleaned: str = super().clean_password(password, user)
        return cleaned

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        for value in credentials.values():
            _refuse_surrogates(str(value))
        super().pre_authenticate(request, **credentials)


class HeadlessAdapter(DefaultHeadlessAdapter):  # type: ignore[misc]  # allauth ships no types that mypy reads.
    def serialize_user(self, user: User) -> dict[str, Any]:
        return {
            "id": user.public_id,
            "email": user.email,
            "display": user.name or user.email,
            "has_usable_password": user.has_usable_password(),
        }


def _refuse_surrogates(text: str) -> None:
    """JSON can spell half a character, which no encoding can store."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValidationError(_("This is not valid text."), code="invalid") from error
