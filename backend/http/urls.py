"""The routes of every process, whichever services it serves."""

from django.urls import path

from backend.http.probes import healthz, metrics, readyz
from backend.http.schema import docs, schema

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("api/schema", schema, name="schema"),
    path("api/docs", docs, name="docs"),
]
