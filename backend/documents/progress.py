"""Publishes that a document changed. PostgreSQL holds what changed."""

import logging
from uuid import UUID

from redis.exceptions import RedisError

from backend.db.redis import client
from backend.documents.signals import document_changed

logger = logging.getLogger(__name__)


def channel(document_id: UUID | str) -> str:
    """Of one document; of ``*``, the pattern of them all."""
    return f"document:{document_id}"


def publish(document_id: UUID) -> None:
    """Call after the commit. Without Redis, watchers find out by themselves within seconds."""
    for receiver, result in document_changed.send_robust(sender=None, document_id=document_id):
        if isinstance(result, Exception):
            logger.warning("document_change_receiver_failed receiver=%s error=%r", receiver.__name__, result)
    try:
        client().publish(channel(document_id), b"changed")
    except RedisError as error:
        logger.warning("document_change_not_published document=%s error=%s", document_id, error)
