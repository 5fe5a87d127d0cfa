"""Tells whoever watches a document that it changed. PostgreSQL holds what changed; this only rings."""

import logging
from uuid import UUID

from redis.exceptions import RedisError

from backend.http.redis import client

logger = logging.getLogger(__name__)


def channel(document_id: UUID) -> str:
    return f"document:{document_id}"


def announce(document_id: UUID) -> None:
    """Call after the commit. Without Redis, watchers find out by themselves within seconds."""
    try:
        client().publish(channel(document_id), b"changed")
    except RedisError as error:
        logger.warning("nobody was told that document %s changed: %s", document_id, error)
