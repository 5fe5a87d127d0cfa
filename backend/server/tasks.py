"""The task with which a worker checks itself."""

from celery import shared_task

from backend.server.heartbeat import touch


@shared_task(ignore_result=True)
def heartbeat() -> None:
    """Record that a task has passed through the broker and the pool."""
    touch()
