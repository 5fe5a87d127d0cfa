"""Agents through HTTP: what they are, who may change them, what they know."""

from typing import Any

import pytest

from backend.accounts.tests.threads import at_once
from backend.agents.models import Agent, AgentVersion, Knowledge
from backend.agents.operations import agents as operations
from backend.documents import operations as documents
from backend.http.ids import decode, encode, new_id
from tests.actors import Person
from tests.providers import FakeProvider

pytestmark = pytest.mark.django_db


def make_collection(person: Person, name: str = "Rules") -> str:
    collection = documents.import_collection(workspace_id=person.workspace.pk, created_by_id=person.user.pk, name=name)
    return collection.public_id


def test_models_come_in_pages(owner: Person, provider: FakeProvider) -> None:
    every = [model["id"] for model in owner.get("/api/v1/models").json()["results"]]
    listed, path = [], "/api/v1/models?limit=2"
    while path:
        page = owner.get(path).json()
        assert 1 <= len(page["results"]) <= 2
        listed += [model["id"] for model in page["results"]]
        path = page["next"]
    assert listed == every
    assert len(owner.get(page["previous"]).json()["results"]) == 2
    assert owner.get("/api/v1/models?cursor=999999").json()["results"] == []
    for query, pointer in (
        ("limit=0", "/limit"),
        ("limit=201", "/limit"),
        ("cursor=-1", "/cursor"),
        ("cursor=x", "/cursor"),
    ):
        refused = owner.get(f"/api/v1/models?{query}")
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


def test_models_are_listed_with_prices_and_availability(owner: Person, viewer: Person, provider: FakeProvider) -> None:
    listed = {model["id"]: model for model in viewer.get("/api/v1/models").json()["results"]}

    assert listed == {model["id"]: model for model in owner.get("/api/v1/models").json()["results"]}
    assert listed["chat"] == {
        "id": "chat",
        "name": "chat",
        "provider": "fake-chat",
        "kind": "chat",
        "context_window": 32000,
        "max_output_tokens": 1000,
        "input_price": "1.00",
        "cached_input_price": "0.25",
        "output_price": "4.00",
        "currency": "USD",
        "available": True,
        "unavailable_reason": None,
        "default": True,
    }
    assert listed["unpriced"]["input_price"] is None
    assert listed["keyless"]["available"] is False
    assert "NO_SUCH_KEY_ANYWHERE" in listed["keyless"]["unavailable_reason"]


def test_an_agent_is_made_with_its_first_version(owner: Person, provider: FakeProvider) -> None:
    collection = make_collection(owner)
    response = owner.post(
        "/api/v1/agents",
        {
            "name": "Licence desk",
            "instructions": "Be brief.",
            "settings": {"temperature": 0.5, "max_tokens": 300},
            "tools": ["search_knowledge"],
            "knowledge": [{"collection": collection, "limit": 5, "mode": "lexical"}],
            "limits": {"max_steps": 3, "max_cost": "0.50", "timeout_seconds": 60},
            "starters": ["How much is a licence?"],
        },
    )

    agent = response.json()
    assert response.status_code == 201, agent
    assert response["Location"] == f"/api/v1/agents/{agent['id']}"
    assert (agent["model"], agent["version_number"], agent["visibility"]) == ("chat", 1, "workspace")
    assert agent["knowledge"] == [{"collection": collection, "document": None, "limit": 5, "mode": "lexical"}]
    assert agent["limits"] == {"max_steps": 3, "max_cost": "0.50", "timeout_seconds": 60}
    assert agent["created_by"] == owner.user.public_id
    assert owner.get(response["Location"]).json() == agent
    version = AgentVersion.objects.get(agent_id=decode("agt", agent["id"]))
    assert (version.instructions, version.limits["max_cost"]) == ("Be brief.", 500_000)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 151}, "/name"),
        ({"name": "A", "settings": {"temperature": 3}}, "/settings/temperature"),
        ({"name": "A", "settings": {"temprature": 1}}, "/settings/temprature"),
        ({"name": "A", "modle": "offline"}, "/modle"),
        ({"name": "A", "knowledge": [{"collection": None, "lmit": 3}]}, "/knowledge/0/lmit"),
        ({"name": "A", "limits": {"max_steps": 0}}, "/limits/max_steps"),
        ({"name": "A", "limits": {"max_cost": "-1"}}, "/limits/max_cost"),
        ({"name": "A", "knowledge": [{}]}, "/knowledge/0"),
        ({"name": "A", "knowledge": [{"collection": "nonsense"}]}, "/knowledge/0/collection"),
        ({"name": "A", "knowledge": "all"}, "/knowledge"),
        ({"name": "A", "visibility": "public"}, "/visibility"),
        ({"name": "A", "starters": ["x"] * 11}, "/starters"),
    ],
)
def test_what_does_not_fit_is_named(owner: Person, provider: FakeProvider, body: Any, pointer: str) -> None:
    response = owner.post("/api/v1/agents", body)

    assert response.status_code == 422, response.content
    assert response.json()["code"] == "validation_error"
    assert response.json()["errors"][0]["pointer"].startswith(pointer)
    assert not Agent.objects.exists()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tools": ["search_knowledge", "rm"]}, "/tools/1"),
        ({"variables": {"city": {"type": "string"}}}, "/variables"),
        ({"variables": []}, "/variables"),
        ({"output_schema": {"type": "object"}}, "/output_schema"),
    ],
)
def test_what_does_not_work_yet_is_refused_and_not_kept(
    owner: Person, agent: dict[str, Any], body: dict[str, Any], pointer: str
) -> None:
    made = owner.post("/api/v1/agents", {"name": "Reader", **body}, Accept_Language="pt-br")
    changed = owner.patch(f"/api/v1/agents/{agent['id']}", body)

    assert (made.status_code, changed.status_code) == (422, 422)
    refusal = {"pointer": pointer, "code": "not_supported", "detail": "This is not supported yet."}
    assert changed.json()["errors"] == [refusal]
    assert made.json()["errors"] == [{**refusal, "detail": "Ainda não há suporte a isto."}]
    assert Agent.objects.count() == 1


