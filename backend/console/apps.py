from django.apps import AppConfig
from django.contrib import admin


class ConsoleConfig(AppConfig):
    name = "backend.console"

    def ready(self) -> None:
        admin.site.index_template = "console/dashboard.html"
