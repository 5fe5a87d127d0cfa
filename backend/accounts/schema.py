"""Accounts in the OpenAPI document: words and examples. allauth's routes are in ``flows_table``."""

import copy
from typing import Any

from backend.accounts.flows_schema import FLOW_EXAMPLES, FLOW_TAGS, SCHEMAS, describe_flow
from backend.accounts.flows_table import FLOWS
from backend.http.openapi.descriptions import Schema, Texts, describe
from backend.http.openapi.examples import SUFFIX

TAGS = {
    **FLOW_TAGS,
    "tokens": "New tokens without a new log-in.",
    "users": "The caller.",
    "sessions": "The caller's log-ins.",
    "workspaces": "Where the caller may act. Everything but the user belongs to a workspace.",
}
TEXTS: dict[str, Texts] = {
    "tokens_refresh_create": Texts(
        "Refresh the tokens",
        "Each use of a refresh token moves its session on by one generation. The generation before it is honoured for "
        "30 seconds, for two tabs or a lost answer; an older one ends the session (401 `session_revoked`).",
        ("not_authenticated", "token_expired", "session_revoked"),
    ),
    "users_me_retrieve": Texts(
        "Get the caller", "The person of the access token, and the workspaces where they may act."
    ),
    "users_me_partial_update": Texts(
        "Change the caller", "The name or the language of mails and messages; what is left out stays."
    ),
    "sessions_list": Texts("List log-ins", "Those that have not ended; `current` is the one of this request."),
    "sessions_destroy_others": Texts("End all other log-ins", "Every log-in of the caller but that of this request."),
    "sessions_destroy": Texts(
        "End a log-in", "Its tokens are refused from then on, those of this request too if it is its own."
    ),
    "workspaces_list": Texts("List workspaces", "Those that the caller is a member of, each with the role there."),
    "workspaces_retrieve": Texts("Get a workspace", "Its name, and the caller's role there."),
}
TOKEN = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ1c3JfIn0.c2lnbmF0dXJl"  # noqa: S105 — an example.
EXAMPLES: dict[str, Schema] = {
    **FLOW_EXAMPLES,
    "RefreshRequest": {"refresh_token": TOKEN},
    "Tokens": {"access_token": TOKEN, "refresh_token": TOKEN, "expires_in": 600},
    "Refreshed": {"status": 200},
    "PatchedUserChangeRequest": {"name": "Rui", "language": "pt-br"},
    "User": {"name": "Rui", "language": "pt-br", "workspace": f"wsp_{SUFFIX}"},
    "Membership": {"name": "Rui", "role": "owner", "personal": True},
    "Session": {"current": True, "amr": ["pwd"], "user_agent": "Mozilla/5.0", "ip_address": "203.0.113.7"},
}


def add_accounts(result: Schema, **kwargs: Any) -> Schema:
    """A postprocessing hook of drf-spectacular."""
    result.setdefault("components", {}).setdefault("schemas", {}).update(copy.deepcopy(SCHEMAS))
    for (path, method), flow in FLOWS.items():
        result["paths"].setdefault(path, {})[method] = describe_flow(path, method, flow)
    describe(result, TEXTS, TAGS, EXAMPLES)
    return result
