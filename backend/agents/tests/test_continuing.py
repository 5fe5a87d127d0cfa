"""A worker that dies, wherever it is: another one continues from the transcript, or the run ends truthfully.

A death is an exception that no code of ours catches, raised where the process would be gone. test_live has real ones.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation
from pytest_django import DjangoAssertNumQueries, Settings

from backend.agents.answers.answer import replay
from backend.agents.models import Run, Step
from backend.agents.reasons import in_words
from backend.agents.runs import lease, metering, recovery, runner, settlement, toolbox, transcript, worker
from backend.agents.runs.endings import Ending
from backend.agents.runs.lease import RunLost
from backend.agents.runs.toolbox import ApprovalNeeded, Toolbox
from backend.agents.stream.events import Event, key_of
from backend.agents.stream.publish import recorded
from backend.agents.tests.conftest import Ask, row
from backend.agents.tests.test_offer import PRICES, edit
from backend.agents.tests.test_reaper import expire, shown
from backend.agents.tests.test_runner import LICENCE, answer_of, assert_settled
from backend.agents.tools import search_knowledge
from backend.agents.tools.interface import Bounds, Context, Outcome, Policy
from backend.agents.tools.search_knowledge import SearchKnowledge
from backend.db.redis import client
from backend.documents import queries as documents
from backend.documents.spans import Layout, PageSpan
from backend.http.ids import decode, new_id
from backend.llm import chat
from backend.llm.catalog import catalog
from tests.actors import Person
from tests.providers import FakeProvider, Reply, ReplyCall, Usage

pytestmark = pytest.mark.django_db
FIRST = Reply(
    tool_calls=(
        ReplyCall("search_knowledge", '{"query": "licence"}', id="same"),
        ReplyCall("search_knowledge", '{"query": "exempt"}', id="same"),
    ),
    usage=Usage(1000, 0, 10),
)
SECOND = Reply(text="It costs 318 crowns [1]. Residents over 65 are exempt [2].", usage=Usage(2000, 0, 20))
COST = "0.00312"  # 3000 tokens of input at 1.00 and 30 of output at 4.00 for a million.


class Killed(BaseException):
    """The worker is gone."""


def kill(monkeypatch: pytest.MonkeyPatch, place: tuple[Any, ...]) -> None:
    """End the worker before or after the given call of a function."""
    target, name, number, when = place
    real, calls = getattr(target, name), iter(range(1, 1000))

    def dying(*args: Any, **given: Any) -> Any:
        dies = next(calls) == number
        if dies and when == "before":
            raise Killed
        result = real(*args, **given)
        if dies:
            raise Killed
        return result

    monkeypatch.setattr(target, name, dying)


def die(monkeypatch: pytest.MonkeyPatch, run: dict[str, Any], *place: Any) -> Run:
    """Carry the run until its worker dies at that place, and let its lease expire."""
    with monkeypatch.context() as patched:
        kill(patched, place)
        with pytest.raises(Killed):
            runner.execute(run_id=decode("run", run["id"]))
    left = row(run)
    expire(left)
    return left


def go_on(person: Person, run: dict[str, Any]) -> dict[str, Any]:
    """What the sweep and the next worker make of it."""
    for found in recovery.sweep():
        runner.execute(run_id=found)
    return shown(person, run)


def steps_of(run: dict[str, Any]) -> list[Step]:
    return list(Step.objects.filter(run=decode("run", run["id"])))


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that were searched, each with one passage of its own."""
    queries: list[str] = []

    def search(*, query: str, **_: Any) -> documents.SearchResult:
        queries.append(query)
        number = 40 + len(set(queries))
        found = documents.Passage(
            document_id=new_id(),
            document_name=f"{query}.pdf",
            chunk_id=new_id(),
            text=LICENCE,
            score=1.0,
            page_from=number,
            page_to=number + 1,
            char_start=100,
            char_end=100 + len(LICENCE),
            boxes=[{"page": number, "x0": 0, "y0": 0, "x1": 1, "y1": 1, "char_start": 100, "char_end": 900}],
            layout=Layout((PageSpan(number, 0, [[0] * 6]), PageSpan(number + 1, 130, ()))),
        )
        return documents.SearchResult(passages=[found], mode="lexical")

    monkeypatch.setattr(search_knowledge, "search", search)
    return queries


