"""The SQL function that turns a chunk, and each word of a query, into lexemes."""

from django.db import migrations

# Stemming needs the accents (informações and informação share a stem, informacoes and informacao do not), but people
# leave them out. So each word is indexed twice, stemmed as written and stemmed without accents, and the accents of
# the stems are folded. The positions of both are the same, so a word that reads alike either way counts once.
DOCUMENTS_WORDS = r"""
CREATE FUNCTION documents_words(language text, written text, folded text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    normalize(
        to_tsvector(
            CASE language WHEN 'pt' THEN 'pg_catalog.portuguese' WHEN 'en' THEN 'pg_catalog.english'
            ELSE 'pg_catalog.simple' END::regconfig,
            written
        )::text || ' ' ||
        to_tsvector(
            CASE language WHEN 'pt' THEN 'pg_catalog.portuguese' WHEN 'en' THEN 'pg_catalog.english'
            ELSE 'pg_catalog.simple' END::regconfig,
            folded
        )::text,
        NFD
    ),
    '[\u0300-\u036f]', '', 'g'
)::tsvector
"""


class Migration(migrations.Migration):
    dependencies = [("documents", "0001_initial")]

    operations = [
        migrations.RunSQL(DOCUMENTS_WORDS, "DROP FUNCTION documents_words(text, text, text)"),
    ]
