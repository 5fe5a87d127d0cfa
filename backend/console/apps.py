from django.apps import AppConfig
from django.contrib import admin
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    name = "backend.console"

    def ready(self) -> None:
        admin.site.index_title = _("Overview")
        admin.site.index_template = "console/dashboard.html"
