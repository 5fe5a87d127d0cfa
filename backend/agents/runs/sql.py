"""The prepared statements of the hot path: from a question to its first word, and from there to the end of the run.

Each does in one round trip what the models would do in several (see ``backend.db.sql``). Everything else about runs
goes through the models.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection
from psycopg.types.json import Jsonb

from backend.accounts.actors import Actor
from backend.agents.models import Agent, AgentVersion, Conversation, Knowledge, Message, Run, Step
from backend.db import sql

_CONVERSATION, _AGENT, _VERSION = (
    sql.Columns(Conversation, "c"),
    sql.Columns(Agent, "a"),
    sql.Columns(AgentVersion, "v"),
)
_RUN, _QUESTION, _ANSWER = sql.Columns(Run, "r"), sql.Columns(Message, "q"), sql.Columns(Message, "m")
_KNOWLEDGE, _STEP = sql.Columns(Knowledge, "k"), sql.Columns(Step, "s")

_LOCKED = f"""
SELECT {_CONVERSATION}, {_AGENT}, {_VERSION}
FROM {_CONVERSATION.table} c
JOIN {_AGENT.table} a ON a.id = c.agent_id
JOIN {_VERSION.table} v ON v.id = a.version_id
WHERE c.id = %s AND c.workspace_id = %s AND c.created_by_id = %s AND c.deleted_at IS NULL
FOR NO KEY UPDATE OF c
"""


def lock_conversation(actor: Actor, conversation_id: UUID) -> Conversation | None:
    """The actor's conversation with its agent and the agent's version, locked until the transaction ends."""
    found = sql.row(_LOCKED, [conversation_id, actor.workspace_id, actor.user_id])
    if found is None:
        return None
    conversation = _CONVERSATION.load(found)
    agent = _AGENT.load(found, start=len(_CONVERSATION))
    agent.version = _VERSION.load(found, start=len(_CONVERSATION) + len(_AGENT))
    conversation.agent = agent
    return conversation


@dataclass(frozen=True, slots=True)
class Situation:
    """What a question meets in its conversation.

    :ivar busy: a run of it has not ended.
    :ivar knowledge: what the agent knows.
    """

    busy: bool
    knowledge: list[Knowledge]


_SITUATION = f"""
SELECT EXISTS (
    SELECT FROM {_RUN.table}
    WHERE conversation_id = %s AND status IN ('queued', 'running', 'requires_action', 'cancelling')
), {_KNOWLEDGE}
FROM (SELECT) one_row LEFT JOIN {_KNOWLEDGE.table} k ON k.version_id = %s
ORDER BY k.position
"""


def situation(conversation: Conversation) -> Situation:
    """Asked after ``lock_conversation``, in a statement of its own: only that one sees what it waited for."""
    found = sql.rows(_SITUATION, [conversation.pk, conversation.agent.version_id])
    known = [_KNOWLEDGE.load(row, start=1) for row in found if row[1] is not None]  # One row of NULLs if it has none.
    return Situation(busy=found[0][0], knowledge=known)


@cache
def _insert(messages: int) -> str:
    return f"""
    WITH inserted AS (
        INSERT INTO {_ANSWER.table} ({_ANSWER.names}) VALUES {", ".join([f"({_ANSWER.places})"] * messages)}
    ), queued AS (
        INSERT INTO {_RUN.table} ({_RUN.names}) VALUES ({_RUN.places})
    )
    UPDATE {_CONVERSATION.table} SET head_id = %s, updated_at = %s, title = %s, archived_at = NULL WHERE id = %s
    RETURNING (
        SELECT count(*) FROM {_RUN.table}
        WHERE workspace_id = %s AND status IN ('queued', 'running', 'requires_action', 'cancelling')
    )
    """


def insert_run(run: Run, *, question: Message | None, title: str) -> int:
    """Store a run with its empty answer and, if it is new, its question; the answer becomes the conversation's head.

    Returns how many other runs of the workspace have not ended: exactly, if the caller holds a lock that everything
    which starts a run in the workspace takes before.
    """
    messages = [message for message in (question, run.output_message) if message is not None]
    message_values = [value for message in messages for value in _ANSWER.values(message)]
    changed = [run.output_message_id, run.created_at, title, run.conversation_id]
    others = sql.row(_insert(len(messages)), [*message_values, *_RUN.values(run), *changed, run.workspace_id])
    assert others is not None  # noqa: S101  # The conversation is locked, so it is there.
    for stored in (run, *messages):
        stored._state.adding, stored._state.db = False, connection.alias
    return int(others[0])


def lock_starts(workspace_id: UUID) -> None:
    """Have the runs of a workspace be started one after the other, where no lock on its wallet does."""
    sql.execute("SELECT pg_advisory_xact_lock(hashtextextended('agents_start:' || %s::text, 0))", [workspace_id])


_NEXT_QUEUED = f"""
SELECT id FROM {_RUN.table}
WHERE workspace_id = %s AND status = 'queued' AND NOT waits AND NOT awaits_knowledge
ORDER BY id LIMIT 1
"""


def next_queued(workspace_id: UUID) -> UUID | None:
    """The workspace's run that has waited longest, if one of them may start."""
    found = sql.row(_NEXT_QUEUED, [workspace_id])
    return None if found is None else found[0]


