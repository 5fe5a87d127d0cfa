"""Generates examples of request and response bodies from their schemas, so that all are valid.

An app sets examples for its components (``x-example``, parts of objects); the rest follows from the schema: an id from
its pattern, a time from its format, a choice from its first value; a nullable field is null.
"""

import re
from collections.abc import Mapping
from typing import Any

from backend.http.openapi.descriptions import operations

Schema = dict[str, Any]

JSON = "application/json"
SUFFIX = "01h455vb4pex5vsknk084sn02q"
MAX_DEPTH = 8  # No schema of ours has more levels.
PREFIX = re.compile(r"\^([a-z]{3})_\[0-7\]")
FORMATS = {"date-time": "2026-01-31T09:30:00Z", "date": "2026-01-31", "decimal": "0.001875", "uri": None}
# Examples by the name of the property, where the schema alone would give a poor one.
NAMES: dict[str, Any] = {
    "currency": "USD",
    "email": "rui@example.com",
    "name": "Reader",
    "document_name": "contract.pdf",
    "agent_name": "Reader",
    "model": "offline",
    "provider": "offline",
    "text": "The contract ends on 31 December 2027.",
    "quote": "The contract ends on 31 December 2027.",
    "query": "When does the contract end?",
    "input": "When does the contract end?",
    "detail": "The provider does not response.",
    "code": "provider_unavailable",
    "password": "a long pass phrase",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "content_type": "application/pdf",
    "description": "When does the contract end?",
    "reference": f"run_{SUFFIX}",
    "title": "The contract",
    "page_from": 3,
    "page_to": 3,
}


def add(document: Schema) -> None:
    """Add an example to each JSON request body and each JSON response that is not an error."""
    schemas: Schema = document["components"].get("schemas", {})
    maker = Maker(schemas)
    for _, _, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" not in content and "examples" not in content:
                content["example"] = maker.make(content["schema"], sent=True)
        for response in operation["responses"].values():
            content = response.get("content", {}).get(JSON)
            if content is not None and "example" not in content and "examples" not in content:
                content["example"] = maker.make(content["schema"], sent=False)
    for schema in schemas.values():
        schema.pop("x-example", None)


class Maker:
    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas

    def make(self, schema: Schema, *, sent: bool, known: Any = None, name: str = "", depth: int = 0) -> Any:
        """A value that the schema allows.

        :param sent: for a request: with only the required members and those of the app's example.
        :param known: the app's example, of a part of the value.
        """
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        if known is None:
            known = schema.get("x-example")
        if known is None and (value := _simple(schema, name)) is not ...:
            return value
        if depth > MAX_DEPTH:
            return None
        choice = next(
            (key for key in ("allOf", "oneOf", "anyOf") if key in schema and "properties" not in schema), None
        )
        if choice is not None:
            return self.make(schema[choice][0], sent=sent, known=known, name=name, depth=depth + 1)
        return self._container(schema, known, sent=sent, depth=depth)

    def _container(self, schema: Schema, known: Any, *, sent: bool, depth: int) -> Any:
        if "properties" in schema and (known is None or isinstance(known, dict)):
            return self._object(schema, known or {}, sent=sent, depth=depth)
        if "array" in _kinds(schema):
            items = [None] if known is None else known
            return [self.make(schema["items"], sent=sent, known=item, depth=depth + 1) for item in items]
        return {} if known is None else known

    def _object(self, schema: Schema, known: Mapping[str, Any], *, sent: bool, depth: int) -> Schema:
        needed = schema.get("required", ())
        return {
            name: None
            if name in known and known[name] is None
            else self.make(inner, sent=sent, known=known.get(name), name=name, depth=depth + 1)
            for name, inner in schema["properties"].items()
            if not sent or name in needed or name in known
        }


def _kinds(schema: Schema) -> list[Any]:
    return schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type")]


def _simple(schema: Schema, name: str) -> Any:
    """The value of a schema that is not a container; ``...`` if it is one."""
    found = [schema[key] for key in ("example", "const") if key in schema]
    found += [schema[key][0] for key in ("examples", "enum") if schema.get(key)]
    if found:
        return found[0]
    kinds = _kinds(schema)
    value: Any = ...
    if "null" in kinds and name not in NAMES:
        value = None
    elif "string" in kinds:
        value = _text(schema, name)
    elif "integer" in kinds or "number" in kinds:
        value = NAMES.get(name, schema.get("default", max(schema.get("minimum", 1), 1)))
    elif "boolean" in kinds:
        value = schema.get("default", False)
    return value


def _text(schema: Schema, name: str) -> Any:
    if (prefix := PREFIX.match(schema.get("pattern", ""))) is not None:
        return f"{prefix[1]}_{SUFFIX}"
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    return NAMES.get(name, schema.get("default", "text"))
