"""The texts of an operation: a summary, a description, and the codes of its own errors.

Each app has a table of these by operation id in its module ``schema``. They are for readers of the API; the docstrings
of the views are for readers of the code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]

METHODS = ("get", "put", "post", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Texts:
    """
    :ivar summary: a few words, without a full stop.
    :ivar description: one sentence or more: what the operation does, what is special about it.
    :ivar errors: error codes of this operation besides those that every operation of its kind has.
    :ivar headers: headers of its responses by status, besides those that every response has.
    """

    summary: str
    description: str
    errors: tuple[str, ...] = ()
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    """The path, method and operation of each operation."""
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def describe(
    document: Schema,
    texts: Mapping[str, Texts],
    tags: Mapping[str, str],
    examples: Mapping[str, Schema],
    members: Mapping[str, str] | None = None,
) -> None:
    """Add an app's texts to the document, and its error codes and examples for ``add_conventions``.

    :param examples: parts of objects by the name of their component.
    :param members: the meaning of members as ``Component.member`` (for requests and responses alike), where the
        serializer does not describe them.
    """
    for _, _, operation in operations(document):
        if (found := texts.get(operation["operationId"])) is not None:
            operation["summary"], operation["description"] = found.summary, found.description
            operation["x-errors"], operation["x-headers"] = list(found.errors), dict(found.headers)
    used = {tag for _, _, operation in operations(document) for tag in operation.get("tags", ())}
    document.setdefault("tags", []).extend(
        {"name": name, "description": description} for name, description in tags.items() if name in used
    )
    schemas: Schema = document.setdefault("components", {}).setdefault("schemas", {})
    for name, example in examples.items():
        if name in schemas:
            schemas[name]["x-example"] = example
    _describe_members(schemas, members or {})


def _describe_members(schemas: Schema, members: Mapping[str, str]) -> None:
    for name, schema in schemas.items():
        subject = name.removeprefix("Patched").removesuffix("Request")
        for member, inner in list(schema.get("properties", {}).items()):
            for known in (f"{name}.{member}", f"{subject}.{member}"):
                if known in members and "description" not in schema["properties"][member]:
                    # A copy: several fields may share one schema object.
                    schema["properties"][member] = {**inner, "description": members[known]}
