"""Hooks of schemathesis for our contract: who calls, and what a schema cannot know.

Run by ``tests.contract``; see CONTRIBUTING.md. Each exclusion has its reason beside it.
"""

import json
import os
import time
import urllib.request
import zlib
from typing import Any
from uuid import uuid4

import schemathesis

SECONDS = 300  # A token lives for ten minutes.
ENDS_LOG_INS = ("/api/v1/auth/session", "/api/v1/sessions", "/api/v1/account/password/change")
# In the short run of the suite: one of so many cases of the coverage phase, but each kind of which there are few.
SAMPLE = int(os.environ.get("CONTRACT_SAMPLE", "1"))
RARE = ("UNSPECIFIED_HTTP_METHOD", "MISSING_PARAMETER")


def sign_up(base: str) -> str:
    """A new user's access token."""
    body = json.dumps({"email": f"contract-{uuid4().hex}@example.com", "password": "a long pass phrase"}).encode()
    request = urllib.request.Request(f"{base}/api/v1/auth/signup", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(json.load(response)["meta"]["access_token"])


@schemathesis.auth(refresh_interval=None)
class Callers:
    """One user calls everything, but what ends log-ins is called by users of their own."""

    def __init__(self) -> None:
        self._token, self._until = "", 0.0

    def get(self, case: Any, context: Any) -> str:
        base = os.environ["CONTRACT_BASE"]
        if case.method != "GET" and case.operation.path.startswith(ENDS_LOG_INS):
            return sign_up(base)
        if time.monotonic() > self._until:
            self._token, self._until = sign_up(base), time.monotonic() + SECONDS
        return self._token

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    data = case.meta.phase.data if case.meta is not None else None
    scenario = getattr(getattr(data, "scenario", None), "name", None)
    if SAMPLE == 1 or data is None or scenario is None or scenario in RARE:
        return True
    return zlib.crc32(f"{case.operation.label} {data.description}".encode()) % SAMPLE == 0


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """No schema can say that a key is new for each action: schemathesis sends the same one with different requests."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and case.meta is not None and case.meta.generation.mode.is_positive:
        case.headers["Idempotency-Key"] = f"{key[:200]}{uuid4().hex}"
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = None  # Which models there are is a matter of each server's models.toml.


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    return not (type(failure).__name__ == "RejectedPositiveData" and _is_about_more_than_form(case, response))


def _is_about_more_than_form(case: Any, response: Any) -> bool:
    """Whether a request of the right form was refused for what it means, which is no matter of a schema."""
    path = case.operation.path
    if response.status_code == 422 and path.startswith(("/api/v1/auth/", "/api/v1/account/")):
        return True  # A password, a code, a key or an address that does not exist.
    if response.status_code == 422 and path in ("/api/v1/billing/usage", "/api/v1/billing/transactions"):
        return True  # The order and the distance of two times.
    return bool(response.status_code == 415 and case.operation.label == "POST /api/v1/documents")  # The file's content.
