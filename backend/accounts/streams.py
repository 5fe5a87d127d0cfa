"""Access checks of open event streams."""

import logging
from collections.abc import Callable

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError

from backend.accounts import queries
from backend.accounts.actors import Actor
from backend.db.connection import release_connection
from backend.errors import Forbidden, NotFound
from backend.http.sse import StillAllowed

logger = logging.getLogger(__name__)


def still_allowed(actor: Actor, *, scope: str, sees: Callable[[Actor], bool]) -> StillAllowed:
    """The check that ``event_stream`` runs at every heartbeat.

    It reads the database, which has a revocation before Redis does: one query for the log-in, the user and the
    membership, and one for the object. The access token that opened the stream may expire meanwhile; the log-in counts.
    While the database does not answer, the stream continues.

    :param scope: what the stream needs, such as ``agents:read``.
    :param sees: whether the object is visible to the actor, which has its current role.
    """

    def check() -> bool:
        try:
            current = queries.actor_now(actor)
            if current is None:
                return False
            current.require(scope)
            return sees(current)
        except (Forbidden, NotFound):
            return False
        except (DatabaseError, InterfaceError) as error:
            logger.warning("stream_access_check_failed error=%s", str(error).strip())
            return True
        finally:
            release_connection()

    return sync_to_async(check, thread_sensitive=False)
