"""Agents, conversations and runs in the OpenAPI document: words, examples, and what their events carry."""

from typing import Any

from django.conf import settings

from backend.agents.members import MEMBERS, OUTPUT
from backend.http.openapi.descriptions import Schema, Texts, describe, operations
from backend.http.openapi.examples import SUFFIX
from backend.http.openapi.operations import id_schema
from backend.http.openapi.streams import Events, response_of

TAGS = {
    "models": "The language models that this server offers, with their prices.",
    "agents": "Instructions, a model and knowledge under one name. Every change but that of name and visibility makes "
    "a new version.",
    "conversations": "What one person and one agent say to each other, and the runs that answer.",
    "messages": "Feedback on answers.",
    "runs": "A run answers one question: it searches, asks the model, streams, and is charged when it ends.",
}
STREAMED = ("Location", "Orquestra-Run")
CREATED, ACCEPTED = {"201": ("Location",)}, {"202": ("Location",)}
BEGUN, STARTED = {**CREATED, "200": STREAMED}, {**ACCEPTED, "200": STREAMED}
IF_STREAMED = "If `Accept` prefers `text/event-stream`: the run's events, from `run.queued` until it has ended."
ASKING = ("insufficient_balance", "conversation_busy", "conflict", "model_unpriced", "context_too_long")
TEXTS: dict[str, Texts] = {
    "models_list": Texts(
        "List models",
        "Every model that is offered here, also those whose provider lacks its key: `available` says which to use.",
    ),
    "agents_list": Texts("List agents", "The agents of the workspace that the caller may see, the newest first."),
    "agents_create": Texts(
        "Create an agent",
        "Only `name` is needed: without a `model` the agent gets the default one, without `knowledge` it searches "
        "nothing. A document or collection that the caller may not see is refused with 404.",
        ("model_unpriced",),
        headers=CREATED,
    ),
    "agents_retrieve": Texts("Get an agent", "The agent with the settings and the knowledge of its current version."),
    "agents_partial_update": Texts(
        "Change an agent",
        "Members that are left out stay as they are. Anything but `name` and `visibility` makes a new version; runs "
        "that are under way keep theirs.",
        ("model_unpriced", "conflict"),
    ),
    "agents_destroy": Texts(
        "Delete an agent", "Conversations with it stay readable, but take no more questions (409 `conflict`)."
    ),
    "agents_knowledge_retrieve": Texts(
        "Get an agent's knowledge",
        "The documents and collections that the agent searches, in the order they were given.",
    ),
    "agents_knowledge_update": Texts(
        "Replace an agent's knowledge",
        "All that the agent is to search from now on; the list may also be sent bare. It makes a new version.",
        ("conflict",),
    ),
    "agents_knowledge_search_create": Texts(
        "Try an agent's search", "The passages that the agent would be given for this query. No model is asked."
    ),
    "conversations_list": Texts(
        "List conversations",
        "The caller's own conversations, the one with the latest change first. Archived ones are "
        "listed with `archived=true` only.",
    ),
    "conversations_create": Texts(
        "Begin a conversation",
        "With `input` it begins with a first question, and `run` of the answer is the run that answers it; with "
        "`Accept: text/event-stream` the response is that run's event stream. If the run is refused, no conversation "
        "is made.",
        ASKING,
        headers=BEGUN,
    ),
    "conversations_retrieve": Texts(
        "Get a conversation",
        "`head` is its latest message and `active_run` the run that has not ended, if there is one.",
    ),
    "conversations_partial_update": Texts(
        "Change a conversation",
        "Its title, whether it is archived, or the `head` of the branch that is shown. What is left out stays.",
    ),
    "conversations_destroy": Texts(
        "Delete a conversation",
        "With everything that was said. A run that has not ended is cancelled and charged for what it used.",
    ),
    "conversations_messages_list": Texts(
        "List messages",
        "The oldest first. An answer that is being written has the status `streaming` and names its `run`. With "
        "`branch=all`, answers and questions that were replaced are listed too.",
    ),
    "conversations_runs_create": Texts(
        "Ask a question",
        "Queues a run and holds the maximum that its answer can cost; what it does not use is given back when it ends. "
        "With `Accept: text/event-stream` the response is the run's event stream. A client that leaves does not stop "
        "the run; it continues with the path in `Location` and `/events`, and `Last-Event-ID`. Otherwise the response "
        "is 202 with the run at once.",
        ASKING,
        headers=STARTED,
    ),
    "messages_feedback_update": Texts(
        "Rate an answer",
        "1 or -1, with a comment if wanted. A second rating of the same message replaces the first.",
        ("conflict",),
    ),
    "runs_list": Texts("List runs", "The caller's own runs, the latest first."),
    "runs_retrieve": Texts("Get a run", "Its status, what it used and cost, and `error` if it failed."),
    "runs_steps_list": Texts(
        "List a run's steps", "Each request to the provider and each use of a tool, in the order they happened."
    ),
    "runs_cancel_create": Texts(
        "Cancel a run",
        "The provider is stopped, the text so far is kept, and what was used is charged. A run that has ended is "
        "refused with 409.",
        ("conflict",),
        headers=ACCEPTED,
    ),
    "runs_retry_create": Texts(
        "Retry a run",
        "Asks the same question again in a new run, after one that failed or was cancelled. With "
        "`Accept: text/event-stream` the response is its event stream.",
        ASKING,
        headers=STARTED,
    ),
    "runs_events": Texts(
        "Follow a run",
        "Everything that happens in the run, from the start or after `Last-Event-ID` (or `after`), until it has "
        "ended. A stream that ends without `run.completed`, `run.failed` or `run.cancelled` was interrupted: ask again "
        "with the id of the last event.",
    ),
}

