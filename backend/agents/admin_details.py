"""Sections below the fields of an agent, a conversation and a run in the admin. Each is bounded.

Texts that users wrote (instructions, questions, answers, queries) and found passages are shown to superusers only.
"""

import json
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from typing import Any

from django.conf import settings
from django.db.models import Sum
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext, pgettext_lazy

from backend.accounts.operators import cells
from backend.accounts.operators.current import may_read_texts
from backend.accounts.operators.labels import code_label, field_label, translate
from backend.accounts.operators.model_admin import Section
from backend.agents.models import Agent, AgentVersion, Conversation, Knowledge, Message, Run, Step
from backend.agents.reasons import in_words
from backend.agents.runs import cost
from backend.http.money import MICRO

MAX_VERSIONS, MAX_KNOWLEDGE, MAX_STEPS, MAX_SOURCES = 20, 100, 100, 50  # Rows of a section.
MESSAGES_PER_PAGE = 30
MAX_TEXT = 20_000  # Characters of instructions or of one message.
ENDS = {
    "stop": pgettext_lazy("step", "the answer ended by itself"),
    "length": pgettext_lazy("step", "the answer reached its longest length"),
    "tool_calls": pgettext_lazy("step", "the model asked for tools"),
}
TOOLS = {"search_knowledge": pgettext_lazy("tool", "search of the knowledge")}
MAX_RESULT = 1_500  # Characters of a tool's arguments or of its result.

for model in (
    AgentVersion,
    Knowledge,
    Message,
    Step,
):  # They have no page, whose registration would translate their labels.
    translate(model)


def currency() -> str:
    """The currency of an agent's limits, which belong to no wallet."""
    return settings.CURRENCY


def failure(error: dict[str, Any] | None) -> Any:
    """Why a run or a step failed, with its code in the title, and whether another attempt may succeed."""
    if not error:
        return "-"
    again = _("Another attempt may succeed.") if error.get("retryable") else _("Another attempt will fail as well.")
    code, name = str(error.get("code", "")), error.get("provider")
    detail = in_words(error.get("detail"), provider=name)
    provider = _("Provider: %(name)s.") % {"name": name} if name and name not in detail else ""
    shown = cells.reason(code_label("run.error", code), detail, code=code)
    return format_html("{} {} {}", shown, provider, again)


def agent_sections(agent: Agent) -> list[Section]:
    """Instructions and knowledge of the current version, and the earlier versions."""
    found = [_instructions(agent)] if may_read_texts() else []
    known = Knowledge.objects.filter(version=agent.version).select_related("collection", "document")[:MAX_KNOWLEDGE]
    versions = agent.versions.order_by("-number").select_related("created_by").defer("instructions")[:MAX_VERSIONS]
    return [
        *found,
        Section(
            title=_("Knowledge"),
            headers=[_("What"), _("Name"), field_label("limit"), field_label("mode")],
            rows=[_known(row) for row in known],
            note="" if known else _("It knows no collection and no document."),
        ),
        Section(
            title=_("Versions"),
            headers=[*map(field_label, ["number", "model", "settings", "tools", "limits", "created_by", "created_at"])],
            rows=[
                [
                    version.number,
                    version.model,
                    cells.facts(version.settings, currency=currency()),
                    ", ".join(version.tools) or "-",
                    cells.facts(version.limits, currency=currency()),
                    cells.link(version.created_by),
                    cells.moment(version.created_at),
                ]
                for version in versions
            ],
            note=_("The newest %(count)d.") % {"count": MAX_VERSIONS} if len(versions) == MAX_VERSIONS else "",
        ),
    ]


def _instructions(agent: Agent) -> Section:
    text = agent.version.instructions if agent.version else ""
    return Section(title=_("Instructions"), text=_bounded(text, MAX_TEXT) or _("None."))


def _known(row: Knowledge) -> list[Any]:
    target = row.collection or row.document
    kind = target._meta.verbose_name if target is not None else "-"
    return [kind, cells.link(target), row.limit, row.get_mode_display() or "-"]