@pytest.fixture
def begun(ask: Ask, owner: Person, provider: FakeProvider, searched: list[str]) -> dict[str, Any]:
    """A queued run that will search twice and then answer."""
    from backend.agents.tests.test_agents import make_collection

    provider.script(FIRST, SECOND)
    return ask("How much is a licence?", carry=False, knowledge=[{"collection": make_collection(owner)}])


def assert_stream(run: dict[str, Any], before: list[Event], after: dict[str, Any]) -> None:
    """Readers have what was published before the death as it was, one end, and an answer that is the stored one."""
    events = recorded(decode("run", run["id"]))
    assert events[: len(before)] == before
    assert [event.position for event in events] == sorted({event.position for event in events})
    assert [event.name for event in events if event.is_terminal] == [f"run.{after['status']}"]
    late = [event for event in events if event.name in {"run.started", "message.started", "snapshot"}]
    replayed = replay(events)
    assert replayed is not None
    stored = row(run).output_message
    assert (replayed.parts(), replayed.citations()) == (stored.parts, stored.citations)
    assert late[0].name == "run.started"


CONTINUED = {
    "claimed": (transcript, "load", 1, "before"),
    "before the first request": (lease, "begin_step", 1, "before"),
    "reply stored": (transcript, "store", 1, "after"),
    "search begun": (lease, "begin_step", 2, "after"),
    "searched": (transcript, "store", 2, "before"),
    "search stored": (transcript, "store", 2, "after"),
    "second search begun": (lease, "begin_step", 3, "after"),
    "before the second request": (lease, "begin_step", 4, "before"),
}
IN_FLIGHT = {
    "first request sent": (lease, "begin_step", 1, "after"),
    "reply not stored": (transcript, "store", 1, "before"),
    "second request sent": (lease, "begin_step", 4, "after"),
    "answer not stored": (settlement, "finish", 1, "before"),
}


@pytest.mark.parametrize("emptied", [False, True], ids=["redis kept", "redis emptied"])
@pytest.mark.parametrize("place", CONTINUED.values(), ids=CONTINUED)
def test_another_worker_continues_from_the_transcript(  # noqa: PLR0917  # Fixtures.
    begun: dict[str, Any],
    owner: Person,
    provider: FakeProvider,
    searched: list[str],
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Any, ...],
    emptied: bool,
) -> None:
    dead = die(monkeypatch, begun, *place)
    if emptied:
        client().delete(key_of(dead.pk))
    before = recorded(dead.pk)

    after = go_on(owner, begun)

    assert (after["status"], after["attempt"], after["cost"]) == ("completed", 2, COST)
    assert after["usage"] == {"input_tokens": 3000, "cached_input_tokens": 0, "output_tokens": 30}
    assert len(provider.requests) == 2
    assert list(dict.fromkeys(searched)) == ["licence", "exempt"]
    steps = steps_of(begun)
    assert [(step.index, step.kind) for step in steps] == [(1, "model"), (2, "tool"), (3, "tool"), (4, "model")]
    answer = answer_of(owner, after)
    assert [part.get("arguments", {}).get("query") for part in answer["parts"]] == ["licence", "exempt", None]
    assert answer["parts"][-1]["text"] == SECOND.text
    assert [(cited["n"], cited["document_name"]) for cited in answer["citations"]] == [
        (1, "licence.pdf"),
        (2, "exempt.pdf"),
    ]
    assert [cited["page_to"] for cited in answer["citations"]] == [42, 43]
    assert all(cited["boxes"] for cited in answer["citations"])
    results = [message for message in provider.requests[1].body["messages"] if message["role"] == "tool"]
    assert ["licence.pdf" in results[0]["content"], "exempt.pdf" in results[1]["content"]] == [True, True]
    assert_stream(begun, before, after)
    assert_settled(owner, after)


