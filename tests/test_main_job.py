"""The main job through HTTP: register, upload, ask, watch the answer stream with citations, see what it cost."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.http_client import ApiClient, deltas, text_of
from tests.live import Stack
from tests.pages import pdf

REGULATION = pdf(
    "Regulamento da Lagoa Itaperema\nCapítulo 1. Da navegação\nBarcos a motor navegam entre seis e vinte horas.",
    "Capítulo 4. Das licenças\nA licença de pesca da lagoa Itaperema custa 318 cruzados por temporada.\n"
    "São isentos os residentes com mais de sessenta e cinco anos.",
    "Capítulo 9. Das multas\nQuem pesca sem licença paga multa de 90 cruzados ao cais.",
)


@pytest.fixture
def person(plain: Stack) -> Iterator[ApiClient]:
    client = ApiClient.sign_up(plain.base_url)
    yield client
    client.close()


def test_answer_cites_the_page_and_the_balance_pays_for_it(person: ApiClient) -> None:
    before = person.call("GET", "/api/v1/billing/balance")
    assert before["available"] == "5.00"
    document = person.upload("Lagoa Itaperema.pdf", REGULATION)
    assert document["status"] == "ready", document
    agent = person.agent(document["id"])

    run, answer, events = person.ask(agent["id"], "Quanto custa a licença de pesca por temporada?")

    names = [event.event for event in events]
    assert names[-1] == "run.completed"
    assert run["status"] == "completed"
    assert names.index("run.started") < names.index("tool.call") < names.index("tool.result")
    assert names.index("tool.result") < names.index("text.delta") < names.index("message.completed")
    text = text_of(answer)
    assert deltas(events) == text
    assert "318 cruzados" in text
    [first, *_] = answer["citations"]
    assert f"[{first['n']}]" in text
    assert (first["document"], first["page_from"], first["page_to"]) == (document["id"], 2, 2)
    chunk = person.call("GET", f"/api/v1/documents/{document['id']}/chunks/{first['chunk']}")
    assert first["quote"] in chunk["text"]
    assert all(0 <= box["x0"] < box["x1"] <= 1 and 0 <= box["y0"] < box["y1"] <= 1 for box in chunk["boxes"])

    after = person.call("GET", "/api/v1/billing/balance")
    cost = Decimal(run["cost"])
    assert cost > 0
    assert Decimal(after["posted"]) == Decimal("5.00") - cost
    assert Decimal(after["held"]) == 0
    transactions = person.call("GET", "/api/v1/billing/transactions")["results"]
    assert [(entry["kind"], Decimal(entry["amount"])) for entry in transactions] == [
        ("usage", -cost),
        ("grant", Decimal("5.00")),
    ]
    assert transactions[0]["reference"] == run["id"]
    assert sum(Decimal(entry["amount"]) for entry in transactions) == Decimal(after["posted"])


def test_event_ids_resume_without_a_lost_or_doubled_word(person: ApiClient) -> None:
    document = person.upload("Lagoa Itaperema.pdf", REGULATION)
    agent = person.agent(document["id"])
    run = person.start(agent["id"], "Qual é a multa de quem pesca sem licença?")
    seen = []
    with person.stream(f"/api/v1/runs/{run['id']}/events") as events:
        for event in events:
            seen.append(event)
            if event.event == "text.delta":
                break

    rest = person.events(run["id"], after=seen[-1].id)
    again = person.events(run["id"])

    assert [event.id for event in seen + rest] == [event.id for event in again]
    assert len({event.id for event in again}) == len(again)
    assert deltas(seen + rest) == deltas(again)
    assert "90 cruzados" in deltas(again)


def test_one_request_asks_and_brings_the_answer(person: ApiClient) -> None:
    document = person.upload("Lagoa Itaperema.pdf", REGULATION)
    agent = person.agent(document["id"])
    question = "Qual é a multa de quem pesca sem licença?"

    with person.asking("/api/v1/conversations", {"agent": agent["id"], "input": question}) as (first, events):
        begun = list(events)
    assert (begun[0].event, begun[0].data["run"]["id"]) == ("run.queued", first)
    assert begun[-1].event == "run.completed"
    assert "90 cruzados" in deltas(begun)
    assert begun == person.events(first)

    path = f"/api/v1/conversations/{begun[0].data['run']['conversation']}/runs"
    key = {"Idempotency-Key": first}
    with person.asking(path, {"input": question}, **key) as (second, events):
        seen = [next(events)]  # And the client leaves: the run goes on.
    with person.asking(path, {"input": question}, **key) as (replayed, events):
        again = list(events)

    assert replayed == second != first
    assert again[-1].event == "run.completed"
    assert again == [*seen, *person.events(second, after=seen[-1].id)]
    assert len(person.call("GET", "/api/v1/runs")["results"]) == 2
    assert Decimal(person.call("GET", "/api/v1/billing/balance")["held"]) == 0


def test_nothing_fits_is_said_in_the_language_of_the_question(person: ApiClient) -> None:
    document = person.upload("Lagoa Itaperema.pdf", REGULATION)
    agent = person.agent(document["id"])

    _, english, _ = person.ask(agent["id"], "Who composed the opera about the volcano in Iceland?")
    _, portuguese, _ = person.ask(agent["id"], "Quem compôs a ópera sobre o vulcão da Islândia?")

    assert english["citations"] == portuguese["citations"] == []
    assert text_of(english) != text_of(portuguese)
    assert "não" in text_of(portuguese).lower()


def test_stopping_keeps_the_text_and_gives_the_hold_back(person: ApiClient) -> None:
    document = person.upload("Lagoa Itaperema.pdf", REGULATION)
    agent = person.agent(document["id"])
    run = person.start(agent["id"], "Quanto custa a licença de pesca por temporada?")
    with person.stream(f"/api/v1/runs/{run['id']}/events") as events:
        next(event for event in events if event.event == "text.delta")
        person.call("POST", f"/api/v1/runs/{run['id']}/cancel")
        ending = list(events)[-1]

    assert ending.event in ("run.cancelled", "run.completed")
    assert person.call("GET", f"/api/v1/runs/{run['id']}")["status"] == ending.event.removeprefix("run.")
    assert Decimal(person.call("GET", "/api/v1/billing/balance")["held"]) == 0


def test_a_dead_worker_leaves_a_truthful_run_and_no_hold(person: ApiClient, plain: Stack) -> None:
    document = person.upload("Lagoa Itaperema.pdf", REGULATION)
    agent = person.agent(document["id"])
    run = person.start(agent["id"], "Quanto custa a licença de pesca por temporada?")
    with person.stream(f"/api/v1/runs/{run['id']}/events") as events:
        next(event for event in events if event.event == "text.delta")
        plain.kill("agents")
        plain.start("agents")
        ending = list(events)[-1]

    assert ending.event in ("run.failed", "run.completed")
    after = person.call("GET", f"/api/v1/runs/{run['id']}")
    assert after["status"] == ending.event.removeprefix("run.")
    if after["status"] == "failed":
        assert after["error"]["code"] == "worker_lost"
    balance = person.call("GET", "/api/v1/billing/balance")
    assert Decimal(balance["held"]) == 0
    assert Decimal(balance["posted"]) == Decimal("5.00") - Decimal(after["cost"])


def test_strangers_find_nothing(person: ApiClient, plain: Stack) -> None:
    document = person.upload("Lagoa Itaperema.pdf", REGULATION)
    agent = person.agent(document["id"])
    run, _, _ = person.ask(agent["id"], "Quanto custa a licença?")
    stranger = ApiClient.sign_up(plain.base_url)
    paths = [
        f"/api/v1/documents/{document['id']}",
        f"/api/v1/documents/{document['id']}/content",
        f"/api/v1/documents/{document['id']}/text",
        f"/api/v1/documents/{document['id']}/chunks",
        f"/api/v1/documents/{document['id']}/pages/1.png",
        f"/api/v1/agents/{agent['id']}",
        f"/api/v1/conversations/{run['conversation']}",
        f"/api/v1/conversations/{run['conversation']}/messages",
        f"/api/v1/runs/{run['id']}",
        f"/api/v1/runs/{run['id']}/steps",
        f"/api/v1/runs/{run['id']}/events",
    ]

    for path in paths:
        assert person.http.get(path).status_code == 200, path
        answer = stranger.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert stranger.call("POST", "/api/v1/search", {"query": "licença de pesca"})["results"] == []
    stranger.close()
