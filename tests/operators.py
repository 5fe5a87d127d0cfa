"""Browsers of operators, logged in to the admin without its form, and operators with chosen rights."""

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission
from django.test import Client

from backend.accounts import operations
from backend.accounts.adapter import SESSION_ID
from backend.accounts.models import User
from backend.accounts.states import OperatorStore

SECRET = "operators know this"


def admin_browser(user: User, *, amr: tuple[str, ...] = ("pwd",)) -> Client:
    """What the log-in form leaves behind: a session, its state and the cookie."""
    session = operations.start_operator_session(
        user=user, amr=list(amr), user_agent="tests", ip_address=None, seconds=3600
    )
    state = OperatorStore()
    state[SESSION_KEY] = str(user.pk)
    state[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    state[HASH_SESSION_KEY] = user.get_session_auth_hash()
    state[SESSION_ID], state["amr"] = str(session.pk), list(amr)
    state.save()
    client = Client(raise_request_exception=False)
    client.cookies[settings.SESSION_COOKIE_NAME] = str(state.session_key)
    return client


def superuser(email: str = "operator@example.com") -> User:
    """An operator who may do everything."""
    return operations.register_user(email=email, password=SECRET, is_staff=True, is_superuser=True)


def clerk(*permissions: str, email: str = "clerk@example.com") -> User:
    """An operator who may do this and no more; each as ``app_label.codename``."""
    user = operations.register_user(email=email, password=SECRET, is_staff=True)
    for permission in permissions:
        app_label, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app_label, codename=codename))
    return user
