"""What a worker does for its own health."""

from celery import shared_task

from backend.server.heartbeat import touch


@shared_task(ignore_result=True)
def beat_heart() -> None:
    """One round trip through the broker and the pool has ended."""
    touch()
