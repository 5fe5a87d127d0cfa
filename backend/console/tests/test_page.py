"""The page as the server gives it: headers, markup and static files. What it does is tested in a browser, in tests/."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.test import Client

from backend.console.views import CONTENT_SECURITY_POLICY
from backend.errors import DomainError
from backend.http.codes import TEXTS

FOLDER = Path(__file__).resolve().parent.parent / "static" / "console"
MODULES = sorted(path.name for path in FOLDER.glob("*.js"))


def text(name: str) -> str:
    return (FOLDER / name).read_text()


class Markup(HTMLParser):
    """Every start tag with its attributes, and the text of elements that could run or style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture
def page() -> Markup:
    return Markup(Client().get("/").content.decode())


def test_the_page_needs_no_account_and_allows_nothing_but_its_own_files() -> None:
    response = Client().get("/")

    assert response.status_code == 200
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "//" not in CONTENT_SECURITY_POLICY
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "no-cache" in response["Cache-Control"]
    assert "Set-Cookie" not in response


def test_the_page_speaks_the_language_of_the_browser() -> None:
    html = Client().get("/", headers={"Accept-Language": "pt-BR,pt;q=0.9"}).content.decode()

    assert '<html lang="pt-br">' in html
    assert "precisa de JavaScript" in html
    assert '<html lang="en">' in Client().get("/", headers={"Accept-Language": "de"}).content.decode()


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/.well-known/jwks.json", "/api/docs"])
def test_read_only_routes_refuse_other_methods(path: str) -> None:
    response = Client(enforce_csrf_checks=True).post(path)

    assert response.status_code == 405
    assert response["Content-Type"] == "application/problem+json"


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(page: Markup) -> None:
    assert page.inline == ""
    for tag, attributes in page.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert not (attributes.get(name) or "").startswith(("http", "//")), attributes


@pytest.mark.parametrize("name", [*MODULES, "tokens.css", "page.css", "chat.css", "mark.svg"])
def test_static_files_are_served_as_what_they_are(name: str) -> None:
    response = Client().get(f"/static/console/{name}")

    assert response.status_code == 200
    kind = {"js": "javascript", "css": "text/css", "svg": "image/svg+xml"}[name.rpartition(".")[2]]
    assert kind in response["Content-Type"]
    assert b"".join(response) == (FOLDER / name).read_bytes()


def test_every_import_names_a_module_and_something_it_exports(page: Markup) -> None:
    preloaded = {a["href"] for _, a in page.tags if a.get("rel") == "modulepreload"}
    for name in MODULES:
        assert f"/static/console/{name}" in preloaded
        for names, target in re.findall(r'import \{([^}]*)\} from "\./([\w.-]+)"', text(name)):
            exported = re.findall(r"export (?:async )?(?:const|function|class) (\w+)", text(target))
            for imported in names.split(","):
                assert imported.split(" as ")[0].strip() in {*exported, ""}, f"{name}: {imported} from {target}"


def test_no_module_writes_markup_from_text() -> None:
    for name in MODULES:
        code = re.sub(r"//.*", "", text(name))
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", code), name


def keys(name: str) -> dict[str, str]:
    return dict(re.findall(r'^  "([\w.]+)": "(.*)",$', text(name), flags=re.MULTILINE))


def test_both_languages_have_the_same_texts_with_the_same_placeholders() -> None:
    english, portuguese = keys("texts.en.js"), keys("texts.pt-br.js")

    assert len(english) > 100
    assert list(english) == list(portuguese)
    for key, sentence in english.items():
        assert sorted(re.findall(r"\{\w+\}", sentence)) == sorted(re.findall(r"\{\w+\}", portuguese[key])), key


def test_every_text_that_is_used_exists_and_every_text_is_used(page: Markup) -> None:
    known = set(keys("texts.en.js"))
    code = "\n".join(text(name) for name in MODULES if not name.startswith("texts."))
    named = {a[name] for _, a in page.tags for name in ("data-text", "data-label", "data-placeholder") if a.get(name)}
    # In code a key is a whole string, or the beginning of a template: `failed.${code}`.
    whole = {key for key in known if f'"{key}"' in code}
    families = set(re.findall(r"`([a-z]+\.)\$\{", code)) | {"count."}

    assert named <= known
    assert set(re.findall(r'\bt\(\s*"([\w.]+)"', code)) <= known
    assert {key for key in known - whole - named if not key.startswith(tuple(families))} == set()


def kinds(base: type[DomainError]) -> Iterator[type[DomainError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def is_ours(kind: type[DomainError]) -> bool:
    """Whether the product raises it, and not a test that was imported before."""
    return kind.__module__.startswith("backend.") and ".tests." not in kind.__module__


def test_every_code_that_the_api_sends_has_a_sentence_for_people() -> None:
    codes = {*TEXTS, *(kind.code for kind in kinds(DomainError) if is_ours(kind))}
    reading = "\n".join(
        path.read_text() for path in FOLDER.parents[2].joinpath("documents").rglob("*.py") if "tests" not in path.parts
    )
    warnings = set(re.findall(r'(?:warnings\.append\(\(|"code": |\(\(?)"([a-z]+_[a-z_]+)", f?"[A-Z]', reading))
    warnings.discard("no_such_page")  # Of drawing a page; no reading ends with it.
    texts = keys("texts.en.js")

    assert len(codes) > 25
    assert {code for code in codes if f"error.{code}" not in texts} == set()
    assert "page_unreadable" in warnings
    assert {code for code in warnings if f"warning.{code}" not in texts and f"unread.{code}" not in texts} == set()


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(scheme: int) -> None:
    pair = r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)"
    tokens = {name: colours[scheme] for name, *colours in re.findall(pair, text("tokens.css"))}
    pairs = [
        *((ink, ground) for ink in ("ink", "soft", "wine") for ground in ("paper", "card", "shade", "bubble")),
        *(("wine", "wine-tint"), ("on-wine", "wine"), ("paper", "ink"), ("mark-ink", "mark")),
        *(("brass-ink", "brass-tint"), ("brass-ink", "paper"), ("green", "green-tint"), ("green", "paper")),
    ]

    assert {
        pair: contrast(tokens[pair[0]], tokens[pair[1]])
        for pair in pairs
        if contrast(tokens[pair[0]], tokens[pair[1]]) < 4.5
    } == {}
    assert contrast(tokens["edge"], tokens["paper"]) >= 3  # The border of a field.
