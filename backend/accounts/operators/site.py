"""The admin's site: who comes in, how, and how they leave."""

from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from backend.accounts import operations
from backend.accounts.adapter import SESSION_ID
from backend.accounts.models import User
from backend.accounts.operators.login import LogInView, PasswordForm, proved_second_factor


class OperatorSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types that mypy reads.
    login_form = PasswordForm

    def has_permission(self, request: HttpRequest) -> bool:
        """Operators, and only with their second factor where OPERATOR_SECOND_FACTOR asks for one."""
        if settings.OPERATOR_SECOND_FACTOR == "required" and not proved_second_factor(request):
            return False
        return bool(super().has_permission(request))

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        context = {
            **self.each_context(request),
            "title": _("Log in"),
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            REDIRECT_FIELD_NAME: reverse("admin:index"),
            **(extra_context or {}),
        }
        view = LogInView.as_view(template_name=self.login_template or "admin/login.html", extra_context=context)
        return view(request)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        session_id = request.session.get(SESSION_ID)
        response: HttpResponse = super().logout(request, extra_context)
        if session_id is not None and request.method == "POST":
            operations.revoke_session(session_id=UUID(session_id), reason="logged_out")
        return response

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """One's own: every other log-in ends, as it does when the API changes a password."""
        response: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and isinstance(response, HttpResponseRedirect):
            own, user_id = request.session.get(SESSION_ID), cast(User, request.user).pk
            operations.revoke_sessions(user_id=user_id, reason="password_changed", but=UUID(own) if own else None)
        return response
