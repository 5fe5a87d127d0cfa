"""Maps the errors of providers and of connections to the few failures that a run reports."""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from backend.llm.clients import Client
from backend.llm.errors import FailureCode, ProviderError
from backend.llm.identities import anonymous

logger = logging.getLogger(__name__)

CONTEXT = re.compile(
    r"context.?(length|window|size)|maximum context|prompt is too long|too many (input )?tokens"
    r"|input (is|length) (too long|exceed)|max_model_len|exceeds? the (available|maximum) (context|number of tokens)",
    re.IGNORECASE,
)
FILTER = re.compile(r"content.?(filter|policy|management)|safety system|responsibleai|flagged", re.IGNORECASE)
QUOTA = re.compile(r"insufficient.?quota|exceeded your current quota|billing", re.IGNORECASE)
KEY = re.compile(r"\b(?:(?:sk|rk|pk|key)[-_]|Bearer )[\w*.\-]{4,}", re.IGNORECASE)
MARKUP = re.compile(r"<[^<>]*>")
MAX_DETAIL_CHARACTERS = 300
MAX_MESSAGE_CHARACTERS = 10_000  # The rest of a message is not read.
MAX_BODY_CHARACTERS = 100_000  # The rest of a body is not searched for the words that identify a failure.
MAX_KIND_CHARACTERS = 200
MAX_WAIT_SECONDS = 3600.0

# Words that providers use for a failure in their error bodies and error events.
CODES: Mapping[str, FailureCode] = {
    "authentication_error": "provider_auth",
    "invalid_api_key": "provider_auth",
    "permission_error": "provider_auth",
    "billing_error": "provider_auth",
    "rate_limit_error": "provider_rate_limited",
    "rate_limit_exceeded": "provider_rate_limited",
    "insufficient_quota": "provider_rate_limited",
    "context_length_exceeded": "context_too_long",
    "exceed_context_size_error": "context_too_long",
    "request_too_large": "context_too_long",
    "content_filter": "content_filtered",
    "content_policy_violation": "content_filtered",
}
MESSAGES = ("message", "detail", "msg", "status_msg", "error_msg", "error_message")
ABOUT_THE_REQUEST = frozenset({400, 404, 405, 409, 413, 415, 422})


def clean(text: str, *, key: str | None) -> str:
    """A provider's message for people: one line, short, no key, no mark-up."""
    if key and len(key) >= 4:
        text = text.replace(key, "[key]")
    text = KEY.sub("[key]", MARKUP.sub(" ", text[:MAX_MESSAGE_CHARACTERS]))
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= MAX_DETAIL_CHARACTERS else text[: MAX_DETAIL_CHARACTERS - 1] + "…"


def code_of(*, status: int | None, words: str, message: str) -> FailureCode:
    for word in words.split():
        if word in CODES:
            return CODES[word]
    if status in (401, 402, 403):
        return "provider_auth"
    if status == 429:
        return "provider_rate_limited"
    if status == 413 or (status in (None, 400, 422, 500) and CONTEXT.search(message)):
        return "context_too_long"
    if status in (None, 400, 422) and FILTER.search(f"{words} {message}"):
        return "content_filtered"
    return "provider_unavailable"


def _shown(message: str, *, code: FailureCode, client: Client, provider: str, status: int | None) -> str:
    """The part of a provider's message that clients read: only what concerns their request, without account names.

    Messages about keys, limits, quotas and the provider's own faults name the operator's organisation, project or
    servers, so they are only logged.
    """
    cleaned = clean(message, key=client.key)
    about_the_request = code in ("context_too_long", "content_filtered") or (
        code == "provider_unavailable" and status in ABOUT_THE_REQUEST
    )
    if cleaned:
        logger.warning("provider_refused provider=%s code=%s message=%s", provider, code, cleaned)
    return anonymous(cleaned) if about_the_request else ""


def from_status(error: Any, *, client: Client, provider: str) -> ProviderError:
    """From an ``APIStatusError`` of either SDK."""
    status: int = error.status_code
    message, words = _message(error.body)
    code = code_of(status=status, words=words, message=message)
    refusal = {404: "has no such model or route", 429: "asks to slow down"}.get(status, "refused the request")
    message = _shown(message, code=code, client=client, provider=provider, status=status)
    failed = "failed" if status >= 500 else refusal
    return ProviderError(
        code,
        f"{provider} {failed} (status {status}){': ' + message if message else '.'}",
        provider=provider,
        retryable=(code == "provider_rate_limited" and not QUOTA.search(f"{words} {message}"))
        or (code == "provider_unavailable" and (status >= 500 or status in (408, 409, 425))),
        retry_after=retry_after(error.response.headers),
    )


