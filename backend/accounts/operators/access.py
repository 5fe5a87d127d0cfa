"""Actions that lock users out and let them in again, on the list and on a user's page."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from backend.accounts import operations
from backend.accounts.models import User

if TYPE_CHECKING:
    from backend.accounts.operators.model_admin import OperatorModelAdmin as Page
else:
    Page = object


class LocksOut(Page):
    """Mixin of the page of users: two actions on the list, and one on the user's page, which asks for confirmation."""

    @admin.action(description=_("Lock out: end every log-in and allow no new one"), permissions=["change"])
    def lock_out(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._open_or_close(request, queryset, opened=False)

    @admin.action(description=_("Let in again"), permissions=["change"])
    def let_in(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._open_or_close(request, queryset, opened=True)

    @action(  # type: ignore[untyped-decorator]  # unfold ships no types that mypy reads.
        description=_("Lock out or let in"), url_path="access", permissions=["access"], icon="lock_person"
    )
    def access(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The same for one user, from their page."""
        user = self.get_object(request, object_id)
        if user is None:
            raise Http404
        page = reverse("admin:accounts_user_change", args=[user.pk])
        opened = not user.is_active
        if request.method == "POST" and "confirmed" in request.POST:
            self._open_or_close(request, User.objects.filter(pk=user.pk), opened=opened)
            return HttpResponseRedirect(page)
        question = _("Let this user in again?") if opened else _("End every log-in of this user and allow no new one?")
        button = _("Let in again") if opened else _("Lock out")
        return self.confirmation(request, question=question, button=button, rows=[user], back=page)

    def has_access_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        user = self.get_object(request, str(object_id)) if object_id else None
        return bool(self.has_change_permission(request, user))

    def _open_or_close(self, request: HttpRequest, users: QuerySet[User], *, opened: bool) -> None:
        """Change each user, and show how many were changed and which were refused and why."""
        change, entry = (
            (operations.activate_user, gettext("Let in again."))
            if opened
            else (operations.deactivate_user, gettext("Locked out."))
        )
        done = 0
        for user in users:
            if not opened and user == request.user:
                self.message_user(request, gettext("You cannot lock yourself out."), messages.ERROR)
            elif not self.has_change_permission(request, user):
                text = gettext("%(user)s is an operator: only a superuser may do this.") % {"user": user}
                self.message_user(request, text, messages.ERROR)
            else:
                change(user_id=user.pk)
                self.log_change(request, user, entry)
                done += 1
        if done:
            text = (
                ngettext("%(count)d user was let in again.", "%(count)d users were let in again.", done)
                if opened
                else ngettext(
                    "%(count)d user was locked out; every log-in of theirs ended.",
                    "%(count)d users were locked out; every log-in of theirs ended.",
                    done,
                )
            )
            self.message_user(request, text % {"count": done}, messages.SUCCESS)