_STATUS = f"""
SELECT r.status
FROM {_RUN.table} r JOIN {_CONVERSATION.table} c ON c.id = r.conversation_id
WHERE r.id = %s AND r.workspace_id = %s AND r.created_by_id = %s AND c.deleted_at IS NULL
"""


def run_status(actor: Actor, run_id: UUID) -> str | None:
    """None unless it is the actor's own."""
    found = sql.row(_STATUS, [run_id, actor.workspace_id, actor.user_id])
    return None if found is None else found[0]


_WITH_ALL = f"""
LEFT JOIN {_VERSION.table} v ON v.id = r.agent_version_id
LEFT JOIN {_AGENT.table} a ON a.id = v.agent_id
LEFT JOIN {_QUESTION.table} q ON q.id = r.input_message_id
LEFT JOIN {_ANSWER.table} m ON m.id = r.output_message_id
"""
_CLAIMED = f"SELECT {_RUN}, {_VERSION}, {_AGENT}, {_QUESTION}, {_ANSWER}, m.id IS NOT NULL AND v.id IS NOT NULL"
# In claim.sql: one round trip, in which claims are counted one after the other.
_CLAIM = f"""
{_CLAIMED} FROM agents_claim_run(%s::uuid, %s::text, %s::timestamptz, %s::timestamptz, %s::int) r {_WITH_ALL}
"""
_CLAIM_AGAIN = f"{_CLAIMED} FROM {_RUN.table} r {_WITH_ALL} WHERE r.id = %s"


def claim(hint: UUID | None, *, owner: str, now: datetime, until: datetime, bound: int) -> Run | None:
    """Take the queued run that is to start next, with its version, agent and messages; None if no run may start.

    The function claims what is committed when it gets its lock. The joins around it see what was committed when the
    statement began, before it waited for that lock: they may lack the messages of a run that came in between. With
    inner joins such a run would be claimed and returned to no worker, until its lease expires. So they are outer
    joins, and a row that lacks them is read once more.

    :param hint: the run to take among those of its workspace.
    :param bound: how many runs of one workspace may be at work.
    """
    found = sql.row(_CLAIM, [hint, owner, now, until, bound])
    if found is None:
        return None
    if not found[-1]:
        found = sql.rows(_CLAIM_AGAIN, [found[0]])[0]
    run, start = _RUN.load(found), len(_RUN)
    run.agent_version, start = _VERSION.load(found, start=start), start + len(_VERSION)
    run.agent_version.agent, start = _AGENT.load(found, start=start), start + len(_AGENT)
    run.input_message, start = _QUESTION.load(found, start=start), start + len(_QUESTION)
    run.output_message = _ANSWER.load(found, start=start)
    return run


def knowledge(version_id: UUID) -> list[Knowledge]:
    """What a version of an agent knows, in the order that its owner chose."""
    statement = f"SELECT {_KNOWLEDGE} FROM {_KNOWLEDGE.table} k WHERE k.version_id = %s ORDER BY k.position"
    return [_KNOWLEDGE.load(found) for found in sql.rows(statement, [version_id])]


_BRANCH = f"""
WITH RECURSIVE walk (id, parent_id, step) AS (
    SELECT id, parent_id, 1 FROM {_QUESTION.table} WHERE id = %s
    UNION ALL
    SELECT m.id, m.parent_id, step + 1 FROM walk JOIN {_QUESTION.table} m ON m.id = walk.parent_id WHERE step < %s
)
SELECT {_QUESTION} FROM walk JOIN {_QUESTION.table} q ON q.id = walk.id ORDER BY walk.step
"""


