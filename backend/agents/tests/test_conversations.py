"""Conversations: named, found, archived; answers judged; the guide of a new workspace; what operators see."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from backend.agents.models import Agent, Conversation, Feedback, Run
from backend.agents.operations import conversations as operations
from backend.agents.tests.conftest import row
from backend.agents.tests.test_runs import start
from backend.agents.views.agents import AgentViewSet
from backend.agents.views.conversations import ConversationViewSet
from backend.documents import queries as documents
from backend.http.ids import decode
from tests.actors import Person, sign_up
from tests.operators import admin_browser
from tests.providers import FakeProvider

pytestmark = pytest.mark.django_db


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [item["id"] for item in response.json()["results"]]


def test_conversations_are_found_without_accents_and_by_their_owner_alone(
    ask: Any, owner: Person, stranger: Person
) -> None:
    talk = ask("Onde fica a estação de Évora? Não sei.")["conversation"]
    path = "/api/v1/conversations"

    assert owner.patch(f"{path}/{talk}", {"title": "Portugal"}).status_code == 200
    for words in ("estacao de evora", "ESTAÇÃO", "nao sei", "na\u0303o", "PORTU"):
        assert ids(owner.get(path, {"q": words})) == [talk], words
    for words in (".", "sei.", "(?i)nao", "[ã]", "evora\\s", "***=nao", "na.", "\u0301"):
        wanted = [talk] if words in (".", "sei.", "\u0301") else []
        assert ids(owner.get(path, {"q": words})) == wanted, words  # A mark is a mark.
    assert ids(owner.get(path, {"q": "evora estacao"})) == []  # In this order.
    assert ids(stranger.get(path, {"q": "evora"})) == []


def test_archiving_leaves_the_title_that_came_in_the_same_moment(
    ask: Any, owner: Person, conversation: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    change = operations.change_conversation

    def title_first(**arguments: Any) -> Any:
        Conversation.objects.update(title="Herons")
        return change(**arguments)

    monkeypatch.setattr(operations, "change_conversation", title_first)
    assert owner.patch(f"/api/v1/conversations/{conversation['id']}", {"archived": True}).status_code == 200
    stored = Conversation.objects.get()
    assert (stored.title, stored.archived_at is not None) == ("Herons", True)


def test_conversations_are_found_renamed_and_archived(ask: Any, owner: Person, conversation: dict[str, Any]) -> None:
    run = ask("Where do the herons nest?")
    talk, path = run["conversation"], "/api/v1/conversations"

    assert ids(owner.get(path)) == [talk, conversation["id"]]
    assert ids(owner.get(path, {"q": "HERONS"})) == [talk]
    assert ids(owner.get(path, {"q": "fake provider"})) == [talk]  # In the answer.
    assert ids(owner.get(path, {"q": "100%"})) == []
    refused = owner.get(path, {"q": "a\x00b"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/q")
    assert ids(owner.get(path, {"q": "text"})) == []  # A name in the stored form of a message.
    assert ids(owner.get(path, {"agent": conversation["agent"]})) == [conversation["id"]]
    assert ids(owner.get(path, {"agent": "nonsense"})) == []
    changed = owner.patch(f"{path}/{talk}", {"title": "Birds", "archived": True})
    assert (changed.json()["title"], changed.json()["archived"]) == ("Birds", True)
    assert ids(owner.get(path)) == [conversation["id"]]
    assert ids(owner.get(path, {"archived": "true"})) == [talk]
    assert owner.get(path, {"archived": "perhaps"}).status_code == 422
    assert start(owner, {"id": talk}, "And the storks?").status_code == 202
    assert owner.get(f"{path}/{talk}").json()["archived"] is False
    assert Conversation.objects.get(pk=decode("cnv", talk)).title == "Birds"


def test_a_first_question_comes_with_the_conversation_or_neither(owner: Person, agent: dict[str, Any]) -> None:
    made = owner.post("/api/v1/conversations", {"agent": agent["id"], "input": "Hello there?"})
    refused = owner.post("/api/v1/conversations", {"agent": agent["id"], "input": "x" * 40_000})

    assert (made.status_code, made.json()["title"], made.json()["run"]["status"]) == (201, "Hello there?", "queued")
    assert (refused.status_code, refused.json()["code"]) == (422, "context_too_long")
    assert Conversation.objects.count() == Run.objects.count() == 1


def test_pages_follow_each_other(owner: Person, agent: dict[str, Any]) -> None:
    made = [owner.post("/api/v1/conversations", {"agent": agent["id"]}).json()["id"] for _ in range(5)]

    first = owner.get("/api/v1/conversations", {"limit": 2})
    second = owner.client.get(first.json()["next"], headers=owner.headers())

    assert ids(first) + ids(second) == made[::-1][:4]


def test_answers_are_judged_and_judged_again(ask: Any, owner: Person) -> None:
    run = ask()
    path = f"/api/v1/messages/{run['output_message']}/feedback"

    assert owner.put(path, {"rating": 1}).json() == {"rating": 1, "comment": ""}
    assert owner.put(path, {"rating": -1, "comment": "Too long."}).status_code == 200

    shown = owner.get(f"/api/v1/conversations/{run['conversation']}/messages").json()["results"]
    assert [message["feedback"] for message in shown] == [None, {"rating": -1, "comment": "Too long."}]
    assert Feedback.objects.get().rating == -1
    assert owner.put(path, {"rating": 5}).status_code == 422
    question = owner.put(f"/api/v1/messages/{run['input_message']}/feedback", {"rating": 1})
    assert (question.status_code, question.json()["code"]) == (422, "validation_error")


@pytest.mark.parametrize("language", ["en", "pt-br", "de"])
def test_a_new_workspace_gets_the_guide_in_the_language_of_its_owner(
    settings: Settings,
    provider: FakeProvider,
    django_capture_on_commit_callbacks: Any,
    language: str,
) -> None:
    settings.DEMO_CONTENT = True
    name, title = ("Guia", "Guia do Orquestra") if language == "pt-br" else ("Guide", "Guide to Orquestra")
    with django_capture_on_commit_callbacks(execute=True):
        person = sign_up("new@example.com", language=language)

    [agent] = person.get("/api/v1/agents").json()["results"]

    assert (agent["name"], agent["model"], len(agent["starters"])) == (name, "chat", 3)
    assert ("Como" in " ".join(agent["starters"])) == (language == "pt-br")
    [known] = agent["knowledge"]
    collection = decode("col", known["collection"])
    assert documents.existing_collections(person.workspace.pk, [collection]) == {collection: title}
    names = {document["name"] for document in person.get("/api/v1/documents").json()["results"]}
    assert names == {f"{title}.md"}


def test_nobody_is_refused_because_the_guide_cannot_be_made(
    settings: Settings, tmp_path: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.DEMO_CONTENT = True
    settings.MODELS_FILE = tmp_path / "models.toml"
    settings.MODELS_FILE.write_text("")

    with django_capture_on_commit_callbacks(execute=True):
        person = sign_up("new@example.com")

    assert not Agent.objects.exists()
    assert person.get("/api/v1/agents").json()["results"] == []


@pytest.fixture
def operator(owner: Person) -> Client:
    owner.user.is_staff = owner.user.is_superuser = True
    owner.user.save()
    return admin_browser(owner.user)


@pytest.mark.parametrize("page", ["agent", "conversation", "run"])
def test_operators_see_pages_of_everything(ask: Any, operator: Client, page: str) -> None:
    run = row(ask("A secret question"))
    pk = {"agent": run.agent_version.agent_id, "conversation": run.conversation_id, "run": run.pk}[page]

    assert operator.get(f"/admin/agents/{page}/").status_code == 200
    assert operator.get(f"/admin/agents/{page}/{pk}/change/").status_code == 200
    assert operator.get(f"/admin/agents/{page}/add/").status_code == 403


def test_what_people_said_is_shown_to_superusers_alone(ask: Any, operator: Client, owner: Person) -> None:
    from django.contrib.auth.models import Permission

    run = row(ask("A secret question"))
    page = f"/admin/agents/conversation/{run.conversation_id}/change/"
    assert b"A secret question" in operator.get(page).content
    owner.user.is_superuser = False
    owner.user.save()
    owner.user.user_permissions.set(Permission.objects.filter(content_type__app_label="agents"))

    response = operator.get(page)

    assert response.status_code == 200
    assert b"A secret question" not in response.content


def test_operators_cancel_runs(ask: Any, operator: Client) -> None:
    run = row(ask(carry=False))

    response = operator.post("/admin/agents/run/", {"action": "cancel_runs", "_selected_action": [str(run.pk)]})

    assert response.status_code == 302
    assert Run.objects.get(pk=run.pk).status == "cancelled"


@pytest.mark.parametrize(
    ("view", "body"),
    [(AgentViewSet, {"name": "Renamed", "instructions": "Other ones."}), (ConversationViewSet, {"title": "Renamed"})],
)
def test_a_change_of_what_was_deleted_since_it_was_read_finds_nothing(
    view: Any, body: dict[str, str], owner: Person, conversation: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"agents/{conversation['agent']}" if view is AgentViewSet else f"conversations/{conversation['id']}"
    read = view.get_object

    def read_then_deleted(self: Any) -> Any:
        found = read(self)
        type(found).objects.filter(pk=found.pk).update(deleted_at=timezone.now())
        return found

    monkeypatch.setattr(view, "get_object", read_then_deleted)
    response = owner.patch(f"/api/v1/{path}", body)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert not Agent.objects.filter(name="Renamed").exists()
    assert not Conversation.objects.filter(title="Renamed").exists()
