"""System checks of the settings and the isolation of parsers."""

import time
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from backend.documents.errors import IngestionFailed
from backend.documents.ingestion.process import ParserProcess

SECONDS = 30.0  # For a parser process to start.


@register()
def values(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """Invalid values of settings."""
    if settings.PARSER_ISOLATION not in ("available", "strict"):
        return [Error("PARSER_ISOLATION is neither available nor strict.", id="documents.E101")]
    return []


@register(Tags.security, deploy=True)
def isolation(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """Start a parser process and report the isolation layers that this machine lacks."""
    process = ParserProcess()
    try:
        process.wait_until_ready(time.monotonic() + SECONDS)
    except (IngestionFailed, ConnectionError):
        return [Error("The parser process does not start.", id="documents.E001")]
    finally:
        process.close()
    found: list[CheckMessage] = []
    kind = Error if settings.PARSER_ISOLATION == "strict" else Warning
    for name, why in process.missing().items():
        found.append(kind(f"Parsers of documents run without {name}: {why}.", id="documents.W002"))
    return found
