"""The answer to bytes that never became a request, which neither Django nor WSGI gets to see."""

import json
from uuid import uuid4

from backend.http.codes import CONTENT_TYPE, TEXTS


def refusal(status: int, code: str) -> bytes:
    """A whole HTTP/1.1 answer with a problem document; the connection closes after it."""
    title, detail = TEXTS[code]
    request_id = uuid4().hex
    document = {
        "type": f"urn:orquestra:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": None,
        "code": code,
        "request_id": request_id,
    }
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status} {title}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
