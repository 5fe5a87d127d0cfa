"""The admin speaks the operator's language: every name of a model, a field, a choice, a column, a filter, an action."""

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest
import unfold
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client
from django.utils import translation
from django.utils.translation import trans_real

from backend.accounts.admin import right_in_words
from backend.accounts.operators.labels import code_label
from backend.agents import reasons
from backend.agents.models import AgentVersion, Knowledge, Message, Step
from backend.llm.errors import FailureCode
from tests.actors import Person
from tests.operators import admin_browser, clerk, superuser

# Words that are the same in both languages, and names.
ALIKE = {
    *("id", "ID", "SHA-256", "status", "tokens", "blob", "bytes", "Lexical", "e-mail", "metadata", "No.", "Status"),
    *("English", "Português (Brasil)", "offline"),
}
TRANSLATED = re.compile(r"""\{%\s*trans(?:late)?\s+(?:"([^"]*)"|'([^']*)')""")
PORTUGUESE = {"Accept-Language": "pt-BR"}


def labels(model: Any) -> Iterator[tuple[str, Any]]:
    """All that our models are called in the admin, lazily translated."""
    options = model._meta
    yield "model", options.verbose_name
    yield "models", options.verbose_name_plural
    yield "app", options.app_config.verbose_name
    for field in (*options.concrete_fields, *options.local_many_to_many):
        yield field.name, field.verbose_name
        yield from ((f"{field.name}={value}", label) for value, label in field.flatchoices)


def of_page(page: Any) -> Iterator[tuple[str, Any]]:
    """Columns, read-only fields and actions that the page itself describes, and the headings of its fields."""
    for name in dir(type(page)):
        described = getattr(getattr(type(page), name), "short_description", None)
        if described and name != "action_checkbox":  # A box, whose label unfold draws when the process starts.
            yield name, described
    for title, _options in page.fieldsets or ():
        yield "heading", title or ""
    for declared in page.list_filter:
        yield "filter", getattr(declared, "title", "") if isinstance(declared, type) else ""


def test_every_name_has_a_portuguese_one() -> None:
    pages: dict[Any, Any] = dict(admin.site._registry)
    found = [(model, *item) for model in (*pages, AgentVersion, Knowledge, Message, Step) for item in labels(model)]
    found += [(model, *item) for model, page in pages.items() for item in of_page(page)]
    missing = set()
    for model, name, label in found:
        with translation.override("en"):
            english = str(label)
        with translation.override("pt-br"):
            portuguese = str(label)
        if english and english == portuguese and english not in ALIKE:
            missing.add(f"{model.__name__}.{name}: {english}")

    assert len(found) > 300
    assert sorted(missing) == []


def test_what_unfold_and_our_templates_say_has_a_portuguese_text() -> None:
    """unfold ships no translations, so the console's catalog has them."""
    folders = [Path(unfold.__file__).parent / "templates", Path("backend")]
    texts = {
        first or second
        for folder in folders
        for path in folder.rglob("*.html")
        if "page.html" not in path.name
        for first, second in TRANSLATED.findall(path.read_text())
    }
    catalog: Any = trans_real.translation("pt-br")

    def known(text: str) -> bool:
        return any(catalog._catalog.get(key) is not None for key in (text, (text, 1)))

    assert len(texts) > 80
    assert sorted(text for text in texts if not known(text)) == []


CODES = {
    "ingestion.error_code": (Path("backend/documents/ingestion"), re.compile(r"""\(?"([a-z_]+)", f?"[A-Z][a-z ]""")),
    "run.error": (Path("backend/agents"), re.compile(r"""[Ff]ailed\(\s*"([a-z_]+)",""")),
}


@pytest.mark.parametrize("context", CODES)
def test_each_reason_of_failure_has_portuguese_words(context: str) -> None:
    """Codes are stored; pages say them in words."""
    folder, pattern = CODES[context]
    codes = {
        code for path in folder.rglob("*.py") if "tests" not in path.parts for code in pattern.findall(path.read_text())
    }
    codes |= set(get_args(FailureCode)) if context == "run.error" else {"text_undecodable", "text_unreadable"}
    assert len(codes) > 6
    with translation.override("en"):
        english = {code: str(code_label(context, code)) for code in codes}
    with translation.override("pt-br"):
        assert [code for code in codes if str(code_label(context, code)) == english[code]] == []


def test_each_right_is_named_in_portuguese(db: None) -> None:
    """Those of models without a page too, and of libraries."""
    rights = list(Permission.objects.select_related("content_type").filter(codename__startswith="view_"))
    names = []
    for language in ("en", "pt-br"):
        with translation.override(language):
            names.append({right_in_words(right).split(" | ")[1] for right in rights})
    assert len(rights) > 20
    assert names[0] & names[1] <= ALIKE | {"token"}


def test_every_reason_of_a_runs_failure_is_known_in_portuguese() -> None:
    for reason in reasons.REASONS | reasons.OF_PROVIDER:
        with translation.override("pt-br"):
            assert translation.gettext(reason) != reason


def test_no_name_asks_for_a_migration(db: None) -> None:
    with translation.override("pt-br"):
        call_command("makemigrations", check=True, dry_run=True, stdout=StringIO())


@pytest.fixture
def operator(db: None) -> Client:
    return admin_browser(superuser())


def test_pages_speak_portuguese_to_a_portuguese_browser_and_else_english(operator: Client, owner: Person) -> None:
    listing = operator.get("/admin/agents/run/", headers=PORTUGUESE).content.decode()
    assert '<html lang="pt-br"' in listing
    for word in ("Execuções", "Espaços de trabalho", "Digite para buscar", "Carteiras", "Contas", "situação"):
        assert word in listing, word
    assert "Execuções" not in operator.get("/admin/agents/run/").content.decode()

    page = operator.get(f"/admin/accounts/user/{owner.user.pk}/change/", headers=PORTUGUESE).content.decode()
    for word in ("Último acesso", "Espaço de trabalho pessoal", "Sessões", "Conversas"):
        assert word in page, word
    entrance = Client().get("/admin/login/", headers=PORTUGUESE).content.decode()
    assert "Senha" in entrance
    assert "Welcome" not in entrance


@pytest.mark.parametrize(
    ("path", "status", "english", "portuguese"),
    [
        ("/admin/nothing/", 404, "There is no such page", "Esta página não existe"),
        ("/admin/billing/wallet/", 403, "does not have the right", "não tem o direito"),
        ("/admin/accounts/user/?password__startswith=a", 400, "is not understood", "não foi entendido"),
    ],
)
def test_a_refusal_is_a_page_of_the_admin(path: str, status: int, english: str, portuguese: str, owner: Person) -> None:
    browser = admin_browser(clerk("accounts.view_user"))
    for headers, text in (({}, english), (PORTUGUESE, portuguese)):
        response = browser.get(path, headers=headers)
        html = response.content.decode()
        assert response.status_code == status
        assert text in html
        assert 'href="/admin/accounts/user/"' in html  # The sidebar, with what this operator may see.


def test_a_form_of_another_log_in_is_refused_by_a_page() -> None:
    browser = Client(enforce_csrf_checks=True)
    response = browser.post("/admin/login/", {"username": "a", "password": "b"}, headers=PORTUGUESE)
    assert response.status_code == 403
    assert "Volte, recarregue-a" in response.content.decode()
