"""The models on offer with their prices and limits, from ``models.toml`` (settings.MODELS_FILE)."""

import logging
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.utils.translation import gettext as _

from backend.llm import models_file
from backend.llm.errors import CatalogError, UnknownModel
from backend.llm.models_file import MaxTokensField, ModelEntry, ProviderEntry, ProviderKind

__all__ = ["Catalog", "CatalogError", "Model", "Provider", "UnknownModel", "api_key", "catalog", "load"]

logger = logging.getLogger(__name__)

DEFAULT_MAX_OUTPUT_TOKENS = 8192
# Their documentation requires the reasoning of a turn with tool calls back; other servers may refuse the field.
WANT_REASONING = ("deepseek.com", "moonshot.ai", "moonshot.cn", "z.ai", "bigmodel.cn")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a provider offers. Prices are per million tokens; None is unpriced, zero is free.

    :ivar id: what clients send: the name, or ``provider/name`` where two providers offer the same name.
    :ivar cached_input_price: never None where input_price is given.
    :ivar temperature: whether the model takes that parameter.
    """

    id: str
    name: str
    provider: str
    kind: Literal["chat", "embedding"]
    input_price: Decimal | None
    cached_input_price: Decimal | None
    output_price: Decimal | None
    context_window: int
    max_output_tokens: int
    dimensions: int | None
    temperature: bool
    available: bool
    unavailable_reason: str | None

    @property
    def priced(self) -> bool:
        return self.input_price is not None and self.output_price is not None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """An API that models are reached through. Time-outs in seconds.

    :ivar read_timeout: how long the provider may be silent, before the first byte or between two.
    :ivar total_timeout: how long one answer may take as a whole.
    :ivar tokens_per_second: the pace of the offline model.
    :ivar send_reasoning: whether an ``openai-chat`` provider wants ``reasoning_content`` back after tool calls.
    """

    name: str
    kind: ProviderKind
    base_url: str | None
    api_key_env: str | None
    connect_timeout: float
    read_timeout: float
    total_timeout: float
    max_tokens_field: MaxTokensField
    tokens_per_second: float
    send_reasoning: bool
    models: tuple[Model, ...]


def _unknown(id: str) -> UnknownModel:
    return UnknownModel(_("No model “%(model)s” is offered here.") % {"model": id[:100]})


class Catalog:
    """What one models file offers, in the order of the file."""

    def __init__(self, *, providers: tuple[Provider, ...], default: str | None = None) -> None:
        self.providers = providers
        self.models = tuple(model for provider in providers for model in provider.models)
        self._providers = {provider.name: provider for provider in providers}
        self._models: dict[str, Model] = {}
        for model in self.models:
            self._models.setdefault(model.name, model)  # A bare name means the first that offers it.
        for model in self.models:
            self._models[f"{model.provider}/{model.name}"] = model
        self._default = self.get(default) if default else None

    def get(self, id: str) -> Model:
        """:raises UnknownModel: neither a model's name nor ``provider/name``."""
        try:
            return self._models[id]
        except KeyError:
            raise _unknown(id) from None

    def provider(self, model: Model) -> Provider:
        """:raises UnknownModel: there is no provider of that name."""
        try:
            return self._providers[model.provider]
        except KeyError:
            raise _unknown(f"{model.provider}/{model.name}") from None

    def default_chat(self) -> Model:
        """The model that the file names as its default, else the first chat model that can be used.

        :raises UnknownModel: the file has no chat model that can be used.
        """
        if self._default is not None and self._default.available:
            return self._default
        for model in self.models:
            if model.kind == "chat" and model.available:
                return model
        raise UnknownModel("No chat model is available here.")


