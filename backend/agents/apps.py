from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "backend.agents"

    def ready(self) -> None:
        from backend.agents import receivers, worker  # noqa: F401  # Importing connects them; models are loaded only now.
