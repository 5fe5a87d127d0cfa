"""Formats values for the admin's lists and pages: money, times, ids, links, states, JSON objects."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format, get_format, number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from unfold.utils import display_for_label

from backend.accounts.operators.current import may_view
from backend.accounts.operators.labels import field_label
from backend.errors import NotFound
from backend.http.ids import decode
from backend.http.money import format_money

Shown = Callable[[Any, Any], Any]
MAX_TEXT = 48  # Characters of a name in a list; a longer one is cut in the middle.
MAX_VALUE = 2_000  # Characters of one value of a JSON object.
MONEY_KEYS = frozenset({"max_cost", "cost", "reserved"})  # Micro-units inside JSON objects.
PRICE_KEYS = frozenset({"input_price", "cached_input_price", "output_price"})  # Per million tokens.
TONES = {
    **dict.fromkeys(["completed", "complete", "ready", "captured", "active"], "success"),
    **dict.fromkeys(["failed", "interrupted", "ended"], "danger"),
    **dict.fromkeys(["running", "scanning", "parsing", "chunking", "embedding", "streaming", "open"], "info"),
    **dict.fromkeys(["queued", "requires_action", "cancelling", "deleting", "warning"], "warning"),
}


def amount(micro: int | Decimal | None, currency: str) -> str:
    """``41346`` → ``0.041346 USD``, in the reader's digits; a dash for none."""
    if micro is None:
        return "-"
    text = format_money(micro)
    places = len(text.partition(".")[2])
    return f"{number_format(Decimal(text), places, use_l10n=True, force_grouping=True)} {currency}"


def exact(units: Decimal | str | None, currency: str) -> str:
    """A price or cost in whole units, with every digit it has and at least two: ``0.2500000000`` → ``0.25 USD``."""
    if units is None:
        return "-"
    whole, _point, fraction = f"{Decimal(units):f}".partition(".")
    text = f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
    return f"{text.replace('.', get_format('DECIMAL_SEPARATOR'))} {currency}"


def decimal(value: float) -> str:
    """With one digit after the point."""
    return str(number_format(round(value, 1), 1, use_l10n=True))


def moment(at: datetime | None, *, seconds: bool = False) -> SafeString | str:
    """A short date and time in UTC, to the minute or to the second; the exact one is in its title."""
    if at is None:
        return "-"
    local = timezone.localtime(at)
    text = date_format(local, "SHORT_DATETIME_FORMAT")
    if seconds:
        text = f"{date_format(local, 'SHORT_DATE_FORMAT')} {local:%H:%M:%S}"
    return format_html('<time datetime="{}" title="{}" class="whitespace-nowrap">{}</time>', at.isoformat(), at, text)


def clipped(text: object, max_length: int = MAX_TEXT) -> SafeString | str:
    """Cut a long text in the middle, since names often differ at their end. The title has the whole text."""
    text = str(text)
    if len(text) <= max_length:
        return text
    tail = max_length // 3
    return format_html('<span title="{}">{}…{}</span>', text[:500], text[: max_length - tail - 1], text[-tail:])


def translated(text: object, max_length: int = MAX_VALUE) -> str:
    """A text that our code stored in English, such as an error detail, in the operator's language where translated."""
    text = str(text or "")[:max_length]
    return _(text) if text else ""


def reason(words: object, detail: str, *, code: str) -> SafeString:
    """Why something failed: the words, then the detail, which often repeats them. The title has the code."""
    words = str(words)
    text = detail if detail.casefold().startswith(words.casefold()) else f"{words}: {detail}" if detail else words
    return format_html('<span title="{}">{}</span>', code, text)


def ident(public_id: str, *, whole: bool = False) -> SafeString:
    """A typed id, whole or shortened to its prefix and its end, where ids differ."""
    prefix, underscore, suffix = public_id.rpartition("_")
    short = public_id if whole or len(suffix) < 16 else f"{prefix}{underscore}{suffix[:4]}…{suffix[-6:]}"
    return format_html('<code class="typed-id" title="{}">{}</code>', public_id, short)


def badge(state: str, text: object) -> SafeString | str:
    shown: SafeString | str = display_for_label((state, str(text)), "-", {state: TONES.get(state, "default")})
    return shown


def address(model: type[Model], pk: object) -> str | None:
    """The URL of an object's page, if the operator may view it."""
    if not may_view(model):
        return None
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])
    except NoReverseMatch:
        return None


def anchor(href: str | None, text: object) -> SafeString | str:
    return format_html('<a class="text-link" href="{}">{}</a>', href, text) if href else str(text)


def link(target: Model | None, text: object = None) -> SafeString | str:
    """An object by its name, as a link if the operator may view it."""
    if target is None:
        return "-"
    shown = clipped(str(target) or getattr(target, "public_id", "-")) if text is None else text
    return anchor(address(type(target), target.pk), shown)


def reference(text: str, *, whole: bool = False) -> SafeString | str:
    """What money was for: a typed id, linked to its object."""
    named = named_by(text)
    if named is None:
        return clipped(text) or "-"
    return anchor(address(*named), ident(text, whole=whole))


def named_by(public_id: str) -> tuple[type[Model], UUID] | None:
    """The model of a typed id's prefix, and the primary key; none if it is no typed id of a registered model."""
    prefix = public_id.partition("_")[0]
    for model in admin.site._registry:
        if getattr(model, "id_prefix", None) == prefix:
            try:
                return model, decode(prefix, public_id)
            except NotFound:
                return None
    return None


