"""The operators' view of money: windows on the ledger, and one form that moves money through its operations."""

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from backend.accounts.operators.model_admin import OperatorModelAdmin
from backend.billing import operations
from backend.billing.errors import InsufficientBalance, KeyReused
from backend.billing.forms import MoveMoneyForm
from backend.billing.models import CreditGrant, Hold, Transfer, UsageRecord, Wallet
from backend.http.money import format_money


class LedgerAdmin(OperatorModelAdmin):
    """A window on the ledger: nothing is added, changed or deleted here."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Wallet)
class WalletAdmin(LedgerAdmin):
    list_display = ["workspace", "currency", "available_money", "held_money", "posted_money", "created_at"]
    list_filter = ["currency"]
    list_select_related = ["workspace"]
    search_fields = ["workspace__name", "workspace__personal_owner__email"]
    ordering = ["-created_at"]
    fields = ["workspace", "currency", "available_money", "held_money", "posted_money", "last_sequence", "created_at"]
    readonly_fields = fields
    actions_detail = ["move_money"]

    @admin.display(description=_("available"))
    def available_money(self, wallet: Wallet) -> str:
        return format_money(wallet.available)

    @admin.display(description=_("held"), ordering="held")
    def held_money(self, wallet: Wallet) -> str:
        return format_money(wallet.held)

    @admin.display(description=_("posted"), ordering="posted")
    def posted_money(self, wallet: Wallet) -> str:
        return format_money(wallet.posted)

    def has_move_money_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        # Not named "billing.move_money" below: unfold looks such a name up in the database in a system check, which
        # then fails before the first migration.
        return request.user.has_perm("billing.move_money")

    @action(  # type: ignore[untyped-decorator]  # unfold ships no types that mypy reads.
        description=_("Grant credit or adjust"),
        url_path="move-money",
        permissions=["move_money"],
        icon="payments",
    )
    def move_money(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask what to move and why, show it, and move it when it is confirmed."""
        wallet = self.get_object(request, object_id)
        if wallet is None:
            raise Http404
        form = MoveMoneyForm(request.POST or None)
        valid = request.method == "POST" and form.is_valid()
        if valid and "confirmed" in request.POST and self._move(request, wallet, form):
            return HttpResponseRedirect(reverse("admin:billing_wallet_change", args=[wallet.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Grant credit or adjust the balance"),
            "subtitle": str(wallet.workspace),
            "opts": self.opts,
            "original": wallet,
            "available": f"{format_money(wallet.available)} {wallet.currency}",
            "form": form,
            "summary": self._summary(wallet, form) if form.is_valid() else None,
        }
        return TemplateResponse(request, "billing/admin/move_money.html", context)

    def _move(self, request: HttpRequest, wallet: Wallet, form: MoveMoneyForm) -> bool:
        """Whether it was moved; if not, the form says why."""
        asked = form.cleaned_data
        order = {
            "workspace_id": wallet.workspace_id,
            "amount": asked["amount"],
            "description": asked["reason"],
            "key": f"operator:{asked['key']}",
        }
        try:
            with transaction.atomic():
                if asked["kind"] == MoveMoneyForm.GRANT:
                    operations.grant(**order, expires_at=asked["expires_on"])
                else:
                    operations.adjust(**order)
                self.log_change(request, wallet, self._summary(wallet, form))
        except (InsufficientBalance, KeyReused) as refusal:
            form.add_error(None, refusal.detail)
            return False
        messages.success(request, self._summary(wallet, form))
        return True

    def _summary(self, wallet: Wallet, form: MoveMoneyForm) -> str:
        asked = form.cleaned_data
        what = dict(form.fields["kind"].choices)[asked["kind"]]  # type: ignore[attr-defined]  # A ChoiceField.
        return f"{what}: {format_money(asked['amount'])} {wallet.currency}. {asked['reason']}"


@admin.register(Transfer)
class TransferAdmin(LedgerAdmin):
    list_display = ["created_at", "kind", "workspace", "money", "balance", "reference", "description"]
    list_filter = ["kind", ("created_at", admin.DateFieldListFilter)]
    list_select_related = ["wallet__workspace"]
    search_fields = ["=reference", "=key", "wallet__workspace__name"]
    ordering = ["-created_at"]

    @admin.display(description=_("workspace"))
    def workspace(self, transfer: Transfer) -> str:
        return str(transfer.wallet.workspace)

    @admin.display(description=_("amount"), ordering="signed_amount")
    def money(self, transfer: Transfer) -> str:
        return f"{format_money(transfer.signed_amount)} {transfer.wallet.currency}"

    @admin.display(description=_("balance after"))
    def balance(self, transfer: Transfer) -> str:
        return format_money(transfer.balance_after)


@admin.register(Hold)
class HoldAdmin(LedgerAdmin):
    list_display = ["created_at", "reference", "workspace", "state", "money", "charged_money", "missing", "expires_at"]
    list_filter = ["state"]
    list_select_related = ["wallet__workspace"]
    search_fields = ["=reference"]
    ordering = ["-created_at"]

    @admin.display(description=_("workspace"))
    def workspace(self, hold: Hold) -> str:
        return str(hold.wallet.workspace)

    @admin.display(description=_("amount"), ordering="amount")
    def money(self, hold: Hold) -> str:
        return f"{format_money(hold.amount)} {hold.wallet.currency}"

    @admin.display(description=_("charged"), ordering="charged")
    def charged_money(self, hold: Hold) -> str:
        return format_money(hold.charged)

    @admin.display(description=_("shortfall"), ordering="shortfall")
    def missing(self, hold: Hold) -> str:
        return format_money(hold.shortfall)


@admin.register(CreditGrant)
class CreditGrantAdmin(LedgerAdmin):
    list_display = ["pk", "workspace", "money", "left", "expires_at", "priority", "description"]
    list_select_related = ["wallet__workspace", "transfer"]
    search_fields = ["wallet__workspace__name", "=transfer__key"]
    ordering = ["-pk"]

    @admin.display(description=_("workspace"))
    def workspace(self, grant: CreditGrant) -> str:
        return str(grant.wallet.workspace)

    @admin.display(description=_("amount"), ordering="amount")
    def money(self, grant: CreditGrant) -> str:
        return f"{format_money(grant.amount)} {grant.wallet.currency}"

    @admin.display(description=_("remaining"), ordering="remaining")
    def left(self, grant: CreditGrant) -> str:
        return format_money(grant.remaining)

    @admin.display(description=_("description"))
    def description(self, grant: CreditGrant) -> str:
        return grant.transfer.description


@admin.register(UsageRecord)
class UsageRecordAdmin(LedgerAdmin):
    list_display = [
        "created_at",
        "reference",
        "workspace",
        "model",
        "provider",
        "input_tokens",
        "output_tokens",
        "cost",
    ]
    list_filter = ["provider", "model"]
    list_select_related = ["wallet__workspace"]
    search_fields = ["=reference"]
    ordering = ["-created_at"]

    @admin.display(description=_("workspace"))
    def workspace(self, record: UsageRecord) -> str:
        return str(record.wallet.workspace)
