"""Stores of log-in states: one for the API's flows, another for the admin. Neither can open a state of the other.

The key of a state works like a password. The database holds only a keyed digest of it, made with the store's own salt:
a client that learns a row of ``django_session``, or a reference to one, cannot open the state with it.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils.crypto import salted_hmac


class Reference(str):
    """The key of a state's row. It opens the state inside this process; text from a client is never a ``Reference``."""

    __slots__ = ()


class _HashedStore(DatabaseStore):
    def _row(self, key: str) -> Reference:
        if isinstance(key, Reference):
            return key
        return Reference(salted_hmac(self.key_salt, key, algorithm="sha256").hexdigest()[:40])

    @property
    def reference(self) -> Reference | None:
        """What another row may store to find this state again; none while the state has no key."""
        return None if self.session_key is None else self._row(self.session_key)

    def _get_session_from_db(self) -> Any:
        found = None
        if self.session_key is not None:
            key, self._session_key = self.session_key, self._row(self.session_key)
            found = super()._get_session_from_db()  # type: ignore[misc]  # Not in the stubs.
            self._session_key = None if found is None else key
        return found

    def create_model_instance(self, data: Any) -> Any:
        instance = super().create_model_instance(data)
        instance.session_key = self._row(instance.session_key)
        return instance

    def exists(self, session_key: str) -> bool:
        return super().exists(self._row(session_key))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(self._row(key))

    # Django's asynchronous methods would look the unhashed key up.
    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    async def aexists(self, session_key: str) -> bool:
        return await sync_to_async(self.exists)(session_key)

    async def asave(self, must_create: bool = False) -> None:
        await sync_to_async(self.save)(must_create)

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)


class SessionStore(_HashedStore):
    """States of allauth's flows, opened by ``X-Session-Token`` or through a ``Session``. Never by a cookie."""


class OperatorStore(_HashedStore):
    """States of log-ins to the admin, opened by its cookie alone."""
