"""The SQL functions that find conversations by what was said in them."""

from django.db import migrations

# Upper case and accents make no difference: people leave both out when they search.
FOLDED = r"""
CREATE FUNCTION agents_folded(written text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(normalize(lower(written), NFD), '[\u0300-\u036f]', '', 'g')
"""
SAID = """
CREATE FUNCTION agents_said(parts jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT string_agg(part ->> 'text', '') FROM jsonb_array_elements(parts) part WHERE part ->> 'type' = 'text')
"""


class Migration(migrations.Migration):
    dependencies = [("agents", "0001_initial")]

    operations = [
        migrations.RunSQL(FOLDED, "DROP FUNCTION agents_folded(text)"),
        migrations.RunSQL(SAID, "DROP FUNCTION agents_said(jsonb)"),
    ]
