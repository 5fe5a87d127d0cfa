"""The gateway's configuration by itself: nginx takes it, gixy finds nothing, and its texts are the services' own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.translation import gettext

from backend.embedded.gateway import SERVICES
from backend.http.codes import TEXTS
from backend.http.headers import DEFAULT_POLICY, PERMISSIONS
from tests.gateway import START, Nginx, make_nginx, needs_nginx

FOLDER = START.parent
PORTS = dict.fromkeys(SERVICES, 9)
VARIANTS = {
    "plain": {},
    "IPv6 too": {"GATEWAY_LISTEN": "8000|[::]:8000"},
    "TLS": {"GATEWAY_TLS": "tls-on.conf", "GATEWAY_LISTEN": "8443 ssl", "GATEWAY_REDIRECT_LISTEN": "8080"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path


def made(folder: Path, **variables: str) -> Nginx:
    keys = {"GATEWAY_CERTIFICATE": str(folder / "certificate.pem"), "GATEWAY_CERTIFICATE_KEY": str(folder / "key.pem")}
    return make_nginx(folder, "gateway", PORTS, 8000, **keys, **variables)


@needs_nginx
@pytest.mark.parametrize("variables", VARIANTS.values(), ids=VARIANTS)
def test_nginx_accepts_the_configuration_and_gixy_finds_nothing(folder: Path, variables: dict[str, str]) -> None:
    nginx = made(folder, **variables)
    tested = nginx.run("test")
    assert (tested.returncode, tested.stderr) == (0, "")
    gixy = [str(Path(sys.executable).with_name("gixy")), "--format", "json", str(nginx.folder / "nginx.conf")]
    found = subprocess.run(gixy, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(found.stdout) == [], found.stderr


@needs_nginx
def test_an_invalid_configuration_is_reported(folder: Path) -> None:
    tested = made(folder, GATEWAY_RATE_API="many").run("test")
    assert tested.returncode != 0
    assert "invalid rate" in tested.stderr


@needs_nginx
def test_a_service_without_an_address_does_not_stop_the_others(folder: Path) -> None:
    nginx = made(folder, GATEWAY_BILLING="no-such-name.invalid:8004", GATEWAY_AGENTS="localhost:8002")
    assert nginx.run("test").returncode == 0
    text = (nginx.folder / "nginx.conf").read_text()
    assert "upstream billing   { server 127.0.0.1:9 " in text
    assert "upstream agents    { server 127.0.0.1:8002 " in text


def test_every_variable_has_a_default() -> None:
    defaults = set(re.findall(r"^(GATEWAY_\w+)=", (FOLDER / "defaults.env").read_text(), re.MULTILINE))
    used = {
        name
        for file in FOLDER.iterdir()
        if file.name != "start.sh"
        for name in re.findall(r"\$\{(GATEWAY_\w+)\}", file.read_text())
    }
    assert used <= defaults
    started = set(re.findall(r"GATEWAY_[A-Z_]+[A-Z]", (FOLDER / "start.sh").read_text()))
    assert started <= defaults
    assert defaults == used | started


def test_error_texts_are_those_of_the_services() -> None:
    text = (FOLDER / "problems.conf").read_text()
    rows = re.findall(r"^    (en|pt-br):(\w+) +'(.*)';$", text, re.MULTILINE)
    codes = set(re.findall(r"^    (?:[0-9]{3}|default|\S+\^413\S+) (\w+);$", text, re.MULTILINE)) - {"en"}
    assert {code for _, code, _ in rows} == {code for code in codes if code in TEXTS} | {"file_too_large"}
    for language, code, members in rows:
        with translation.override(language):
            title, detail = map(gettext, TEXTS[code])
        assert json.loads(f"{{{members}}}") == {"title": title, "detail": detail}


def test_own_responses_have_the_security_headers_of_the_services() -> None:
    text = (FOLDER / "own-headers.conf").read_text()
    assert f'"{DEFAULT_POLICY}"' in text
    assert f'"{PERMISSIONS}"' in text
