"""The admin's site: access, log-in and log-out, search, error pages."""

import time
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from backend.accounts import operations
from backend.accounts.adapter import SESSION_ID
from backend.accounts.models import User
from backend.accounts.operators.finding import find
from backend.accounts.operators.login import LogInView, PasswordForm, proved_second_factor

REFUSALS: dict[int | str, tuple[Any, Any]] = {
    400: (_("This address is not understood"), _("It asks for something that this list is not filtered by.")),
    403: (_("Not allowed"), _("Your account does not have the right to see this page or to do this.")),
    "csrf_failed": (
        _("Not done"),
        _("The form comes from a page of another log-in. Go back, reload it, try again."),
    ),
    404: (_("Not found"), _("There is no such page, or the object is not there any more.")),
}


class OperatorSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types that mypy reads.
    login_form = PasswordForm

    def has_permission(self, request: HttpRequest) -> bool:
        """Operators; with OPERATOR_SECOND_FACTOR=required, only those who proved a second factor."""
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
        """Change the operator's own password and end every other log-in, as the API does."""
        response: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and isinstance(response, HttpResponseRedirect):
            own, user_id = request.session.get(SESSION_ID), cast(User, request.user).pk
            operations.revoke_sessions(user_id=user_id, reason="password_changed", but=UUID(own) if own else None)
        return response

    def extra_urls(self) -> list[URLPattern]:
        return [path("find/", self.admin_view(self.find), name="find")]

    def find(self, request: HttpRequest) -> HttpResponse:
        """Redirect to the only object found by a typed id or an address, or list what was found."""
        asked = request.GET.get("q", "").strip()[:200]
        found = find(request, asked)
        if len(found) == 1:
            return HttpResponseRedirect(found[0].link)
        context = {**self.each_context(request), "title": _("Find"), "asked": asked, "found": found}
        return TemplateResponse(request, "accounts/admin/find.html", context)

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Results for the sidebar's field and Ctrl+K: lists by name, objects by typed id or address.

        unfold's own search caches results in Redis for five minutes, in the language and with the rights of that time.
        """
        asked = request.GET.get("s", "").strip()[:200]
        if not asked:
            return HttpResponse()
        started = time.monotonic()
        results = [*find(request, asked), *self._search_apps(self.get_app_list(request), asked.lower())]
        pages = Paginator(results, max(1, len(results)))
        context = {
            "page_obj": pages,
            "results": pages.page(1),
            "page_counter": 0,
            "execution_time": time.monotonic() - started,
        }
        name = "command_results" if "extended" in request.GET else "search_results"
        return TemplateResponse(request, f"unfold/helpers/{name}.html", context, headers={"HX-Trigger": "search"})

    def refused(self, request: HttpRequest, status: int, reason: int | str) -> HttpResponse:
        """The error page for a URL that does not exist, is not allowed, or is invalid."""
        title, why = REFUSALS[reason]
        context = {**self.each_context(request), "title": title, "why": why}
        inside = context["has_permission"]  # Else there is no sidebar to draw.
        context["layout"] = "admin/base_site.html" if inside else "unfold/layouts/unauthenticated.html"
        return render(request, "accounts/admin/refused.html", context, status=status)
