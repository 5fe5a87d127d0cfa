"""Session cookies of the admin, valid below ``/admin/`` only."""

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse

from backend.accounts import queries
from backend.accounts.adapter import SESSION_ID
from backend.accounts.operators import current
from backend.accounts.states import OperatorStore, SessionStore
from backend.http.headers import ADMIN_PATH


class OperatorSessionMiddleware(SessionMiddleware):
    """Reads and sets the session cookie below ``/admin/`` only.

    Each log-in to the admin has a ``Session``, as those to the API have. The cookie is valid as long as that session is
    live: until a log-out, a new password, a lock-out, or an operator who ends it.
    """

    def process_request(self, request: HttpRequest) -> None:
        if not request.path_info.startswith(ADMIN_PATH):
            request.session = SessionStore()  # Empty. allauth's views replace it by the state of their token.
            return
        current.request.set(request)  # Until ``process_response``: templates are rendered after the view has returned.
        request.session = OperatorStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        if SESSION_KEY in request.session and not _is_live(request.session):
            request.session.flush()

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if not request.path_info.startswith(ADMIN_PATH):
            return response
        current.request.set(None)
        return super().process_response(request, response)


def _is_live(state: OperatorStore) -> bool:
    session_id = state.get(SESSION_ID)
    return session_id is not None and queries.session_is_live(session_id)
