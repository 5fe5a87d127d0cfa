"""Every regular expression of the product, found in its source, and texts made to be hard for each."""

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined, unused-ignore]  # The parser of `re`, not in its stubs.
from re import _parser as parser  # type: ignore[attr-defined, unused-ignore]
from typing import Any

from django.conf import settings

CALLS = {"compile", "search", "match", "fullmatch", "findall", "finditer", "split", "sub", "subn"}
USUAL = ("a", "0", " ", "\n", "<", "[", '"')  # Besides what the pattern itself names.
MOST_PIECES = 24  # Of one pattern; every two of them are tried together.
CATEGORIES = {
    codes.CATEGORY_DIGIT: "0",
    codes.CATEGORY_NOT_DIGIT: "x",
    codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_NOT_SPACE: "x",
    codes.CATEGORY_WORD: "x",
    codes.CATEGORY_NOT_WORD: "-",
}


@dataclass(frozen=True)
class Expression:
    """One call of the module ``re``. ``compiled`` is none where the pattern is put together when the code runs."""

    name: str
    compiled: re.Pattern[Any] | None


def expressions() -> list[Expression]:
    """Of every module of the product, tests and migrations left out."""
    root = Path(settings.BASE_DIR)
    found: list[Expression] = []
    for path in sorted((root / "backend").rglob("*.py")):
        if not {"tests", "migrations"} & set(path.parts):
            module = ".".join(path.relative_to(root / "backend").with_suffix("").parts)
            found += _Finder(module).of(ast.parse(path.read_text()))
    return found


class _Finder(ast.NodeVisitor):
    def __init__(self, module: str) -> None:
        self.place = [module]
        self.found: list[Expression] = []

    def of(self, tree: ast.AST) -> list[Expression]:
        self.visit(tree)
        return self.found

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._within(node.name, node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._within(node.name, node)

    def visit_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        if isinstance(target, ast.Name) and len(self.place) == 1:
            self._within(target.id, node)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        if isinstance(called, ast.Attribute) and ast.unparse(called.value) == "re" and called.attr in CALLS:
            self.found.append(Expression(".".join(self.place), self._compiled(node)))
        self.generic_visit(node)

    def _compiled(self, node: ast.Call) -> re.Pattern[Any] | None:
        pattern = node.args[0]
        if not isinstance(pattern, ast.Constant):
            module, *names = self.place
            made = getattr(importlib.import_module(f"backend.{module}"), names[0], None) if names else None
            return made if isinstance(made, re.Pattern) else None
        options = [*node.args[1:], *(keyword.value for keyword in node.keywords if keyword.arg == "flags")]
        flags = 0
        for option in options:
            text = ast.unparse(option)
            if text.startswith("re."):
                flags |= eval(text, {"re": re})  # Of our own source, such as re.I | re.S.
        return re.compile(pattern.value, flags)

    def _within(self, name: str, node: ast.AST) -> None:
        self.place.append(name)
        self.generic_visit(node)
        self.place.pop()


def hard_texts(pattern: re.Pattern[Any]) -> Iterator[Callable[[int], Any]]:
    """What makes a text of a length: what the pattern looks for, alone and in pairs, over and over again."""
    binary = isinstance(pattern.pattern, bytes)
    source = pattern.pattern.decode("latin-1") if binary else pattern.pattern
    pieces = list(dict.fromkeys(_pieces(parser.parse(source, pattern.flags & ~re.UNICODE))))[:MOST_PIECES]
    units = dict.fromkeys([*pieces, "".join(pieces), *USUAL])
    units |= dict.fromkeys(one + other for one, other in product(pieces, [*pieces, *USUAL]))
    units.pop("", None)
    for unit in units:
        yield partial(_repeated, unit, binary=binary)
    for opener, filler in product(["", *pieces], USUAL):  # Never closed, and after it nothing that fits.
        yield partial(_opened, opener, filler, binary=binary)


def _repeated(unit: str, length: int, *, binary: bool) -> Any:
    return _in(binary, (unit * (length // len(unit) + 1))[:length])


def _opened(opener: str, filler: str, length: int, *, binary: bool) -> Any:
    return _in(binary, opener + filler * length + "\0")


def _in(binary: bool, text: str) -> Any:
    return text.encode("utf-8", "surrogatepass") if binary else text


def _pieces(parsed: Any) -> Iterator[str]:
    """Runs of literals, and a character of each set, in the order of the pattern."""
    run = ""
    for code, argument in parsed:
        if code is codes.LITERAL:
            run += chr(argument)
            continue
        if run:
            yield run
            run = ""
        if code is codes.IN:
            yield from _of_set(argument)
        elif code is codes.NOT_LITERAL:
            yield "x" if argument != ord("x") else "y"
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            yield from _pieces(argument[2])
        elif code is codes.SUBPATTERN:
            yield from _pieces(argument[3])
        elif code is codes.ATOMIC_GROUP:
            yield from _pieces(argument)
        elif code is codes.BRANCH:
            for branch in argument[1]:
                yield from _pieces(branch)
        elif code in (codes.ASSERT, codes.ASSERT_NOT):
            yield from _pieces(argument[1])
    if run:
        yield run


def _of_set(members: Any) -> Iterator[str]:
    negated = members[0][0] is codes.NEGATE
    if negated:
        held = {chr(argument) for code, argument in members if code is codes.LITERAL}
        yield next(letter for letter in "x-0 \0" if letter not in held)
        return
    literals = [chr(argument) for code, argument in members if code is codes.LITERAL]
    yield from [*literals[:2], *literals[-1:]]
    for code, argument in members:
        if code is codes.RANGE:
            yield chr(argument[0])
        elif code is codes.CATEGORY:
            yield CATEGORIES[argument]
