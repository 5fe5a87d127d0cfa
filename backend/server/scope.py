"""The types of ASGI, and the keys under which our layers pass values to each other in the scope of a request."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote_from_bytes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY = "orquestra.body"  # The body: bytes, or a file open for reading.
ERROR = "orquestra.error"  # An exception that the application must answer with; also in the WSGI environment.
ABORT = "orquestra.abort"  # A function that cuts the connection at once.
ACCOUNT = "orquestra.account"  # In the scope's ``state``: the account that uploads this body.


def sanitized(scope: Scope) -> Scope:
    """The scope without headers whose underscores WSGI would turn into hyphens, and with an ASCII query string."""
    headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    query = quote_from_bytes(scope["query_string"], safe="%&=+/?:@!$'()*,;~-._[]{}|\\^`<>\"")
    return {**scope, "headers": headers, "query_string": query.encode("ascii")}


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
