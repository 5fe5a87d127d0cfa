"""ASGI's types, and what our layers leave for each other in the scope of a request."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY = "orquestra.body"  # The body: bytes, or a file for reading.
REFUSAL = "orquestra.refusal"  # An exception that the application answers with; also in the WSGI environment.
ABORT = "orquestra.abort"  # A function that ends the connection at once.
ACCOUNT = "orquestra.account"  # In the scope's ``state``: whose upload it is.
