"""Rate limits, counted in Redis."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import path
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError

from backend.db.redis import client
from backend.http import limits
from backend.http.limits import Rate, RateLimited, address_of, check, hit

TEN = Rate(10, 60)


def answer(request: HttpRequest) -> JsonResponse:
    body = json.loads(request.body) if request.body else None
    return JsonResponse({"email": body.get("email") if isinstance(body, dict) else None})


urlpatterns = [
    path("api/v1/auth/login", answer),
    path("api/v1/auth/code/request", answer),
    path("api/v1/auth/session", answer),
    path("api/v1/account/email", answer),
    path("api/v1/other", answer),
]


@pytest.fixture(autouse=True)
def routes(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.AUTH_RATE_LIMIT = "3/min"


@pytest.fixture
def api() -> Client:
    return Client(raise_request_exception=False)


def log_in(api: Client, email: str = "a@example.com", address: str = "192.0.2.1", path: str = "login") -> Any:
    return api.post(f"/api/v1/auth/{path}", {"email": email}, content_type="application/json", REMOTE_ADDR=address)


def test_hits_run_out() -> None:
    verdicts = [hit("p", TEN, "someone") for _ in range(12)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 10 + [False] * 2
    assert [verdict.remaining for verdict in verdicts] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert all(1 <= verdict.reset <= 60 for verdict in verdicts)


def test_two_concurrent_requests_never_share_a_hit() -> None:
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(lambda _: hit("p", TEN, "someone"), range(64)))
    assert sum(verdict.allowed for verdict in verdicts) == 10


def test_hits_come_back_when_the_window_has_passed() -> None:
    rate = Rate(1, 1)
    assert hit("p", rate, "someone").allowed
    assert not hit("p", rate, "someone").allowed
    client().zadd(next(iter(client().scan_iter("limit:*"))), {b"first": 0})  # Long ago.
    for key in client().scan_iter("limit:*"):
        client().zremrangebyrank(key, 1, -1)
    assert hit("p", rate, "someone").allowed


def test_subjects_and_policies_count_apart() -> None:
    rate = Rate(1, 60)
    assert hit("p", rate, "someone").allowed
    assert hit("p", rate, "another").allowed
    assert hit("q", rate, "someone").allowed


def test_a_refused_hit_counts_against_no_subject() -> None:
    rate = Rate(1, 60)
    hit("p", rate, "address")
    assert not hit("p", rate, "address", "account").allowed
    assert hit("p", rate, "account").allowed


def test_a_refused_hit_has_retry_after() -> None:
    check("p", Rate(1, 60), "someone")
    with pytest.raises(RateLimited) as refused:
        check("p", Rate(1, 60), "someone")
    headers = refused.value.extra["headers"]
    assert headers["RateLimit-Policy"] == '"p";q=1;w=60'
    assert headers["RateLimit"].startswith('"p";r=0;t=')
    assert 1 <= int(headers["Retry-After"]) <= 60


def test_no_personal_data_is_stored() -> None:
    hit("p", TEN, "account:ana@example.com")
    assert not any(b"ana" in key for key in client().scan_iter("*"))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("30/min", Rate(30, 60)),
        ("5/10min", Rate(5, 600)),
        ("1/s", Rate(1, 1)),
        ("100/day", Rate(100, 86400)),
        ("off", None),
    ],
)
def test_a_rate_is_parsed(text: str, rate: Rate | None) -> None:
    assert Rate.parse(text) == rate


@given(st.text())
def test_an_invalid_rate_is_refused(text: str) -> None:
    try:
        rate = Rate.parse(text)
    except ValueError:
        return
    assert text == "off" or (rate is not None and rate.limit > 0)


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", "unknown"),
        ("nonsense", "nonsense"),
    ],
)
def test_the_subject_of_an_address(rf: Any, address: str, subject: str) -> None:
    assert address_of(rf.get("/", REMOTE_ADDR=address)) == subject


def test_log_ins_from_one_address_are_limited(api: Client) -> None:
    answers = [log_in(api, email=f"{number}@example.com") for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0]["RateLimit"].startswith('"auth";r=2;t=')
    assert answers[3]["Content-Type"] == "application/problem+json"
    assert answers[3].json()["code"] == "rate_limited"
    assert 1 <= int(answers[3]["Retry-After"]) <= 60
    assert log_in(api, address="192.0.2.2").status_code == 200


def test_requests_about_one_account_from_elsewhere_do_not_use_its_owners_limit_up(api: Client) -> None:
    answers = [log_in(api, address=f"192.0.2.{number}").status_code for number in range(2, 9)]

    assert answers == [200] * 7
    assert log_in(api).status_code == 200


def test_allauth_gets_the_canonical_address(api: Client) -> None:
    assert log_in(api, email=" A@BÜCHER.example").json()["email"] == "a@xn--bcher-kva.example"
    assert log_in(api, email="a@example.com").json()["email"] == "a@example.com"
    refused = log_in(api, email="a@straße.example")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/email")
    assert "ß" in refused.json()["errors"][0]["detail"]


def test_the_routes_share_the_limit(api: Client) -> None:
    assert [log_in(api, path=path).status_code for path in ("login", "code/request", "login", "code/request")][3] == 429


def test_reading_and_other_routes_are_not_limited(api: Client) -> None:
    for _ in range(5):
        assert api.get("/api/v1/auth/session").status_code == 200
        assert api.delete("/api/v1/auth/session").status_code == 200
        assert api.post("/api/v1/other", {}, content_type="application/json").status_code == 200


def test_limits_can_be_turned_off(api: Client, settings: Any) -> None:
    settings.AUTH_RATE_LIMIT = "off"
    assert [log_in(api).status_code for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("path", ["auth/login", "account/email"])
@pytest.mark.parametrize(
    "body", ['{"a": NaN}', '{"email": "a", "email": "b"}', '{"email": "\\u0000"}', "[" * 5000, "\xff", '"\\ud800"']
)
def test_bodies_for_allauth_are_strict_json(api: Client, path: str, body: str) -> None:
    response = api.post(f"/api/v1/{path}", body.encode("latin1"), content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "malformed_body")


def test_a_body_too_large_is_refused(api: Client) -> None:
    response = api.post("/api/v1/auth/login", b" " * 1_048_577, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("body", ["[]", "1", "null", '{"email": 1}', '{"email": {}}', '{"email": ""}', ""])
def test_requests_without_an_account_count_by_address(api: Client, body: str) -> None:
    response = api.post("/api/v1/auth/login", body, content_type="application/json")
    assert (response.status_code, response["RateLimit"][:10]) == (200, '"auth";r=2')


def test_without_redis_log_ins_are_refused(api: Client) -> None:
    with mock.patch.object(limits, "client", side_effect=RedisConnectionError("gone")):
        response = log_in(api)
    assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
