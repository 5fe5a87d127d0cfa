"""Reads ``models.toml`` into entries: right types, right ranges, no unknown keys, no two of one name."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from backend.llm.errors import CatalogError

ProviderKind = Literal["openai-chat", "openai-responses", "anthropic", "offline"]
MaxTokensField = Literal["max_tokens", "max_completion_tokens"]
PositiveInt = Annotated[int, Meta(gt=0)]
Seconds = Annotated[float, Meta(gt=0)]
ModelName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^\S+$")]
ProviderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$")]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

PRICES = ("input_price", "cached_input_price", "output_price")
MAX_PRICE = Decimal(1_000_000)  # Per million tokens; a higher one is a mistake of the unit.


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[provider.model]]``."""

    name: ModelName
    kind: Literal["chat", "embedding"] = "chat"
    input_price: Decimal | None = None
    cached_input_price: Decimal | None = None
    output_price: Decimal | None = None
    context_window: PositiveInt
    max_output_tokens: PositiveInt | None = None
    dimensions: PositiveInt | None = None
    temperature: bool = True

    def __post_init__(self) -> None:
        for key in PRICES:
            price = getattr(self, key)
            if price is not None and not (price.is_finite() and 0 <= price <= MAX_PRICE):
                raise ValueError(f"{key} must be a number from 0 to {MAX_PRICE}, not {price}")
        if self.cached_input_price is not None and self.input_price is None:
            raise ValueError("cached_input_price needs input_price beside it")
        if self.kind == "chat" and (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price go together: give both, or neither")
        if self.kind == "embedding" and self.dimensions is None:
            raise ValueError("dimensions is missing; an embedding model needs it")
        if self.max_output_tokens is not None and self.max_output_tokens > self.context_window:
            raise ValueError("max_output_tokens is larger than context_window")


class ProviderEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[provider]]``."""

    name: ProviderName
    kind: ProviderKind
    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+[^\s?#]*$")] | None = None
    api_key_env: Variable | None = None
    connect_timeout: Seconds = 5
    read_timeout: Seconds = 60
    total_timeout: Seconds = 600
    max_tokens_field: MaxTokensField | None = None
    tokens_per_second: Annotated[float, Meta(gt=0)] = 60
    send_reasoning: bool | None = None
    model: Annotated[list[ModelEntry], Meta(min_length=1)]

    def __post_init__(self) -> None:
        names = [model.name for model in self.model]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f'two models have the name "{min(twice)}"')


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    default: str | None = None
    provider: Annotated[list[ProviderEntry], Meta(min_length=1)]

    def __post_init__(self) -> None:
        names = [provider.name for provider in self.provider]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f'two providers have the name "{min(twice)}"')


def read(path: Path) -> File:
    """:raises CatalogError: naming the file, the entry and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path}: cannot be read: {error}") from error
    try:
        # Prices are decimals from the first digit on: a float would already have lost some.
        document = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError) as error:
        raise CatalogError(f"{path}: not valid TOML: {error}") from error
    try:
        return msgspec.convert(document, File, strict=True)
    except msgspec.ValidationError as error:
        raise CatalogError(f"{path}: {_explain(str(error), document)}") from error


def _explain(message: str, document: dict[str, Any]) -> str:
    """The message ``… - at `$.provider[0].model[1].name` `` with the names of the entries."""
    reason, _, place = message.partition(" - at `$")
    words: list[str] = []
    here: Any = document
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", place):
        here = _inside(here, key or int(index))
        if index:
            name = here.get("name") if isinstance(here, dict) else None
            words[-1] += f' "{name}"' if isinstance(name, str) else f" number {int(index) + 1}"
        else:
            words.append(key)
    return f"{', '.join(words)}: {reason}" if words else reason


def _inside(here: Any, key: str | int) -> Any:
    try:
        return here[key]
    except (KeyError, IndexError, TypeError):
        return None
