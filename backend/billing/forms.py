"""The form with which an operator moves money."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4

from django import forms
from django.utils import timezone
from django.utils.formats import get_format, number_format
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from backend.billing.models import Transfer, Wallet
from backend.http.money import MAX_AMOUNT, parse_money

THOUSANDS = re.compile(r"-?[0-9]{1,3}(\.[0-9]{3})+", re.ASCII)


def example() -> str:
    """An amount with the reader's decimal sign."""
    return str(number_format("5.00", 2, use_l10n=True))


class MoveMoneyForm(forms.Form):
    """A grant, or a signed adjustment. ``key`` makes a form that is sent twice move money once."""

    GRANT = "grant"
    ADJUSTMENT = "adjustment"

    kind = forms.ChoiceField(
        label=_("What"),
        choices=[(GRANT, _("Grant credit")), (ADJUSTMENT, _("Adjust the balance"))],
        widget=UnfoldAdminSelectWidget,
    )
    amount = forms.CharField(
        label=_("Amount"),
        max_length=20,
        widget=UnfoldAdminTextInputWidget,
    )
    expires_on = forms.DateField(
        label=_("Expires on"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text=_("Of a grant: the last day, in UTC, on which it can be spent. Empty: never."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=180,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The customer reads it beside the transaction."),
    )
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def __init__(self, *args: Any, wallet: Wallet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wallet = wallet
        hint = _("In %(currency)s, such as %(example)s. An adjustment may be negative.")
        self.fields["amount"].help_text = hint % {"currency": wallet.currency, "example": example()}

    def clean_amount(self) -> int:
        text = self.cleaned_data["amount"].strip()
        if get_format("DECIMAL_SEPARATOR") == ",":  # There "1.000" is a thousand to some and one to others.
            if THOUSANDS.fullmatch(text):
                raise forms.ValidationError(_("Write the amount without dots between thousands."))
            text = text.replace(",", ".") if "." not in text else text
        try:
            micro = parse_money(text)
        except ValueError as error:
            text = _("This is not an amount such as %(example)s.") % {"example": example()}
            raise forms.ValidationError(text) from error
        if micro == 0 or abs(micro) > MAX_AMOUNT:
            raise forms.ValidationError(_("This amount cannot be moved."))
        return micro

    def clean_expires_on(self) -> datetime | None:
        day = self.cleaned_data["expires_on"]
        if day is None:
            return None
        end = datetime.combine(day, time.min, UTC) + timedelta(days=1)
        if end <= timezone.now():
            raise forms.ValidationError(_("This day is over."))
        return end

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("kind") == self.GRANT and cleaned.get("amount", 1) < 0:
            self.add_error("amount", _("A grant is positive."))
        if cleaned.get("kind") == self.ADJUSTMENT and cleaned.get("expires_on"):
            self.add_error("expires_on", _("Only a grant expires."))
        moved = Transfer.objects.filter(wallet=self.wallet, key=f"operator:{cleaned.get('key')}").exists()
        if self.wallet.available + cleaned.get("amount", 0) < min(self.wallet.available, 0) and not moved:
            self.add_error("amount", _("The balance does not cover this: it would take more than is available."))
        return cleaned
