"""The Celery application. PostgreSQL holds the truth about work; a task only rings the bell."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

app = Celery("orquestra")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
