"""Fits a request, and what a tool may return, to the window of the model and to the money that is left of the run."""

import math

import msgspec

from backend.agents.models import Run
from backend.agents.runs import cost, prompt
from backend.agents.runs.endings import Failed
from backend.agents.runs.transcript import Transcript, trimmed
from backend.llm import chat


def fit(request: chat.ChatRequest, run: Run, transcript: Transcript) -> tuple[chat.ChatRequest, int]:
    """The request that is sent, and its input tokens as we estimate them:

    1. Leave out what leaves no room for the answer: old messages, then earlier outputs of tools.
    2. Limit the answer to what the window and the money then allow.

    :raises Failed: what cannot be left out fills the window, or too little money is left for an answer.
    """
    model, wanted = request.model, cost.max_output_tokens(run.agent_version, request.model)
    request = trimmed(request, tokens=int((model.context_window - wanted) / transcript.estimate_ratio))
    input_tokens = math.ceil(chat.count_request(request) * transcript.estimate_ratio)
    if input_tokens + min(wanted, chat.MIN_ANSWER_TOKENS) > model.context_window:
        detail = "The question and what was found for it are more than the model can read at once."
        raise Failed("context_too_long", detail, provider=model.provider, retryable=False)
    tokens = cost.affordable_output_tokens(
        model=model,
        input_tokens=input_tokens,
        left=run.reserved - transcript.spent,
        wanted=min(wanted, model.context_window - input_tokens),
    )
    if tokens == 0:
        detail = "What was set aside for this answer does not cover its next step."
        begun = bool(transcript.steps)  # Else the first step would cost the same again.
        raise Failed("budget_exhausted", detail, retryable=begun)
    return msgspec.structs.replace(request, max_tokens=tokens), input_tokens


def room_for_output(opening: chat.ChatRequest, run: Run, transcript: Transcript, *, bound: int) -> int:
    """Tokens that a tool may give the model to read: they fit its window, and money was held for them.

    :param bound: the tool's ``output_tokens``, which the money held for the run covers.
    """
    answered = cost.max_output_tokens(run.agent_version, opening.model)
    fitting = int(prompt.spare(transcript.extend(opening), answered=answered) / transcript.estimate_ratio)
    return min(fitting, bound)
