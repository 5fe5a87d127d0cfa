"""The options of the launcher, read from the environment."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DEFAULT_OPERATOR = "operator@orquestra.local"
OWN_SETTINGS = {  # The launcher sets these; the environment cannot.
    *("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_PRIVATE_KEY", "DATA_DIR", "DEBUG", "LOG_FORMAT"),
    *("SERVICES", "HEARTBEAT_FILE", "MIGRATION_DATABASE_URL"),
}
PASSED_ON = (  # Variables for any program: folders, language, certificates, proxies.
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"),  # For the web process.
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)


class LauncherError(Exception):
    """The launcher cannot continue; the message is for the user at the terminal."""


@dataclass(frozen=True, slots=True)
class Options:
    """:ivar host: the address to listen on; empty means this machine alone.
    :ivar operator_password: None unless the person set one.
    :ivar gateway: four services behind nginx instead of one web process.
    :ivar passed_on: variables of the environment that child processes see.
    """

    port: int
    host: str
    data_dir: Path
    operator_email: str
    operator_password: str | None
    gateway: bool
    passed_on: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"


def from_environment(environment: Mapping[str, str]) -> Options:
    """
    :raises LauncherError: a value makes no sense.
    """
    port = environment.get("PORT") or "8000"
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise LauncherError(f"PORT is {port!r}; a number from 1 to 65535 is needed")
    email = environment.get("OPERATOR_EMAIL") or DEFAULT_OPERATOR
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", email):
        raise LauncherError(f"OPERATOR_EMAIL is {email!r}; an e-mail address is needed")
    return Options(
        port=int(port),
        host=environment.get("HOST") or "",
        data_dir=(ROOT / Path(environment.get("DATA_DIR") or "var").expanduser()).absolute(),
        operator_email=email,
        operator_password=environment.get("OPERATOR_PASSWORD") or None,
        gateway=environment.get("GATEWAY", "") not in ("", "0", "no"),
        passed_on=_passed_on(environment),
    )


def _passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """PASSED_ON, all settings except OWN_SETTINGS, and the API keys that the models file names."""
    source = _read(ROOT / "backend" / "settings.py")
    settings = set(re.findall(r"""\benv(?:\.\w+)?\(\s*"([A-Z][A-Z0-9_]*)\"""", source)) - OWN_SETTINGS
    models = ROOT / (environment.get("MODELS_FILE") or "models.toml")
    try:
        providers = tomllib.loads(_read(models)).get("provider", [])
        keys = {str(provider["api_key_env"]) for provider in providers if "api_key_env" in provider}
    except (tomllib.TOMLDecodeError, TypeError, AttributeError):
        keys = set()  # The system checks of the web process report the error and its line.
    named = {*settings, *keys}
    named |= {f"{name}_FILE" for name in named}
    return {name: environment[name] for name in (*PASSED_ON, *named) if environment.get(name)}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def surroundings() -> Options:
    """The options of this process."""
    return from_environment(os.environ)
