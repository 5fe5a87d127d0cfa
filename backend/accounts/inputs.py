"""Validation of the bodies of allauth's flows, by our rule of which account an address belongs to.

The rule is ``queries.owner_of_email``; allauth itself matches unverified addresses too. ``AuthLimitsMiddleware`` has
rewritten the addresses in the bodies by then, to the spelling of ``mailboxes.canonical``.
"""

from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.internal.stagekit import unstash_login
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.headless.account import inputs
from allauth.headless.mfa import inputs as mfa_inputs
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from backend.accounts import operations, queries, throttles
from backend.accounts.models import User
from backend.http.limits import RateLimited

MAX_ADDRESSES = 10  # Of one account, verified or not.


class SignupInput(inputs.SignupInput):  # type: ignore[misc]  # allauth ships no types that mypy reads.
    def validate_unique_email(self, value: str) -> str:
        if queries.owner_of_email(value) is not None:
            if app_settings.EMAIL_VERIFICATION != app_settings.EmailVerificationMethod.MANDATORY:
                raise get_adapter().validation_error("email_taken")
            self.account_already_exists = True  # The response is that of a new account, and the owner gets a mail.
        return value

    def try_save(self, request: HttpRequest) -> Any:
        if self.account_already_exists:
            operations.spend_the_time_of_a_registration(password=self.cleaned_data.get("password"))
            for _commit in range(2):  # A sign-up commits twice: the account, then its address.
                request.session.save()
        return super().try_save(request)

    def save(self, request: HttpRequest) -> User:
        user: User = super().save(request)
        # allauth leaves the row out if any account has one with this address, verified or not.
        address, _created = EmailAddress.objects.get_or_create(
            user=user, email=user.email, defaults={"primary": True, "verified": False}
        )
        EmailAddress.objects.fill_cache_for_user(user, [address])
        return user


class RequestPasswordResetInput(inputs.RequestPasswordResetInput):  # type: ignore[misc]  # As above.
    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        return email  # The worker looks the account up.


class RequestLoginCodeInput(inputs.RequestLoginCodeInput):  # type: ignore[misc]  # As above.
    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        owner = queries.owner_of_email(email)
        self._user = owner if owner is not None and owner.is_active else None
        return email


class AddEmailInput(inputs.AddEmailInput):  # type: ignore[misc]  # As above.
    """Adds an unverified address, which gives no access yet, whether or not another account has the same."""

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        own = EmailAddress.objects.filter(user=self.user)
        if own.filter(email=email).exists() or self.user.email == email:
            raise get_adapter().validation_error("duplicate_email")
        if own.count() >= MAX_ADDRESSES:
            raise get_adapter().validation_error("max_email_addresses", MAX_ADDRESSES)
        return email


class MarkAsPrimaryEmailInput(inputs.MarkAsPrimaryEmailInput):  # type: ignore[misc]  # As above.
    def clean_email(self) -> EmailAddress:
        address: EmailAddress = super().clean_email()
        if not address.verified:
            raise get_adapter().validation_error("unverified_primary_email")
        return address


class _ThrottledCode:
    """Counts wrong codes: a client with the password can neither go on guessing nor lock the owner out."""

    def clean_code(self) -> str:
        form: Any = self
        try:
            usage = throttles.use(throttles.SECOND_FACTORS, email=form.user.email, request=context.request)
        except RateLimited as error:
            raise throttles.too_many(error) from error
        code: str = super().clean_code()  # type: ignore[misc]  # allauth's.
        usage.rollback()
        return code


class AuthenticateInput(_ThrottledCode, mfa_inputs.AuthenticateInput):  # type: ignore[misc]  # As above.
    pass


class ReauthenticateInput(_ThrottledCode, mfa_inputs.ReauthenticateInput):  # type: ignore[misc]  # As above.
    pass


class VerifyEmailInput(inputs.VerifyEmailInput):  # type: ignore[misc]  # As above.
    def clean_key(self) -> str:
        key: str = super().clean_key()
        address = self.verification.email_address
        if not proved_by_account(context.request, address) and _needs_account(context.request, address):
            raise ValidationError(_("Log in to the account that this address was added to."), code="other_account")
        return key


def proved_by_account(request: HttpRequest, address: EmailAddress) -> bool:
    """Whether the request comes from a log-in of the address's account, or from the sign-up that made it."""
    if request.user.is_authenticated:
        return bool(request.user.pk == address.user_id)
    login = unstash_login(request, peek=True)
    return bool(login and login.user and login.user.pk == address.user_id)


def _needs_account(request: HttpRequest, address: EmailAddress) -> bool:
    """Whether a mailed link needs the log-in of its account: its reader may be tricked into confirming another's."""
    if request.user.is_authenticated:
        return True
    owner = queries.owner_of_email(address.email)
    return owner is not None and owner.pk != address.user_id
