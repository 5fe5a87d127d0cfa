"""JSON bodies that refuse what they do not know, and members of the contract that do not work yet."""

from typing import Any, NoReturn

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

MAX_NAMED = 20  # Unknown members that one refusal names.


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members that it does not know: a misspelt ``max_cost`` that is ignored spends money."""

    strict = True  # For the OpenAPI document.

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            refused = [serializers.ErrorDetail(str(_("There is no such field here.")), code="unknown_field")]
            raise serializers.ValidationError(dict.fromkeys(unknown[:MAX_NAMED], refused))
        return super().to_internal_value(data)


def refuse_unsupported() -> NoReturn:
    """:raises ValidationError: the member does not work yet. It must not look as if it did."""
    raise serializers.ValidationError(_("This is not supported yet."), code="not_supported")


@extend_schema_field({"type": "object", "maxProperties": 0})
class UnsupportedObjectField(serializers.Field[Any, Any, Any, Any]):
    """An object that does not work yet: it may be empty or null, which means the same as leaving it out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, **options})

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if data != {}:
            refuse_unsupported()
        return {}

    def to_representation(self, value: Any) -> Any:
        return value
