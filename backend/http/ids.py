"""Public ids: TypeIDs (https://github.com/jetify-com/typeid), a prefix and a base32 UUIDv7, stored as ``uuid``."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import uuid_utils
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from typeid import TypeID
from typeid.errors import TypeIDException

from backend.errors import NotFound

SUFFIX = r"[0-7][0-9a-hjkmnp-tv-z]{25}"


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562), which sorts by the millisecond of its creation."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


def first_id_of(moment: datetime) -> UUID:
    """The lowest UUIDv7 of that millisecond, so that ``pk__gte`` finds newer rows through the index of the primary key.

    The id of a row is made shortly before its ``created_at``: query from a minute earlier, and filter by the time too.
    """
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (0x7 << 76) | (0x2 << 62))


def encode(prefix: str, value: UUID) -> str:
    """``encode("run", uuid)`` → ``"run_01h…"``."""
    return str(TypeID.from_uuid(suffix=uuid_utils.UUID(bytes=value.bytes), prefix=prefix))


def decode(prefix: str, text: object) -> UUID:
    """The UUID behind a public id.

    :raises NotFound: the text is not a well-formed id with this prefix; the same error as for an unknown id.
    """
    try:
        parsed = TypeID.from_string(str(text))
    except (TypeIDException, ValueError) as error:
        raise NotFound from error
    if parsed.prefix != prefix or str(parsed) != text:
        raise NotFound
    return UUID(bytes=parsed.uuid_bytes)


class PublicId:
    """A mixin for models with a UUID primary key: adds ``public_id``."""

    id_prefix: ClassVar[str]
    pk: Any

    @property
    def public_id(self) -> str:
        return encode(self.id_prefix, self.pk)


class PublicIdField(serializers.Field[UUID, str, str, Any]):
    """A UUID attribute that clients see and send as a public id; a malformed id is a field error."""

    default_error_messages = {"invalid": _("This is not a valid id.")}

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        super().__init__(**kwargs)

    def to_representation(self, value: UUID) -> str:
        return encode(self.prefix, value)

    def to_internal_value(self, data: str) -> UUID:
        try:
            return decode(self.prefix, data)
        except NotFound:
            self.fail("invalid")