@pytest.mark.parametrize("place", IN_FLIGHT.values(), ids=IN_FLIGHT)
def test_a_run_with_a_request_in_flight_ends_and_is_charged_once(
    begun: dict[str, Any],
    owner: Person,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Any, ...],
) -> None:
    dead = die(monkeypatch, begun, *place)
    before, sent = recorded(dead.pk), len(provider.requests)

    after = go_on(owner, begun)

    assert (after["status"], after["error"]["code"]) == ("failed", "worker_lost")
    assert len(provider.requests) == sent
    assert recovery.sweep() == []
    if place[0] is settlement:  # Its text was read: that costs what it is estimated to have used.
        assert answer_of(owner, after)["parts"][-1]["text"] == SECOND.text
        assert Decimal(after["cost"]) > Decimal("0.00104")
    assert_stream(begun, before, after)
    assert_settled(owner, after)


def test_a_death_after_the_end_was_committed_changes_nothing(
    begun: dict[str, Any], owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(monkeypatch, begun, settlement, "finish", 1, "after")

    after = go_on(owner, begun)

    assert (after["status"], after["attempt"], after["cost"]) == ("completed", 1, COST)
    assert_settled(owner, after)


def test_a_run_is_continued_twice_at_most(
    begun: dict[str, Any], owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        die(monkeypatch, begun, transcript, "store", 1, "after" if number == 1 else "before")
        assert bool(recovery.sweep()) == (number < 3)

    after = shown(owner, begun)
    assert (after["status"], after["error"]["code"], after["attempt"]) == ("failed", "worker_lost", 3)
    assert after["cost"] == "0.00104"  # The one reply that was stored.
    assert_settled(owner, after)


def test_a_worker_that_wakes_up_late_writes_nothing(
    begun: dict[str, Any], owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = die(monkeypatch, begun, transcript, "store", 1, "after")
    [found] = recovery.sweep()
    assert recovery.sweep() == []
    taken = lease.claim(found)
    assert taken is not None
    assert lease.claim(found) is None
    [step] = transcript.load(taken).steps
    step.run, usage = late, chat.Usage(input_tokens=9, cached_input_tokens=0, output_tokens=9)

    with pytest.raises(RunLost):
        transcript.store(late, step, usage=usage, answer=None)
    with pytest.raises(RunLost):
        lease.begin_step(late, transcript.Transcript(late, [step]).tool_step("search_knowledge", {}, tool=None))
    with pytest.raises(RunLost):
        settlement.finish(
            run_id=late.pk,
            conversation_id=late.conversation_id,
            epoch=late.epoch,
            ending=Ending.completed("stop"),
            answer=None,
        )
    assert len(steps_of(begun)) == 1
    expire(taken)
    assert go_on(owner, begun)["cost"] == COST


DRAINS = {
    "claimed": (transcript, "load", 0),
    "first request streams": (transcript, "end_model_step", 1),
    "busy provider": (metering, "failure_of", 1),
    "searching": (SearchKnowledge, "run", 2),
}


@pytest.mark.parametrize("place", DRAINS)
def test_a_worker_that_shuts_down_begins_no_step_and_gives_the_run_back(
    begun: dict[str, Any],
    owner: Person,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """The step that has begun ends as it would. No request and no search begins after it, though there is time."""
    run_id = decode("run", begun["id"])
    target, name, steps = DRAINS[place]
    real = getattr(target, name)
    if is_busy := place == "busy provider":
        provider._scripts[None].insert(0, Reply(status=429, retry_after=25))
    with monkeypatch.context() as patched:

        def shutting_down(*given: Any, **named: Any) -> Any:
            patched.setattr(worker, "_draining", True)
            return real(*given, **named)

        patched.setattr(target, name, shutting_down)
        assert runner.execute(run_id=run_id) == run_id  # So that another worker is notified of it.
        left = row(begun)
        assert runner.execute(run_id=run_id) == run_id  # It claims no more.
        assert row(begun).epoch == left.epoch
    assert (left.status, left.lease_owner, left.attempt) == ("queued", "", 1)
    assert [step.finished_at is not None for step in steps_of(begun)] == [True] * steps
    assert (left.started_at is not None) == (steps > 0)
    before = recorded(run_id)

    runner.execute(run_id=run_id)

    after = shown(owner, begun)
    assert (after["status"], after["cost"], len(provider.requests)) == ("completed", COST, 2 + is_busy)
    assert after["started_at"] is not None
    assert_stream(begun, before, after)
    assert_settled(owner, after)


def test_a_search_that_no_worker_runs_again_ends_with_the_run(
    begun: dict[str, Any], owner: Person, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(monkeypatch, begun, lease, "begin_step", 2, "after")
    path = settings.MODELS_FILE
    path.write_text(path.read_text().replace('name = "chat"\n', 'name = "renamed"\n'))

    after = go_on(owner, begun)

    assert (after["status"], after["error"]["code"]) == ("failed", "provider_unavailable")
    assert after["cost"] == "0.00104"
    steps = owner.get(f"/api/v1/runs/{begun['id']}/steps").json()["results"]
    assert [step["error"] and step["error"]["code"] for step in steps] == [None, "provider_unavailable"]
    assert all(step["finished_at"] for step in steps)
    assert_settled(owner, after)


def test_an_edit_of_the_catalog_before_it_goes_on_changes_no_charge(
    begun: dict[str, Any], owner: Person, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(monkeypatch, begun, transcript, "store", 3, "after")
    edit(settings, PRICES, PRICES.replace('"1.00"', '"90.00"').replace('"4.00"', '"90.00"'))

    after = go_on(owner, begun)

    assert (after["status"], after["cost"]) == ("completed", COST)
    assert_settled(owner, after)


@pytest.mark.parametrize(("stored_for", "is_sent"), [("fake-claude/claude", True), ("fake-chat/claude", False)])
def test_a_provider_gets_its_own_state_back_and_no_other(  # noqa: PLR0917  # Fixtures.
    ask: Ask,
    owner: Person,
    provider: FakeProvider,
    searched: list[str],
    monkeypatch: pytest.MonkeyPatch,
    stored_for: str,
    is_sent: bool,
) -> None:
    from backend.agents.tests.test_agents import make_collection

    provider.script(FIRST, SECOND)
    run = ask(carry=False, model="claude", knowledge=[{"collection": make_collection(owner)}])
    die(monkeypatch, run, transcript, "store", 1, "after")
    [step] = steps_of(run)
    thought = {"type": "thinking", "thinking": "A thought of its own.", "signature": "c2ln"}
    name, model = stored_for.split("/")
    assert step.messages is not None
    step.messages[0]["state"] = {"provider": name, "model": model, "items": [thought]}
    step.save()

    after = go_on(owner, run)

    assert after["status"] == "completed"
    assert ("A thought of its own." in str(provider.requests[1].body)) == is_sent
    assert "A thought of its own." not in owner.get(f"/api/v1/runs/{run['id']}/steps").content.decode()


@dataclass
class Pay:
    """A tool that changes something outside."""

    name: str = "search_knowledge"
    description: str = "Pays."
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object"})
    instructions: str = ""
    policy: Policy = Policy.AUTO
    side_effects: bool = True
    bounds: Bounds = field(default_factory=lambda: Bounds(output_bytes=100))
    paid: int = 0

    def parse(self, arguments: Any) -> Any:
        return arguments

    def run(self, context: Context, arguments: Any) -> Outcome:
        self.paid += 1
        return Outcome(text="Paid. " * 100, shown={"output": "Paid."})


@pytest.fixture
def pay(monkeypatch: pytest.MonkeyPatch) -> Pay:
    tool = Pay()
    monkeypatch.setattr(toolbox, "toolbox_of", lambda _: Toolbox([tool]))
    return tool


@pytest.mark.parametrize(
    ("place", "paid"), [((lease, "begin_step", 2, "after"), 0), ((transcript, "store", 2, "before"), 1)]
)
def test_a_tool_with_side_effects_and_no_outcome_is_never_run_again(  # noqa: PLR0917  # Fixtures.
    begun: dict[str, Any],
    owner: Person,
    pay: Pay,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Any, ...],
    paid: int,
) -> None:
    dead = die(monkeypatch, begun, *place)
    before = recorded(dead.pk)

    after = go_on(owner, begun)

    assert (after["status"], after["error"]["code"]) == ("failed", "tool_outcome_unknown")
    assert not after["error"]["retryable"]
    assert pay.paid == paid
    assert [step.error and step.error["code"] for step in steps_of(begun)] == [None, "tool_outcome_unknown"]
    with translation.override("pt-br"):
        assert in_words(after["error"]["detail"]).startswith("Uma ferramenta ")
    assert_settled(owner, after)
    assert recorded(dead.pk)[: len(before)] == before


def test_a_tool_with_side_effects_whose_outcome_is_stored_lets_the_run_go_on(
    begun: dict[str, Any], owner: Person, provider: FakeProvider, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(monkeypatch, begun, transcript, "store", 2, "after")

    after = go_on(owner, begun)

    assert (after["status"], pay.paid) == ("completed", 2)
    results = [message["content"] for message in provider.requests[1].body["messages"] if message["role"] == "tool"]
    assert all(result.startswith("Paid. Paid.") and len(result.encode()) <= 100 for result in results)


@pytest.mark.parametrize("knows", [False, True])
def test_a_tool_in_the_toolbox_is_offered_called_and_paid_for(
    ask: Ask, owner: Person, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, knows: bool
) -> None:
    from backend.agents.tests.test_agents import make_collection

    pay = Pay(name="pay", instructions="Pay only once.", bounds=Bounds(output_tokens=500))
    real = toolbox.toolbox_of
    known = {"knowledge": [{"collection": make_collection(owner)}]} if knows else {}
    plain = ask(carry=False, limits={"max_steps": 2}, **known)
    without = row(plain).reserved
    owner.post(f"/api/v1/runs/{plain['id']}/cancel")
    monkeypatch.setattr(toolbox, "toolbox_of", lambda known: Toolbox([*real(known)._tools.values(), pay]))
    provider.script(Reply(tool_calls=(ReplyCall("pay", "{}"),)), Reply(text="It is paid."))

    run = ask(limits={"max_steps": 2}, **known)

    assert (run["status"], answer_of(owner, run)["parts"][-1]["text"], pay.paid) == ("completed", "It is paid.", 1)
    first, second = [request.body for request in provider.requests]
    assert [tool["function"]["name"] for tool in first["tools"]] == ["search_knowledge"] * knows + ["pay"]
    assert "Pay only once." in first["messages"][0]["content"]
    assert second["messages"][-1]["content"].startswith("Paid.")
    assert row(run).reserved > without
    assert_settled(owner, run)


def test_a_tool_that_asks_cannot_be_used_yet_and_a_forbidden_one_is_not_offered() -> None:
    with pytest.raises(ApprovalNeeded, match="search_knowledge"):
        Toolbox([Pay(policy=Policy.ASK)])
    forbidden = Toolbox([tool := Pay(policy=Policy.NEVER)])
    assert forbidden.definitions == ()
    outcome = forbidden.use(tool.name, {}, Context(workspace_id=new_id(), tokens=1, tracker=None))  # type: ignore[arg-type]
    assert "There is no tool" in outcome.text
    assert tool.paid == 0


@pytest.mark.filterwarnings("ignore:Sending a large body")  # aiohttp, of more than a megabyte.
def test_a_transcript_of_a_megabyte_goes_on(  # noqa: PLR0917  # Fixtures.
    ask: Ask,
    owner: Person,
    provider: FakeProvider,
    settings: Settings,
    searched: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from backend.agents.tests.test_agents import make_collection

    edit(settings, PRICES, PRICES.replace('"1.00"', "0").replace('"0.25"', "0"))
    edit(settings, "context_window = 32000", "context_window = 9000000")
    output = "é\0\\u0000 " * 25_000  # With characters that PostgreSQL's JSON cannot hold.
    monkeypatch.setattr(SearchKnowledge, "run", lambda *_: Outcome(text=output, shown={"output": {}}))
    call = ReplyCall("search_knowledge", '{"query": "x"}')
    provider.script(*[Reply(tool_calls=(call,))] * 5, Reply(text="Enough."))
    run = ask(carry=False, limits={"max_steps": 6}, knowledge=[{"collection": make_collection(owner)}])
    die(monkeypatch, run, transcript, "store", 10, "after")

    after = go_on(owner, run)

    assert (after["status"], answer_of(owner, after)["parts"][-1]["text"]) == ("completed", "Enough.")
    sent = [message["content"] for message in provider.requests[-1].body["messages"] if message["role"] == "tool"]
    assert [len(content) for content in sent] == [len(output) - 25_000] * 5
    assert sum(len(content.encode()) for content in sent) > 1_000_000


def test_what_tools_returned_earlier_is_left_out_where_the_window_is_too_small(provider: FakeProvider) -> None:
    call = chat.ToolCall(id="same", name="search_knowledge", arguments="{}")
    turn = [
        chat.Message(role="assistant", tool_calls=(call,)),
        chat.Message(role="tool", text="word " * 500, tool_call_id="same"),
    ]
    question = chat.Message(role="user", text="And?")
    request = chat.ChatRequest(model=catalog().get("chat"), messages=(question, *turn, *turn, *turn))

    trimmed = transcript.trimmed(request, tokens=chat.count_request(request) // 2)

    outputs = [message.text for message in trimmed.messages if message.role == "tool"]
    assert outputs == [transcript.LEFT_OUT, transcript.LEFT_OUT, "word " * 500]
    assert chat.count_request(trimmed) <= chat.count_request(request) // 2
    assert len(trimmed.messages) == len(request.messages)


@pytest.mark.parametrize("max_steps", [1, 2])
def test_the_last_request_forbids_tools_so_that_it_brings_an_answer(
    ask: Ask, owner: Person, provider: FakeProvider, searched: list[str], max_steps: int
) -> None:
    from backend.agents.tests.test_agents import make_collection

    provider.script(*[FIRST] * (max_steps - 1), SECOND)

    run = ask(limits={"max_steps": max_steps}, knowledge=[{"collection": make_collection(owner)}])

    assert run["status"] == "completed"
    choices = [request.body.get("tool_choice") for request in provider.requests]
    assert choices == [None] * (max_steps - 1) + ["none"]
    assert all(request.body["tools"] for request in provider.requests)


def test_a_run_takes_few_statements(ask: Ask, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    run = ask(carry=False)

    # The claim; the step that begins; savepoint, locks, usage, charge, the end, release of the savepoint; the next run.
    with django_assert_num_queries(9):
        runner.execute(run_id=decode("run", run["id"]))

    assert row(run).status == "completed"


def test_a_reply_and_its_tools_take_few_statements(
    begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(SearchKnowledge, "run", lambda *_: Outcome(text="{}", shown={"output": {}}))

    # As above, and the sum of the steps; what it knows, and how far that is read; the first reply: its beginning,
    # savepoint, lock, usage, end, release; two tools: beginning and end.
    with django_assert_num_queries(9 + 1 + 2 + 6 + 2 * 2):
        runner.execute(run_id=decode("run", begun["id"]))

    assert row(begun).status == "completed"


def test_transcripts_are_deleted_with_the_conversation(begun: dict[str, Any], owner: Person) -> None:
    runner.execute(run_id=decode("run", begun["id"]))
    assert all(step.messages for step in steps_of(begun))
    shown_steps = owner.get(f"/api/v1/runs/{begun['id']}/steps").content.decode()
    assert LICENCE not in shown_steps

    owner.delete(f"/api/v1/conversations/{begun['conversation']}")
    recovery.purge_deleted()

    assert steps_of(begun) == []
