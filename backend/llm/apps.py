import logging

from django.apps import AppConfig
from django.core.checks import register

from backend.llm.checks import models_file_is_usable


class LlmConfig(AppConfig):
    name = "backend.llm"

    def ready(self) -> None:
        register(models_file_is_usable)
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # Else a line for each request to a provider.
