"""Names of apps, models, fields and choices in the operator's language.

The models name their fields in English. Django compares ``_verbose_name`` and ``original_attrs`` when it looks for
changes that need a migration, and shows ``verbose_name``; so what is shown is exchanged here, when a model's page is
registered, and no migration follows from it. ``makemigrations`` runs without translations, where a translated choice
equals its English label.
"""

from typing import Any

from django.apps import apps
from django.db.models import Field, Model
from django.utils.functional import Promise
from django.utils.translation import override, pgettext_lazy

SPELLED = {
    "is staff": "operator",
    "is active": "may log in",
    "lease until": "leased until",
    "lease owner": "leased by",
    "ip address": "IP address",
    "cpu seconds": "CPU seconds",
    "sha256": "SHA-256",
    "amr": "proofs",
}
# Codes whose words alone would not explain them.
CODES = {
    "provider_auth": "Provider key missing or refused",
    "provider_rejected": "Refused by the provider",
    "provider_rate_limited": "Limit of the provider reached",
    "provider_bad_response": "Invalid answer of the provider",
    "budget_exhausted": "Limit of the agent reached",
    "content_filtered": "Withheld by the content filter",
    "corrupt": "The file is damaged",
    "encrypted": "The file is protected by a password",
    "empty": "The file is empty",
    "no_text": "No text was found",
    "file_missing": "The file is not in storage any more",
    "too_complex": "The file is too complex",
    "too_large": "The file is too large",
    "text_unreadable": "The text is hardly words",
    "text_undecodable": "Bytes that are no text were replaced",
}


def field_label(name: str) -> Any:
    """The label of a field of this name, such as ``created_at``."""
    text = name.replace("_", " ")
    return pgettext_lazy("field", SPELLED.get(text, text))


def choice_label(field: "Field[Any, Any]", label: str) -> Any:
    """The label of a choice. Its context names the field: in Portuguese a run and a document end differently."""
    return pgettext_lazy(f"{field.model._meta.model_name}.{field.name}", label)


def code_label(context: str, code: str) -> Any:
    """The words for a stored code that is no choice of its field, such as why a log-in ended."""
    return pgettext_lazy(context, CODES.get(code, code.replace("_", " ").capitalize()))


def translate(model: type[Model]) -> None:
    """Exchange every name of the model that is plain English for one that is looked up when it is shown."""
    options: Any = model._meta
    app = apps.get_app_config(options.app_label)
    if not isinstance(app.verbose_name, Promise):
        app.verbose_name = pgettext_lazy("app", str(app.verbose_name))
    named = options.original_attrs  # Django makes a lazy plural where none is declared.
    if not isinstance(named.get("verbose_name"), Promise):
        with override(None):
            one, many = str(options.verbose_name), str(options.verbose_name_plural)
        options.verbose_name = pgettext_lazy("model", one)
        options.verbose_name_plural = pgettext_lazy("models", many)
    for field in (*options.concrete_fields, *options.local_many_to_many):
        if not isinstance(field.verbose_name, Promise):
            field.verbose_name = field_label(str(field.verbose_name))
        if field.choices and options.label != "accounts.User":  # Whose language is called by its own name.
            field.choices = [
                (value, label if isinstance(label, Promise) else choice_label(field, label))
                for value, label in field.choices
            ]