MESSAGE, RUN = f"msg_{SUFFIX}", f"run_{SUFFIX}"
EXAMPLES: dict[str, Schema] = {
    "Model": {
        "id": "offline",
        "name": "offline",
        "context_window": 128_000,
        "max_output_tokens": 2048,
        "input_price": "0.40",
        "output_price": "1.60",
        "available": True,
        "default": True,
    },
    "AgentRequest": {
        "name": "Reader",
        "instructions": "Answer briefly.",
        "knowledge": [{"document": f"doc_{SUFFIX}"}],
        "limits": {"max_cost": "0.50"},
    },
    "PatchedAgentRequest": {"instructions": "Answer briefly."},
    "Agent": {
        "instructions": "Answer briefly.",
        "settings": {"temperature": 0.2},
        "tools": ["search_knowledge"],
        "knowledge": [{"document": f"doc_{SUFFIX}", "limit": 8}],
        "starters": ["When does the contract end?"],
        "limits": {"max_steps": 8, "max_cost": "0.50", "timeout_seconds": 300},
        "variables": {},
        "visibility": "workspace",
        "version_number": 1,
        "created_by": f"usr_{SUFFIX}",
    },
    "KnowledgeRequest": {"document": f"doc_{SUFFIX}"},
    "Knowledge": {"document": f"doc_{SUFFIX}", "limit": 8},
    "ConversationRequest": {"agent": f"agt_{SUFFIX}", "input": "When does the contract end?"},
    "PatchedConversationChangeRequest": {"title": "The contract"},
    "Conversation": {"head": MESSAGE},
    "BegunConversation": {
        "head": MESSAGE,
        "active_run": RUN,
        "run": {"status": "queued", "attempt": 1, "cost": "0.00", "reserved": "0.001875", "max_cost": "0.50"},
    },
    "Readiness": {"total": 3, "ready": 2, "failed": 0},
    "RunRequest": {"input": "When does the contract end?", "max_cost": "0.10"},
    "Run": {
        "status": "completed",
        "attempt": 1,
        "cost": "0.000187",
        "reserved": "0.00",
        "usage": {"input_tokens": 412, "cached_input_tokens": 0, "output_tokens": 14},
        "started_at": "2026-01-31T09:30:00Z",
        "finished_at": "2026-01-31T09:30:02Z",
    },
    "Message": {
        "parent": MESSAGE,
        "role": "assistant",
        "status": "complete",
        "run": RUN,
        "finish_reason": "stop",
        "parts": [{"type": "text", "text": "The contract ends on 31 December 2027. [1]"}],
        "cost": "0.000187",
        "usage": {"input_tokens": 412, "cached_input_tokens": 0, "output_tokens": 14},
        "duration_ms": 2000,
    },
    "Step": {
        "kind": "model",
        "index": 1,
        "attempt": 1,
        "request": {"max_tokens": 2048},
        "reply": {"finish_reason": "stop"},
        "cost": "0.000187",
        "finished_at": "2026-01-31T09:30:02Z",
        "usage": {"input_tokens": 412, "cached_input_tokens": 0, "output_tokens": 14},
    },
    "FeedbackRequest": {"rating": 1, "comment": "Right, and brief."},
    "Feedback": {"rating": 1, "comment": "Right, and brief."},
}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _of(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Schema = {"type": "string"}
ANY: Schema = {"description": "What the model sent: an object if it kept to the tool's schema."}
ERROR: Schema = {**TEXT, "description": "Why the tool gave nothing."}
DELTA = _object(
    message=id_schema("msg"),
    part={"type": "integer", "minimum": 0, "description": "The index in `parts`; a new one begins a new part."},
    delta={**TEXT, "description": "Append it to the text of the part."},
)
COUNT: Schema = {"type": "integer", "minimum": 0}
PENDING = _object(
    message=id_schema("msg"),
    total=COUNT,
    ready=COUNT,
    failed=COUNT,
    waiting={"type": "boolean", "description": "Whether the run waits for them (`wait_for_knowledge`)."},
)
CALL = _object(message=id_schema("msg"), id=id_schema("stp"), name=TEXT, arguments=ANY)
RESULT: Schema = _object(message=id_schema("msg"), id=id_schema("stp"))
RESULT["properties"] |= {"output": OUTPUT, "error": ERROR}

PART_OF_TEXT = _object(type={"type": "string", "enum": ["text", "reasoning"]}, text=TEXT)
PART_OF_TOOL = _object(type={"type": "string", "enum": ["tool_call"]}, id=id_schema("stp"), name=TEXT, arguments=ANY)
PART_OF_TOOL["properties"] |= {"output": OUTPUT, "error": ERROR}

# What the serializers check beyond single members. As conditions, of which generators of clients make no odd types.
ONE_OF_TWO: Schema = {
    "if": {"required": ["document"], "properties": {"document": {"type": "string"}}},
    "then": {"properties": {"collection": {"type": "null"}}},
    "else": {"required": ["collection"], "properties": {"collection": {"type": "string"}}},
}
AGAIN_OR_NEW: Schema = {
    "if": {"required": ["regenerate_of"]},
    "then": {"not": {"anyOf": [{"required": ["input"]}, {"required": ["edit_of"]}]}},
    "else": {"required": ["input"]},
}

EVENTS = Events(
    union="RunEvent",
    prefix="run",
    id_pattern="^[0-9]{1,9}-[0-9]{1,9}$",
    payloads={
        "run.queued": ("The run waits for a worker; again if a worker was lost.", _object(run=_of("Run"))),
        "run.started": ("A worker has begun, or continues after another one was lost.", _object(run=_of("Run"))),
        "run.completed": ("The answer is complete. The stream ends.", _object(run=_of("Run"))),
        "run.failed": ("The run failed: see `run.error`. The stream ends.", _object(run=_of("Run"))),
        "run.cancelled": ("The run was cancelled. The stream ends.", _object(run=_of("Run"))),
        "knowledge.pending": (
            "Documents that the agent knows are still being read; again when the numbers change while the run waits.",
            PENDING,
        ),
        "step.started": ("A request to the model begins.", _of("Step")),
        "step.finished": ("It has ended, with `usage` and `cost`.", _of("Step")),
        "message.started": ("The answer begins, empty.", _object(message=_of("Message"))),
        "message.completed": ("The answer as the REST API shows it from now on.", _object(message=_of("Message"))),
        "text.delta": ("More of the answer's text.", DELTA),
        "reasoning.delta": ("More of what the model thinks, of models that show it.", DELTA),
        "tool.call": ("The agent uses a tool.", CALL),
        "tool.result": ("What came of it: `output` or `error`.", RESULT),
        "citation.added": (
            "A quote that a marker in the text stands for; it comes when the marker is certain.",
            _object(message=id_schema("msg"), citation=_of("Citation")),
        ),
        "snapshot": (
            "The question and the answer so far: replace what you show. Sent when earlier events have "
            "expired, and when another worker continues the run.",
            _object(messages={"type": "array", "items": _of("Message")}),
        ),
    },
)


STREAMING = ("conversations_create", "conversations_runs_create", "runs_retry_create")


def add_agents(result: Schema, **kwargs: Any) -> Schema:
    """A postprocessing hook of drf-spectacular."""
    describe(result, TEXTS, TAGS, EXAMPLES, MEMBERS)
    for _, _, operation in operations(result):
        if operation["operationId"] in STREAMING:
            operation["responses"]["200"] = response_of(EVENTS, IF_STREAMED)
    schemas = result["components"]["schemas"]
    if "Message" in schemas:
        schemas["MessageTextPart"], schemas["MessageToolCallPart"] = PART_OF_TEXT, PART_OF_TOOL
        schemas["MessagePart"] = {"oneOf": [_of("MessageTextPart"), _of("MessageToolCallPart")]}
        schemas["Agent"]["properties"] |= {
            "settings": {"type": "object", "additionalProperties": True},
            "output_schema": {"type": ["object", "null"], "additionalProperties": True},
            "variables": {"type": "object", "additionalProperties": True},
        }
        schemas["KnowledgeRequest"] |= ONE_OF_TWO
        schemas["RunRequest"] |= AGAIN_OR_NEW
        for name in ("RunRequest", "ConversationRequest"):
            schemas[name]["properties"]["input"]["maxLength"] = settings.RUN_INPUT_CHARACTERS
        schemas["Message"]["properties"]["parts"] = {"type": "array", "items": _of("MessagePart")}
    return result
