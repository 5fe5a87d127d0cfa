"""Extends drf-spectacular's description of our views: patterns of ids, names of components, authentication."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.serializers import FileField

from backend.http.ids import SUFFIX
from backend.http.openapi.fields import NO_NUL, UNKNOWN

Schema = dict[str, Any]

# Prefixes of path parameters other than the id of the view's own object.
PREFIXES = {"conversation": "cnv", "chunk": "chk"}


def id_schema(prefix: str) -> Schema:
    return {"type": "string", "pattern": f"^{prefix}_{SUFFIX}$"}


class Contract(AutoSchema):
    """DRF's ``DEFAULT_SCHEMA_CLASS``.

    A view sets ``acts_in_workspace = False`` if it ignores the workspace header, and
    ``takes_idempotency_key = True`` if its POSTs accept an idempotency key.
    """

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        operation: Schema | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["x-workspace"] = bool(getattr(self.view, "acts_in_workspace", True))
            operation["x-idempotent"] = self.method == "POST" and getattr(self.view, "takes_idempotency_key", False)
        return operation

    def _get_serializer_name(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> str:
        name: str = super()._get_serializer_name(serializer, direction, bypass_extensions)
        return name.replace("Representation", "")

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Schema:
        schema: Schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]  # As above.
        if direction == "request" and not any(isinstance(field, FileField) for field in serializer.fields.values()):
            schema |= {"additionalProperties": False} if getattr(serializer, "strict", False) else UNKNOWN
        return schema

    def _insert_field_validators(self, field: Any, schema: Schema) -> None:
        super()._insert_field_validators(field, schema)  # type: ignore[no-untyped-call]  # As above.
        choices = schema.get("oneOf", ())
        if (
            choices and choices[0].get("pattern") == NO_NUL
        ):  # The pattern allows the empty text, as the other choice does.
            schema.update(schema.pop("oneOf")[0])

    def _resolve_path_parameters(self, variables: Any) -> list[Schema]:
        parameters: list[Schema] = super()._resolve_path_parameters(variables)  # type: ignore[no-untyped-call]  # Untyped upstream.
        for parameter in parameters:
            if parameter["name"] == "page":
                parameter["schema"] = {"type": "integer", "minimum": 1, "maximum": 999_999}
                parameter["description"] = "The number of the page, from 1."
            elif (prefix := PREFIXES.get(parameter["name"]) or getattr(self.view, "id_prefix", None)) is not None:
                parameter["schema"] = id_schema(prefix)
                parameter.pop("description", None)
        return parameters


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # Untyped upstream.
    target_class = "rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication"
    match_subclasses = True
    priority = 1
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        description = (
            "The access token of a log-in: `meta.access_token` of its answer, or of `POST /api/v1/tokens/refresh`."
        )
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": description}


class PublicIdFieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # Untyped upstream.
    target_class = "backend.http.ids.PublicIdField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        return id_schema(self.target.prefix)
