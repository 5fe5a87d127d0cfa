"""A method that a path does not have is refused before anything else is checked."""

import pytest
from django.test import Client

PATHS = ["/api/v1/auth/login", "/api/v1/auth/2fa/authenticate", "/api/v1/account/email", "/api/v1/billing/balance"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", [*PATHS, "/api/v1/documents/usage", "/api/v1/agents/x", "/api/v1/tokens/refresh"])
@pytest.mark.parametrize("authorization", [None, "Bearer x"])
def test_an_unknown_method_is_405_for_every_caller(path: str, authorization: str | None) -> None:
    headers = {"Orquestra-Workspace": "x", **({"Authorization": authorization} if authorization else {})}
    wrong = "GET" if path.endswith(("login", "authenticate", "refresh")) else "PROPFIND"
    response = Client().generic(wrong, path, headers=headers)

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert wrong not in response["Allow"].split(", ")
    assert "OPTIONS" in response["Allow"]


def test_allow_lists_the_methods_of_the_openapi_document() -> None:
    for path in PATHS:
        allowed = set(Client().generic("PROPFIND", path)["Allow"].lower().split(", "))
        assert allowed - {"head", "options"} == set(Client().get("/api/schema").json()["paths"][path])
