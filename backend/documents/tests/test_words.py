"""The words that are indexed."""

import pytest
from django.db import connection

from backend.documents.models import Language
from backend.documents.words import folded, folded_for_index

WORDS = [
    "nothing but plain words 42",
    "informação e informações não são iguais às pressões",
    "größe über den straßen",
    "ação 9é3 1e5 x2é",  # What looks like a number in scientific notation once it is folded.
    "カガ が 한국어",  # Marks that are no accents.
    "ελληνικά άλφα ёлка",
    "ℝ² ∀x ½",
    "",
]


@pytest.mark.django_db
@pytest.mark.parametrize("language", Language.values)
@pytest.mark.parametrize("words", WORDS)
def test_the_words_without_accents_are_left_out_only_where_they_change_nothing(language: str, words: str) -> None:
    sent = folded_for_index(words, stemmed=language != Language.UNDETERMINED)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT documents_words(%s, %s, %s)::text, documents_words(%s, %s, %s)::text",
            [language, words, folded(words), language, words, sent],
        )
        whole, short = cursor.fetchone()

    assert short == whole


def test_plain_words_are_not_sent_twice() -> None:
    assert folded_for_index("plain words", stemmed=True) == ""
    assert folded_for_index("größe über", stemmed=False) == ""
    assert folded_for_index("ação", stemmed=True) == "acao"