def branch_until(message_id: UUID, *, limit: int) -> list[Message]:
    """The message and those before it on its branch, ``limit`` in all, the latest first."""
    return [_QUESTION.load(found) for found in sql.rows(_BRANCH, [message_id, limit])]


_OWNED = "id = %s AND epoch = %s AND status IN ('running', 'cancelling')"  # The run that the caller claimed.


@cache
def _begin_step(renews: bool) -> str:
    owned = (
        f"UPDATE {_RUN.table} SET lease_until = %s::timestamptz WHERE {_OWNED} RETURNING cancel_requested_at"
        if renews
        else f"SELECT cancel_requested_at FROM {_RUN.table} WHERE {_OWNED} FOR UPDATE"
    )
    return f"""
    WITH owned AS ({owned}), stored AS (
        INSERT INTO {_STEP.table} ({_STEP.names}) SELECT {_STEP.places} FROM owned ON CONFLICT DO NOTHING
    )
    SELECT cancel_requested_at IS NOT NULL FROM owned
    """


def begin_step(run: Run, step: Step, *, until: datetime | None = None) -> bool | None:
    """Store a step if the run is still the caller's: whether the run is to be cancelled, or None if it is not.

    The step may be there: this is repeated after a lost connection, and for a step that another worker had begun.

    :param until: renew the lease until then.
    """
    renewed = [] if until is None else [until]
    found = sql.row(_begin_step(until is not None), [*renewed, run.pk, run.epoch, *_STEP.values(step)])
    if found is None:
        return None
    step._state.adding, step._state.db = False, connection.alias
    return bool(found[0])


_LOCK_OWNED = f"SELECT true FROM {_RUN.table} WHERE {_OWNED} FOR UPDATE"


def lock_owned_run(run: Run) -> bool:
    """Lock the run's row until the transaction ends; False if the run is not the caller's any more."""
    return sql.row(_LOCK_OWNED, [run.pk, run.epoch]) is not None


_END_OF_STEP = """reply = %s::jsonb, usage = %s::jsonb, cost = %s::numeric, error = %s::jsonb,
            finished_at = %s::timestamptz, messages = %s::jsonb, sources = %s::jsonb"""


def _end_of_step(step: Step) -> list[Any]:
    values = [step.error, step.messages, step.sources]
    error, messages, sources = (None if value is None else Jsonb(value) for value in values)
    return [Jsonb(step.reply), Jsonb(step.usage), step.cost, error, step.finished_at, messages, sources]


_STORE_ANSWER = f""", stored AS (
        UPDATE {_ANSWER.table} m SET parts = %s::jsonb, citations = %s::jsonb
        FROM owned WHERE m.id = owned.output_message_id
    )"""


@cache
def _end_step(with_answer: bool) -> str:
    return f"""
    WITH owned AS (
        SELECT output_message_id FROM {_RUN.table} WHERE {_OWNED} FOR UPDATE
    ){_STORE_ANSWER if with_answer else ""}, ended AS (
        UPDATE {_STEP.table} s SET {_END_OF_STEP} FROM owned WHERE s.id = %s
    )
    SELECT true FROM owned
    """


def end_step(run: Run, step: Step, *, answer: tuple[list[Any], list[Any]] | None) -> bool:
    """Store what a step has returned, and the answer so far; False if the run is not the caller's any more."""
    parts = [] if answer is None else [Jsonb(value) for value in answer]
    values = [run.pk, run.epoch, *parts, *_end_of_step(step), step.pk]
    return sql.row(_end_step(answer is not None), values) is not None


@cache
def _checkpoint(with_answer: bool) -> str:
    return f"""
    WITH owned AS (
        UPDATE {_RUN.table} SET lease_until = %s
        WHERE {_OWNED} AND set_config('synchronous_commit', 'off', true) IS NOT NULL
        RETURNING cancel_requested_at, output_message_id
    ){_STORE_ANSWER if with_answer else ""}
    SELECT cancel_requested_at IS NOT NULL FROM owned
    """


