"""`make gateway`: the launcher with the gateway in front of four services."""

import http.client
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.embedded import gateway
from backend.embedded.gateway import SERVICES
from backend.embedded.options import LauncherError, from_environment
from tests.gateway import needs_nginx
from tests.launched import ROOT, Launcher
from tests.services import free_port


def five_free_ports() -> int:
    """The first of five in a row."""
    while True:
        first = free_port()
        held: list[socket.socket] = []
        try:
            for port in range(first, first + 5):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for each in held:
                each.close()
        return first


def get(port: int, path: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": "localhost"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.getheader("Server")


@needs_nginx
@pytest.mark.timeout(240)
def test_the_gateway_and_the_services_use_consecutive_ports(tmp_path: Path) -> None:
    launcher = Launcher(ROOT, tmp_path / "data", tmp_path / "said", port=five_free_ports(), ordinary=False)
    launcher.start(GATEWAY="1")
    try:
        launcher.wait_until_ready(150)
        assert get(launcher.port, "/") == (200, "nginx")
        assert get(launcher.port, "/metrics") == (403, "nginx")
        own = dict.fromkeys(SERVICES, "") | {"agents": "/api/v1/agents", "billing": "/api/v1/billing/balance"}
        for number, service in enumerate(SERVICES, start=1):
            assert get(launcher.port + number, "/healthz")[0] == 200, service
            for path in filter(None, own.values()):
                assert get(launcher.port + number, path)[0] == (401 if own[service] == path else 404), service
    finally:
        launcher.stop()
    assert "Everything is stopped" in launcher.output


def test_without_nginx_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere: Callable[..., Any] = lambda *_, **__: None  # noqa: E731
    monkeypatch.setattr(shutil, "which", nowhere)
    with pytest.raises(LauncherError, match="apt install nginx"):
        gateway.find()


def test_ports_above_65535_are_refused() -> None:
    with pytest.raises(LauncherError, match="the ports after it"):
        gateway.services(from_environment({"PORT": "65532", "GATEWAY": "1"}))
