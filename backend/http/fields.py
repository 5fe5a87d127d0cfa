"""Serializer fields that accept exactly the JSON types that the OpenAPI document declares.

REST framework reads ``"5"`` as a number, ``5`` as text and ``"off"`` as false, as forms need it. An API that declares
"integer" must refuse these: otherwise clients rely on what it does not promise.
"""

from typing import Any

from rest_framework import serializers


class CharField(serializers.CharField):
    """DRF's, but only a JSON string is text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class IntegerField(serializers.IntegerField):
    """DRF's, but only a JSON number is an integer. ``5.0`` is the same number as ``5`` (JSON Schema, 6.1.1)."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class FloatField(serializers.FloatField):
    """DRF's, but only a JSON number is a number."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class BooleanField(serializers.BooleanField):
    """DRF's, but only ``true`` and ``false`` are booleans."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class ChoiceField(serializers.ChoiceField):
    """DRF's, but a choice has the type of its value: ``"1"`` is not ``1``."""

    def to_internal_value(self, data: Any) -> Any:
        chosen = super().to_internal_value(data)
        if type(chosen) is not type(data):
            self.fail("invalid_choice", input=data)
        return chosen


class ListField(serializers.ListField):
    """DRF's, but checks ``max_length`` before it validates the items, so that a long list costs one error."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)
