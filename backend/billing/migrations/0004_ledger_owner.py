"""The functions of the ledger run with the rights of their owner, so that their caller needs none on the tables."""

from pathlib import Path

from django.db import migrations

LEDGER = Path(__file__).resolve().parent.parent / "ledger.sql"


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_capture_most")]

    operations = [migrations.RunSQL(LEDGER.read_text(encoding="utf-8"), migrations.RunSQL.noop)]
