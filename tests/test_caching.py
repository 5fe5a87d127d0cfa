"""No cache gives one caller what it kept for another."""

from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver

from backend.documents.tests.cast import pdf, upload
from backend.urls import routes
from tests.actors import Person


def addresses(patterns: list[Any], prefix: str = "") -> list[str]:
    found = []
    for pattern in patterns:
        path = prefix + str(pattern.pattern).lstrip("^")
        if isinstance(pattern, URLResolver):
            found += addresses(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            found.append("/" + path)
    return found


@pytest.mark.django_db
def test_every_answer_of_the_api_depends_on_who_asks() -> None:
    """Whatever it is, refusals too. Ids and numbers stand for what is not there."""
    paths = [path for path in addresses(routes()) if path.startswith("/api/v1/") and path.count("(?") == 0]
    assert len(paths) > 40

    for path in paths:
        address = path.replace("<str:pk>", "x_1").replace("<int:page>", "1").replace("<str:chunk>", "chk_1")
        response = Client(raise_request_exception=False).get(address.replace("$", ""))
        varies = {name.strip() for name in response.headers.get("Vary", "").split(",")}
        assert {"Authorization", "Orquestra-Workspace"} <= varies, address
        assert "public" not in response["Cache-Control"], address


def test_what_belongs_to_a_person_is_kept_by_their_browser_at_most(owner: Person) -> None:
    document = upload(owner, pdf("A page."), "page.pdf").json()["id"]
    for path in ("users/me", "documents", f"documents/{document}", f"documents/{document}/content"):
        response = owner.get(f"/api/v1/{path}")
        assert response.status_code == 200, path
        assert response["Cache-Control"].split(",")[0] in ("private", "no-store"), path
        assert "Authorization" in response["Vary"], path
        if response.streaming:
            response.close()