def load(path: Path) -> Catalog:
    """:raises CatalogError: the file cannot be used; the message names the file, the entry and the key."""
    file = models_file.read(path)
    names = Counter(model.name for provider in file.provider for model in provider.model)
    providers = tuple(
        _provider(entry, shared={name for name, count in names.items() if count > 1}) for entry in file.provider
    )
    for provider in providers:
        for model in provider.models:
            if f"{provider.name}/{model.name}" in names:
                raise CatalogError(
                    f'{path}: provider "{provider.name}", model "{model.name}": name: another model is called '
                    f'"{provider.name}/{model.name}", which means this one'
                )
    try:
        return Catalog(providers=providers, default=file.default)
    except UnknownModel as error:
        raise CatalogError(f"{path}: default: {error}") from error


def _provider(entry: ProviderEntry, *, shared: set[str]) -> Provider:
    reason = _unavailable(entry)
    return Provider(
        name=entry.name,
        kind=entry.kind,
        base_url=entry.base_url,
        api_key_env=entry.api_key_env,
        connect_timeout=float(entry.connect_timeout),
        read_timeout=float(entry.read_timeout),
        total_timeout=float(entry.total_timeout),
        # OpenAI's own newer models refuse max_tokens; other servers with its API may support nothing else.
        max_tokens_field=entry.max_tokens_field or ("max_tokens" if entry.base_url else "max_completion_tokens"),
        tokens_per_second=float(entry.tokens_per_second),
        send_reasoning=_sends_reasoning(entry),
        models=tuple(_model(model, entry.name, reason, shared) for model in entry.model),
    )


def _sends_reasoning(entry: ProviderEntry) -> bool:
    if entry.send_reasoning is not None:
        return entry.send_reasoning
    host = urlsplit(entry.base_url or "").hostname or ""
    return any(host == name or host.endswith("." + name) for name in WANT_REASONING)


def _model(entry: ModelEntry, provider: str, reason: str | None, shared: set[str]) -> Model:
    free = entry.kind == "embedding" and entry.input_price is not None
    return Model(
        id=f"{provider}/{entry.name}" if entry.name in shared else entry.name,
        name=entry.name,
        provider=provider,
        kind=entry.kind,
        input_price=entry.input_price,
        cached_input_price=entry.input_price if entry.cached_input_price is None else entry.cached_input_price,
        output_price=Decimal(0) if free and entry.output_price is None else entry.output_price,
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens or min(DEFAULT_MAX_OUTPUT_TOKENS, entry.context_window),
        dimensions=entry.dimensions,
        temperature=entry.temperature,
        available=reason is None,
        unavailable_reason=reason,
    )


def _unavailable(entry: ProviderEntry) -> str | None:
    if entry.api_key_env is None:
        return None
    try:
        key = _secret(entry.api_key_env)
    except OSError as error:
        return f"{entry.api_key_env}_FILE cannot be read: {error.strerror}."
    return None if key else f"{entry.api_key_env} is not set."


def api_key(provider: Provider) -> str | None:
    """The provider's key, from the variable its entry names or from the file that NAME_FILE names."""
    return _secret(provider.api_key_env) if provider.api_key_env else None


def _secret(variable: str) -> str | None:
    if file := os.environ.get(f"{variable}_FILE"):
        return Path(file).read_text(encoding="utf-8").strip() or None
    return os.environ.get(variable, "").strip() or None


class _Loaded(msgspec.Struct, frozen=True):
    path: Path
    stamp: tuple[int, int]
    catalog: Catalog


_loaded: _Loaded | None = None
_lock = Lock()


def catalog() -> Catalog:
    """The catalog of settings.MODELS_FILE, read again when the file changes.

    An edit that cannot be used leaves the catalog of before in place and is logged.

    :raises CatalogError: the file cannot be used and no earlier version of it was read.
    """
    global _loaded  # noqa: PLW0603  # One catalog per process.
    path = Path(settings.MODELS_FILE)
    before = _loaded
    stamp = _stamp(path)
    if before is not None and before.path == path and before.stamp == stamp:
        return before.catalog
    with _lock:
        try:
            fresh = load(path)
        except CatalogError as error:
            if before is None or before.path != path:
                raise
            logger.error("models_file_unusable", extra={"detail": str(error)})
            fresh = before.catalog
        _loaded = _Loaded(path, stamp, fresh)
    return fresh


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
