"""Lists of messages: the branch that is shown, page by page, whatever the length of the conversation."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.agents.models import Conversation, Message
from backend.db import sql
from backend.http.ids import decode, encode, new_id
from tests.actors import Person


def grow(conversation: dict[str, Any], parent: UUID | None, length: int) -> list[UUID]:
    """Add so many messages after the parent; the last one becomes the head."""
    owner = Conversation.objects.get(pk=decode("cnv", conversation["id"]))
    made = []
    for place in range(length):
        text = [{"type": "text", "text": f"Message {place}"}]
        role = "user" if place % 2 == 0 else "assistant"
        made.append(Message(id=new_id(), conversation=owner, parent_id=parent, role=role, parts=text))
        parent = made[-1].pk
    Message.objects.bulk_create(made)
    Conversation.objects.filter(pk=owner.pk).update(head_id=parent)
    return [message.pk for message in made]


def pages(person: Person, conversation: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    path: str | None = f"/api/v1/conversations/{conversation['id']}/messages?limit={limit}"
    while path is not None:
        page = person.get(path).json()
        yield page
        path = page["next"]


def ids_of(page: dict[str, Any]) -> list[UUID]:
    return [decode("msg", message["id"]) for message in page["results"]]


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_pages_show_the_branch_to_the_head_and_nothing_else(
    owner: Person, conversation: dict[str, Any], limit: int
) -> None:
    first = grow(conversation, None, 8)
    side = grow(conversation, first[3], 4)  # Another way on from the middle,
    end = grow(conversation, first[3], 2)
    other = grow(conversation, None, 2)  # another first question,
    last = grow(conversation, end[-1], 4)
    again = grow(conversation, last[1], 2)  # and another answer at the end.
    branches = {
        first[-1]: first,
        side[-1]: first[:4] + side,
        other[-1]: other,
        last[-1]: first[:4] + end + last,
        again[-1]: first[:4] + end + last[:2] + again,
        first[3]: first[:4],  # A head with messages after it.
    }

    for head, expected in branches.items():
        Conversation.objects.update(head_id=head)
        seen = list(pages(owner, conversation, limit))
        assert [pk for page in seen for pk in ids_of(page)] == expected, encode("msg", head)
        before, back = seen[-1]["previous"], []
        while before is not None:
            page = owner.get(before).json()
            back.append(ids_of(page))
            before = page["previous"]
        assert [pk for page in back[::-1] for pk in page] == [pk for page in seen[:-1] for pk in ids_of(page)]
    everything = owner.get(f"/api/v1/conversations/{conversation['id']}/messages?branch=all&limit=200").json()
    assert len(everything["results"]) == 22


def test_a_cursor_of_another_conversation_shows_nothing_of_it(owner: Person, agent: dict[str, Any]) -> None:
    mine, other = (owner.post("/api/v1/conversations", {"agent": agent["id"]}).json() for _ in range(2))
    grow(mine, None, 2)
    foreign = grow(other, None, 6)

    for way in "np":
        path = f"/api/v1/conversations/{mine['id']}/messages?cursor={way}0_{foreign[2].hex}"
        assert not {*ids_of(owner.get(path).json())} & {*foreign}


def rows_read(statement: str, parameters: Sequence[Any] | None = None) -> int:
    """Rows that PostgreSQL reads or makes for the statement, in all steps of its plan."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        [(found,)] = cursor.fetchall()
    plan = json.loads(found) if isinstance(found, str) else found

    def total(node: dict[str, Any]) -> float:
        own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        return float(own) + sum(total(inner) for inner in node.get("Plans", ()))

    return round(total(plan[0]["Plan"]))


@pytest.mark.parametrize("page", ["first", "next", "last", "previous"])
def test_a_page_reads_no_more_of_a_long_conversation(
    owner: Person, agent: dict[str, Any], page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[tuple[str, Sequence[Any]]] = []
    rows = sql.rows

    def recording(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        prepared.append((statement, parameters))
        return rows(statement, parameters)

    monkeypatch.setattr(sql, "rows", recording)
    read: list[tuple[int, int]] = []
    for length in (30, 3_000):
        conversation = owner.post("/api/v1/conversations", {"agent": agent["id"]}).json()
        messages = grow(conversation, None, length)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE agents_message")
        cursor_of = {
            "first": "",
            "next": f"&cursor=n0_{messages[9].hex}",
            "last": f"&cursor=n0_{messages[-11].hex}",
            "previous": f"&cursor=p0_{messages[-1].hex}",
        }
        prepared.clear()
        with CaptureQueriesContext(connection) as asked:
            answer = owner.get(f"/api/v1/conversations/{conversation['id']}/messages?limit=10{cursor_of[page]}")
        assert len(answer.json()["results"]) == 10
        composed = [query["sql"] for query in asked if str(query["sql"]).startswith("SELECT")]
        total = sum(map(rows_read, composed)) + sum(rows_read(*each) for each in prepared)
        read.append((len(asked), total))

    (statements_of_short, rows_of_short), (statements_of_long, rows_of_long) = read
    assert statements_of_long == statements_of_short
    assert rows_of_long <= rows_of_short * 1.5
