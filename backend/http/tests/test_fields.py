"""Serializer fields accept exactly the declared JSON types, and the patterns of the OpenAPI document are true."""

import re
from typing import Any

import pytest
from rest_framework import serializers

from backend.http import fields
from backend.http.openapi.fields import NO_NUL, NOT_BLANK, visible_pattern


class Everything(serializers.Serializer[Any]):
    text = fields.CharField(required=False)
    whole = fields.IntegerField(required=False)
    number = fields.FloatField(required=False)
    truth = fields.BooleanField(required=False)
    rating = fields.ChoiceField([1, -1], required=False)


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("text", ["5", "x"], [5, 1.5, True, [], {}, None]),
        ("whole", [5, 5.0], ["5", 5.5, True, None]),
        ("number", [5, 0.5], ["0.5", True, None]),
        ("truth", [True, False], ["true", "on", 1, 0, None]),
        ("rating", [1, -1], ["1", 1.0, True, None]),
    ],
)
def test_a_field_accepts_its_json_type_alone(name: str, taken: list[Any], refused: list[Any]) -> None:
    for value in taken:
        assert Everything(data={name: value}).is_valid(), value
    for value in refused:
        assert not Everything(data={name: value}).is_valid(), value


@pytest.mark.parametrize(
    "text", ["a", " a ", "é", "\U0010ffff", "\ue000", " ", "", "\x1c", "\x85", "\u3000", "\u200b", "a\0"]
)
def test_the_pattern_matches_what_the_field_accepts(text: str) -> None:
    assert bool(re.search(NO_NUL, text)) == ("\0" not in text)
    assert bool(re.search(NOT_BLANK, text)) == (bool(text.strip()) and "\0" not in text)
    shown = text.strip() and text.strip() not in ("\u200b", "\x1c", "\x85")
    assert bool(re.search(visible_pattern(), text)) == (bool(shown) and "\0" not in text)
