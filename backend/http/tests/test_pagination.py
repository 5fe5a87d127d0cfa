"""Pages of lists. Workspaces stand for anything that has a UUIDv7."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from django.apps import apps
from django.test import Client
from django.urls import path
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView

from backend.http.ids import PublicIdField, encode, new_id
from backend.http.pagination import IDS, NUMBERS, TIMES, CursorPagination, Position
from backend.http.views import PublicIdLookup

Workspace = apps.get_model("accounts", "Workspace")


class ThingSerializer(serializers.Serializer[Any]):
    id = PublicIdField("wsp", source="pk")


class Things(ListAPIView[Any]):
    authentication_classes = []
    permission_classes = []
    serializer_class = ThingSerializer
    queryset = Workspace.objects.all()


class ByTime(CursorPagination):
    ordering = ("-created_at", "-id")
    position = TIMES


class TimedThings(Things):
    pagination_class = ByTime


class Thing(PublicIdLookup, RetrieveAPIView[Any]):
    authentication_classes = []
    permission_classes = []
    serializer_class = ThingSerializer
    queryset = Workspace.objects.exclude(name="foreign")
    id_prefix = "wsp"


urlpatterns = [
    path("api/v1/things", Things.as_view()),
    path("api/v1/timed", TimedThings.as_view()),
    path("api/v1/things/<pk>", Thing.as_view()),
]
handler404 = "backend.http.errors.not_found"
handler500 = "backend.http.errors.server_error"

pytestmark = pytest.mark.django_db

ASCII = st.characters(codec="ascii")


@pytest.fixture(autouse=True)
def routes(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def api() -> Client:
    return Client(raise_request_exception=False)


def make(count: int, name: str = "same") -> list[str]:
    """All of one moment, so that a page ends among rows that have the same position."""
    moment = datetime(2026, 1, 31, 9, 30, 0, 123456, UTC)
    made = [Workspace.objects.create(name=name).pk for _ in range(count)]
    Workspace.objects.filter(pk__in=made).update(created_at=moment)
    return [encode("wsp", pk) for pk in made]


def walk(api: Client, url: str | None, link: str = "next") -> list[list[str]]:
    pages = []
    while url:
        body = api.get(url).json()
        pages.append([row["id"] for row in body["results"]])
        url = body[link]
    return pages


@pytest.mark.parametrize("address", ["/api/v1/things", "/api/v1/timed"])
def test_pages_contain_every_item_once_newest_first(api: Client, address: str) -> None:
    made = make(7)
    pages = walk(api, f"{address}?limit=3")
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [id for page in pages for id in page] == made[::-1]


def test_previous_pages_equal_the_pages_before(api: Client) -> None:
    make(7)
    first = api.get("/api/v1/things?limit=3").json()
    last = api.get(api.get(first["next"]).json()["next"]).json()
    assert first["previous"] is None
    assert last["next"] is None
    assert walk(api, last["previous"], "previous")[-1] == [row["id"] for row in first["results"]]


def test_a_new_item_shifts_no_page(api: Client) -> None:
    made = make(4)
    first = api.get("/api/v1/things?limit=2").json()
    make(3)
    assert [row["id"] for row in api.get(first["next"]).json()["results"]] == made[1::-1]


def test_an_empty_list(api: Client) -> None:
    assert api.get("/api/v1/things").json() == {"results": [], "next": None, "previous": None}


def test_fifty_by_default_and_two_hundred_at_most(api: Client) -> None:
    Workspace.objects.bulk_create([Workspace(name=str(number)) for number in range(201)])
    assert len(api.get("/api/v1/things").json()["results"]) == 50
    assert len(api.get("/api/v1/things?limit=200").json()["results"]) == 200


@pytest.mark.parametrize("size", [1, 20])
def test_a_page_takes_one_query_however_long(api: Client, size: int, django_assert_num_queries: Any) -> None:
    make(size)
    with django_assert_num_queries(1):  # The page.
        api.get("/api/v1/things?limit=10")


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x", "", "1.5", "1e2", "٣", "9" * 50, "\0"])
def test_an_invalid_limit_is_a_field_error(api: Client, limit: str) -> None:
    response = api.get("/api/v1/things", {"limit": limit})
    assert (response.status_code, response.json()["code"]) == (422, "validation_error")
    assert response.json()["errors"][0]["pointer"] == "/limit"


CURSORS = [
    "",
    "x",
    "====",
    "ç",
    "%00",
    "\0",
    "a" * 5000,
    "cD14",
    "cj0x",
    "n",
    "n0_",
    "n-1",
    "n0_x",
    "x0",
    "n99999",
    "n0\n",
    "n٣",
]


@pytest.mark.parametrize("address", ["/api/v1/things", "/api/v1/timed"])
@pytest.mark.parametrize("text", CURSORS)
def test_an_invalid_cursor_is_a_field_error(api: Client, address: str, text: str) -> None:
    response = api.get(address, {"cursor": text})
    assert (response.status_code, response.json()["code"]) == (422, "validation_error")
    assert response.json()["errors"][0]["pointer"] == "/cursor"


@pytest.mark.parametrize(("address", "position"), [("/api/v1/things", IDS), ("/api/v1/timed", TIMES)])
def test_every_cursor_of_the_declared_pattern_is_a_page(api: Client, address: str, position: Position) -> None:
    make(3)

    @hypothesis_settings(deadline=None, max_examples=40, derandomize=True)
    @given(text=st.from_regex(f"([np])([0-9]{{1,4}})(?:_({position.pattern}))?", fullmatch=True, alphabet=ASCII))
    def try_one(text: str) -> None:
        assert api.get(address, {"cursor": text}).status_code == 200

    try_one()


@given(number=st.integers(0, 10**18 - 1), time=st.datetimes(datetime(1970, 1, 1), datetime(2286, 1, 1)), id=st.uuids())
def test_a_position_survives_writing_and_reading(number: int, time: datetime, id: UUID) -> None:
    for position, value in ((NUMBERS, number), (TIMES, time.replace(tzinfo=UTC)), (IDS, id)):
        text = position.write(value)
        assert re.fullmatch(position.pattern, text)
        assert position.read(text) == value


def test_the_links_keep_the_other_parameters(api: Client) -> None:
    make(3)
    link = api.get("/api/v1/things?limit=2&q=a%26b").json()["next"]
    assert parse_qs(urlsplit(link).query).items() >= {"limit": ["2"], "q": ["a&b"]}.items()


def test_a_malformed_an_unknown_and_a_foreign_id_get_the_same_answer(api: Client) -> None:
    (foreign,) = make(1, name="foreign")
    (mine,) = make(1)
    assert api.get(f"/api/v1/things/{mine}").json() == {"id": mine}

    answers = set()
    for wrong in (foreign, encode("wsp", new_id()), mine.replace("wsp", "doc"), mine.upper(), "x", "%00", "wsp_%ff"):
        response = api.get(f"/api/v1/things/{wrong}")
        body = response.json()
        assert body.pop("instance") == response.wsgi_request.path
        assert body.pop("request_id") == response["X-Request-ID"]
        answers.add((response.status_code, response["Content-Type"], str(body)))
    assert len(answers) == 1
