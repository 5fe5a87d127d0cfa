"""405 for methods that a view does not have, before any other check of the request."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from backend.http.problems import problem_response

View = TypeVar("View", bound=Callable[..., Any])


def read_only(view: View) -> View:
    """Allow GET and HEAD alone; other methods get 405. No CSRF check: the view changes nothing."""
    return csrf_exempt(require_safe(view))


class MethodMiddleware:
    """405 with ``Allow`` for a method that a class-based view of the API does not have.

    REST framework and allauth check the caller, the workspace and the body first. A PUT where there is none would get
    one of their errors, and the client would not learn that the method is wrong (RFC 9110, section 15.5.6).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> HttpResponseBase | None:
        allowed = methods_of(view) if request.path_info.startswith("/api/") else None
        if allowed is None or request.method in allowed:
            return None
        return problem_response(request, status=405, code="method_not_allowed", headers={"Allow": ", ".join(allowed)})


def methods_of(view: Callable[..., Any]) -> list[str] | None:
    """The methods of a class-based view, REST framework's or Django's; None for a function, which checks itself."""
    cls = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if cls is None:
        return None
    actions: Mapping[str, str] = getattr(view, "actions", None) or {}
    found = [name for name in cls.http_method_names if (name in actions if actions else hasattr(cls, name))]
    if "get" in found and "head" not in found:
        found.insert(found.index("get") + 1, "head")
    if "options" not in found:
        found.append("options")
    return [name.upper() for name in found]
