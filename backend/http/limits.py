"""Rate limits with a sliding window: at most N requests in any period of its length.

One Redis script counts and adds, so that two concurrent requests cannot both take the last hit. When Redis does not
answer, ``hit`` raises and the client gets 503: attackers would flood these routes, so the limits fail closed.
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self, overload
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext

from backend.db.redis import client
from backend.errors import DomainError, FieldError
from backend.http.mailboxes import MAX_EMAIL_LENGTH, InvalidEmail, canonical
from backend.http.parsers import read_json
from backend.http.problems import problem_of

SECONDS = {"s": 1, "sec": 1, "min": 60, "hour": 3600, "day": 86400}
GUARDED = re.compile(r"/api/v1/auth/[a-z0-9/_-]+")
JSON_OF_ALLAUTH = re.compile(r"/api/v1/(auth|account)/.+")

# KEYS: one sorted set per subject, in which the score of each hit is its time. If one subject has no hit left, the hit
# counts against none.
SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local remaining, reset, allowed = limit, window, 1
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local used = redis.call('ZCARD', key)
  if used >= limit then allowed = 0 end
  if limit - used <= remaining then
    remaining = limit - used
    local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    reset = oldest[2] and (oldest[2] + window - now) or window
  end
end
if allowed == 1 then
  remaining = remaining - 1
  for _, key in ipairs(KEYS) do
    redis.call('ZADD', key, now, ARGV[3])
    redis.call('PEXPIRE', key, window)
  end
end
return {allowed, math.max(remaining, 0), math.ceil(reset)}
"""


class RateLimited(DomainError):
    """Too many requests; wait before the next one."""

    code = "rate_limited"
    status = HTTPStatus.TOO_MANY_REQUESTS


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` hits in any ``seconds``."""

    limit: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """``"30/min"``, ``"5/10min"``; ``"off"`` is no limit.

        :raises ValueError: it is neither.
        """
        if text == "off":
            return None
        match = re.fullmatch(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,4})?(s|sec|min|hour|day)", text)
        if match is None:
            raise ValueError(f"not a rate: {text!r}; write such as 30/min or off")
        limit, many, unit = match.groups()
        return cls(int(limit), int(many or 1) * SECONDS[unit])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a hit was allowed; ``remaining`` hits until ``reset`` seconds from now."""

    policy: str
    rate: Rate
    allowed: bool
    remaining: int
    reset: int
    keys: tuple[str, ...] = ()  # The sorted sets that count this hit.
    member: str = ""  # Its member in them.

    @property
    def headers(self) -> dict[str, str]:
        headers = {
            "RateLimit-Policy": f'"{self.policy}";q={self.rate.limit};w={self.rate.seconds}',
            "RateLimit": f'"{self.policy}";r={self.remaining};t={self.reset}',
        }
        return headers if self.allowed else {**headers, "Retry-After": str(self.reset)}


def hit(policy: str, rate: Rate, *subjects: str) -> Verdict:
    """Count one request against every subject (an address, an account), or against none if one has no hit left."""
    keys, member = tuple(_key(policy, subject) for subject in subjects), uuid4().hex
    allowed, remaining, reset = client().register_script(SCRIPT)(
        keys=keys, args=[rate.limit, rate.seconds * 1000, member]
    )
    return Verdict(policy, rate, bool(allowed), int(remaining), max(1, -(-int(reset) // 1000)), keys, member)


def undo(verdict: Verdict) -> None:
    """Remove one hit, such as after a success where only failures are limited."""
    with client().pipeline(transaction=False) as pipeline:
        for key in verdict.keys:
            pipeline.zrem(key, verdict.member)
        pipeline.execute()


def forget(policy: str, *subjects: str) -> None:
    """Remove all hits of the subjects."""
    client().delete(*(_key(policy, subject) for subject in subjects))


def _key(policy: str, subject: str) -> str:
    return f"limit:{policy}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"


@overload
def check(policy: str, rate: Rate, *subjects: str) -> Verdict: ...
@overload
def check(policy: str, rate: Rate | None, *subjects: str) -> Verdict | None: ...
def check(policy: str, rate: Rate | None, *subjects: str) -> Verdict | None:
    """``hit``, for operations and views.

    :raises RateLimited: one of the subjects has no hit left.
    """
    if rate is None:
        return None
    verdict = hit(policy, rate, *subjects)
    if not verdict.allowed:
        raise RateLimited(headers=verdict.headers)
    return verdict


def address_of(request: HttpRequest) -> str:
    """The client's address; of IPv6 the /64 network, which usually belongs to one customer."""
    text = str(request.META.get("REMOTE_ADDR") or "unknown")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


class AuthLimitsMiddleware:
    """Guards allauth's routes: strict JSON, AUTH_RATE_LIMIT per client address, canonical e-mail addresses.

    A limit per account from every address together would let anyone lock its owner out; what bounds guesses at one
    account is in ``backend.accounts.throttles``, which can tell its owner's addresses.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method in ("GET", "HEAD", "OPTIONS") or not JSON_OF_ALLAUTH.fullmatch(request.path_info):
            return self.get_response(request)
        try:
            body = read_json(request) if request.body else None
            rate = Rate.parse(settings.AUTH_RATE_LIMIT) if _is_guarded(request) else None
            verdict = check("auth", rate, f"address:{address_of(request)}")
            _canonicalize_email(request, body)
        except Exception as error:  # A limit, invalid JSON, or Redis did not answer.
            if (problem := problem_of(error)) is None:
                raise
            return problem.response(request)
        response = self.get_response(request)
        for name, value in (verdict.headers if verdict else {}).items():
            response[name] = value
        return response


def _is_guarded(request: HttpRequest) -> bool:
    return request.method != "DELETE" and GUARDED.fullmatch(request.path_info) is not None


def _canonicalize_email(request: HttpRequest, body: object) -> None:
    """Replace the address in the body by its canonical form. allauth reports an empty one itself.

    :raises FieldError: the address has no canonical form.
    """
    email = body.get("email") if isinstance(body, dict) else None
    if not isinstance(email, str) or not email.strip():
        return
    try:
        spelled = canonical(email)
    except InvalidEmail as error:
        raise FieldError("/email", _email_error(email)) from error
    if spelled != email:
        request._body = json.dumps({**body, "email": spelled}).encode()  # type: ignore[dict-item]


def _email_error(email: str) -> str:
    if len(email.strip()) > MAX_EMAIL_LENGTH:
        return gettext("An email address has at most 254 characters.")
    if not email.isascii():
        return gettext("Enter the email address in plain letters (a to z); its domain may have accents, but no ß or ς.")
    return gettext("Enter a valid email address.")
