"""The log-in of operators: the password, then the second factor if the operator has one."""

import time
from typing import Any
from uuid import UUID

from allauth.core.internal.httpkit import get_client_ip
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.models import Authenticator
from django import forms
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm
from unfold.widgets import BASE_INPUT_CLASSES

from backend.accounts import operations, throttles
from backend.accounts.adapter import MAX_PASSWORD_LENGTH, SESSION_ID
from backend.accounts.models import User
from backend.http import limits, mailboxes

RATE = limits.Rate(limit=10, seconds=60)  # Of one client address, over all accounts.
PENDING, PENDING_SECONDS = "operator_pending", 300  # The password was right; the second factor is missing.
MAX_WRONG_CODES = 5  # Then the log-in starts again at the password.
AMR = "amr"  # In the state of an operator's log-in: its authentication methods.


def has_second_factor(user: User) -> bool:
    """Whether the user has one. Recovery codes alone do not count."""
    return bool(Authenticator.objects.filter(user=user).exclude(type=Authenticator.Type.RECOVERY_CODES).exists())


def proved_second_factor(request: HttpRequest) -> bool:
    return "otp" in request.session.get(AMR, ())


class PasswordForm(AuthenticationForm):  # type: ignore[misc]  # unfold ships no types that mypy reads.
    """The first step. allauth's back end hashes a password for unknown addresses too, so both take as long."""

    def clean(self) -> dict[str, Any]:
        account = _spelled(str(self.cleaned_data.get("username", "")))
        usage = _limit(self.request, throttles.PASSWORDS, account)
        if len(self.cleaned_data.get("password", "")) > MAX_PASSWORD_LENGTH:
            raise self.get_invalid_login_error()
        cleaned: dict[str, Any] = super().clean()
        usage.rollback()  # The password was right.
        return cleaned

    def confirm_login_allowed(self, user: User) -> None:
        super().confirm_login_allowed(user)
        if settings.OPERATOR_SECOND_FACTOR == "required" and not has_second_factor(user):
            raise forms.ValidationError(
                _(
                    "Operators need a second factor here, and this account has none. Turn one on through the API "
                    "(/api/v1/account/authenticators/totp), then log in again."
                )
            )


class CodeForm(AuthenticateForm):  # type: ignore[misc]  # allauth ships no types that mypy reads.
    """The second step: a code of the authenticator app or a recovery code, each valid once."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.fields["code"].max_length = 64
        self.fields["code"].label = _("Code of your app, or a recovery code")
        self.fields["code"].widget = forms.TextInput(
            {
                "autocomplete": "one-time-code",
                "autofocus": "",
                "class": " ".join(BASE_INPUT_CLASSES),
                "maxlength": 64,
                "spellcheck": "false",
            }
        )

    def clean_code(self) -> str:
        usage = _limit(self.request, throttles.SECOND_FACTORS, self.user.email)
        with transaction.atomic():
            # Two requests with the same recovery code: the second waits here, then finds the code used.
            list(Authenticator.objects.select_for_update().filter(user=self.user).order_by("pk"))
            code: str = super().clean_code()
        usage.rollback()  # The code was right.
        return code


class LogInView(LoginView):
    """Both steps at one URL. Between them the state names the user whose password was right; it is no log-in yet."""

    second_template = "accounts/admin/second_factor.html"

    def get_form_class(self) -> Any:
        return PasswordForm if self.waiting is None else CodeForm

    def get_form_kwargs(self) -> dict[str, Any]:
        kwargs = super().get_form_kwargs()
        return kwargs if self.waiting is None else {**kwargs, "user": self.waiting}

    def get_template_names(self) -> list[str]:
        return [str(self.template_name if self.waiting is None else self.second_template)]

    def get_default_redirect_url(self) -> str:
        return reverse("admin:index")

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.method == "POST" and ("username" in request.POST or "restart" in request.POST):
            request.session.pop(PENDING, None)
        self.waiting = _waiting(request)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "restart" in request.POST or (self.waiting is None and "code" in request.POST):
            return HttpResponseRedirect(request.get_full_path())
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        if self.waiting is not None:
            form.save()
            return self._enter(self.waiting, ["pwd", "mfa", "otp"])
        user: User = form.get_user()
        if not has_second_factor(user):
            return self._enter(user, ["pwd"])
        self.request.session.flush()
        self.request.session[PENDING] = {
            "user": str(user.pk),
            "hash": user.get_session_auth_hash(),
            "until": time.time() + PENDING_SECONDS,
            "wrong": 0,
        }
        self.request.session.set_expiry(PENDING_SECONDS)
        return HttpResponseRedirect(self.request.get_full_path())

    def form_invalid(self, form: Any) -> HttpResponse:
        if self.waiting is not None:
            pending = self.request.session[PENDING]
            pending["wrong"] += 1
            self.request.session[PENDING] = pending
            if pending["wrong"] >= MAX_WRONG_CODES:
                self.request.session.flush()
        return super().form_invalid(form)

    def _enter(self, user: User, amr: list[str]) -> HttpResponse:
        state = self.request.session
        state.pop(PENDING, None)
        state.set_expiry(None)
        login(self.request, user)
        session = operations.start_operator_session(
            user=user,
            amr=amr,
            user_agent=self.request.headers.get("User-Agent", ""),
            ip_address=get_client_ip(self.request),
            seconds=state.get_expiry_age(),
        )
        state[SESSION_ID], state[AMR] = str(session.pk), amr
        return HttpResponseRedirect(self.get_success_url())


def _waiting(request: HttpRequest) -> User | None:
    """The user of a pending log-in; none if the password changed or the user is no active operator any more."""
    pending = request.session.get(PENDING)
    if pending is None or pending["until"] < time.time():
        return None
    user = User.objects.filter(pk=UUID(pending["user"]), is_active=True, is_staff=True).first()
    if user is None or not constant_time_compare(user.get_session_auth_hash(), pending["hash"]):
        return None
    return user


def _spelled(email: str) -> str:
    try:
        return mailboxes.canonical(email)
    except mailboxes.InvalidEmail:
        return email  # Of no account.


def _limit(request: HttpRequest, throttle: throttles.Throttle, account: str) -> throttles.Usage:
    """Count one attempt against the limits of the client address and of the account. The API shares the latter.

    :raises ValidationError: too many attempts.
    """
    try:
        limits.check(f"admin-{throttle.policy}", RATE, f"address:{limits.address_of(request)}")
        return throttles.use(throttle, email=account, request=request)
    except limits.RateLimited as error:
        raise forms.ValidationError(_("Too many attempts. Try again later.")) from error
