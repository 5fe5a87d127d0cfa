"""Billing in the OpenAPI document: words and examples."""

from typing import Any

from backend.http.openapi.descriptions import Schema, Texts, describe

TAGS = {
    "billing": "What the workspace has, what was moved, what was used, and what it costs. Money is decimal strings."
}
TEXTS: dict[str, Texts] = {
    "billing_balance": Texts(
        "Get the balance",
        "`posted` is the sum of all transactions, `held` is set aside for runs that have not ended, and `available` is "
        "the rest: what can be spent.",
    ),
    "billing_prices": Texts(
        "List prices", "What each model costs per million tokens. A price that is null: the model cannot be used."
    ),
    "billing_transactions_list": Texts(
        "List transactions",
        "What was moved into and out of the wallet, the latest first. `balance_after` of each is the balance before "
        "the one above it.",
    ),
    "billing_transactions_retrieve": Texts(
        "Get a transaction", "`reference` names what it was for, such as the run whose usage was charged."
    ),
    "billing_usage": Texts(
        "Get usage",
        "Tokens and their exact cost, summed by day, model, agent, meter or user; without `from` and `to`, of the last "
        "30 days. `api_key` is one group as long as there are no API keys. What was charged is in the transactions.",
    ),
}
USED: Schema = {"requests": 1, "input_tokens": 412, "cached_input_tokens": 0, "output_tokens": 14, "cost": "0.000187"}
EXAMPLES: dict[str, Schema] = {
    "Balance": {"available": "4.998125", "held": "0.00", "posted": "4.998125"},
    "Grant": {"amount": "5.00", "remaining": "4.998125", "description": "Welcome credit"},
    "Transaction": {"kind": "usage", "amount": "-0.000187", "balance_after": "4.999813"},
    "Usage": {"group_by": "day", "cost": "0.000187", "from": "2026-01-01T00:00:00Z", "to": "2026-01-31T09:30:00Z"},
    "UsageGroup": {"group": "2026-01-31", **USED},
    "Price": {"kind": "chat", "input_price": "0.40", "output_price": "1.60", "available": True},
    "Prices": {"unit": "million_tokens"},
}


def add_billing(result: Schema, **kwargs: Any) -> Schema:
    """A postprocessing hook of drf-spectacular."""
    describe(result, TEXTS, TAGS, EXAMPLES)
    return result
