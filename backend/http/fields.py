"""Serializer fields that take JSON as its types are, and look at the size of what came before what is in it.

REST framework reads ``"5"`` as a number, ``5`` as text and ``"off"`` as false, which a form needs. A contract that
says "integer" must then refuse nothing less, or clients come to rely on what it does not promise.
"""

from typing import Any

from rest_framework import serializers


class CharField(serializers.CharField):
    """DRF's, for JSON: no number is text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class IntegerField(serializers.IntegerField):
    """DRF's, for JSON: no text is a number. ``5.0`` is the same number as ``5`` (JSON Schema, 6.1.1)."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class FloatField(serializers.FloatField):
    """DRF's, for JSON: no text and no truth is a number."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class BooleanField(serializers.BooleanField):
    """DRF's, for JSON: only ``true`` and ``false``."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class ChoiceField(serializers.ChoiceField):
    """DRF's, for JSON: a choice is written as it is, ``1`` not as ``"1"``."""

    def to_internal_value(self, data: Any) -> Any:
        chosen = super().to_internal_value(data)
        if type(chosen) is not type(data):
            self.fail("invalid_choice", input=data)
        return chosen


class ListField(serializers.ListField):
    """DRF's, but a list longer than ``max_length`` is refused as a whole: not after a refusal for each of its items."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)
