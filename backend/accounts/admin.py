"""The admin's pages of users, workspaces, memberships, log-ins and groups."""

from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from backend.accounts import operations, queries
from backend.accounts.models import Membership, Session, User, Workspace
from backend.accounts.operators import cells
from backend.accounts.operators.access import LocksOut
from backend.accounts.operators.filters import WordedFilter
from backend.accounts.operators.labels import code_label, field_label, translate
from backend.accounts.operators.model_admin import OperatorModelAdmin, ReadOnlyAdmin
from backend.http.mailboxes import InvalidEmail, canonical

RIGHTS = ["is_staff", "is_superuser", "groups", "user_permissions"]

# allauth's own pages would change rows without our operations. The page of groups is registered again below.
for model in (EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, Group):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[misc]  # unfold ships no types that mypy reads.
    """Ends every log-in of the user."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit)
        operations.revoke_sessions(user_id=user.pk, reason="password_changed")
        return user


class NewUserForm(UserCreationForm):  # type: ignore[misc]  # unfold ships no types that mypy reads.
    class Meta:
        model = User
        fields = ["email", "name", "is_staff"]

    def clean_email(self) -> str:
        try:
            email = canonical(str(self.cleaned_data["email"]))
        except InvalidEmail as error:
            raise forms.ValidationError(_("Enter a valid email address.")) from error
        if User.objects.filter(email=email).exists() or queries.owner_of_email(email) is not None:
            raise forms.ValidationError(_("A user is already registered with this email address."))
        return email


class RightsInWords(OperatorModelAdmin):
    """Rights as "service | model | right" in the operator's language. Django stores their names in English."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.remote_field.model is Permission:
            field.queryset = field.queryset.select_related("content_type")
            field.label_from_instance = right_in_words
        return field


