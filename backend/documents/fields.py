"""Serializer fields of documents: languages, metadata, names and translated texts."""

import json
import unicodedata
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backend.documents.models import Language
from backend.documents.reasons import translated
from backend.http.fields import CharField

HIDDEN = ("Cc", "Cf", "Cs")  # Categories of Unicode: controls, formatting, half a surrogate pair.
MAX_METADATA_BYTES = 16 * 1024  # Bytes of JSON.


class LanguageField(CharField):
    """``pt`` or ``en``, also as ``pt-BR`` or ``en_US``."""

    pattern = r"^\s*([Pp][Tt]|[Ee][Nn])([-_][^\u0000]*)?\s*$"

    default_error_messages = {"unknown": _("Search knows pt and en; leave it out to have it detected.")}

    def to_internal_value(self, data: Any) -> str:
        code = super().to_internal_value(data).lower().replace("_", "-").partition("-")[0]
        if code not in Language.values:
            self.fail("unknown")
        return code


@extend_schema_field({"$ref": "#/components/schemas/JsonObject"})
class MetadataField(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A JSON object of the client's own; in a multipart body, its text."""

    default_error_messages = {
        "invalid": _("This must be a JSON object."),
        "too_large": _("This holds more than 16 KiB."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except (ValueError, RecursionError):
                self.fail("invalid")
        if not isinstance(data, dict):
            self.fail("invalid")
        try:
            text = json.dumps(data, allow_nan=False)
        except (ValueError, RecursionError):
            self.fail("invalid")
        if "\\u0000" in text or any(0xD800 <= ord(c) < 0xE000 for c in json.dumps(data, ensure_ascii=False)):
            self.fail("invalid")
        if len(text) > MAX_METADATA_BYTES:
            self.fail("too_large")
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


class NameField(CharField):
    """A name with at least one visible character; control and formatting characters are removed."""

    visible = True  # For the OpenAPI document.

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 255, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        text: str = super().to_internal_value(data)
        kept = "".join(character for character in text if unicodedata.category(character) not in HIDDEN).strip()
        if not kept:  # An empty text, where allowed, is handled before.
            self.fail("blank")
        return kept


class ReasonField(serializers.CharField):
    """A stored error or warning, in the language of the request."""

    def to_representation(self, value: Any) -> str:
        return translated(str(value))
