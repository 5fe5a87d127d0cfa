"""A charge never goes beyond what somebody agreed to: ``ledger_capture`` takes the most that it may be."""

from pathlib import Path

from django.db import migrations

LEDGER = Path(__file__).resolve().parent.parent / "ledger.sql"
BEFORE = "DROP FUNCTION IF EXISTS ledger_capture(text, uuid, uuid, text);\n"


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_ledger")]

    operations = [migrations.RunSQL(BEFORE + LEDGER.read_text(encoding="utf-8"), migrations.RunSQL.noop)]
