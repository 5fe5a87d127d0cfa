"""Index the words of stored chunks anew: compounds, unspaced scripts and letters with a stroke have come to them."""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from backend.documents.words import folded_for_index, index_words

BATCH = 500
_PAGE = "SELECT id, language, text FROM documents_chunk WHERE id > %s ORDER BY id LIMIT %s"
_WRITE = """
UPDATE documents_chunk AS c SET words = documents_words(c.language, given.words, given.folded), length = given.length
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::int[]) AS given(id, words, folded, length)
WHERE c.id = given.id
"""


def index_anew(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    last = "00000000-0000-0000-0000-000000000000"
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(_PAGE, [last, BATCH])
            rows = cursor.fetchall()
            if not rows:
                return
            last = rows[-1][0]
            words = [(index_words(text), language != "und") for _, language, text in rows]
            written = [" ".join(found) for (found, _), _ in words]
            cursor.execute(
                _WRITE,
                [
                    [row[0] for row in rows],
                    written,
                    [folded_for_index(text, stemmed=word[1]) for text, word in zip(written, words, strict=True)],
                    [length for (_, length), _ in words],
                ],
            )


class Migration(migrations.Migration):
    dependencies = [("documents", "0003_usage_and_budgets")]

    operations = [migrations.RunPython(index_anew, migrations.RunPython.noop)]
