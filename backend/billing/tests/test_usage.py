"""What was used and what it costs, as clients see it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from backend.billing import operations
from backend.billing.models import UsageRecord
from backend.billing.tests.conftest import use
from backend.http.ids import encode
from backend.llm.catalog import catalog
from tests.actors import Person
from tests.services import PRODUCT

pytestmark = pytest.mark.django_db

BASE = "/api/v1/billing"


def errors_of(response: Any) -> list[str]:
    assert response.status_code == 422, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "validation_error"
    return [error["pointer"] for error in response.json()["errors"]]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"group_by": "mood"}, "/group_by"),
        ({"to": "soon"}, "/to"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "/from"),
        ({"from": "2190-01-01"}, "/from"),
    ],
)
def test_usage_that_cannot_be_shown_is_refused(owner: Person, query: dict[str, str], pointer: str) -> None:
    assert errors_of(owner.get(f"{BASE}/usage", query)) == [pointer]


@pytest.fixture
def usage(owner: Person, member: Person) -> dict[str, UUID]:
    """Two people, two agents, two models, yesterday and today."""
    agents = {"first": uuid4(), "second": uuid4()}
    for step, (person, agent, model, age) in enumerate(
        [
            (owner, "first", "plain", 0),
            (owner, "second", "plain", 0),
            (member, "second", "fine", 0),
            (member, None, "fine", 1),
        ]
    ):
        operations.record_usage(
            workspace_id=owner.workspace.pk,
            user_id=person.user.pk,
            agent_id=agents[agent] if agent else None,
            reference="run_1",
            attempt=1,
            step=step,
            model=catalog().get(model),
            input_tokens=1_000,
            cached_input_tokens=400,
            output_tokens=100,
        )
        if age:
            backdate(step)
    return agents


def backdate(step: int) -> None:
    """Into yesterday, as only a superuser can: usage does not change."""
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")  # Only the owner may tamper with rows that never change.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE billing_usagerecord SET created_at = created_at - interval '1 day' WHERE step = %s", [step]
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute(f"SET LOCAL ROLE {PRODUCT}")


# Of one request: plain 600 × 1 + 400 × 0.1 + 100 × 2 = 840 micro-units; fine 1000 × 0.0375 + 100 × 0.15 = 52.5.
@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("model", lambda *_: [("plain", 2, "0.00168"), ("fine", 2, "0.000105")]),
        (
            "agent",
            lambda agents, *_: [
                (encode("agt", agents["second"]), 2, "0.000893"),
                (encode("agt", agents["first"]), 1, "0.00084"),
                (None, 1, "0.000053"),
            ],
        ),
        (
            "user",
            lambda _, owner, member: [(owner.user.public_id, 2, "0.00168"), (member.user.public_id, 2, "0.000105")],
        ),
        ("api_key", lambda *_: [(None, 4, "0.001785")]),
        (
            "day",
            lambda *_: [
                (str(datetime.now(UTC).date() - timedelta(days=1)), 1, "0.000053"),
                (str(datetime.now(UTC).date()), 3, "0.001733"),
            ],
        ),
    ],
)
def test_usage_is_summed(
    usage: dict[str, UUID],
    owner: Person,
    member: Person,
    group_by: str,
    expected: Callable[..., list[tuple[str | None, int, str]]],
) -> None:
    body = owner.get(f"{BASE}/usage", {"group_by": group_by}).json()

    assert [(item["group"], item["requests"], item["cost"]) for item in body["results"]] == expected(
        usage, owner, member
    )
    assert (body["group_by"], body["currency"], body["cost"]) == (group_by, "USD", "0.001785")
    assert sum(item["input_tokens"] for item in body["results"]) == 4_000
    assert sum(item["cached_input_tokens"] for item in body["results"]) == 1_600
    assert sum(item["output_tokens"] for item in body["results"]) == 400


def test_meters_split_the_cost_between_kinds_of_tokens(usage: dict[str, UUID], owner: Person) -> None:
    body = owner.get(f"{BASE}/usage", {"group_by": "meter"}).json()

    def meter(name: str, uncached: int, cached: int, output: int, cost: str) -> dict[str, Any]:
        tokens = {"input_tokens": uncached, "cached_input_tokens": cached, "output_tokens": output}
        return {"group": name, "requests": 4, **tokens, "cost": cost}

    assert body["results"] == [
        meter("input_tokens", 2_400, 0, 0, "0.001245"),
        meter("cached_input_tokens", 0, 1_600, 0, "0.00011"),
        meter("output_tokens", 0, 0, 400, "0.00043"),
    ]
    assert body["cost"] == "0.001785"


def test_usage_of_a_time_counts_that_time_alone(usage: dict[str, UUID], owner: Person) -> None:
    yesterday = str(datetime.now(UTC).date() - timedelta(days=1))
    body = owner.get(f"{BASE}/usage", {"group_by": "model", "from": yesterday, "to": yesterday}).json()

    assert [(item["group"], item["requests"]) for item in body["results"]] == [("fine", 1)]
    assert body["from"] == f"{yesterday}T00:00:00Z"
    body = owner.get(f"{BASE}/usage", {"group_by": "meter", "from": "2020-01-01", "to": "2020-01-31"}).json()
    assert (body["results"], body["cost"]) == ([], "0.00")


def test_prices_come_from_the_catalog(owner: Person) -> None:
    body = owner.get(f"{BASE}/prices").json()

    assert (body["currency"], body["unit"]) == ("USD", "million_tokens")
    assert body["results"][:2] == [
        {
            "model": "plain",
            "provider": "acme",
            "kind": "chat",
            "input_price": "1.00",
            "cached_input_price": "0.10",
            "output_price": "2.00",
            "available": True,
        },
        {
            "model": "fine",
            "provider": "acme",
            "kind": "chat",
            "input_price": "0.0375",
            "cached_input_price": "0.0375",
            "output_price": "0.15",
            "available": True,
        },
    ]
    unpriced = next(item for item in body["results"] if item["model"] == "unpriced")
    assert (unpriced["input_price"], unpriced["output_price"]) == (None, None)


@pytest.mark.parametrize("size", [1, 20])
def test_usage_takes_three_queries_however_much(owner: Person, size: int, django_assert_num_queries: Any) -> None:
    for step in range(size):
        use(owner.workspace.pk, f"run_{step}", 1)

    with django_assert_num_queries(3):  # The membership, the sums, the wallet for its currency.
        response = owner.get(f"{BASE}/usage")

    assert response.json()["results"][0]["requests"] == size == UsageRecord.objects.count()


@pytest.mark.parametrize("size", [1, 5])
def test_prices_take_two_queries_however_many(
    owner: Person, models_file: Any, size: int, django_assert_num_queries: Any
) -> None:
    heads = models_file.read_text().split("[[provider.model]]")
    models_file.write_text("[[provider.model]]".join(heads[: size + 1]))

    with django_assert_num_queries(2):  # The membership, the wallet for its currency.
        response = owner.get(f"{BASE}/prices")

    assert len(response.json()["results"]) == size