def from_event(error: Any, *, client: Client, provider: str) -> ProviderError:
    """From an error that came as an event, in the middle of a stream. ``error`` is whatever it held."""
    message, words = _message(error)
    code = code_of(status=_status(words), words=words, message=message)
    message = _shown(message, code=code, client=client, provider=provider, status=None)
    return ProviderError(
        code,
        f"{provider} broke off{': ' + message if message else '.'}",
        provider=provider,
        retryable=code in ("provider_unavailable", "provider_rate_limited"),
    )


def from_transport(error: BaseException, *, client: Client, provider: str, opened: bool = False) -> ProviderError:
    """From an error of the connection; ``opened`` when the answer had begun.

    The error of aiohttp decides, which stands at the end of the causes: the layers between rename some, so that a
    refused connection and a broken one both look like a connection that was not made in time.
    """
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)

    def is_any(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    unusable = is_any(ValueError)  # An address or a header that cannot be sent.
    aiohttp = client.aiohttp
    if is_any(aiohttp.ConnectionTimeoutError):
        what = "did not accept the connection in time"
    elif unusable or is_any(aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError):
        what = "cannot be reached"
    elif is_any(TimeoutError):
        what = "stopped sending in the middle of the answer" if opened else "did not answer in time"
    else:
        what = "broke the connection in the middle of the answer" if opened else "broke the connection"
    return ProviderError("provider_unavailable", f"{provider} {what}.", provider=provider, retryable=not unusable)


def unwrapped(value: Any, *, event: bytes) -> Any:
    """The error in an event that has no member ``error``; None if it is none. ``event`` is its name in the stream."""
    if not isinstance(value, Mapping):
        return None
    if value.get("code") in (0, 200, "0", "200"):
        return None  # Some gateways send these with a success.
    said = next((value[key] for key in MESSAGES if isinstance(value.get(key), str) and value[key]), None)
    errors, status = value.get("errors"), value.get("base_resp")
    if said is not None:
        return {**value, "message": said}
    if isinstance(errors, list) and errors:
        return errors[0]
    if isinstance(status, Mapping) and status.get("status_code"):
        return status
    return value if event == b"error" else None


def broken(what: str, *, provider: str, retryable: bool = True) -> ProviderError:
    """The provider responded, but not as its API specifies."""
    return ProviderError("provider_unavailable", f"{provider} {what}.", provider=provider, retryable=retryable)


def filtered(provider: str) -> ProviderError:
    detail = f"{provider} withheld the answer because of its content rules."
    return ProviderError("content_filtered", detail, provider=provider, retryable=False)


def _message(body: Any) -> tuple[str, str]:
    """The message of an error body, and the words that name its kind, neither longer than is of use.

    A body that is not JSON holds no message.
    """
    if not isinstance(body, Mapping):
        return "", ""
    inner = body.get("error", body)
    if isinstance(inner, str):
        return inner[:MAX_BODY_CHARACTERS], ""
    if not isinstance(inner, Mapping):
        return "", ""
    kinds = (inner.get("code"), inner.get("type"), inner.get("param"))
    message = next((inner[key] for key in MESSAGES if inner.get(key)), "")
    return str(message)[:MAX_BODY_CHARACTERS], " ".join(str(kind)[:MAX_KIND_CHARACTERS] for kind in kinds if kind)


def _status(words: str) -> int | None:
    """The HTTP status that gateways send as the code of an error event; only where it identifies the failure."""
    return next((int(word) for word in words.split() if word in ("401", "402", "403", "413", "429")), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from ``retry-after-ms``, or from ``retry-after`` as seconds or as a date."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if seconds >= 0:  # Not NaN either.
            return min(seconds, MAX_WAIT_SECONDS)
    try:
        at = parsedate_to_datetime(headers.get("retry-after", "")[:MAX_KIND_CHARACTERS])
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - datetime.now(UTC)).total_seconds(), 0.0), MAX_WAIT_SECONDS)
