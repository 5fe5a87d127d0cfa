"""Whatever a refusal says, it says in Portuguese too, and the compiled catalogues hold what their sources say."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import translation

from backend.errors import DomainError
from backend.http.codes import CODES, TEXTS

ROOT = Path(__file__).resolve().parent.parent / "backend"
CATALOGUES = sorted(ROOT.glob("*/locale/*/LC_MESSAGES/django.po"))


def refusals(kind: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for inner in kind.__subclasses__():
        if inner.__module__.startswith("backend.") and ".tests." not in inner.__module__:
            yield inner
        yield from refusals(inner)


SAYING = {"_", "gettext", "gettext_lazy", "gettext_noop", "FieldError", "Conflict", "Forbidden", "ServiceUnavailable"}
KINDS = sorted(set(refusals()), key=repr)


def sentence(kind: type[DomainError]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def test_every_code_has_its_texts() -> None:
    assert set(CODES.values()) <= TEXTS.keys()
    for kind in refusals():
        assert re.fullmatch(r"[a-z0-9_]+", kind.code), kind


@pytest.mark.parametrize("text", sorted({text for texts in TEXTS.values() for text in texts}))
def test_the_texts_of_codes_are_translated(text: str) -> None:
    with translation.override("pt-br"):
        assert translation.gettext(text) != text


@pytest.mark.parametrize("kind", KINDS)
def test_the_texts_of_errors_are_translated(kind: type[DomainError]) -> None:
    with translation.override("pt-br"):
        assert translation.gettext(sentence(kind)) != sentence(kind)


def sentences() -> set[str]:
    """What our code marks as translatable, and what it puts into refusals."""
    found = set()
    for source in ROOT.rglob("*.py"):
        if {"tests", "migrations", "embedded"} & set(source.parts):
            continue
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in SAYING:
                texts = (arg.value for arg in node.args if isinstance(arg, ast.Constant))
                found |= {text for text in texts if isinstance(text, str) and " " in text}
    return found


@pytest.mark.parametrize("text", sorted(sentences()))
def test_translatable_texts_are_translated(text: str) -> None:
    with translation.override("pt-br"):
        assert translation.gettext(text) != text or translation.ngettext(text, text, 1) != text


def read(source: Path) -> dict[str, str]:
    """The messages of a .po file, each in the singular; a context stands before its message as in a compiled one."""
    messages: dict[str, str] = {}
    for entry in source.read_text().split("\n\n"):
        parts = {"msgctxt": "", "msgid": "", "msgstr": ""}
        part = ""
        for line in entry.splitlines():
            if line.startswith("#"):
                continue
            word, _, rest = line.partition(" ")
            if line.startswith("msg"):
                part = word.removesuffix("[0]")
            if part in parts:
                parts[part] += ast.literal_eval(rest if line.startswith("msg") else line)
        if parts["msgid"]:
            context = f"{parts['msgctxt']}\x04" if parts["msgctxt"] else ""
            messages[context + parts["msgid"]] = parts["msgstr"]
    return messages


@pytest.mark.parametrize("source", CATALOGUES, ids=[str(source.relative_to(ROOT).parent) for source in CATALOGUES])
def test_the_compiled_catalogue_is_up_to_date(source: Path) -> None:
    messages = read(source)
    with source.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert messages
    for message, translated in messages.items():
        assert translated, f"{message} has no translation"
        # Before Python 3.11.4 gettext() does not know the singular of a message that has a plural.
        assert translated in (compiled.gettext(message), compiled.ngettext(message, message, 1))
