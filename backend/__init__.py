"""Orquestra: the back end for products built on AI agents."""

from backend.celery import app as celery_app

__all__ = ["celery_app"]
