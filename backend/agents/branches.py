"""Pages of the branch that a conversation shows: the messages from its first one to its ``head``.

A message names its parent, so the branch is known from the head backwards, while a page shows the oldest messages
first. A walk back from the head would read the whole conversation for each page. Hence:

1. A page walks forward from where it begins, as long as each message has one child. It reads as many rows as it shows.
2. Where a message has several children, the page walks back from the head once, to find the one on the branch.
3. A page before another one walks back from there, and reads as many rows as it shows.

A page that begins at a message of another branch, since the head was changed between two pages, shows how that other
branch continues: to know better, it would have to walk the whole conversation.
"""

from functools import cache
from typing import Any
from uuid import UUID

from backend.agents.models import Conversation, Message
from backend.db import sql

TABLE = Message._meta.db_table
FIRST = f"SELECT id FROM {TABLE} WHERE conversation_id = %s AND parent_id IS NULL LIMIT 2"  # noqa: S608  # A table's name.
CHILD = f"""SELECT m.id FROM {TABLE} p JOIN {TABLE} m ON m.parent_id = p.id
            WHERE p.conversation_id = %s AND p.id = %s LIMIT 2"""  # noqa: S608  # Likewise.


@cache
def _forward(start: str) -> str:
    """Ids along messages that have no sibling, up to the head."""
    return f"""
    WITH RECURSIVE walk (id, step) AS (
        SELECT (array_agg(id))[1], 1 FROM ({start}) two HAVING count(*) = 1
        UNION ALL
        SELECT child.id, step + 1 FROM walk CROSS JOIN LATERAL (
            SELECT (array_agg(two.id))[1] AS id
            FROM (SELECT m.id FROM {TABLE} m WHERE m.parent_id = walk.id LIMIT 2) two HAVING count(*) = 1
        ) child
        WHERE step < %s AND walk.id <> %s
    )
    SELECT id FROM walk ORDER BY step
    """  # noqa: S608  # The name of a table and one of two conditions.


_BACK = f"""
WITH RECURSIVE walk (id, parent_id, step) AS (
    SELECT id, parent_id, 1 FROM {TABLE} WHERE id = %s AND conversation_id = %s
    UNION ALL
    SELECT m.id, m.parent_id, step + 1 FROM walk JOIN {TABLE} m ON m.id = walk.parent_id WHERE step < %s
)
SELECT id FROM walk ORDER BY step
"""  # noqa: S608  # The name of a table.
_LONGEST = 2**31 - 1


def ids_after(conversation: Conversation, message: UUID | None, *, count: int) -> list[UUID]:
    """At least the next ``count`` ids of the branch after the message, or its first ones; fewer where it ends."""
    head = conversation.head_id
    if head is None or message == head:
        return []
    start, places = (FIRST, [conversation.pk]) if message is None else (CHILD, [conversation.pk, message])
    found = _ids(_forward(start), [*places, count, head])
    if len(found) >= count or (found and found[-1] == head):
        return found
    return [pk for pk in ids_back(conversation, None, count=_LONGEST) if message is None or pk > message]


def ids_back(conversation: Conversation, message: UUID | None, *, count: int) -> list[UUID]:
    """The last ``count`` ids of the branch that ends with the message, or with the head."""
    return _ids(_BACK, [message or conversation.head_id, conversation.pk, count])


def _ids(statement: str, parameters: list[Any]) -> list[UUID]:
    return [found[0] for found in sql.rows(statement, parameters)]
