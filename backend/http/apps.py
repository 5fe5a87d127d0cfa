from django.apps import AppConfig


class HttpConfig(AppConfig):
    name = "backend.http"

    def ready(self) -> None:
        from backend.http import checks, schema  # noqa: F401  # Importing them registers checks and extensions.
