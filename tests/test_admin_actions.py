"""What the admin's actions say before and after, and what they do not offer."""

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from backend.accounts.models import User
from backend.documents.models import Document
from backend.documents.tests.cast import upload
from tests.actors import Person
from tests.operators import admin_browser, clerk, superuser

pytestmark = pytest.mark.django_db
USERS, DOCUMENTS = "/admin/accounts/user/", "/admin/documents/document/"
PORTUGUESE = {"Accept-Language": "pt-BR"}


@pytest.fixture
def operator(db: None) -> Client:
    return admin_browser(superuser())


def said(response: object) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))  # type: ignore[attr-defined]


def test_documents_are_deleted_only_after_a_page_that_names_them(operator: Client, owner: Person) -> None:
    for name in ("keep.txt", "gone.txt", "gone-too.txt"):
        upload(owner, name, name)
    chosen = [document.pk for document in Document.objects.exclude(name="keep.txt")]
    order = {"action": "delete_documents", "_selected_action": chosen, "index": "0"}

    asked = operator.post(DOCUMENTS, order, headers=PORTUGUESE)

    html = asked.content.decode()
    assert asked.status_code == 200
    assert "Excluir 2 documentos" in html
    assert all(f'name="_selected_action" value="{pk}"' in html for pk in chosen)
    assert [name in html for name in ("gone.txt", "gone-too.txt", "keep.txt")] == [True, True, False]
    assert Document.objects.alive().count() == 3
    done = operator.post(DOCUMENTS, {**order, "confirmed": "1"})
    assert "2 documents are hidden" in said(done)
    assert [document.name for document in Document.objects.alive()] == ["keep.txt"]


def test_locking_out_says_what_was_done_and_what_was_refused(owner: Person, stranger: Person) -> None:
    me = clerk("accounts.view_user", "accounts.change_user")
    boss, browser = superuser(), admin_browser(me)
    for action, done in (("lock_out", "2 users were locked out"), ("let_in", "2 users were let in again")):
        chosen = [owner.user.pk, stranger.user.pk, boss.pk]
        text = said(browser.post(USERS, {"action": action, "_selected_action": chosen, "index": "0"}))
        assert done in text
        assert f"{boss} is an operator" in text
    own = admin_browser(boss)
    text = said(own.post(USERS, {"action": "lock_out", "_selected_action": [boss.pk], "index": "0"}))
    assert text == "You cannot lock yourself out."
    assert User.objects.filter(is_active=False).count() == 0


def test_a_user_is_locked_out_from_their_page_after_a_question(owner: Person) -> None:
    browser = admin_browser(clerk("accounts.view_user", "accounts.change_user"))
    path = f"{USERS}{owner.user.pk}/access/"
    assert path in browser.get(f"{USERS}{owner.user.pk}/change/").content.decode()
    for active in (False, True):
        assert owner.user.email in browser.get(path).content.decode()
        assert User.objects.get(pk=owner.user.pk).is_active is not active
        assert browser.post(path, {"confirmed": "1"}).status_code == 302
        assert User.objects.get(pk=owner.user.pk).is_active is active
    only_looks = admin_browser(clerk("accounts.view_user", email="looks@example.com"))
    boss = superuser()
    assert only_looks.post(path, {"confirmed": "1"}).status_code == 403
    assert browser.post(f"{USERS}{boss.pk}/access/", {"confirmed": "1"}).status_code == 403
    assert User.objects.filter(is_active=False).count() == 0


def test_what_can_never_work_is_not_offered_and_the_button_is_a_verb(operator: Client, owner: Person) -> None:
    assert "delete_selected" not in operator.get("/admin/accounts/membership/").content.decode()
    html = operator.get(USERS, headers=PORTUGUESE).content.decode()
    button = html[html.index('name="index"') :][:300]
    assert "Executar" in button
