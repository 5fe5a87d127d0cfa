"""Shared by the viewsets: the look-up by public id, boolean query parameters."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework.request import Request

from backend.errors import FieldError, NotFound
from backend.http.ids import decode


class PublicIdLookup:
    """A mixin placed before ``GenericAPIView``: ``/things/{id}`` takes the public id.

    The queryset holds only objects that the actor may see, so malformed, unknown and foreign ids get the same response.
    """

    id_prefix: ClassVar[str]
    kwargs: dict[str, Any]

    def object_id(self) -> UUID:
        """The id in the path.

        :raises NotFound: it is malformed.
        """
        return decode(self.id_prefix, self.kwargs["pk"])

    def get_object(self) -> Any:
        queryset: QuerySet[Model] = self.filter_queryset(self.get_queryset())  # type: ignore[attr-defined]  # GenericAPIView's.
        found = queryset.filter(pk=self.object_id()).first()
        if found is None:
            raise NotFound
        self.check_object_permissions(self.request, found)  # type: ignore[attr-defined]  # APIView's.
        return found


BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def boolean_parameter(request: Request, name: str, *, default: bool) -> bool:
    """A boolean query parameter.

    :raises FieldError: it is neither true nor false.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.lower() not in BOOLEANS:
        raise FieldError(f"/{name}", _("This is true or false."))
    return BOOLEANS[text.lower()]