def test_a_tool_that_is_no_name_is_refused_with_the_name_to_send(owner: Person, provider: FakeProvider) -> None:
    body = {"name": "Reader", "tools": [{"type": "http"}]}
    english, portuguese = (owner.post("/api/v1/agents", body, Accept_Language=code) for code in ("en", "pt-br"))

    [error] = english.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/tools/0", "invalid")
    assert error["detail"] == "Send the name of a tool, as a string. The only one is `search_knowledge`."
    [error] = portuguese.json()["errors"]
    assert error["detail"] == "Envie o nome de uma ferramenta, como texto. A única é `search_knowledge`."


def test_every_documented_mode_of_knowledge_is_accepted_and_no_other(owner: Person, agent: dict[str, Any]) -> None:
    member = owner.get("/api/schema").json()["components"]["schemas"]["Knowledge"]["properties"]["mode"]
    path, collection = f"/api/v1/agents/{agent['id']}/knowledge", make_collection(owner)
    statuses = {
        mode: owner.put(path, {"knowledge": [{"collection": collection, "mode": mode}]}).status_code
        for mode in ("lexical", "hybrid", "semantic", None)
    }

    assert statuses == {"lexical": 200, "hybrid": 200, "semantic": 422, None: 200}
    assert "Every mode" not in member["description"]
    assert "`lexical`" in member["description"]
    assert "`hybrid`" in member["description"]


@pytest.mark.parametrize(("name", "values"), [("limit", (3, 4)), ("mode", ("lexical", None))])
def test_one_search_has_one_limit_and_one_mode(
    owner: Person, agent: dict[str, Any], name: str, values: tuple[Any, Any]
) -> None:
    collection = make_collection(owner)
    path = f"/api/v1/agents/{agent['id']}/knowledge"

    refused = owner.put(path, {"knowledge": [{"collection": collection, name: value} for value in values]})
    alike = owner.put(path, {"knowledge": [{"collection": collection, name: values[0]}, {"collection": collection}]})

    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert (error["pointer"], error["code"]) == (f"/knowledge/1/{name}", "not_supported")
    assert [item[name] for item in alike.json()["knowledge"]] == [values[0]] * 2


def test_what_an_agent_shows_can_be_sent_back_and_what_older_ones_have_stays(
    owner: Person, agent: dict[str, Any]
) -> None:
    path = f"/api/v1/agents/{agent['id']}"
    AgentVersion.objects.filter(agent_id=decode("agt", agent["id"])).update(
        variables={"city": {}}, output_schema={"type": "object"}, tools=["search_knowledge"]
    )

    named = owner.patch(path, {"instructions": "Sing."}).json()
    emptied = owner.patch(path, {"variables": {}, "output_schema": None}).json()
    names = ("name", "instructions", "model", "settings", "tools", "knowledge", "starters", "limits")
    again = owner.patch(path, {name: emptied[name] for name in (*names, "variables", "output_schema", "visibility")})

    assert (named["variables"], named["output_schema"]) == ({"city": {}}, {"type": "object"})
    assert (emptied["variables"], emptied["output_schema"], emptied["tools"]) == ({}, None, ["search_knowledge"])
    assert again.status_code == 200, again.content


def test_an_unknown_model_is_refused(owner: Person, provider: FakeProvider) -> None:
    response = owner.post("/api/v1/agents", {"name": "A", "model": "gpt-17"})

    assert (response.status_code, response.json()["code"]) == (422, "validation_error")