def right_in_words(permission: Permission) -> str:
    """``content_type`` is loaded with it."""
    kind = permission.content_type
    model: Any = kind.model_class()
    if model is not None:
        translate(model)  # Those without a page too.
    action = permission.codename.partition("_")[0]
    words = {"add": gettext("Add"), "change": gettext("Change"), "delete": gettext("Delete"), "view": gettext("View")}
    named = permission.codename == f"{action}_{kind.model}" and action in words
    name = words[action] if named else gettext(permission.name)
    if model is None:
        return f"{kind.app_label} | {kind.model} | {name}"
    return f"{model._meta.app_config.verbose_name} | {model._meta.verbose_name} | {name}"


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, RightsInWords):
    """Groups of operators and their rights. To change a group is to grant rights, so only a superuser may."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return _is_superuser(request)


class ActiveFilter(admin.SimpleListFilter):
    """Users with a log-in that was used in a period, as the overview counts them."""

    title = _("last visit")
    parameter_name = "seen"
    DAYS = {"day": 1, "week": 7, "month": 30}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("day", _("In the last 24 hours")),
            ("week", _("In the last 7 days")),
            ("month", _("In the last 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        days = self.DAYS.get(str(self.value()))
        if days is None:
            return queryset
        since = timezone.now() - timedelta(days=days)
        return queryset.filter(Exists(Session.objects.filter(user=OuterRef("pk"), last_used_at__gte=since)))


@admin.register(User)
class UserAdmin(LocksOut, DjangoUserAdmin, RightsInWords):  # type: ignore[type-arg]  # Django's class takes no argument when it runs.
    """Only a superuser grants rights, changes other operators, or sets a password, which lets them act as the user."""

    form = UserChangeForm
    add_form = NewUserForm
    change_password_form = PasswordForm
    list_display = ["email_address", "short_name", "is_active", "is_staff", "entered", "made"]
    list_filter = [ActiveFilter, "is_active", "is_staff", ("created_at", admin.DateFieldListFilter)]
    of = {"wsp": "workspaces"}
    search_fields = ["=id", "email", "name"]
    ordering = ["-id"]
    show_full_result_count = False
    actions = ["lock_out", "let_in"]
    actions_detail = ["access"]
    fieldsets = [
        (None, {"fields": ["whole_id", "email", "own_workspace", "password", "name", "language"]}),
        (_("Rights"), {"fields": ["is_active", *RIGHTS]}),
        (_("Times"), {"fields": ["made", "entered"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "name", "is_staff", "usable_password", "password1", "password2"]})]
    readonly_fields = ["whole_id", "email", "own_workspace", "is_active", "made", "entered"]
    email_address = cells.text("email")
    short_name = cells.text("name")
    whole_id = cells.typed_id(whole=True)
    own_workspace = cells.linked("personal_workspace", _("personal workspace"))
    made, entered = cells.when("created_at"), cells.when("last_login", _("last log-in"))

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets: Any = super().get_fieldsets(request, obj)
        if obj is None or _is_superuser(request):
            return fieldsets
        return [
            (name, {**options, "fields": [field for field in options["fields"] if field != "password"]})
            for name, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        if obj is None:
            return [] if _is_superuser(request) else ["is_staff"]
        return [*self.readonly_fields, *([] if _is_superuser(request) else RIGHTS)]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and (obj.is_staff or obj.is_superuser) and not _is_superuser(request):
            return False
        return bool(super().has_change_permission(request, obj))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        if not _is_superuser(request):
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            EmailAddress.objects.create(user=obj, email=obj.email, primary=True, verified=True)
            operations.give_personal_workspace(user=obj)


@admin.register(Workspace)
class WorkspaceAdmin(OperatorModelAdmin):
    list_display = ["short_name", "short_id", "owner", "made"]
    list_select_related = ["personal_owner", "wallet"]
    search_fields = ["=id", "name", "personal_owner__email"]
    readonly_fields = ["whole_id", "owner", "wallet_link", "made"]
    fields = ["whole_id", "name", "owner", "wallet_link", "made"]
    of = {"usr": "members"}
    short_name, made = cells.text("name"), cells.when("created_at")
    short_id, whole_id = cells.typed_id(), cells.typed_id(whole=True)
    owner = cells.linked("personal_owner")
    ordering = ["-id"]
    show_full_result_count = False

    @admin.display(description=field_label("wallet"))
    def wallet_link(self, workspace: Workspace) -> Any:
        """Shown with its available amount. accounts may not import billing; the relation leads to the wallet."""
        wallet: Any = getattr(workspace, "wallet", None)
        return cells.link(wallet, cells.amount(wallet.available, wallet.currency)) if wallet is not None else "-"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        return False


@admin.register(Membership)
class MembershipAdmin(OperatorModelAdmin):
    """Members of workspaces and their roles. The owner of a personal workspace stays a member.

    A membership gives access to everything in the workspace, so only a superuser adds one. Deleting one needs only the
    right to delete memberships.
    """

    list_display = ["role", "workspace_link", "user_link", "made"]
    list_filter = ["role"]
    list_select_related = ["workspace", "user"]
    of = {"wsp": "workspace", "usr": "user"}
    workspace_link, user_link, made = cells.linked("workspace"), cells.linked("user"), cells.when("created_at")
    search_fields = ["workspace__name", "user__email"]
    autocomplete_fields = ["workspace", "user"]
    fields = ["workspace", "user", "role"]
    ordering = ["-pk"]
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> list[str]:
        return [] if obj is None else ["workspace", "user"]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without "delete selected": Django asks for the right to delete without an object, so it would refuse each."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Membership | None = None) -> bool:
        return _is_superuser(request) and not _of_personal_owner(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Membership | None = None) -> bool:
        return not _of_personal_owner(obj) and bool(super().has_delete_permission(request, obj))


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Log-ins, read-only but for the action that ends them."""

    list_display = ["short_id", "user_link", "ip_address", "made", "used", "ended", "why"]
    list_filter = [("revoked_reason", WordedFilter), ("last_used_at", admin.DateFieldListFilter)]
    list_select_related = ["user"]
    search_fields = ["=id", "user__email", "=ip_address"]
    of = {"usr": "user"}
    fields = [
        *("whole_id", "user_link", "ip_address", "user_agent", "proofs", "made", "used", "expires", "ended", "why"),
        "generation",
    ]
    ordering = ["-id"]
    actions = ["revoke"]
    short_id, whole_id, user_link = cells.typed_id(), cells.typed_id(whole=True), cells.linked("user")
    made, used, expires = cells.when("created_at"), cells.when("last_used_at"), cells.when("expires_at")
    ended = cells.when("revoked_at")

    @admin.display(description=field_label("revoked_reason"), ordering="revoked_reason")
    def why(self, session: Session) -> Any:
        return code_label("session.revoked_reason", session.revoked_reason) if session.revoked_reason else "-"

    @admin.display(description=field_label("amr"))
    def proofs(self, session: Session) -> str:
        return ", ".join(session.amr) or "-"

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_session")

    @admin.action(description=_("Log out"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        if not _is_superuser(request):
            queryset = queryset.filter(user__is_staff=False, user__is_superuser=False)
        ended = sum(operations.revoke_session(session_id=session.pk, reason="operator") for session in queryset)
        text = ngettext("%(count)d log-in ended.", "%(count)d log-ins ended.", ended)
        self.message_user(request, text % {"count": ended}, messages.SUCCESS)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _of_personal_owner(membership: Membership | None) -> bool:
    return membership is not None and membership.workspace.personal_owner_id == membership.user_id
