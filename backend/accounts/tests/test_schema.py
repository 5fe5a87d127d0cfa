from django.test import Client
from django.urls import resolve

from backend.accounts.schema import OPERATIONS


def test_what_the_document_says_of_allauths_routes_is_there(db: None) -> None:
    document = Client().get("/api/schema").json()

    for path, method in OPERATIONS:
        assert resolve(path).url_name
        assert method in document["paths"][path]
        assert Client(raise_request_exception=False).generic(method.upper(), path).status_code != 405
    body = document["paths"]["/api/v1/auth/signup"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["email", "password"]


def test_our_own_routes_are_in_the_document_with_and_without_a_token() -> None:
    paths = Client().get("/api/schema").json()["paths"]

    assert paths["/api/v1/users/me"]["get"]["security"] == [{"bearer": []}]
    assert not any(paths["/api/v1/tokens/refresh"]["post"].get("security", []))
    assert {"get", "delete"} <= paths["/api/v1/sessions"].keys()