def test_knowledge_of_others_is_unknown(owner: Person, stranger: Person, provider: FakeProvider) -> None:
    theirs = make_collection(stranger)
    unknown = "col_01h455vb4pex5vsknk084sn02q"

    answers = [
        owner.post("/api/v1/agents", {"name": "A", "knowledge": [{"collection": collection}]})
        for collection in (theirs, unknown)
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert {answer.json()["code"] for answer in answers} == {"not_found"}
    assert not Agent.objects.exists()


def test_a_change_makes_a_version_and_a_new_name_does_not(owner: Person, agent: dict[str, Any]) -> None:
    path = f"/api/v1/agents/{agent['id']}"
    collection = make_collection(owner)
    named = owner.patch(path, {"name": "Other"}).json()
    assert (named["name"], named["version"], named["version_number"]) == ("Other", agent["version"], 1)

    known = owner.patch(path, {"knowledge": [{"collection": collection}]}).json()
    told = owner.patch(path, {"instructions": "Sing."}).json()

    assert (known["version_number"], told["version_number"]) == (2, 3)
    assert told["knowledge"] == known["knowledge"] != []
    assert AgentVersion.objects.get(pk=decode("agv", agent["version"])).instructions == ""


def test_knowledge_is_put_as_a_whole_and_searched(owner: Person, viewer: Person, agent: dict[str, Any]) -> None:
    path = f"/api/v1/agents/{agent['id']}/knowledge"
    collection = make_collection(owner)

    assert owner.get(path).json() == {"knowledge": []}
    assert owner.post(f"{path}/search", {"query": "fees"}).json()["results"] == []
    put = owner.put(path, {"knowledge": [{"collection": collection, "limit": 3}]})

    assert put.status_code == 200, put.content
    assert put.json() == viewer.get(path).json()
    assert viewer.post(f"{path}/search", {"query": "fees"}).json() == {
        "results": [],
        "mode": "lexical",
        "degraded": False,
    }
    assert owner.put(path, {"knowledge": []}).json() == {"knowledge": []}
    assert Knowledge.objects.filter(version__agent_id=decode("agt", agent["id"])).count() == 1


def test_who_may_do_what(
    owner: Person, member: Person, viewer: Person, stranger: Person, agent: dict[str, Any]
) -> None:
    path = f"/api/v1/agents/{agent['id']}"

    assert [person.get(path).status_code for person in (owner, member, viewer, stranger)] == [200, 200, 200, 404]
    assert [person.patch(path, {"name": "B"}).status_code for person in (member, viewer, stranger)] == [403, 403, 404]
    assert [person.delete(path).status_code for person in (member, viewer, stranger)] == [403, 403, 404]
    assert viewer.post("/api/v1/agents", {"name": "V"}).status_code == 403
    assert member.post("/api/v1/agents", {"name": "M"}).status_code == 201
    assert stranger.get("/api/v1/agents").json()["results"] == []
    assert owner.delete(path).status_code == 204
    assert owner.get(path).status_code == 404
    assert Agent.objects.get(pk=decode("agt", agent["id"])).deleted_at is not None


def test_a_private_agent_is_its_creators(owner: Person, member: Person, provider: FakeProvider) -> None:
    path = "/api/v1/agents/" + member.post("/api/v1/agents", {"name": "Mine", "visibility": "private"}).json()["id"]

    assert (member.get(path).status_code, owner.get(path).status_code) == (200, 404)
    assert owner.get("/api/v1/agents").json()["results"] == []
    assert len(member.get("/api/v1/agents").json()["results"]) == 1


@pytest.mark.parametrize("size", [1, 12])
def test_listing_takes_three_queries_however_long(
    owner: Person, provider: FakeProvider, size: int, django_assert_num_queries: Any
) -> None:
    collection = make_collection(owner)
    for number in range(size):
        owner.post("/api/v1/agents", {"name": f"A{number}", "knowledge": [{"collection": collection}]})

    with django_assert_num_queries(3):  # The membership, the page with its versions, their knowledge.
        response = owner.get("/api/v1/agents")

    assert len(response.json()["results"]) == size


@pytest.mark.django_db(transaction=True)
def test_changes_at_once_are_all_kept_one_after_the_other(owner: Person, provider: FakeProvider) -> None:
    agent = owner.post("/api/v1/agents", {"name": "Reader"}).json()["id"]
    changes = [{"instructions": f"Number {number}."} for number in range(6)]

    answers = at_once(*[lambda change=change: owner.patch(f"/api/v1/agents/{agent}", change) for change in changes])

    assert [answer.status_code for answer in answers] == [200] * 6
    versions = AgentVersion.objects.filter(agent_id=decode("agt", agent)).order_by("number")
    assert list(versions.values_list("number", flat=True)) == [1, 2, 3, 4, 5, 6, 7]
    assert {version.instructions for version in versions} == {"", *(change["instructions"] for change in changes)}


def test_a_model_that_nobody_offers_is_named_as_the_fault(owner: Person, agent: dict[str, Any]) -> None:
    for answer in (
        owner.post("/api/v1/agents", {"name": "x", "model": "nope"}),
        owner.patch(f"/api/v1/agents/{agent['id']}", {"model": "nope"}),
    ):
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/model"]


@pytest.mark.django_db(transaction=True)
def test_knowledge_deleted_in_the_same_moment_is_a_conflict(
    owner: Person, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_check_knowledge", lambda *args: None)  # It was there when that was asked.
    answer = owner.post("/api/v1/agents", {"name": "x", "knowledge": [{"collection": encode("col", new_id())}]})

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert not Agent.objects.exists()
