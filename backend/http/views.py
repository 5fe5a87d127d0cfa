"""What viewsets share."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Model, QuerySet

from backend.errors import NotFound
from backend.http.ids import decode


class PublicIdLookup:
    """Mixed into a ``GenericAPIView`` before it: ``/things/{id}`` takes the public id.

    The queryset holds only what the actor may see, so a malformed, an unknown and a foreign id get the same answer.
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
