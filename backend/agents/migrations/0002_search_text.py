"""The SQL function that finds conversations by what was said in them."""

from django.db import migrations

SAID = """
CREATE FUNCTION agents_said(parts jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT string_agg(part ->> 'text', '') FROM jsonb_array_elements(parts) part WHERE part ->> 'type' = 'text')
"""


class Migration(migrations.Migration):
    dependencies = [("agents", "0001_initial")]

    operations = [migrations.RunSQL(SAID, "DROP FUNCTION agents_said(jsonb)")]
