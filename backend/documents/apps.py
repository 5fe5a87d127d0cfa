from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    name = "backend.documents"

    def ready(self) -> None:
        from backend.documents import checks, storage  # noqa: F401  # Checks register themselves.
        from backend.server import health

        health.CHECKS["storage"] = storage.check_available
