"""The restrictions of our serializer fields as JSON Schema: no blank text, no NUL, bounded numbers."""

import sys
import unicodedata
from functools import cache
from itertools import groupby
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema

from backend.http.money import MAX_WHOLE_DIGITS

Schema = dict[str, Any]

NO_NUL = r"^[^\u0000]*$"
BLANK = r"\s\u001c-\u001f\u0085"  # The characters that Python strips. ECMA's \s lacks the last five.
NOT_BLANK = rf"^[^\u0000]*[^\u0000{BLANK}][^\u0000]*$"
MAX_INTEGER = 2**63 - 1

# Any JSON that the parser accepts (backend.http.parsers). Arrays have no ``items``: types of TypeScript may refer to
# themselves within objects, but not as elements, and openapi-typescript makes ``unknown[]`` of these.
JSON_VALUE: Schema = {
    "description": "Any JSON, but text without NUL and integers of at most 64 bits, nested at most 64 deep.",
    "anyOf": [
        {"type": ["null", "boolean"]},
        {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
        {"type": "number", "not": {"type": "integer"}},
        {"type": "string", "pattern": NO_NUL},
        {"type": "array", "unevaluatedItems": {"$ref": "#/components/schemas/JsonValue"}},
        {"$ref": "#/components/schemas/JsonObject"},
    ],
}
JSON_OBJECT: Schema = {
    "type": "object",
    "propertyNames": {"pattern": NO_NUL},
    "additionalProperties": {"$ref": "#/components/schemas/JsonValue"},
}
# For objects with declared members: other members are ignored, but must be JSON that the parser accepts.
UNKNOWN: Schema = {
    "propertyNames": {"pattern": NO_NUL},
    "unevaluatedProperties": {"$ref": "#/components/schemas/JsonValue"},
}


@cache
def visible_pattern() -> str:
    """Text with at least one character that is neither white space, a control nor a formatting character."""
    characters = (code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Cc", "Cf"))
    ranges = []
    for _, group in groupby(enumerate(characters), lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in group]
        ranges.append(_escaped(codes[0]) + (f"-{_escaped(codes[-1])}" if len(codes) > 1 else ""))
    return rf"^[^\u0000]*[^\s{''.join(ranges)}][^\u0000]*$"


def _escaped(code: int) -> str:
    return chr(code) if code > 0xFFFF else f"\\u{code:04x}"


class TextExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # Untyped upstream.
    target_class = "backend.http.fields.CharField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        mapped: Any = auto_schema._map_serializer_field
        schema: Schema = mapped(self.target, direction, bypass_extensions=True)
        if isinstance(schema["type"], list):
            schema["type"] = "string"  # The caller adds null.
        if direction == "request" and "pattern" not in schema:
            schema["pattern"] = self._pattern()
        return schema

    def _pattern(self) -> str:
        if getattr(self.target, "visible", False):
            return visible_pattern()
        if (own := getattr(self.target, "pattern", None)) is not None:
            return str(own)
        return NO_NUL if self.target.allow_blank or not self.target.trim_whitespace else NOT_BLANK


class MoneyExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # As above.
    target_class = "backend.http.money.MoneyField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        digits = rf"[0-9]{{1,{MAX_WHOLE_DIGITS}}}(\.[0-9]{{1,6}})?$"
        if direction == "response":
            return {"type": "string", "format": "decimal", "pattern": f"^-?{digits}", "examples": ["4.998125"]}
        schema: Schema = {"type": ["string", "integer"], "pattern": f"^-?{digits}", "examples": ["0.10"]}
        schema["maximum"] = 10**MAX_WHOLE_DIGITS - 1
        schema["description"] = "A decimal string; a whole number may also be a JSON integer."
        if self.target.min_value:
            schema |= {"pattern": rf"^(?=.*[1-9]){digits}", "minimum": 1}
        return schema
