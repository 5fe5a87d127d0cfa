"""What people read about an operation: a summary, a description, and the codes of its own refusals.

Each app has a table of these by operation id in its module ``schema``. They are for readers of the contract; the
docstrings of the views are for readers of the code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]

METHODS = ("get", "put", "post", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Words:
    """
    :ivar summary: a few words, without a full stop.
    :ivar description: one sentence or more: what happens, what is special.
    :ivar refusals: codes that this operation answers besides those that every operation of its kind does.
    :ivar headers: of its answers by status, besides those that every answer has.
    """

    summary: str
    description: str
    refusals: tuple[str, ...] = ()
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Path, method and operation of each."""
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def describe(
    document: Schema,
    words: Mapping[str, Words],
    tags: Mapping[str, str],
    examples: Mapping[str, Schema],
    members: Mapping[str, str] | None = None,
) -> None:
    """Put an app's words into the document, and leave its codes and examples for ``add_conventions``.

    :param examples: parts of objects by the name of their component.
    :param members: what members of objects mean, as ``Component.member`` (what is sent and what is answered alike),
        where the serializer does not say it.
    """
    for _, _, operation in operations(document):
        if (found := words.get(operation["operationId"])) is not None:
            operation["summary"], operation["description"] = found.summary, found.description
            operation["x-refusals"], operation["x-headers"] = list(found.refusals), dict(found.headers)
    used = {tag for _, _, operation in operations(document) for tag in operation.get("tags", ())}
    document.setdefault("tags", []).extend(
        {"name": name, "description": description} for name, description in tags.items() if name in used
    )
    schemas: Schema = document.setdefault("components", {}).setdefault("schemas", {})
    for name, example in examples.items():
        if name in schemas:
            schemas[name]["x-example"] = example
    _explain(schemas, members or {})


def _explain(schemas: Schema, members: Mapping[str, str]) -> None:
    for name, schema in schemas.items():
        subject = name.removeprefix("Patched").removesuffix("Request")
        for member, inner in list(schema.get("properties", {}).items()):
            for known in (f"{name}.{member}", f"{subject}.{member}"):
                if known in members and "description" not in schema["properties"][member]:
                    # A copy: fields may share what describes them.
                    schema["properties"][member] = {**inner, "description": members[known]}
