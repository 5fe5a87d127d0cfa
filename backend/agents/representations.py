"""Objects as clients see them, alike in answers of the API and in events. What clients send is in ``serializers``."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from backend.agents.models import Agent, AgentVersion, Conversation, Knowledge, Message, Run, Step
from backend.documents.serializers import BoxSerializer
from backend.http.ids import PublicIdField, encode
from backend.http.money import MICRO, MoneyField, format_money

NO_PLACE: dict[str, Any] = dict.fromkeys(["char_start", "char_end", "part", "start", "end"]) | {"boxes": []}
NO_USAGE = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}


@extend_schema_serializer(component_name="TokenUsage")
class UsageRepresentation(serializers.Serializer[Any]):
    input_tokens = serializers.IntegerField(help_text="All of them, the cached ones too.")
    cached_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()


class FailureRepresentation(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    provider = serializers.CharField(allow_null=True)
    retryable = serializers.BooleanField()


class CitationBoxRepresentation(BoxSerializer):
    """A line of print: fractions of the page, origin top left, and its characters in the document's text."""


class CitationRepresentation(serializers.Serializer[Any]):
    """One quote. Several may have one ``n``: a passage that is cited twice may be cited for two sentences.

    Answers from before every quote was kept have one for each ``n``, without the members that may be null.
    """

    n = serializers.IntegerField(help_text="The number that stands in the text, as in [n].")
    document = serializers.CharField()
    document_name = serializers.CharField()
    chunk = serializers.CharField()
    page_from = serializers.IntegerField(allow_null=True, help_text="The quote's first page.")
    page_to = serializers.IntegerField(allow_null=True, help_text="The quote's last page.")
    char_start = serializers.IntegerField(allow_null=True, help_text="Where the quote begins in the document's text.")
    char_end = serializers.IntegerField(allow_null=True)
    boxes = CitationBoxRepresentation(many=True, help_text="The lines of print that the quote stands in.")
    quote = serializers.CharField(help_text="A literal piece of the chunk's text.")
    part = serializers.IntegerField(allow_null=True, help_text="The part of the message that the marker stands in.")
    start = serializers.IntegerField(
        allow_null=True, help_text="Where the marker begins in that part's text, in characters (Unicode code points)."
    )
    end = serializers.IntegerField(allow_null=True, help_text="Where it ends.")

    def to_representation(self, citation: dict[str, Any]) -> dict[str, Any]:
        return {**NO_PLACE, **citation}  # They are kept in this shape.


