"""HTTP in bytes, for what no client would send."""

import socket

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json"
CHUNKED = b"Transfer-Encoding: chunked"


def request(line: str | bytes, *headers: bytes, body: bytes = b"") -> bytes:
    start = line if isinstance(line, bytes) else line.encode()
    return start + b" HTTP/1.1\r\n" + HOST + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def chunks(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer: its status, its headers by lower-case name, its body; status 0 when the server hung up silently."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := connection.recv(65536)):
            break
        received += more
    if not received:
        return 0, {}, b""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)) and (more := connection.recv(65536)):
        body += more
    return int(first.split()[1]), headers, body