def checkpoint(run: Run, *, until: datetime, answer: tuple[list[Any], list[Any]] | None) -> bool | None:
    """Renew the lease and store the parts and citations so far; returns as ``begin_step``.

    If PostgreSQL itself crashes in the next moments this may be lost, so it need not wait for the disk.
    """
    stored = [] if answer is None else [Jsonb(value) for value in answer]
    found = sql.row(_checkpoint(answer is not None), [until, run.pk, run.epoch, *stored])
    return None if found is None else bool(found[0])


# The conversation is locked first: the join has a row to lock only once ``locked`` has returned one.
_LOCK_RUN = f"""
WITH locked AS MATERIALIZED (SELECT id FROM {_CONVERSATION.table} WHERE id = %s FOR NO KEY UPDATE)
SELECT {_RUN}, {_VERSION}, {_AGENT}, {_ANSWER}
FROM locked
JOIN {_RUN.table} r ON r.conversation_id = locked.id
JOIN {_VERSION.table} v ON v.id = r.agent_version_id
JOIN {_AGENT.table} a ON a.id = v.agent_id
JOIN {_ANSWER.table} m ON m.id = r.output_message_id
WHERE r.id = %s AND r.epoch = %s
FOR NO KEY UPDATE OF r
"""


def lock_run(*, run_id: UUID, conversation_id: UUID, epoch: int) -> Run | None:
    """The run with its version, agent and answer, if that is its epoch; its conversation is locked before it.

    The answer may be older than the lock: only ``end_run`` returns its present text.
    """
    found = sql.row(_LOCK_RUN, [conversation_id, run_id, epoch])
    if found is None:
        return None
    run, start = _RUN.load(found), len(_RUN)
    run.agent_version, start = _VERSION.load(found, start=start), start + len(_VERSION)
    run.agent_version.agent, start = _AGENT.load(found, start=start), start + len(_AGENT)
    run.output_message = _ANSWER.load(found, start=start)
    return run


@cache
def _end_run(with_step: bool, with_answer: bool) -> str:
    step = f", step_ended AS (UPDATE {_STEP.table} SET {_END_OF_STEP} WHERE id = %s)" if with_step else ""
    answer = ", parts = %s::jsonb, citations = %s::jsonb" if with_answer else ""
    return f"""
    WITH ended AS (
        UPDATE {_RUN.table} SET status = %s, error = %s::jsonb, finished_at = %s::timestamptz, usage = %s::jsonb,
            cost = %s::bigint, waits = false, awaits_knowledge = false, lease_owner = '', lease_until = NULL
        WHERE id = %s
    ){step}
    UPDATE {_ANSWER.table} SET status = %s, usage = %s::jsonb, cost = %s::bigint, finish_reason = %s{answer}
    WHERE id = %s
    RETURNING parts::text, citations::text,
        EXISTS (SELECT FROM {_RUN.table} WHERE conversation_id = %s AND status = 'queued' AND waits AND id <> %s)
    """


def end_run(run: Run, *, step: Step | None, answer: tuple[list[Any], list[Any]] | None) -> bool:
    """Store the end of a locked run, of its answer and of its last ``step``; whether a run of the conversation waits.

    :param answer: parts and citations; None leaves those that are stored, and reads them into ``run.output_message``.
    """
    message, usage = run.output_message, Jsonb(run.usage)
    error = None if run.error is None else Jsonb(run.error)
    ended = [run.status, error, run.finished_at, usage, run.cost, run.pk]
    step_values = [] if step is None else [*_end_of_step(step), step.pk]
    answer_values = [message.status, usage, run.cost, message.finish_reason]
    parts = [] if answer is None else [Jsonb(value) for value in answer]
    values = [*ended, *step_values, *answer_values, *parts, message.pk, run.conversation_id, run.pk]
    found = sql.row(_end_run(step is not None, answer is not None), values)
    assert found is not None  # noqa: S101  # The run is locked, so its answer is there.
    message.parts, message.citations = json.loads(found[0]), json.loads(found[1])
    return bool(found[2])


def steps(run: Run) -> list[Step]:
    """The steps of a run, of all its attempts, the earliest first."""
    statement = f'SELECT {_STEP} FROM {_STEP.table} s WHERE s.run_id = %s ORDER BY s.attempt, s."index"'
    found = [_STEP.load(each) for each in sql.rows(statement, [run.pk])]
    for step in found:
        step.run = run
    return found
