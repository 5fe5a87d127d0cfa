from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "backend.agents"

    def ready(self) -> None:
        # Importing connects them; models are loaded only now.
        from backend.agents import receivers  # noqa: F401
        from backend.agents.runs import worker  # noqa: F401
