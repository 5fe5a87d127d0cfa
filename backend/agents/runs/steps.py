"""The rows of what a run did: written before it begins, and again with usage and cost when it ended."""

from typing import Any

from backend.agents.models import Message, Run, Step
from backend.agents.runs import offer, sql
from backend.agents.runs.lease import LeaseLost, fenced
from backend.billing import operations as billing
from backend.llm.chat import ChatRequest, Usage


def model_step(run: Run, *, index: int, request: ChatRequest, input_tokens: int) -> Step:
    """A request to a provider, not yet stored. ``input_tokens`` is our estimate, kept in case nobody tells better."""
    return Step(
        run=run,
        attempt=run.attempt,
        index=index,
        kind=Step.Kind.MODEL,
        model=request.model.name,
        provider=request.model.provider,
        request={
            "messages": len(request.messages),
            "tools": [tool.name for tool in request.tools],
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "estimated_input_tokens": input_tokens,
        },
    )


def tool_step(run: Run, *, index: int, name: str, arguments: Any) -> Step:
    """A tool's work, not yet stored."""
    return Step(
        run=run,
        attempt=run.attempt,
        index=index,
        kind=Step.Kind.TOOL,
        request={"name": name[:200], "arguments": arguments},
    )


def begin(run: Run, step: Step) -> bool:
    """Store the step; from now on a lost worker leaves a trace of it. Answers whether somebody asked to cancel.

    :raises LeaseLost: the run is not ours any more.
    """
    cancelled = sql.begin_step(run, step)
    if cancelled is None:
        raise LeaseLost
    return cancelled


def end(run: Run, step: Step, *, usage: Usage | None, answer: dict[str, Any] | None) -> None:
    """Store what came of it, charge what it used, and keep the answer so far.

    :raises LeaseLost: the run is not ours any more; nothing is charged here.
    """
    with fenced(run):
        charge(run, step, usage)
        step.save(force_update=True)
        if answer is not None:
            Message.objects.filter(pk=run.output_message_id).update(**answer)


def charge(run: Run, step: Step, usage: Usage | None) -> None:
    """Record the step's usage with billing at the prices of the run's offer, once however often it is repeated.

    :raises UnknownModel, ModelUnpriced: the run has no offer, and the catalog no price for its model any more.
    """
    if usage is None:
        return
    step.usage = {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
        "estimated": usage.estimated,
    }
    step.cost = billing.record_usage(
        workspace_id=run.workspace_id,
        user_id=run.created_by_id,
        agent_id=run.agent_version.agent_id,
        reference=run.public_id,
        attempt=step.attempt,
        step=step.index,
        model=offer.agreed_model(run),
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
    )
