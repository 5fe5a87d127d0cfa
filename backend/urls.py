"""Every route of every service."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("backend.http.urls")),
    path("", include("backend.accounts.urls")),
    path("", include("backend.billing.urls")),
    path("", include("backend.documents.urls")),
    path("", include("backend.agents.urls")),
    path("", include("backend.console.urls")),
]

handler400 = "backend.http.errors.bad_request"
handler403 = "backend.http.errors.permission_denied"
handler404 = "backend.http.errors.not_found"
handler500 = "backend.http.errors.server_error"
