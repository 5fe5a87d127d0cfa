"""The admin's pages of the ledger, read-only, and one form that moves money through billing's operations."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from backend.accounts.operators import cells
from backend.accounts.operators.current import may_view
from backend.accounts.operators.labels import field_label
from backend.accounts.operators.model_admin import ReadOnlyAdmin
from backend.billing import operations
from backend.billing.errors import InsufficientBalance, KeyReused
from backend.billing.forms import MoveMoneyForm
from backend.billing.models import OWN_DESCRIPTIONS, CreditGrant, Hold, Transfer, UsageRecord, Wallet
from backend.http.ids import encode


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ["workspace_name", "owner", "available_money", "held_money", "posted_money", "made"]
    list_display_links = ["workspace_name"]
    list_filter = ["currency"]
    list_select_related = ["workspace__personal_owner"]
    search_fields = ["workspace__name", "workspace__personal_owner__email"]
    ordering = ["-created_at"]
    of = {"wsp": "workspace", "usr": "workspace__members"}
    fields = [
        *("workspace_link", "owner", "currency", "available_money", "held_money", "posted_money", "last_sequence"),
        "made",
    ]
    actions_detail = ["move_money"]
    workspace_link, owner = cells.linked("workspace"), cells.linked("workspace.personal_owner", _("owner"))
    held_money, posted_money, made = cells.money("held"), cells.money("posted"), cells.when("created_at")

    def public_id_of(self, row: Any) -> str:
        return encode("wsp", row.workspace_id)

    @admin.display(description=field_label("workspace"), ordering="workspace__name")
    def workspace_name(self, wallet: Wallet) -> Any:
        return cells.clipped(wallet.workspace)

    @admin.display(description=field_label("available"))
    def available_money(self, wallet: Wallet) -> str:
        return cells.amount(wallet.available, wallet.currency)

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
        """A form in two steps: amount and reason, then the result to confirm."""
        wallet = self.get_object(request, object_id)
        if wallet is None:
            raise Http404
        form = MoveMoneyForm(request.POST or None, wallet=wallet)
        valid = request.method == "POST" and form.is_valid()
        if valid and "confirmed" in request.POST and self._move(request, wallet, form):
            return HttpResponseRedirect(reverse("admin:billing_wallet_change", args=[wallet.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Grant credit or adjust the balance"),
            "subtitle": str(wallet.workspace),
            "opts": self.opts,
            "original": wallet,
            "client": wallet.workspace.personal_owner or "",
            "available": cells.amount(wallet.available, wallet.currency),
            "form": form,
            "summary": self._summary(wallet, form) if form.is_valid() else None,
            **(self._outcome(wallet, form) if form.is_valid() else {}),
        }
        return TemplateResponse(request, "billing/admin/move_money.html", context)

    def _outcome(self, wallet: Wallet, form: MoveMoneyForm) -> dict[str, Any]:
        """The result that the second step shows: the balance after it, and until when a grant can be spent."""
        after, last = wallet.available + form.cleaned_data["amount"], form.cleaned_data["expires_on"]
        never = gettext("never") if form.cleaned_data["kind"] == MoveMoneyForm.GRANT else None
        return {
            "after": cells.amount(after, wallet.currency),
            "expiry": date_format((last - timedelta(days=1)).date(), "SHORT_DATE_FORMAT") if last else never,
        }

    def _move(self, request: HttpRequest, wallet: Wallet, form: MoveMoneyForm) -> bool:
        """Move the money; returns whether it was moved. If not, the form has the error."""
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
            form.add_error(None, cells.translated(refusal.detail))
            return False
        moved = Transfer.objects.filter(wallet=wallet, key=order["key"]).first()
        link = cells.link(moved, gettext("Show the transaction")) if moved and may_view(Transfer) else ""
        messages.success(request, format_html("{} {} {}", gettext("Done."), self._summary(wallet, form), link))
        return True

    def _summary(self, wallet: Wallet, form: MoveMoneyForm) -> str:
        asked = form.cleaned_data
        what = dict(form.fields["kind"].choices)[asked["kind"]]  # type: ignore[attr-defined]  # A ChoiceField.
        return f"{what}: {cells.amount(asked['amount'], wallet.currency)}. {asked['reason']}"


class OfWalletAdmin(ReadOnlyAdmin):
    """Base of pages whose rows belong to a wallet, and mostly to a run."""

    ordering = ["-pk"]  # By time: ids are UUIDv7.
    list_select_related = ["wallet__workspace"]
    of = {"wsp": "wallet__workspace", "run": "reference"}

    workspace_link = cells.linked("wallet.workspace")
    wallet_link = cells.linked("wallet")
    short_id, whole_id, made = cells.typed_id(), cells.typed_id(whole=True), cells.when("created_at")

    @admin.display(description=field_label("wallet"))
    def balance_of_wallet(self, row: Any) -> Any:
        wallet = row.wallet
        return cells.link(wallet, cells.amount(wallet.available, wallet.currency))

    @admin.display(description=field_label("reference"), ordering="reference")
    def for_what(self, row: Any) -> Any:
        return cells.reference(row.reference)

    @admin.display(description=field_label("reference"))
    def for_what_whole(self, row: Any) -> Any:
        return cells.reference(row.reference, whole=True)


@admin.register(Transfer)
class TransferAdmin(OfWalletAdmin):
    list_display = ["made", "kind", "workspace_link", "signed", "balance", "for_what", "description_shown"]
    list_filter = ["kind", ("created_at", admin.DateFieldListFilter)]
    search_fields = ["=reference", "=key", "wallet__workspace__name"]
    fields = [
        *("whole_id", "kind", "signed", "balance", "workspace_link", "balance_of_wallet", "sequence"),
        *("for_what_whole", "description_shown", "key", "made"),
    ]
    signed, balance = (
        cells.money("signed_amount", currency="wallet.currency", label=field_label("amount")),
        cells.money("balance_after", currency="wallet.currency"),
    )

    @admin.display(description=field_label("description"))
    def description_shown(self, transfer: Transfer) -> Any:
        return _description(transfer)

    def by_typed_id(self, rows: QuerySet[Transfer], asked: str, paths: Mapping[str, str]) -> QuerySet[Transfer] | None:
        """The transfers of a run, found through its hold: the index on references begins with the wallet."""
        found: QuerySet[Transfer] | None = super().by_typed_id(rows, asked, paths)
        if found is None or paths.get(asked.partition("_")[0]) != "reference":
            return found
        return found.filter(wallet__in=Hold.objects.filter(reference=asked).values("wallet"))


@admin.register(Hold)
class HoldAdmin(OfWalletAdmin):
    list_display = ["made", "for_what", "workspace_link", "status", "money", "charged_money", "missing", "expires"]
    list_filter = ["state"]
    search_fields = ["=reference"]
    fields = [
        *("whole_id", "for_what_whole", "status", "money", "charged_money", "missing", "workspace_link"),
        *("balance_of_wallet", "made", "expires", "ended"),
    ]
    money, charged_money, missing = (
        cells.money(name, currency="wallet.currency") for name in ("amount", "charged", "shortfall")
    )
    expires, ended = cells.when("expires_at"), cells.when("ended_at")

    @admin.display(description=field_label("state"), ordering="state")
    def status(self, hold: Hold) -> Any:
        """A hold that was captured without a charge is shown as released."""
        state: str = hold.state
        if state == Hold.State.CAPTURED and hold.charged == 0:
            state = Hold.State.RELEASED
        return cells.badge(state, cells.words_of("billing.Hold", "state")[state])


@admin.register(CreditGrant)
class CreditGrantAdmin(OfWalletAdmin):
    list_display = ["given", "workspace_link", "money", "left", "expires", "priority", "why"]
    list_select_related = ["wallet__workspace", "transfer"]
    search_fields = ["wallet__workspace__name", "=transfer__key"]
    of = {"wsp": "wallet__workspace", "txn": "transfer"}
    fields = [
        *("transfer_link", "money", "left", "workspace_link", "balance_of_wallet", "given", "expires", "priority"),
        "why",
    ]
    money, left = (cells.money(name, currency="wallet.currency") for name in ("amount", "remaining"))
    given, expires = cells.when("transfer.created_at"), cells.when("expires_at")

    @admin.display(description=field_label("transfer"))
    def transfer_link(self, grant: CreditGrant) -> Any:
        return cells.link(grant.transfer, cells.ident(grant.transfer.public_id, whole=True))

    @admin.display(description=field_label("description"))
    def why(self, grant: CreditGrant) -> Any:
        return _description(grant.transfer)


@admin.register(UsageRecord)
class UsageRecordAdmin(OfWalletAdmin):
    list_display = ["made", "for_what", "workspace_link", "model_name", "provider", "tokens_in", "tokens_out", "paid"]
    list_filter = ["provider", "model", ("created_at", admin.DateFieldListFilter)]
    search_fields = ["=reference"]
    fields = [
        *("whole_id", "for_what_whole", "attempt", "step", "user_link", "workspace_link", "balance_of_wallet"),
        *("model", "provider", "tokens_in", "tokens_cached", "tokens_out", "price_in", "price_cached", "price_out"),
        *("paid", "made"),
    ]
    paid = cells.price("cost", currency="wallet.currency")
    price_in, price_cached, price_out = (
        cells.price(name, currency="wallet.currency", label=label)
        for name, label in {
            "input_price": _("input price per million tokens"),
            "cached_input_price": _("cached input price per million tokens"),
            "output_price": _("output price per million tokens"),
        }.items()
    )
    tokens_in, tokens_cached, tokens_out = (
        cells.number(name) for name in ("input_tokens", "cached_input_tokens", "output_tokens")
    )
    user_link, model_name = cells.linked("user"), cells.text("model")


def _description(transfer: Transfer) -> Any:
    """The description of a transfer; billing's own texts in the reader's language."""
    text = transfer.description
    return cells.clipped(gettext(text) if text in OWN_DESCRIPTIONS else text, 80) or "-"