class ModelRepresentation(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    provider = serializers.CharField()
    kind = serializers.ChoiceField(["chat", "embedding"])
    context_window = serializers.IntegerField()
    max_output_tokens = serializers.IntegerField()
    input_price = serializers.SerializerMethodField(help_text="Per million tokens; null: cannot be run.")
    cached_input_price = serializers.SerializerMethodField()
    output_price = serializers.SerializerMethodField()
    currency = serializers.SerializerMethodField()
    available = serializers.BooleanField()
    unavailable_reason = serializers.CharField(allow_null=True)
    default = serializers.SerializerMethodField("is_default", help_text="What an agent gets that names no model.")

    def get_input_price(self, model: Any) -> str | None:
        return _price(model.input_price)

    def get_cached_input_price(self, model: Any) -> str | None:
        return _price(model.cached_input_price)

    def get_output_price(self, model: Any) -> str | None:
        return _price(model.output_price)

    def get_currency(self, model: Any) -> str:
        return settings.CURRENCY

    def is_default(self, model: Any) -> bool:
        return bool(model.id == self.context.get("default"))


def _price(price: Decimal | None) -> str | None:
    return None if price is None else format_money(price * MICRO)


class KnowledgeRepresentation(serializers.ModelSerializer[Knowledge]):
    collection = PublicIdField("col", source="collection_id", allow_null=True)
    document = PublicIdField("doc", source="document_id", allow_null=True)
    mode = serializers.SerializerMethodField()

    class Meta:
        model = Knowledge
        fields = ["collection", "document", "limit", "mode"]

    def get_mode(self, knowledge: Knowledge) -> str | None:
        return knowledge.mode or None


class KnowledgeListRepresentation(serializers.Serializer[Any]):
    knowledge = KnowledgeRepresentation(many=True)


class LimitsRepresentation(serializers.Serializer[Any]):
    max_steps = serializers.IntegerField()
    max_cost = MoneyField(allow_null=True)
    timeout_seconds = serializers.IntegerField()


class AgentRepresentation(serializers.ModelSerializer[Agent]):
    id = PublicIdField("agt")
    version = PublicIdField("agv", source="version_id")
    version_number = serializers.IntegerField(source="version.number")
    instructions = serializers.CharField(source="version.instructions")
    model = serializers.CharField(source="version.model")
    settings = serializers.JSONField(source="version.settings")
    tools = serializers.ListField(source="version.tools", child=serializers.CharField())
    knowledge = KnowledgeRepresentation(source="version.knowledge.all", many=True)
    limits = serializers.SerializerMethodField()
    starters = serializers.ListField(source="version.starters", child=serializers.CharField())
    output_schema = serializers.JSONField(source="version.output_schema", allow_null=True)
    variables = serializers.JSONField(source="version.variables")
    created_by = PublicIdField("usr", source="created_by_id", allow_null=True)
    currency = serializers.SerializerMethodField()

    class Meta:
        model = Agent
        fields = [
            *("id", "name", "instructions", "model", "settings", "tools", "knowledge", "limits", "output_schema"),
            *("variables", "starters", "visibility", "version", "version_number", "currency", "created_by"),
            *("created_at", "updated_at"),
        ]

    @extend_schema_field(LimitsRepresentation)
    def get_limits(self, agent: Agent) -> dict[str, Any]:
        return limits_of(agent.current)

    def get_currency(self, agent: Agent) -> str:
        return settings.CURRENCY


def limits_of(version: AgentVersion) -> dict[str, Any]:
    max_cost = version.limits.get("max_cost")
    return {
        "max_steps": version.limit("max_steps", settings.RUN_MAX_STEPS),
        "max_cost": None if max_cost is None else format_money(max_cost),
        "timeout_seconds": version.limit("timeout_seconds", settings.RUN_TIMEOUT_SECONDS),
    }


class ReadinessRepresentation(serializers.Serializer[Any]):
    """The documents that the agent knew when it was last looked at; those neither ready nor failed were being read."""

    total = serializers.IntegerField()
    ready = serializers.IntegerField()
    failed = serializers.IntegerField(help_text="Or cancelled.")


class RunRepresentation(serializers.ModelSerializer[Run]):
    id = PublicIdField("run")
    conversation = PublicIdField("cnv", source="conversation_id")
    agent = PublicIdField("agt", source="agent_version.agent_id")
    version = PublicIdField("agv", source="agent_version_id")
    model = serializers.CharField(source="agent_version.model")
    input_message = PublicIdField("msg", source="input_message_id")
    output_message = PublicIdField("msg", source="output_message_id")
    retry_of = PublicIdField("run", source="retry_of_id", allow_null=True)
    usage = serializers.SerializerMethodField()
    cost = MoneyField()
    reserved = MoneyField(help_text="Set aside until the run has ended.")
    max_cost = MoneyField(allow_null=True)
    error = FailureRepresentation(allow_null=True)
    knowledge = ReadinessRepresentation(allow_null=True)

    class Meta:
        model = Run
        fields = [
            *("id", "status", "conversation", "agent", "version", "model", "input_message", "output_message"),
            *("retry_of", "attempt", "usage", "cost", "reserved", "max_cost", "currency", "error"),
            *("knowledge", "cancel_requested_at", "created_at", "started_at", "finished_at"),
        ]

    @extend_schema_field(UsageRepresentation)
    def get_usage(self, run: Run) -> dict[str, int]:
        return {**NO_USAGE, **run.usage}


class FeedbackRepresentation(serializers.Serializer[Any]):
    rating = serializers.ChoiceField([1, -1])
    comment = serializers.CharField()


class MessageRepresentation(serializers.ModelSerializer[Message]):
    id = PublicIdField("msg")
    conversation = PublicIdField("cnv", source="conversation_id")
    parent = PublicIdField("msg", source="parent_id", allow_null=True)  # type: ignore[assignment]  # The field's name.
    parts = serializers.ListField(child=serializers.DictField())
    citations = CitationRepresentation(many=True)
    usage = serializers.SerializerMethodField()
    cost = MoneyField()
    currency = serializers.SerializerMethodField()
    finish_reason = serializers.SerializerMethodField(
        help_text="Of a complete answer: `length` when the model was cut off at its limit of tokens, else `stop`."
    )
    run = serializers.SerializerMethodField(help_text="The run that answers with this message; null for a question.")
    error = serializers.SerializerMethodField()
    duration_ms = serializers.SerializerMethodField(help_text="From the run's start to its end.")
    knowledge = serializers.SerializerMethodField(help_text="As the run has it.")
    feedback = serializers.SerializerMethodField()

    class Meta:
        model = Message
        fields = [
            *("id", "conversation", "parent", "role", "status", "parts", "citations", "usage", "cost", "currency"),
            *("finish_reason", "run", "error", "duration_ms", "knowledge", "feedback", "created_at"),
        ]

    @extend_schema_field(UsageRepresentation)
    def get_usage(self, message: Message) -> dict[str, int]:
        return {**NO_USAGE, **message.usage}

    @extend_schema_field(serializers.ChoiceField(["stop", "length"], allow_null=True))
    def get_finish_reason(self, message: Message) -> str | None:
        return message.finish_reason or None

    def get_currency(self, message: Message) -> str:
        run = _run(message)
        return run.currency if run else settings.CURRENCY

    def get_run(self, message: Message) -> str | None:
        run = _run(message)
        return run.public_id if run else None

    @extend_schema_field(FailureRepresentation(allow_null=True))
    def get_error(self, message: Message) -> dict[str, Any] | None:
        run = _run(message)
        return run.error if run else None

    @extend_schema_field(ReadinessRepresentation(allow_null=True))
    def get_knowledge(self, message: Message) -> dict[str, int] | None:
        run = _run(message)
        return run.knowledge if run else None

    def get_duration_ms(self, message: Message) -> int | None:
        run = _run(message)
        if run is None or run.started_at is None or run.finished_at is None:
            return None
        return round((run.finished_at - run.started_at).total_seconds() * 1000)

    @extend_schema_field(FeedbackRepresentation(allow_null=True))
    def get_feedback(self, message: Message) -> dict[str, Any] | None:
        """Read from ``given``, if that was fetched. A conversation is one person's, so there is at most one."""
        given = next(iter(getattr(message, "given", ())), None)
        return {"rating": given.rating, "comment": given.comment} if given else None


def _run(message: Message) -> Run | None:
    if message.role != Message.Role.ASSISTANT:
        return None
    run: Run | None = getattr(message, "run", None)
    return run


class ConversationRepresentation(serializers.ModelSerializer[Conversation]):
    id = PublicIdField("cnv")
    agent = PublicIdField("agt", source="agent_id")
    agent_name = serializers.CharField(source="agent.name")
    head = PublicIdField("msg", source="head_id", allow_null=True)
    archived = serializers.SerializerMethodField()
    active_run = serializers.SerializerMethodField(help_text="The run that has not ended, if there is one.")

    class Meta:
        model = Conversation
        fields = ["id", "agent", "agent_name", "title", "head", "active_run", "archived", "created_at", "updated_at"]

    def get_archived(self, conversation: Conversation) -> bool:
        return conversation.archived_at is not None

    def get_active_run(self, conversation: Conversation) -> str | None:
        run_id: UUID | None = getattr(conversation, "active_run_id", None)
        return encode("run", run_id) if run_id else None


class BegunConversationRepresentation(ConversationRepresentation):
    run = RunRepresentation(required=False, help_text="The run that answers the first question; only with `input`.")

    class Meta(ConversationRepresentation.Meta):
        fields = [*ConversationRepresentation.Meta.fields, "run"]


class StepRepresentation(serializers.ModelSerializer[Step]):
    id = PublicIdField("stp")
    run = PublicIdField("run", source="run_id")
    usage = serializers.SerializerMethodField()
    cost = serializers.SerializerMethodField(help_text="Exact up to 6 places; the run is rounded up once as a whole.")
    currency = serializers.CharField(source="run.currency")
    error = FailureRepresentation(allow_null=True)

    class Meta:
        model = Step
        fields = [
            *("id", "run", "attempt", "index", "kind", "model", "provider", "request", "reply", "usage", "cost"),
            *("currency", "error", "started_at", "finished_at"),
        ]

    @extend_schema_field(UsageRepresentation)
    def get_usage(self, step: Step) -> dict[str, int]:
        return {**NO_USAGE, **step.usage}

    def get_cost(self, step: Step) -> str:
        return format_money(Decimal(step.cost) * MICRO)


# Made once: copying a serializer's fields for every object costs more than showing it.
_RUN, _MESSAGE, _STEP = RunRepresentation(), MessageRepresentation(), StepRepresentation()


def run_data(run: Run) -> dict[str, Any]:
    """Needs ``agent_version`` loaded."""
    return dict(_RUN.to_representation(run))


def message_data(message: Message) -> dict[str, Any]:
    """Needs ``run`` loaded on an answer."""
    return dict(_MESSAGE.to_representation(message))


def step_data(step: Step) -> dict[str, Any]:
    return dict(_STEP.to_representation(step))
