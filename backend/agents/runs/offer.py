"""The model of a run as it was offered when the run was accepted: its prices and limits, kept on the run.

``models.toml`` may be edited while a run waits or works. What was agreed stays: the run is measured and charged at the
prices it was accepted with, and the current catalog only says how the provider is reached.
"""

from typing import Any

import msgspec

from backend.agents.models import Run
from backend.agents.runs.endings import Failed
from backend.llm import chat
from backend.llm.catalog import Model, catalog
from backend.llm.errors import UnknownModel

KEPT = ("id", "name", "provider", "input_price", "cached_input_price", "output_price")
KEPT_NUMBERS = ("context_window", "max_output_tokens")


def offer_of(model: Model) -> dict[str, Any]:
    """What a run keeps of the model; prices are decimal strings per million tokens, exact."""
    kept: dict[str, Any] = {name: getattr(model, name) for name in KEPT}
    kept = {name: None if value is None else str(value) for name, value in kept.items()}
    return kept | {name: getattr(model, name) for name in KEPT_NUMBERS}


def agreed_model(run: Run) -> Model:
    """The model at the prices and limits that the run was accepted with.

    Runs accepted before offers were kept have none: they get the prices and limits of the current catalog.

    :raises UnknownModel: such a run's model is not offered any more.
    """
    if run.offer is None:
        return catalog().get(run.agent_version.model)
    fields = {"kind": "chat", "dimensions": None, "temperature": True, "available": True, "unavailable_reason": None}
    return msgspec.convert(run.offer | fields, Model)


def offered_now(model: Model) -> Model:
    """The same provider's model in the current catalog, which says whether and how it can be reached.

    :raises UnknownModel: it was renamed or removed.
    """
    return catalog().get(f"{model.provider}/{model.name}")


def reach(run: Run) -> tuple[Model, chat.ChatModel]:
    """The model as it was offered when the run was accepted, and what reaches its provider now.

    A run from before offers were kept gets the one that it begins with, and is charged by that.

    :raises Failed: the model is not offered any more, or its provider is not available.
    """
    try:
        model = agreed_model(run)
        now = offered_now(model)
        adapter = chat.chat_model(now)
    except UnknownModel as error:
        raise Failed("provider_unavailable", error.detail, retryable=False) from error
    if not now.available:
        reason = now.unavailable_reason or "This provider is not available."
        raise Failed("provider_auth", reason, provider=model.provider, retryable=False)
    run.offer = offer_of(model)
    return msgspec.structs.replace(model, temperature=now.temperature), adapter
