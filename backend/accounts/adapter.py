"""allauth's adapters: its flows with our users, texts and limits."""

from typing import Any
from uuid import UUID

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.headless.adapter import DefaultHeadlessAdapter
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from backend.accounts import addresses, mail, operations, outbox, throttles
from backend.accounts.inputs import proved_by_account
from backend.accounts.models import User
from backend.http.limits import RateLimited

PASSWORD_THEN = "password_then"  # noqa: S105 — In the same state: whose log-in, and a digest of the password it was for.
SESSION_ID = "session_id"  # In allauth's state of a log-in: the id of our session, once there is one.
UNKNOWN_ACCOUNT, LOGIN_CODE = "account/email/unknown_account", "account/email/login_code"  # Templates.
EMAIL_DELETED = "account/email/email_deleted"
NOTICES = ("account/email/email_changed", EMAIL_DELETED)
MAX_EMAIL_LENGTH = 254
MAX_PASSWORD_LENGTH = 1024  # Characters; a longer one only makes hashing slow.


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types that mypy reads.
    def new_user(self, request: HttpRequest) -> User:
        return User()

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        return operations.register_user(
            email=form.cleaned_data["email"], password=form.cleaned_data.get("password") or None
        )

    def clean_email(self, email: str) -> str:
        if len(email) > MAX_EMAIL_LENGTH:
            raise ValidationError(_("An email address has at most 254 characters."), code="max_length")
        return email

    def clean_password(self, password: str, user: User | None = None) -> str:
        if len(password) > MAX_PASSWORD_LENGTH:
            raise ValidationError(_("A password has at most 1024 characters."), code="max_length")
        cleaned: str = super().clean_password(password, user)
        return cleaned

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Queue the mail for a worker. For an unknown account do the same work, and send nothing."""
        is_wanted = template_prefix != UNKNOWN_ACCOUNT
        if not is_wanted:
            template_prefix, context = LOGIN_CODE, {**context, "code": self.generate_login_code()}
        context = {"request": self.request, "email": email, "current_site": mail.site(), **context}
        message = self.render_mail(template_prefix, email, context)
        outbox.post(template=template_prefix, message=message, is_wanted=is_wanted)

    def send_confirmation_mail(self, request: HttpRequest, emailconfirmation: Any, signup: bool) -> None:
        """Mail the link that verifies an address, or tell its verified owner that another account tried to add it."""
        address = emailconfirmation.email_address
        if EmailAddress.objects.filter(email=address.email, verified=True).exclude(pk=address.pk).exists():
            self.send_account_already_exists_mail(address.email)
        elif self._may_mail(request, address.email):
            super().send_confirmation_mail(request, emailconfirmation, signup)

    def send_account_already_exists_mail(self, email: str) -> None:
        if self._may_mail(self.request, email):
            super().send_account_already_exists_mail(email)

    def send_notification_mail(
        self, template_prefix: str, user: User, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """Send only the notices to an address that stopped being the primary one, or an address of the account."""
        if email is not None and template_prefix in NOTICES:
            super().send_notification_mail(template_prefix, user, context, email)

    def _may_mail(self, request: HttpRequest, email: str) -> bool:
        """Whether the limit on mails that any client can cause allows one more. The client gets the same response."""
        try:
            throttles.use(throttles.LINKS, email=email, request=request)
        except RateLimited:
            return False
        return True

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """:raises EmailTaken: another account verified it first."""
        by_account = proved_by_account(request, email_address)
        addresses.prove(user_id=email_address.user_id, email=email_address.email, by_account=by_account)
        return True

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count a wrong password; allauth rolls the count back if the password was right."""
        try:
            self._login_failed_rl_usage = throttles.use(
                throttles.PASSWORDS, email=credentials.get("email", ""), request=request
            )
        except RateLimited as error:
            raise throttles.too_many(error) from error

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        throttles.reset(throttles.PASSWORDS, email=credentials["email"], request=request)

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> Any:
        """Store which password the log-in began with, in case it waits for a second factor: see ``strategy``."""
        request.session[PASSWORD_THEN] = [str(user.pk), user.get_session_auth_hash()]
        return super().pre_login(request, user, **kwargs)

    def logout(self, request: HttpRequest) -> None:
        session_id = request.session.get(SESSION_ID)
        super().logout(request)
        if session_id is not None:
            operations.revoke_session(session_id=UUID(session_id), reason="logged_out")

    def set_password(self, user: User, password: str) -> None:
        """After a change or a reset, end every log-in but this one: its client may only know the old password."""
        super().set_password(user, password)
        session_id = self.request.session.get(SESSION_ID)
        operations.revoke_sessions(
            user_id=user.pk, reason="password_changed", but=UUID(session_id) if session_id else None
        )


class HeadlessAdapter(DefaultHeadlessAdapter):  # type: ignore[misc]  # allauth ships no types that mypy reads.
    def serialize_user(self, user: User) -> dict[str, Any]:
        return {
            "id": user.public_id,
            "email": user.email,
            "display": user.name or user.email,
            "has_usable_password": user.has_usable_password(),
        }
