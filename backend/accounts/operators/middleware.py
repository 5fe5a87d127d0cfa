"""The admin's cookie, for the admin alone."""

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
    """Sessions by cookie below ``/admin/``; elsewhere no cookie is read and none is set.

    Each log-in to the admin has a ``Session`` as those of the API have. With it ends the cookie: at a log-out, at
    another password, when the user is locked out, when an operator ends it.
    """

    def process_request(self, request: HttpRequest) -> None:
        if not request.path_info.startswith(ADMIN_PATH):
            request.session = SessionStore()  # Empty. allauth's views put the state that their token names here.
            return
        current.request.set(request)  # Until the answer, which is drawn after the view has returned.
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
