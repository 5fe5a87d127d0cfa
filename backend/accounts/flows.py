"""allauth's views of flows that identify an account by its address, with our inputs and limits."""

from datetime import timedelta
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.password_reset import finalize_password_reset
from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from allauth.core.exceptions import ReauthenticationRequired
from allauth.headless.account import views
from allauth.headless.account.response import RequestPasswordResponse
from allauth.headless.base.response import AuthenticationResponse, ConflictResponse
from allauth.headless.mfa import views as mfa_views
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from backend.accounts import addresses, inputs, outbox, queries, throttles
from backend.accounts.adapter import EMAIL_DELETED, SESSION_ID
from backend.accounts.errors import EmailTaken
from backend.accounts.models import User
from backend.http.ids import new_id


class SignupView(views.SignupView):  # type: ignore[misc]  # allauth ships no types that mypy reads.
    input_class = {"POST": inputs.SignupInput}


class VerifyEmailView(views.VerifyEmailView):  # type: ignore[misc]  # As above.
    input_class = inputs.VerifyEmailInput


class RequestPasswordResetView(views.RequestPasswordResetView):  # type: ignore[misc]  # As above.
    input_class = inputs.RequestPasswordResetInput

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        email = self.input.cleaned_data["email"]
        throttles.use(throttles.RESETS, email=email, request=request)
        outbox.post_password_reset(email=email)
        response: HttpResponse = RequestPasswordResponse(request)
        return response


class ResetPasswordView(views.ResetPasswordView):  # type: ignore[misc]  # As above.
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Set the password, and log in unless a second factor is required."""
        user, data = self.input.user, self.input.cleaned_data
        token = data["key"].partition("-")[2]
        addresses.reset_password(user_id=user.pk, token=token, password=data["password"])
        user.refresh_from_db()
        finalize_password_reset(request, user)
        response: HttpResponse = AuthenticationResponse(request)
        return response


class RequestLoginCodeView(views.RequestLoginCodeView):  # type: ignore[misc]  # As above.
    input_class = inputs.RequestLoginCodeInput

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        throttles.use(throttles.CODES, email=self.input.cleaned_data["email"], request=request)
        if self.input._user is None:
            queries.user_exists(
                new_id()
            )  # For a known user allauth runs one more query: the response times must not differ.
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response


class ConfirmLoginCodeView(views.ConfirmLoginCodeView):  # type: ignore[misc]  # As above.
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Verify the address and log in, if the address is still the account's."""
        user, email = self.process.user, self.process.state.get("email")
        if user is None or queries.owner_of_email(email) != user:
            self.process.abort()
            conflict: HttpResponse = ConflictResponse(request)
            return conflict
        addresses.prove(user_id=user.pk, email=email, by_account=False)
        user.refresh_from_db()
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response


class ManageEmailView(views.ManageEmailView):  # type: ignore[misc]  # As above.
    input_class = {
        **views.ManageEmailView.input_class,
        "POST": inputs.AddEmailInput,
        "PATCH": inputs.MarkAsPrimaryEmailInput,
    }

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """401 without a log-in. Only a sign-up that waits for a mailed code may correct its address without one."""
        if not request.user.is_authenticated and not app_settings.EMAIL_VERIFICATION_BY_CODE_ENABLED:
            return AuthenticationResponse(request)  # type: ignore[no-any-return]  # As above.
        return super().dispatch(request, *args, **kwargs)  # type: ignore[no-any-return]  # As above.

    def handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Serialize removals and changes of the primary address: two at once could leave the account without one."""
        if request.method not in ("PATCH", "DELETE"):
            return super().handle(request, *args, **kwargs)
        with transaction.atomic():
            User.objects.select_for_update().get(pk=self.user.pk)
            self.user.refresh_from_db()
            return super().handle(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.verification_stage_process:  # Else this is a sign-up that corrects its address.
            _require_recent_proof(request)
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response

    def patch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        _require_recent_proof(request)
        try:
            response: HttpResponse = super().patch(request, *args, **kwargs)
        except IntegrityError as error:
            raise EmailTaken from error
        return response

    def delete(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Remove the address and mail it a notice: the caller may not be its owner."""
        address = self.input.cleaned_data["email"]
        if address.verified:
            _require_recent_proof(request)
        response: HttpResponse = super().delete(request, *args, **kwargs)
        if address.verified:
            context = {"deleted_email": address.email}
            get_adapter().send_notification_mail(EMAIL_DELETED, self.user, context, email=address.email)
        return response


def _require_recent_proof(request: HttpRequest) -> None:
    """Refuse unless the caller authenticated recently: a stolen access token must not add an address for good.

    :raises ReauthenticationRequired: the caller neither logged in nor proved who they are in the last five minutes.
    """
    since = timezone.now() - timedelta(seconds=app_settings.REAUTHENTICATION_TIMEOUT)
    if not queries.session_began_since(request.session.get(SESSION_ID), since) and not did_recently_reauthenticate(
        request
    ):
        raise ReauthenticationRequired


class AuthenticateView(mfa_views.AuthenticateView):  # type: ignore[misc]  # As above.
    input_class = inputs.AuthenticateInput


class ReauthenticateView(mfa_views.ReauthenticateView):  # type: ignore[misc]  # As above.
    input_class = inputs.ReauthenticateInput