def conversation_sections(conversation: Conversation, *, page: str) -> list[Section]:
    """The messages, a page at a time, and the runs that answered."""
    if not may_read_texts():
        return []
    found = conversation.messages.order_by("pk").select_related("run")
    total = found.count()
    last = max(1, -(-total // MESSAGES_PER_PAGE))
    number = min(last, max(1, int(page))) if page.isascii() and page.isdigit() and len(page) < 8 else 1
    shown = found[(number - 1) * MESSAGES_PER_PAGE : number * MESSAGES_PER_PAGE]
    near = sorted({1, last, *range(max(1, number - 3), min(last, number + 3) + 1)})
    return [
        Section(
            title=_("Messages"),
            headers=[field_label("created_at"), field_label("role"), field_label("text"), field_label("run")],
            rows=[_message(message, conversation) for message in shown],
            pages=[(other, f"?page={other}", other == number) for other in near] if last > 1 else (),
        )
    ]


def _message(message: Message, conversation: Conversation) -> list[Any]:
    run: Run | None = getattr(message, "run", None) if message.role == Message.Role.ASSISTANT else None
    text = format_html('<div class="said">{}</div>', _bounded(message.text, MAX_TEXT) or "-")
    state = (
        "" if message.status == Message.Status.COMPLETE else cells.badge(message.status, message.get_status_display())
    )
    role = format_html("{} {}", message.get_role_display(), state)
    about = "-" if run is None else format_html("{}<br>{}", cells.link(run, cells.ident(run.public_id)), _cost(run))
    return [cells.moment(message.created_at), role, text, about]


def _cost(run: Run) -> str:
    return cells.amount(run.cost, run.currency)


def run_sections(run: Run) -> list[Section]:
    """The question, the steps in their order, the answer, and what it cites."""
    steps = list(run.steps.all()[: MAX_STEPS + 1])
    notes = [_("The first %(count)d.") % {"count": MAX_STEPS}] if len(steps) > MAX_STEPS else []
    notes.append(
        _("The texts that the model read (passages, tool results) are not shown to operators: they are users' content.")
    )
    section = Section(
        title=_("Steps"),
        headers=[
            _("No."),
            field_label("kind"),
            _("What happened"),
            field_label("tokens"),
            field_label("cost"),
            _("Time"),
        ],
        rows=[*(_step(step, run) for step in steps[:MAX_STEPS]), *([_total(run)] if steps else [])],
        note=" ".join(notes),
    )
    if not may_read_texts():
        return [section]
    question, answer = run.input_message, run.output_message
    return [
        Section(title=_("Question"), text=_bounded(question.text, MAX_TEXT) or "-"),
        section,
        Section(title=_("Answer"), text=_bounded(answer.text, MAX_TEXT) or _("None.")),
        *([_sources(answer)] if answer.citations else []),
    ]


def _sources(answer: Message) -> Section:
    return Section(
        title=_("Cited"),
        headers=[_("No."), field_label("document"), field_label("page"), _("Quote")],
        rows=[
            [
                source.get("n"),
                format_html(
                    "{}<br>{}",
                    cells.clipped(source.get("document_name") or "-"),
                    cells.reference(source.get("document") or ""),
                ),
                source.get("page_from") or "-",
                _bounded(source.get("quote"), 500),
            ]
            for source in answer.citations[:MAX_SOURCES]
        ],
    )


def _step(step: Step, run: Run) -> list[Any]:
    what = _model_step(step) if step.kind == Step.Kind.MODEL else _tool_step(step)
    if step.error:
        what = format_html("{}<br>{}", what, failure(step.error))
    number = f"{step.attempt}.{step.index}" if run.attempt > 1 else step.index
    tokens = _tokens(step.usage)
    cost = _money(cells.exact(step.cost, run.currency)) if step.kind == Step.Kind.MODEL else "-"
    return [number, step.get_kind_display(), what, tokens, cost, _lasted(step)]


def _money(text: str) -> Any:
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def _total(run: Run) -> list[Any]:
    """The cost of all steps, and why the charge may differ from it."""
    cost = run.steps.aggregate(total=Sum("cost"))["total"] or Decimal(0)
    rounded = int((cost * MICRO).to_integral_value(ROUND_CEILING))
    charged = cells.amount(run.cost, run.currency)
    if not run.is_terminal:
        text = _("Charged when the run ends.")
    elif rounded > run.cost:
        text = _("%(charged)s charged: the limit of the run or the balance did not cover the rest.")
    elif rounded == run.cost and rounded != cost * MICRO:
        text = _("%(charged)s charged: the sum is rounded up once, to a millionth.")
    else:
        text = _("%(charged)s charged.")
    shown = text % {"charged": charged} if run.is_terminal else text
    return [format_html("<strong>{}</strong>", _("Total")), "", shown, "", _money(cells.exact(cost, run.currency)), ""]


def limit(run: Run) -> Any:
    """The limit on the cost of a run, and whether the request or the agent set it."""
    own, found = run.max_cost, cost.limit_on_cost(run.agent_version, run.max_cost)
    if found is None:
        return _("none")
    whose = _("limit of the request") if own is not None and own == found else _("limit of the agent")
    return format_html("{} ({})", _money(cells.amount(found, run.currency)), whose)


def _tokens(usage: dict[str, Any]) -> Any:
    if not usage:
        return "-"
    text = _("%(input)d in (%(cached)d cached), %(output)d out") % {
        "input": usage.get("input_tokens", 0),
        "cached": usage.get("cached_input_tokens", 0),
        "output": usage.get("output_tokens", 0),
    }
    return f"{text}, {_('estimated')}" if usage.get("estimated") else text


def _lasted(step: Step) -> Any:
    began = cells.moment(step.started_at, seconds=True)
    if step.finished_at is None:
        return format_html("{}<br>{}", began, _("not ended"))
    seconds = (step.finished_at - step.started_at).total_seconds()
    if seconds < 1:
        lasted = f"{max(0, round(seconds * 1000))} ms"
    else:
        lasted = _("%(seconds)s seconds") % {"seconds": cells.decimal(seconds)}
    return format_html("{}<br>{}", began, lasted)


def _model_step(step: Step) -> Any:
    """The model, how its answer ended, and the tools that it called."""
    calls = step.reply.get("tool_calls") or []
    names = [str(call.get("name", "?"))[:200] if isinstance(call, dict) else str(call)[:200] for call in calls[:20]]
    reason, sent = str(step.reply.get("finish_reason") or ""), int(step.request.get("messages", 0))
    tools = format_html_join(", ", "{}", ((_tool(name),) for name in names))
    parts = [
        step.model if step.model == step.provider else f"{step.model} ({step.provider})",
        ngettext("%(count)d message sent", "%(count)d messages sent", sent) % {"count": sent},
        format_html('<span title="{}">{}</span>', reason, ENDS.get(reason, reason)) if reason else "",
        format_html(pgettext("step", "asked for: {names}"), names=tools) if names else "",
    ]
    return format_html_join("", "{}<br>", ((part,) for part in parts if part))


def _tool(name: str) -> Any:
    """A description of a tool; the title has its name."""
    return format_html('<span title="{}">{}</span>', name, TOOLS.get(name, name))


def _tool_step(step: Step) -> Any:
    """The tool, and for superusers its arguments and its result."""
    name = str(step.request.get("name", "?"))
    if not may_read_texts():
        return _tool(name)
    arguments, reply = step.request.get("arguments"), step.reply
    query = arguments.get("query") if isinstance(arguments, dict) and set(arguments) == {"query"} else None
    asked = format_html("<q>{}</q>", _bounded(query, MAX_RESULT)) if query is not None else _json(arguments)
    output = reply.get("output", reply)
    return format_html(
        "{}: {}<br>{}", _tool(name), asked, _found(output) if isinstance(output, dict) else _json(output)
    )


def _found(output: dict[str, Any]) -> Any:
    passages = output.get("passages")
    if not isinstance(passages, list):
        return _json(output)
    count, documents = len(passages), int(output.get("documents_searched") or 0)
    found = ngettext("%(count)d passage", "%(count)d passages", count) % {"count": count}
    of = ngettext("%(count)d document searched", "%(count)d documents searched", documents) % {"count": documents}
    searched = f"{found}, {of}"
    return format_html("{}<ul>{}</ul>", searched, format_html_join("", "<li>{}</li>", _passages(passages)))


def _passages(passages: list[Any]) -> Iterable[tuple[Any]]:
    for passage in passages[:20]:
        if not isinstance(passage, dict):
            continue
        page = passage.get("page")
        where = _("page %(number)s") % {"number": page} if page else ""
        yield (format_html("[{}] {} {}", passage.get("n"), cells.clipped(passage.get("document") or "-"), where),)


def _json(value: Any) -> Any:
    if not value:
        return "-"
    text = _bounded(json.dumps(value, ensure_ascii=False, default=str), MAX_RESULT)
    return format_html('<span class="wide">{}</span>', text)


def _bounded(text: Any, max_length: int) -> str:
    text = str(text or "") if not isinstance(text, Promise) else str(text)
    return text if len(text) <= max_length else f"{text[:max_length]}…"
