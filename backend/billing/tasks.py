"""Sweepers, scheduled by beat."""

from celery import shared_task

from backend.billing import operations


@shared_task(ignore_result=True)
def expire_holds() -> None:
    operations.expire_holds()


@shared_task(ignore_result=True)
def expire_grants() -> None:
    operations.expire_grants()
