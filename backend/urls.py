"""Every route by its service; a process has the routes of the services that SERVICES names."""

from collections.abc import Iterable

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

Routes = list[URLPattern | URLResolver]

MODULES = {
    "accounts": ("backend.accounts.urls", "backend.console.urls"),
    "agents": ("backend.agents.urls",),
    "documents": ("backend.documents.urls",),
    "billing": ("backend.billing.urls",),
}


def routes(services: Iterable[str] = tuple(MODULES)) -> Routes:
    """The routes of these services, after the routes of every process."""
    found: Routes = [path("", include("backend.http.urls"))]
    for service in services:
        if service == "accounts":
            found.append(path("admin/", admin.site.urls))
        found.extend(path("", include(module)) for module in MODULES[service])
    return found


urlpatterns = routes(settings.SERVICES)

handler400 = "backend.http.errors.bad_request"
handler403 = "backend.http.errors.permission_denied"
handler404 = "backend.console.views.not_found"
handler500 = "backend.http.errors.server_error"
