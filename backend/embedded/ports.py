"""The listening sockets. The launcher holds them from the start, so that no other program takes the port while the web
process starts, and requests wait instead of failing while it restarts.
"""

import errno
import socket

from backend.embedded.options import LauncherError

EVERYWHERE = {"0.0.0.0", "::"}


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on the address; without one on this machine's loopback, IPv4 and (where there is one) IPv6.

    :raises LauncherError: the port is taken, or may not be used.
    """
    opened: list[socket.socket] = []
    for family, address in _addresses(host, port):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        try:
            listener.bind((address, port))
            listener.listen(2048)
        except OSError as error:
            listener.close()
            if address == "::1" and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue  # This machine has no IPv6.
            for other in opened:
                other.close()
            raise LauncherError(_reason(error, address, port)) from error
        opened.append(listener)
    return opened


def free(host: str, port: int) -> list[str]:
    """The addresses on which another program can listen, as ``address:port``.

    :raises LauncherError: as ``listen``.
    """
    found = []
    for listener in listen(host, port):
        address = listener.getsockname()[0]
        found.append(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
        listener.close()
    return found


def own_address(host: str) -> str:
    """The address at which the launcher reaches the web process."""
    return "127.0.0.1" if not host or host in EVERYWHERE else host


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    if not host:
        both = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
        return both if socket.has_ipv6 else both[:1]
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise LauncherError(f"HOST is {host!r}, which is no address of this machine: {error.strerror}") from error
    return [(family, str(address[0]))]


def _reason(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"PORT {port} is taken by another program; stop it, or choose another: make run PORT={port + 1}"
    if error.errno == errno.EACCES:
        return f"PORT {port} needs more rights than you have here; choose one above 1023: make run PORT=8000"
    return f"Cannot listen on {address}, PORT {port}: {error.strerror}"
