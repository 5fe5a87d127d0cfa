"""System checks of settings: `manage.py check` finds invalid values, `check --deploy` unsafe ones for production."""

import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from backend.http.limits import Rate

DEVELOPMENT_KEY = "development-only"


@register(Tags.security, deploy=True)
def production(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """Values that are unsafe in production."""
    found: list[CheckMessage] = []
    if settings.SECRET_KEY.startswith(DEVELOPMENT_KEY) or len(settings.SECRET_KEY) < 32:
        found.append(
            Error("SECRET_KEY is the development one, or short.", hint="50 random characters.", id="http.E001")
        )
    if settings.DEBUG:
        found.append(Error("DEBUG is on.", id="http.E002"))
    if not settings.ALLOWED_HOSTS or any(host in ("*", ".") for host in settings.ALLOWED_HOSTS):
        found.append(Error("ALLOWED_HOSTS lets every host name in, or none.", id="http.E003"))
    if "*" in settings.CORS_ALLOWED_ORIGINS or getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False):
        found.append(Error("CORS_ALLOWED_ORIGINS lets every site in.", id="http.E004"))
    if not settings.PUBLIC_URL.startswith("https://"):
        found.append(Warning("PUBLIC_URL is not https: cookies and tokens travel in the clear.", id="http.W005"))
    if settings.AUTH_RATE_LIMIT == "off":
        found.append(Warning("AUTH_RATE_LIMIT is off: passwords can be guessed at full speed.", id="http.W006"))
    if _trusts_every_address(os.environ.get("FORWARDED_ALLOW_IPS", "")):
        hint = "Name the gateway's addresses. Otherwise a client chooses the address that its limits are counted by."
        found.append(Error("FORWARDED_ALLOW_IPS trusts every client.", hint=hint, id="http.E007"))
    return found


def _trusts_every_address(addresses: str) -> bool:
    """Whether the list, as uvicorn reads it, covers all of IPv4 or IPv6, also by several networks together."""
    names = [name.strip() for name in addresses.split(",")]
    networks: dict[int, list[Any]] = {4: [], 6: []}
    for name in names:
        try:
            network = ipaddress.ip_network(name, strict=False)
        except ValueError:
            continue  # A socket path, or the asterisk.
        networks[network.version].append(network)
    wide = [network for same in networks.values() for network in ipaddress.collapse_addresses(same)]
    return "*" in names or any(network.prefixlen == 0 for network in wide)


@register()
def values(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """Values that are invalid everywhere."""
    found: list[CheckMessage] = []
    for name in ("AUTH_RATE_LIMIT", "REFRESH_RATE_LIMIT"):
        try:
            Rate.parse(getattr(settings, name))
        except ValueError as error:
            found.append(Error(f"{name} is {error}.", id="http.E101"))
    if settings.LOG_FORMAT not in ("console", "json"):
        found.append(Error("LOG_FORMAT is neither console nor json.", id="http.E102"))
    if settings.LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        found.append(Error("LOG_LEVEL is not a level.", hint="DEBUG, INFO, WARNING or ERROR.", id="http.E103"))
    if settings.LOG_FILE and not Path(settings.LOG_FILE).parent.is_dir():
        found.append(Error("The folder of LOG_FILE does not exist.", id="http.E104"))
    if settings.WEB_THREADS < 1:
        found.append(Error("WEB_THREADS is less than 1.", id="http.E105"))
    if "RUN_DOORBELL_SECONDS" in os.environ:
        renamed = "RUN_DOORBELL_SECONDS is now RUN_NOTIFY_SECONDS; the next release ignores the old name."
        found.append(Warning(renamed, id="http.W107"))
    public = urlsplit(settings.PUBLIC_URL)
    if public.scheme not in ("http", "https") or not public.netloc or public.path:
        found.append(Error("PUBLIC_URL is not an address such as https://api.example.com.", id="http.E106"))
    return found
