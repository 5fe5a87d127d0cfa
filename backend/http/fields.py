"""Serializer fields that look at the size of what came before they look at what is in it."""

from typing import Any

from rest_framework import serializers


class ListField(serializers.ListField):
    """DRF's, but a list longer than ``max_length`` is refused as a whole: not after a refusal for each of its items."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)
