"""What clients send. How objects are shown is in ``representations``."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backend.agents.errors import ContextTooLong
from backend.agents.models import Agent, Knowledge
from backend.agents.operations.runs import Question
from backend.agents.tools import search_knowledge
from backend.http.bodies import StrictSerializer, UnsupportedObjectField, refuse_unsupported
from backend.http.fields import BooleanField, CharField, ChoiceField, FloatField, IntegerField, ListField
from backend.http.ids import PublicIdField
from backend.http.money import MoneyField
from backend.http.openapi.fields import NOT_BLANK

PASSAGES = 8  # Of one search.
WAIT_FOR_KNOWLEDGE = (
    "Start to answer only when no document that the agent knows is being read, within the agent's `timeout_seconds`."
)


class KnowledgeSerializer(StrictSerializer):
    collection = PublicIdField("col", required=False, allow_null=True)
    document = PublicIdField("doc", required=False, allow_null=True)
    limit = IntegerField(min_value=1, max_value=50, required=False)
    mode = ChoiceField(Knowledge.Mode.choices, required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("collection") is None) == (attrs.get("document") is None):
            raise serializers.ValidationError(_("Name a collection or a document, and only one of them."))
        found = {"collection": attrs.get("collection"), "document": attrs.get("document")}
        if "limit" in attrs:
            found["limit"] = attrs["limit"]
        if "mode" in attrs:
            found["mode"] = attrs["mode"] or ""
        return found


def _completed(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items; one that names no limit or mode takes that of the others, since one search has one of each."""
    for name, default in (("limit", PASSAGES), ("mode", "")):
        named = next((item[name] for item in items if name in item), default)
        for item in items:
            item.setdefault(name, named)
    return items


class SettingsSerializer(StrictSerializer):
    temperature = FloatField(min_value=0, max_value=2, required=False)
    max_tokens = IntegerField(min_value=1, max_value=1_000_000, required=False)


class LimitsSerializer(StrictSerializer):
    max_steps = IntegerField(min_value=1, max_value=20, required=False, allow_null=True)
    max_cost = MoneyField(min_value=1, required=False, allow_null=True)
    timeout_seconds = IntegerField(min_value=1, max_value=3600, required=False, allow_null=True)


@extend_schema_field({"type": "string", "enum": [search_knowledge.NAME]})
class ToolField(CharField):
    """The name of a tool. Other tools than the search, which every agent with knowledge has, do not work yet."""

    default_error_messages = {
        "invalid": _("Send the name of a tool, as a string. The only one is `search_knowledge`."),
    }

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name != search_knowledge.NAME:
            refuse_unsupported()
        return name


class AgentSerializer(StrictSerializer):
    name = CharField(max_length=150)
    instructions = CharField(max_length=32_000, required=False, allow_blank=True, trim_whitespace=False, default="")
    model = CharField(
        max_length=200, required=False, allow_null=True, allow_blank=True, help_text="Omitted: the default model."
    )
    settings = SettingsSerializer(required=False)
    tools = ListField(child=ToolField(), required=False, max_length=20)
    knowledge = KnowledgeSerializer(many=True, required=False, max_length=100)  # type: ignore[call-arg]  # Of the list.
    limits = LimitsSerializer(required=False)
    starters = ListField(child=CharField(max_length=200), required=False, max_length=10)
    output_schema = UnsupportedObjectField()
    variables = UnsupportedObjectField()
    visibility = ChoiceField(Agent.Visibility.choices, required=False)

    def validate_knowledge(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _completed(items)

    @property
    def knowledge_items(self) -> Any:
        """None if the client sent none."""
        return self.validated_data.get("knowledge")

    @property
    def agent_fields(self) -> dict[str, Any]:
        given = {name: value for name, value in self.validated_data.items() if name != "knowledge"}
        if "variables" in given:
            given["variables"] = {}  # Both can only be emptied: older versions may have them.
        if "output_schema" in given:
            given["output_schema"] = None
        return given


class KnowledgeListSerializer(StrictSerializer):
    knowledge = KnowledgeSerializer(many=True, max_length=100)  # type: ignore[call-arg]  # Of the list.

    def validate_knowledge(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _completed(items)


class QuerySerializer(StrictSerializer):
    query = CharField(max_length=search_knowledge.MAX_QUERY_CHARACTERS)


class QuestionField(CharField):
    """Kept as it was written, but not blank: see ``RunSerializer.validate_input``."""

    pattern = NOT_BLANK


class RunSerializer(StrictSerializer):
    """One of: ``input``; ``regenerate_of`` an answer; ``edit_of`` a question, with the new ``input``."""

    input = QuestionField(required=False, trim_whitespace=False)
    regenerate_of = PublicIdField("msg", required=False)
    edit_of = PublicIdField("msg", required=False)
    max_cost = MoneyField(min_value=1, required=False, allow_null=True)
    when_busy = ChoiceField(["reject", "queue", "interrupt"], default="reject")
    wait_for_knowledge = BooleanField(default=False, help_text=WAIT_FOR_KNOWLEDGE)
    version = PublicIdField(
        "agv",
        required=False,
        allow_null=True,
        help_text="The agent's current version, or left out, which means the same.",
    )
    variables = UnsupportedObjectField(help_text="No agent takes any yet.")

    def validate_input(self, text: str) -> str:
        if not text.strip():
            raise serializers.ValidationError(_("Ask something."), code="blank")
        if len(text) > settings.RUN_INPUT_CHARACTERS:
            raise ContextTooLong
        return text

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        again, edited, said = (name in attrs for name in ("regenerate_of", "edit_of", "input"))
        if again and (said or edited):
            extra = "`input`" if said else "`edit_of`"
            refusal = _("Do not send %(member)s with `regenerate_of`.") % {"member": extra}
            raise serializers.ValidationError({"regenerate_of": [refusal]})
        if not again and not said:
            raise serializers.ValidationError({"input": [_("This field is required.")]}, code="required")
        attrs["question"] = Question(
            text=attrs.get("input"),
            regenerate_of=attrs.get("regenerate_of"),
            edit_of=attrs.get("edit_of"),
            version=attrs.get("version"),
        )
        return attrs


class ConversationSerializer(StrictSerializer):
    agent = PublicIdField("agt")
    title = CharField(max_length=200, required=False, allow_blank=True, default="")
    input = QuestionField(
        required=False, trim_whitespace=False, help_text="A first question; the answer then has its `run`."
    )
    max_cost = MoneyField(min_value=1, required=False, allow_null=True)
    wait_for_knowledge = BooleanField(default=False, help_text=WAIT_FOR_KNOWLEDGE)

    validate_input = RunSerializer.validate_input


class ConversationChangeSerializer(StrictSerializer):
    title = CharField(max_length=200, required=False, allow_blank=True)
    archived = BooleanField(required=False)
    head = PublicIdField(
        "msg", required=False, help_text="The answer that the next question follows: it chooses a branch."
    )


class FeedbackSerializer(StrictSerializer):
    rating = ChoiceField([1, -1])
    comment = CharField(max_length=4000, required=False, allow_blank=True, default="")
