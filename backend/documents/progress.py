"""Notifies of changed documents. A notification has no state: receivers read it from PostgreSQL."""

import logging
from uuid import UUID

from redis.exceptions import RedisError

from backend.db.redis import client
from backend.documents.signals import document_changed

logger = logging.getLogger(__name__)


def channel(document_id: UUID | str) -> str:
    """The Redis channel of a document; for ``*``, the pattern of all channels."""
    return f"document:{document_id}"


def publish(document_id: UUID) -> None:
    """Notify of a change; to be called after the commit. Without Redis, event streams poll."""
    for receiver, result in document_changed.send_robust(sender=None, document_id=document_id):
        if isinstance(result, Exception):
            logger.warning("document_change_receiver_failed receiver=%s error=%r", receiver.__name__, result)
    try:
        client().publish(channel(document_id), b"changed")
    except RedisError as error:
        logger.warning("document_change_not_published document=%s error=%s", document_id, error)
