"""The system check of the models file, which reports a mistake at the start and not at the first question."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from backend.llm.catalog import CatalogError, load


def models_file_is_usable(**_: Any) -> list[CheckMessage]:
    try:
        load(Path(settings.MODELS_FILE))
    except CatalogError as error:
        return [Error(str(error), hint="docs/models.md explains every key.", id="llm.E001")]
    return []