def listed(model: type[Model], **query: object) -> str | None:
    """The URL of a model's list with this query, if the operator may view it."""
    if not may_view(model):
        return None
    path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{path}?{urlencode(query)}" if query else path


def listed_by_name(name: str, **query: object) -> str | None:
    """As ``listed``, for a model that the caller may not import, by its name: ``"agents.Run"``."""
    return listed(apps.get_model(name), **query)


def listed_page(name: str, pk: object) -> str | None:
    """The URL of an object's page by the name of its model, if the operator may view it."""
    return address(apps.get_model(name), pk)


def words_of(name: str, field: str) -> dict[str, Any]:
    """The choices of a field in words, in their order."""
    return dict(apps.get_model(name)._meta.get_field(field).flatchoices)


def words_of_model(name: str) -> Any:
    """The name of one object of a model."""
    return apps.get_model(name)._meta.verbose_name


def plain_number(value: int) -> str:
    return str(number_format(value, use_l10n=True, force_grouping=True))


def facts(values: Mapping[str, Any] | None, *, currency: str, micro: bool = True) -> SafeString | str:
    """A JSON object as a table of names and values; money in it as money, and every value bounded.

    :param micro: costs in it are micro-units of the currency.
    """
    if not values:
        return "-"
    rows = [(field_label(str(name)), _fact(str(name), value, currency, micro)) for name, value in values.items()]
    return format_html(
        '<table class="facts"><tbody>{}</tbody></table>',
        format_html_join("", '<tr><th scope="row">{}</th><td>{}</td></tr>', rows),
    )


def _fact(name: str, value: Any, currency: str, micro: bool) -> SafeString | str:
    if value is None or value in ("", [], {}):
        shown: SafeString | str = "-"
    elif isinstance(value, bool):
        shown = _("Yes") if value else _("No")
    elif micro and name in MONEY_KEYS and isinstance(value, int):
        shown = amount(value, currency)
    elif name in PRICE_KEYS:
        shown = _("%(price)s per million tokens") % {"price": exact(value, currency)}
    elif isinstance(value, int | float | Decimal):
        shown = str(number_format(value, use_l10n=True, force_grouping=isinstance(value, int)))
    elif isinstance(value, Mapping):
        shown = facts(value, currency=currency, micro=micro)
    elif isinstance(value, list | tuple):
        shown = format_html_join(", ", "{}", ((_fact("", item, currency, micro),) for item in value[:50]))
    else:
        shown = clipped(value, MAX_VALUE)
    return shown


def _get(row: Any, path: str) -> Any:
    """The value at the end of a path of attributes; none if one of them is none."""
    return reduce(lambda found, name: None if found is None else getattr(found, name), path.split("."), row)


def money(name: str, *, currency: str = "currency", label: Any = None) -> Shown:
    """A column or field of micro-units, shown as money. ``currency`` is the path of the currency's code."""

    @admin.display(description=label or field_label(name), ordering=name)
    def shown(_page: Any, row: Any) -> SafeString:
        text = amount(getattr(row, name), _get(row, currency) or "")
        return format_html('<span class="whitespace-nowrap">{}</span>', text)

    return shown


def price(name: str, *, currency: str, label: Any = None) -> Shown:
    """A column or field in whole units of a currency, with all of its digits."""

    @admin.display(description=label or field_label(name), ordering=name)
    def shown(_page: Any, row: Any) -> SafeString:
        text = exact(getattr(row, name), _get(row, currency) or "")
        return format_html('<span class="whitespace-nowrap">{}</span>', text)

    return shown


def number(name: str, label: Any = None) -> Shown:
    @admin.display(description=label or field_label(name), ordering=name)
    def shown(_page: Any, row: Any) -> str:
        return str(number_format(getattr(row, name), use_l10n=True, force_grouping=True))

    return shown


def when(name: str, label: Any = None) -> Shown:
    @admin.display(description=label or field_label(name.rpartition(".")[2]), ordering=name.replace(".", "__"))
    def shown(_page: Any, row: Any) -> SafeString | str:
        return moment(_get(row, name))

    return shown


def linked(path: str, label: Any = None) -> Shown:
    """A related object by its name, as a link if the operator may view it."""
    last = path.rpartition(".")[2]

    @admin.display(description=label or field_label(last), ordering=path.replace(".", "__"))
    def shown(_page: Any, row: Any) -> SafeString | str:
        return link(_get(row, path))

    return shown


def text(name: str, label: Any = None) -> Shown:
    """A text that a user wrote, clipped."""

    @admin.display(description=label or field_label(name), ordering=name)
    def shown(_page: Any, row: Any) -> SafeString | str:
        return clipped(getattr(row, name)) or "-"

    return shown


def state(name: str = "status", label: Any = None) -> Shown:
    @admin.display(description=label or field_label(name), ordering=name)
    def shown(_page: Any, row: Any) -> SafeString | str:
        return badge(str(getattr(row, name)), getattr(row, f"get_{name}_display")())

    return shown


def typed_id(*, whole: bool = False) -> Shown:
    @admin.display(description=field_label("id"), ordering="pk")
    def shown(_page: Any, row: Any) -> SafeString:
        return ident(row.public_id, whole=whole)

    return shown
