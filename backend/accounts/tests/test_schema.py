from collections.abc import Iterator

from django.test import Client
from django.urls import URLPattern, URLResolver

from backend.accounts import urls
from backend.accounts.flows_table import FLOWS
from backend.http.methods import methods_of

# Routes of allauth that have nothing to work on here: no phone numbers, no providers, no mails with codes to resend;
# our own route for tokens comes before its.
IDLE = ("phone", "provider", "resend", "tokens")


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "/") -> Iterator[tuple[str, str]]:
    for entry in patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, path)
        elif "headless" in entry.callback.__module__ or "flows" in entry.callback.__module__:
            for method in methods_of(entry.callback) or ():
                yield path, method.lower()


def test_every_route_of_allauth_that_does_something_is_in_the_document() -> None:
    served = {(path, method) for path, method in routes(urls.urlpatterns) if method not in ("head", "options")}
    assert len(served) > 20

    assert {key for key in served if not any(word in key[0] for word in IDLE)} == FLOWS.keys()
    paths = Client().get("/api/schema").json()["paths"]
    for path, method in FLOWS:
        assert method in paths[path]
    body = paths["/api/v1/auth/signup"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["email", "password"]


def test_our_own_routes_are_in_the_document_with_and_without_a_token() -> None:
    paths = Client().get("/api/schema").json()["paths"]

    assert paths["/api/v1/users/me"]["get"]["security"] == [{"bearer": []}]
    assert not any(paths["/api/v1/tokens/refresh"]["post"].get("security", []))
    assert {"get", "delete"} <= paths["/api/v1/sessions"].keys()
